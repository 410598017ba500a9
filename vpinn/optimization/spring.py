"""SPRING: Gauss–Newton steps on the residuals of a few drawn points, with a momentum that is projected.

A batch of b points, far fewer than there are weights, determines a step in b directions only; in the others the last step is
continued. Each step is the one nearest to μ times the last step that solves the batch's linearised equations:
ζ = −r − μAφ, φ ← μφ + Aᵀ(AAᵀ + λI)⁻¹ζ, θ ← θ + min(η, √C/‖φ‖)φ. Along a direction that later batches do not see, steps add up to
1/(1 − μ) times the first. Hence η < 2(1 − μ) is stable, and with η = 1 − μ they add up to the step of the last batch that saw
the direction. Source: Goldshlager, Abrahamsen & Lin 2024 (arXiv 2401.10190).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from vpinn.optimization.method import Closure, Method, NonFiniteError, State


@dataclass(frozen=True)
class Spring(Method):
    """SPRING steps; the rows are weighted by the points' unbiased weights.

    Attributes:
        momentum: μ, 0 ≤ μ < 1, dimensionless.
        damping: λ relative to the mean of AAᵀ's diagonal, > 0.
        longest: √C, largest length of a step in the weights, > 0, dimensionless.
    """

    momentum: float = 0.9
    damping: float = 1e-9
    longest: float = 0.1
    name = "spring"
    drawn = True
    curved = True
    double = True
    learning_rate = 0.1
    course = "cosine"

    def initial(self, theta: Tensor) -> State:
        """Return the state with a last step of zero."""
        return {"step": torch.zeros_like(theta)}

    def step(
        self, theta: Tensor, state: State, closure: Closure, learning_rate: float, same: bool
    ) -> tuple[Tensor, State, float]:
        """Take one step.

        Raises:
            NonFiniteError: a residual or a derivative is not finite.
        """
        found = closure.curvature(theta).gathered()
        rows, signs, residual = found.rows, found.signs, found.residual
        assert residual is not None
        value = 0.5 * float(signs @ residual**2)
        closure.gradient_norm = float(torch.linalg.vector_norm((signs * residual) @ rows))
        for what, number in (("loss", value), ("gradient", closure.gradient_norm)):
            if not math.isfinite(number):
                raise NonFiniteError(what)
        before = self.momentum * state["step"]
        wanted = -residual - rows @ before
        damping = self.damping * float(rows.square().sum(1).mean())
        solved = _solved(rows, damping, wanted) if found.positive else _with_signs(rows, damping * signs, wanted)
        step = before + solved @ rows
        length = float(torch.linalg.vector_norm(step))
        return theta + min(learning_rate, self.longest / max(length, 1e-300)) * step, {"step": step}, value


def _solved(rows: Tensor, damping: float, wanted: Tensor) -> Tensor:
    """Return (AAᵀ + λI)⁻¹ζ [b] from the QR factorisation of the columns of Aᵀ and √λI, with one step of refinement.

    AAᵀ itself has the square of their condition number, and its rounding errors would be magnified by up to 1/λ.

    Args:
        rows: A [b, size].
        damping: λ > 0.
        wanted: ζ [b].
    """
    shift = math.sqrt(damping) * torch.eye(len(rows), dtype=rows.dtype, device=rows.device)
    triangle = torch.linalg.qr(torch.cat([rows.T, shift]), mode="r")[1]

    def once(right: Tensor) -> Tensor:
        return torch.cholesky_solve(right[:, None], triangle, upper=True)[:, 0]

    first = once(wanted)
    return first + once(wanted - rows @ (first @ rows) - damping * first)


def _with_signs(rows: Tensor, damping: Tensor, wanted: Tensor) -> Tensor:
    """Return (AAᵀ + λS)⁻¹ζ [b] for rows A [b, size], some of which have the sign −1 in S = S⁻¹, given the diagonal of λS [b]."""
    kernel = rows @ rows.T
    kernel.diagonal().add_(damping)
    found: Tensor = torch.linalg.solve(kernel, wanted)
    return found
