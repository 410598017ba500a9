"""Directions of weights that J sees at a temperature: where a Langevin walk can mix.

A network has thousands of weights, and J sees few directions among them: along the others exp(−J/T) has no end, and no walk
mixes. Taken are the eigenvectors vₖ of the Hessian at the trained weights with the largest λₖ > 0 (the likelihood-informed
subspace of Cui et al. 2014, arXiv 1403.4680): as many as J follows its quadratic model in at twice the width of the law, off by
2T at most, root mean square over draws from N(0, 4T/λ). Half of that width would not tell where J turns down again, and where a
walk would leave for other minima. Directions in which J bends otherwise before it has risen by T are not told apart from those
that it does not see: weights move in them along curved valleys, and are held.
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
"""Directions that are looked for in networks of more than ``EXACT`` weights; of smaller ones all."""
CONVERGED = 0.1
"""Residual of an eigenvector, relative to its eigenvalue, up to which it is taken."""
DRAWS = 16
"""Draws that the quadratic model is compared at."""
WIDE = 2.0
"""Width of those draws, in units of the law's."""
OFF = 2.0
"""Distance of J from its quadratic model, in units of T, up to which directions are taken."""
PILOT = 32
"""Batches that the noise along the directions is measured with."""

Gradient = Callable[[Tensor], tuple[float, Tensor]]


def mean_of(batches: Sequence[Gradient]) -> Gradient:
    """Return J and ∇J over several batches at once."""

    def evaluate(theta: Tensor) -> tuple[float, Tensor]:
        found = [batch(theta) for batch in batches]
        return float(np.mean([value for value, _ in found])), torch.stack([gradient for _, gradient in found]).mean(0)

    return evaluate


def upward(evaluate: Gradient, theta: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Return eigenvalues λ > 0 [k] of the Hessian, largest first, and eigenvectors [size, k], float64.

    Where J curves upwards nowhere, as on a plane, the steepest direction with the curvature of its own size.

    Args:
        evaluate: J and ∇J.
        theta: parameters [size].
        seed: of the first vector of Lanczos' method.
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
        evaluate: J and ∇J.
        theta: parameters [size] that the model is made at.
        values: λ > 0 [k], largest first.
        vectors: eigenvectors [size, k].
        temperature: T > 0.
        generator: of the draws.
    """
    value, gradient = evaluate(theta)
    draws = torch.randn(DRAWS, len(values), generator=generator, dtype=torch.float64, device=HOST)
    heat = WIDE**2 * temperature
    width = (heat / values).sqrt()

    def excess(count: int) -> float:
        """Root mean square of J less its model, in units of T."""
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
