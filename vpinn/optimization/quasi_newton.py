"""Common part of quasi-Newton methods: a direction from an approximate inverse Hessian, and a line search along it.

`Lbfgs` and `Broyden` say how the inverse Hessian is stored and updated.
"""

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
"""Smallest cosine between a step and the change of the gradient for which the pair updates the inverse Hessian."""
UNDERFLOW = 1e-200
"""Smallest curvature yᵀs for which the products of an update do not underflow."""


@dataclass(frozen=True)
class QuasiNewton(Method):
    """A quasi-Newton method: one step is one iteration, whose length a line search sets.

    The learning rate is used only after a rollback, when it is below one: it then scales the first trial of the line search.

    Attributes:
        evaluations: most evaluations of J and ∇J in one line search, ≥ 1.
    """

    evaluations: int = 20
    full = True
    descends = True
    learning_rate = None
    remedy = 'try another solver.seed, or solver.method = "adam"'

    @abstractmethod
    def identity(self, theta: Tensor) -> State:
        """Return the stored form of an inverse Hessian about which nothing is known yet."""

    @abstractmethod
    def inverse_hessian(self, state: State, gradient: Tensor) -> Tensor:
        """Return the product of the inverse Hessian H with a gradient [size]."""

    @abstractmethod
    def learned(self, state: State, moved: Tensor, change: Tensor, square: float) -> State:
        """Return the stored form of the inverse Hessian after an update.

        Args:
            state: state with the inverse Hessian H before.
            moved: step s [size].
            change: change of the gradient y [size], yᵀs > 0.
            square: sᵀH⁻¹s > 0.
        """

    def initial(self, theta: Tensor) -> State:
        """Return the state with the identity; ``fresh`` marks that its scale is not known yet."""
        known = {"fresh": torch.tensor(True, device=HOST), "value": number(math.nan), "gradient": torch.zeros_like(theta)}
        return {**self.identity(theta), **known}

    def step(
        self, theta: Tensor, state: State, closure: Closure, learning_rate: float, same: bool
    ) -> tuple[Tensor, State, float]:
        """Take one iteration; if the line search gains nothing, H is reset to the identity and θ stays.

        Raises:
            NonFiniteError: J was finite at no trial along the direction of steepest descent.
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
    """Return J and ∇J at θ, reused from the end of the last step where the function is the same."""
    value, gradient = float(state["value"]), state["gradient"]
    if not (same and math.isfinite(value)):
        return closure(theta)
    closure.gradient_norm = float(torch.linalg.vector_norm(gradient))
    return value, gradient
