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
        kernel = rows @ rows.T
        kernel.diagonal().add_(signs * self.damping * kernel.diagonal().mean())  # the signs S = S⁻¹ of negative weights
        step = before + torch.linalg.solve(kernel, -residual - rows @ before) @ rows
        length = float(torch.linalg.vector_norm(step))
        return theta + min(learning_rate, self.longest / max(length, 1e-300)) * step, {"step": step}, value
