"""Choose the subspace of weights in which a Langevin chain runs: directions in which J determines the weights at temperature T.

A network has thousands of weights, but J changes along few directions only. Along the others exp(−J/T) cannot be normalised,
and no chain mixes. The subspace is spanned by leading eigenvectors vₖ of the Hessian at the trained weights, those with the
largest λₖ > 0 (likelihood-informed subspace, Cui et al. 2014, arXiv 1403.4680). Eigenvectors are added while J follows its
quadratic model, that is, while the root mean square of the difference over draws from N(0, 4T/λ) is at most 2T. The draws are
twice as wide as the law, because J may turn down again farther out, where a chain would leave for other minima. Directions
along which J leaves the quadratic model earlier are held fixed, like those that J does not see: weights move along them in
curved valleys. `upward` returns the eigenvectors, `seen` how many of them are used.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from vpinn.optimization.spectrum import EXACT, difference_product, leading
from vpinn.placement import HOST, wide

MODES = 64
"""Number of eigenvectors computed for networks of more than ``EXACT`` weights; all are computed for smaller ones."""
CONVERGED = 0.1
"""Largest residual of an eigenvector that is used, relative to its eigenvalue."""
DRAWS = 16
"""Number of draws at which J is compared with its quadratic model."""
WIDE = 2.0
"""Standard deviation of these draws, in units of that of the law exp(−J/T)."""
OFF = 2.0
"""Root mean square difference between J and its quadratic model up to which directions are used, in units of T."""
PILOT = 32
"""Batches from which the noise along the directions is measured."""

Gradient = Callable[[Tensor], tuple[float, Tensor]]
"""θ [size] → J and ∇J [size]."""


def mean_of(batches: Sequence[Gradient]) -> Gradient:
    """Return the mean of J and ∇J over several batches as one function of θ."""

    def evaluate(theta: Tensor) -> tuple[float, Tensor]:
        found = [batch(theta) for batch in batches]
        return float(np.mean([value for value, _ in found])), torch.stack([gradient for _, gradient in found]).mean(0)

    return evaluate


def upward(evaluate: Gradient, theta: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Return the positive eigenvalues λ [k] of the Hessian, largest first, and the eigenvectors [size, k], in float64.

    If no eigenvalue is positive, return the direction of the gradient, with the curvature ‖∇J‖/‖θ‖.

    Args:
        evaluate: θ → J and ∇J.
        theta: parameters [size].
        seed: seed of the first vector of Lanczos' method.
    """
    product = difference_product(evaluate, theta, torch.finfo(theta.dtype).eps ** (1 / 3))
    size = len(theta)
    count = size if size <= EXACT else MODES
    found = leading(lambda v: wide(product(v.to(theta))), size, count, np.random.default_rng(seed))
    taken = np.flatnonzero((found.values > 0.0) & (found.residuals < CONVERGED * np.abs(found.values)))
    if not len(taken):
        gradient = wide(evaluate(theta)[1])
        length = float(gradient.norm()) or 1.0
        curvature = length / (float(theta.norm()) or 1.0)
        return gradient.new_tensor([curvature]), (gradient / length)[:, None]
    return torch.from_numpy(found.values[taken].copy()), torch.from_numpy(found.vectors[:, taken].copy())


def seen(
    evaluate: Gradient, theta: Tensor, values: Tensor, vectors: Tensor, temperature: float, generator: torch.Generator
) -> int:
    """Return the number of leading directions, 1 or more, in which J follows its quadratic model at a temperature.

    Args:
        evaluate: θ → J and ∇J.
        theta: parameters at which the quadratic model is made [size].
        values: eigenvalues λ > 0 [k], largest first.
        vectors: eigenvectors [size, k].
        temperature: T > 0, in the objective's unit.
        generator: random numbers of the draws.
    """
    value, gradient = evaluate(theta)
    draws = torch.randn(DRAWS, len(values), generator=generator, dtype=torch.float64, device=HOST)
    heat = WIDE**2 * temperature
    width = (heat / values).sqrt()

    def excess(count: int) -> float:
        """Return the root mean square of J minus its model in the first ``count`` directions, in units of T."""
        total = 0.0
        for draw in draws:
            moved = (vectors[:, :count] @ (width[:count] * draw[:count])).to(theta)
            model = value + float(gradient @ moved) + 0.5 * heat * float(draw[:count].square().sum())
            total += ((evaluate(theta + moved)[0] - model) / temperature) ** 2
        return math.sqrt(total / DRAWS)

    count = 1
    while count < len(values):
        more = min(len(values), count + max(1, count // 8))
        if not excess(more) <= OFF:
            break
        count = more
    return count
