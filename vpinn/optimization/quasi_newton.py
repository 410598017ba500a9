"""What quasi-Newton methods share: a direction from what steps told of the Hessian, and a line search along it."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from vpinn.optimization.line_search import search
from vpinn.optimization.method import Closure, Method, State, number
from vpinn.placement import HOST

CURVED = 1e-14
"""Cosine between step and change of gradient from which the pair tells a curvature."""
UNDERFLOW = 1e-200
"""Curvature yᵀs below which products of an update would vanish."""


@dataclass(frozen=True)
class QuasiNewton(Method):
    """One step is one iteration, and the line search sets its length.

    The learning rate has no part in it but one: below one (after a rollback) it scales the line search's first trial.

    Attributes:
        evaluations: most evaluations of one line search.
    """

    evaluations: int = 20
    full = True
    descends = True
    learning_rate = None
    remedy = 'try another solver.seed, or solver.method = "adam"'

    @abstractmethod
    def identity(self, theta: Tensor) -> State:
        """Return what stands for an inverse Hessian that nothing is known of."""

    @abstractmethod
    def inverse_hessian(self, state: State, gradient: Tensor) -> Tensor:
        """Return H·gradient, [size]."""

    @abstractmethod
    def learned(self, state: State, moved: Tensor, change: Tensor, square: float) -> State:
        """Return the next inverse Hessian.

        Args:
            state: of the step before, with the inverse Hessian H.
            moved: step s [size].
            change: of the gradient, y [size], yᵀs > 0.
            square: sᵀH⁻¹s > 0.
        """

    def initial(self, theta: Tensor) -> State:
        """Return the identity, of which ``fresh`` says that it has no scale yet."""
        known = {"fresh": torch.tensor(True, device=HOST), "value": number(math.nan), "gradient": torch.zeros_like(theta)}
        return {**self.identity(theta), **known}

    def step(
        self, theta: Tensor, state: State, closure: Closure, learning_rate: float, same: bool
    ) -> tuple[Tensor, State, float]:
        """Take one iteration; without progress along the direction H is dropped, and then θ stays.

        Raises:
            NonFiniteError: no closure along the steepest descent was finite.
        """
        value, gradient = _known(state, theta, closure, same)
        direction = -self.inverse_hessian(state, gradient)
        if not float(direction @ gradient) < 0:
            direction, state = -gradient, self.initial(theta)
        fresh = bool(state["fresh"])
        found = search(theta, direction, (value, gradient), closure, fresh, learning_rate, self.evaluations)
        if found is None:
            return theta, {**self.initial(theta), "value": number(value), "gradient": gradient}, value
        length, new_value, new_gradient = found
        moved, change = length * direction, new_gradient - gradient
        after = {**state, "gradient": new_gradient, "value": number(new_value)}
        size = float(torch.linalg.vector_norm(moved) * torch.linalg.vector_norm(change))
        if float(moved @ change) > max(UNDERFLOW, CURVED * size):
            square = -length * float(moved @ gradient)  # sᵀH⁻¹s, as s = −tH∇J
            after |= {**self.learned(state, moved, change, square), "fresh": torch.tensor(False, device=HOST)}
        return theta + moved, after, value


def _known(state: State, theta: Tensor, closure: Closure, same: bool) -> tuple[float, Tensor]:
    """Return J and ∇J, from the end of the last step where the function is the same."""
    value, gradient = float(state["value"]), state["gradient"]
    if not (same and math.isfinite(value)):
        return closure(theta)
    closure.gradient_norm = float(torch.linalg.vector_norm(gradient))
    return value, gradient
