"""What a run finds out before its first step: how noisy its gradients are, and how large a step is stable."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from vpinn.optimization.method import Method
from vpinn.optimization.spectrum import difference_product, leading
from vpinn.placement import HOST, wide

Gradient = Callable[[Tensor], tuple[float, Tensor]]
DRAWS = 32
"""Batches that the noise is measured with; one that takes more of them to see the signal counts as all of them."""
SPREAD = 8
"""Batches that the spread of the curvature is measured with."""
LANCZOS = 12
"""Products with the Hessian that its largest eigenvalue is taken from; they give it to a few per cent."""
FOLDS = 10
"""Factors of e by which the steepest direction has contracted when a warm-up reaches the stable step size."""


def measured_noise(draw: Callable[[], Gradient], theta: Tensor) -> float:
    """Return S/b = tr Σ/(b‖g‖²) of batches at parameters θ [size], ``DRAWS`` at most.

    Args:
        draw: makes J and ∇J of a new batch.
        theta: parameters [size].
    """
    gradients = wide(torch.stack([draw()(theta)[1] for _ in range(DRAWS)]))
    mean = gradients.mean(0)
    trace = float(((gradients - mean) ** 2).sum()) / (DRAWS - 1)
    square = float(mean @ mean) - trace / DRAWS
    return min(trace / square, float(DRAWS)) if square > 0.0 else float(DRAWS)


def stable_rate(
    method: Method,
    draw: Callable[[], Gradient],
    sharp: Gradient,
    theta: Tensor,
    generator: np.random.Generator,
    squares: Tensor | None = None,
) -> float:
    """Return the largest stable step size at parameters θ [size]: cλ/(λ² + v), infinite where nothing curves upwards.

    λ is the largest eigenvalue of P^½HP^½, with the method's preconditioner P and limit c/λ for all points, and v the
    variance of batches' curvatures in its direction: E(1 − ηĥ)² < 1 for plain descent, whose c is 2.

    Args:
        method: what takes the steps.
        draw: makes J and ∇J of a new batch of the first size.
        sharp: J and ∇J over all points, or over enough for the curvature.
        theta: parameters.
        generator: of the first vector of Lanczos' method.
        squares: mean squares of the gradient's entries [size]; None: those of a few batches at θ.
    """
    if squares is None:
        squares = torch.stack([draw()(theta)[1] for _ in range(SPREAD)]).square().mean(0)
    limit, scales = method.stability(squares)
    root, nudge = scales.sqrt(), torch.finfo(theta.dtype).eps ** (1 / 3)
    product = difference_product(sharp, theta, nudge)

    def scaled(v: Tensor) -> Tensor:
        return wide(root * product(root * v.to(theta)))

    steps = min(LANCZOS, len(theta))
    found = leading(scaled, len(theta), steps, generator, steps)
    top = int(found.values.argmax())
    curvature = float(found.values[top])
    if not curvature > 0.0:
        return math.inf
    u = root * torch.from_numpy(found.vectors[:, top].copy()).to(theta)
    bends = [float(u @ difference_product(draw(), theta, nudge)(u)) for _ in range(SPREAD)]
    return limit * curvature / (curvature**2 + float(np.var(bends, ddof=1)))


def bent_limit(method: Method, curvature: float) -> float:
    """Return the largest stable step size where the largest curvature is known; infinite where it, or the scales, are not.

    Args:
        method: what takes the steps; one with scales of its own is limited by another curvature.
        curvature: largest eigenvalue of the Hessian, seen on the way; not positive: none was.
    """
    limit, scales = method.stability(torch.full((1,), 4.0, dtype=torch.float64, device=HOST))
    return limit / curvature if curvature > 0.0 and float(scales) == 1.0 else math.inf


def measured_trace(draw: Callable[[], Gradient], theta: Tensor) -> float:
    """Return tr Σ/b of batches at parameters θ [P], from ``DRAWS`` of them.

    Args:
        draw: makes J and ∇J of a new batch.
        theta: parameters [P].
    """
    return float(wide(torch.stack([draw()(theta)[1] for _ in range(DRAWS)])).var(0).sum())


def warmup_steps(rate: float, stable: float, most: int) -> int:
    """Return the length of a linear warm-up to ``rate``, 0 to ``most``.

    The step size rises by stable/``FOLDS`` in each step. On the way to the stable one plain descent, whose factor along the
    steepest direction is 1 − 2η/stable, then contracts it by exp(−``FOLDS``): where larger steps could harm, the run has
    left the curvature of the start.
    """
    return min(most, math.ceil(FOLDS * rate / stable))
