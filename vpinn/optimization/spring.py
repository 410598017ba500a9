"""SPRING: Gauss–Newton steps on the residuals of a few drawn points, joined by a momentum that they project.

A batch of b ≪ weights points fixes a step in b directions only; in the others the step before goes on. Each step is the one
nearest to μ times the last that solves the batch's linearised equations: ζ = −r − μAφ, φ ← μφ + Aᵀ(AAᵀ + λI)⁻¹ζ,
θ ← θ + min(η, √C/‖φ‖)φ. Until a batch sees a direction again, steps along it add up to 1/(1 − μ) of one: η < 2(1 − μ) is stable,
and with η = 1 − μ they lead just to where the last batch that saw it pointed. Source:
Goldshlager, Abrahamsen & Lin 2024 (arXiv 2401.10190).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from vpinn.optimization.method import Closure, Method, NonFiniteError, State


@dataclass(frozen=True)
class Spring(Method):
    """Projected steps with momentum; rows are weighted by the points' unbiased weights.

    Attributes:
        momentum: μ, 0 ≤ μ < 1.
        damping: λ relative to the mean of AAᵀ's diagonal, > 0.
        longest: √C, longest step, in units of the weights.
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
        """Return a step of zero."""
        return {"step": torch.zeros_like(theta)}

    def step(
        self, theta: Tensor, state: State, closure: Closure, learning_rate: float, same: bool
    ) -> tuple[Tensor, State, float]:
        """Take one step.

        Raises:
            NonFiniteError: a residual or a derivative is not finite.
        """
        found = closure.curvature(theta)
        rows, signs, residual = found.rows, found.signs, found.residual
        assert residual is not None
        value = 0.5 * float(signs @ residual**2)
        closure.gradient_norm = float(torch.linalg.vector_norm((signs * residual) @ rows))
        for what, number in (("loss", value), ("gradient", closure.gradient_norm)):
            if not math.isfinite(number):
                raise NonFiniteError(what)
        before = self.momentum * state["step"]
        kernel = rows @ rows.T
        kernel.diagonal().add_(signs * self.damping * kernel.diagonal().mean())  # S = S⁻¹ stands where weights are negative
        step = before + torch.linalg.solve(kernel, -residual - rows @ before) @ rows
        length = float(torch.linalg.vector_norm(step))
        return theta + min(learning_rate, self.longest / max(length, 1e-300)) * step, {"step": step}, value
