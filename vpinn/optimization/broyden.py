"""Self-scaled Broyden: a dense quasi-Newton matrix that is rescaled at every update, lengths from a strong Wolfe search.

Among the updates of Broyden's family this one keeps determinant and condition of the matrix in check; on losses of
networks, ill conditioned as they are, it goes further than BFGS. Sources: Al-Baali 1998 (self-scaling); Urbán, Stefanou &
Pons 2025 (arXiv 2405.04230, the variant taken here); Kiyani et al. 2025 (arXiv 2501.16371).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from vpinn.optimization.lbfgs import known, number, search
from vpinn.optimization.method import Closure, Method, State

UNDERFLOW = 1e-200
"""Curvature yᵀs below which products of the update would vanish."""


@dataclass(frozen=True)
class Broyden(Method):
    """Self-scaled Broyden; one step is one iteration, and the line search sets its length.

    The learning rate has no part in it but one: below one (after a rollback) it scales the line search's first trial.

    Attributes:
        evaluations: most evaluations of one line search.
    """

    evaluations: int = 20
    name = "broyden"
    full = True
    double = True
    most = 5_000
    learning_rate = None

    def initial(self, theta: Tensor) -> State:
        """Return the identity, of which ``fresh`` says that it has no scale yet."""
        return {
            "inverse": torch.eye(len(theta), dtype=theta.dtype),
            "fresh": torch.tensor(True),
            "value": number(math.nan),
            "gradient": torch.zeros_like(theta),
        }

    def step(
        self, theta: Tensor, state: State, closure: Closure, learning_rate: float, same: bool
    ) -> tuple[Tensor, State, float]:
        """Take one iteration; without progress along the direction the matrix is dropped, and then θ stays.

        Raises:
            NonFiniteError: no closure along the steepest descent was finite.
        """
        value, gradient = known(state, theta, closure, same)
        direction = -state["inverse"] @ gradient
        if not float(direction @ gradient) < 0:
            direction, state = -gradient, self.initial(theta)
        fresh = bool(state["fresh"])
        found = search(theta, direction, value, gradient, closure, fresh, learning_rate, self.evaluations)
        if found is None:
            return theta, {**self.initial(theta), "value": number(value), "gradient": gradient}, value
        moved, new_value, new_gradient = found
        change = new_gradient - gradient
        kept = {"gradient": new_gradient, "value": number(new_value)}
        product = float(moved @ change)
        if not product > max(UNDERFLOW, 1e-14 * float(torch.linalg.vector_norm(moved) * torch.linalg.vector_norm(change))):
            return theta + moved, {**state, **kept}, value
        inverse, length = state["inverse"], float(torch.linalg.vector_norm(moved) / torch.linalg.vector_norm(direction))
        square = -length * float(moved @ gradient)  # sᵀH⁻¹s, as s = −tH∇J
        if fresh:
            scale = product / float(change @ change)
            inverse, square = scale * inverse, square / scale
        kept |= {"inverse": update(inverse, moved, change, square), "fresh": torch.tensor(False)}
        return theta + moved, kept, value


def update(inverse: Tensor, moved: Tensor, change: Tensor, square: float) -> Tensor:
    """Return the next inverse Hessian [size, size].

    With b = sᵀH⁻¹s/yᵀs, h = yᵀHy/yᵀs, a = bh − 1 the member θ of the family and the scale τ are those of the sources:
    H ← (H − Hy yᵀH/yᵀHy + φ yᵀHy vvᵀ)/τ + ssᵀ/yᵀs, v = s/yᵀs − Hy/yᵀHy, φ = (1 − θ)/(1 + aθ).

    Args:
        inverse: H, symmetric and positive [size, size].
        moved: s [size].
        change: y [size], yᵀs > 0.
        square: sᵀH⁻¹s > 0.
    """
    product, through = float(moved @ change), inverse @ change
    curved = float(change @ through)
    b, h = square / product, curved / product
    a = max(b * h - 1, 1e-15)  # positive by Cauchy and Schwarz
    lower = min(1.0, h / ((1 + a) * (1 + math.sqrt(a / (1 + a)))))  # h(1 − √(a/(1 + a))) without cancellation
    theta = max((lower - 1) / a, min(1 / lower, (1 - b) / b))
    sigma, size = 1 + theta * a, len(moved)
    shrink = sigma ** (1 / (1 - size)) if size > 1 else 1.0
    tau = min(shrink * min(1.0, 1 / b), sigma) if theta <= 0 else min(1.0, 1 / b) * min(shrink, 1 / theta)
    phi = (1 - theta) / (1 + a * theta)
    v = moved / product - through / curved
    left = torch.stack([through * (-1 / (curved * tau)), v * (phi * curved / tau), moved / product], 1)
    return torch.addmm(inverse, left, torch.stack([through, v, moved]), beta=1 / tau)
