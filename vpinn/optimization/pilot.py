"""Measurements before the first step of a run: how noisy the batch gradients are, and which step size is stable.

`measured_noise` gives the noise, `stable_rate` the step size, `warmup_steps` the length of a warm-up.
"""

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
"""θ [size] → J, ∇J [size]."""
DRAWS = 32
"""Batches from which the noise is measured; noise over signal beyond this number is not resolved, and is set to it."""
SPREAD = 8
"""Batches from which the variance of the curvature is measured."""
LANCZOS = 12
"""Products with the Hessian from which its largest eigenvalue is computed; they give it to a few per cent."""
FOLDS = 10
"""Warm-up contracts the steepest direction by exp(−FOLDS) before the stable step size is reached."""


def measured_noise(draw: Callable[[], Gradient], theta: Tensor) -> float:
    """Return noise over signal S/b = tr Σ/(b‖g‖²) of batches at parameters θ, 0 to ``DRAWS``, dimensionless.

    Args:
        draw: draws a new batch and returns θ → J, ∇J of it.
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
    """Return the largest stable step size at parameters θ: cλ/(λ² + v), infinite where J curves upwards nowhere.

    λ is the largest eigenvalue of P^½HP^½, with the scales P and the limit c/λ of the method on all points (see
    ``Method.stability``), and v is the variance of batches' curvatures along its eigenvector. For plain descent, with c = 2, the
    formula follows from E(1 − ηĥ)² < 1.

    Args:
        method: method that takes the steps.
        draw: draws a new batch of the run's first size and returns θ → J, ∇J of it.
        sharp: θ → J, ∇J over all points, or over enough of them for the curvature.
        theta: parameters [size].
        generator: random numbers of the first vector of Lanczos' method.
        squares: mean squares of the gradient's entries [size]; None: those of ``SPREAD`` batches at θ.
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
    """Return the largest stable step size for a known curvature; infinite where the curvature is not known.

    Args:
        method: method that takes the steps; with scales of its own the limit is infinite, since its curvature is another.
        curvature: largest eigenvalue of the Hessian as measured during training; zero or negative: not known.
    """
    limit, scales = method.stability(torch.full((1,), 4.0, dtype=torch.float64, device=HOST))
    return limit / curvature if curvature > 0.0 and float(scales) == 1.0 else math.inf


def measured_trace(draw: Callable[[], Gradient], theta: Tensor) -> float:
    """Return tr Σ/b of batches at parameters θ, from ``DRAWS`` of them.

    Args:
        draw: draws a new batch and returns θ → J, ∇J of it.
        theta: parameters [P].
    """
    return float(wide(torch.stack([draw()(theta)[1] for _ in range(DRAWS)])).var(0).sum())


def warmup_steps(rate: float, stable: float, most: int) -> int:
    """Return the number of steps of a linear warm-up to ``rate``, 0 to ``most``.

    The step size rises by stable/``FOLDS`` per step. Until it reaches the stable one, plain descent, which multiplies the error
    along the steepest direction by 1 − 2η/stable, contracts it by exp(−``FOLDS``). When larger steps could do harm, the run has
    therefore left the region with the curvature of the start.

    Args:
        rate: step size after the warm-up, > 0.
        stable: largest stable step size at the start, > 0.
        most: most steps of the warm-up, ≥ 0.
    """
    return min(most, math.ceil(FOLDS * rate / stable))
