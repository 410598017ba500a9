"""Self-scaled Broyden method: a dense quasi-Newton matrix that is rescaled at every update.

Among the updates of Broyden's family this one bounds the determinant and the condition number of the matrix. On the
ill-conditioned losses of networks it reaches lower values than BFGS. Sources: Al-Baali 1998 (self-scaling); Urbán, Stefanou &
Pons 2025 (arXiv 2405.04230, the variant implemented here); Kiyani et al. 2025 (arXiv 2501.16371).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from vpinn.optimization.method import State
from vpinn.optimization.quasi_newton import QuasiNewton


@dataclass(frozen=True)
class Broyden(QuasiNewton):
    """Self-scaled Broyden method, which keeps the whole inverse Hessian as a matrix [size, size]."""

    name = "broyden"
    double = True
    most = 5_000

    def identity(self, theta: Tensor) -> State:
        """Return the identity matrix."""
        return {"inverse": torch.eye(len(theta), dtype=theta.dtype, device=theta.device)}

    def inverse_hessian(self, state: State, gradient: Tensor) -> Tensor:
        """Return H·gradient, [size]."""
        return state["inverse"] @ gradient

    def learned(self, state: State, moved: Tensor, change: Tensor, square: float) -> State:
        """Return the updated matrix; before the first update the identity is scaled to the first pair (s, y)."""
        inverse = state["inverse"]
        if bool(state["fresh"]):
            scale = float(moved @ change) / float(change @ change)
            inverse, square = scale * inverse, square / scale
        return {"inverse": update(inverse, moved, change, square)}


def update(inverse: Tensor, moved: Tensor, change: Tensor, square: float) -> Tensor:
    """Return the next approximation of the inverse Hessian [size, size].

    With b = sᵀH⁻¹s/yᵀs, h = yᵀHy/yᵀs and a = bh − 1, the family's parameter θ and the scale τ are chosen as in the sources:
    H ← (H − Hy yᵀH/yᵀHy + φ yᵀHy vvᵀ)/τ + ssᵀ/yᵀs, v = s/yᵀs − Hy/yᵀHy, φ = (1 − θ)/(1 + aθ).

    Args:
        inverse: H, symmetric and positive definite [size, size].
        moved: step s [size].
        change: change of the gradient y [size], yᵀs > 0.
        square: sᵀH⁻¹s > 0.
    """
    product, through = float(moved @ change), inverse @ change
    curved = float(change @ through)
    b, h = square / product, curved / product
    a = max(b * h - 1, 1e-15)  # positive by the Cauchy–Schwarz inequality, up to rounding
    lower = min(1.0, h / ((1 + a) * (1 + math.sqrt(a / (1 + a)))))  # h(1 − √(a/(1 + a))) without cancellation
    theta = max((lower - 1) / a, min(1 / lower, (1 - b) / b))
    sigma, size = 1 + theta * a, len(moved)
    shrink = sigma ** (1 / (1 - size)) if size > 1 else 1.0
    tau = min(shrink * min(1.0, 1 / b), sigma) if theta <= 0 else min(1.0, 1 / b) * min(shrink, 1 / theta)
    phi = (1 - theta) / (1 + a * theta)
    v = moved / product - through / curved
    left = torch.stack([through * (-1 / (curved * tau)), v * (phi * curved / tau), moved / product], 1)
    return torch.addmm(inverse, left, torch.stack([through, v, moved]), beta=1 / tau)
