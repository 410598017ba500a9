"""Contracts for parts of one's own: a part that holds its contract works with everything here. See `vpinn.registry`.

Each function raises an AssertionError that says what is wrong, so that it serves as a test:

    def test_my_sampler():
        vpinn.testing.check_sampler(lambda points, size: MySampler(points.size, size))
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from vpinn.domain import CellPoints, PointSet, rectangle
from vpinn.placement import HOST
from vpinn.sampling import Adaptive, Sampler
from vpinn.sampling.sampler import NOTHING
from vpinn.trial import Activation

DRAWS = 2_000
"""Batches over which means are taken."""
SIGMAS = 5.0
"""Standard errors by which a mean may be off: one in two million is, by chance."""


def check_sampler(make: Callable[[PointSet, int], Sampler], sizes: tuple[int, ...] = (1, 6), seed: int = 0) -> None:
    """Check that batches are valid, reproducible, unbiased, and vary as ``variance`` says.

    Args:
        make: makes the sampler of a set of points for a size of batches.
        sizes: sizes that are tried.
        seed: seed of the random numbers.

    Raises:
        AssertionError: the sampler breaks the contract; says how.
    """
    points = CellPoints(rectangle(cells=2), 2)
    contributions = np.sin(3.0 * points.take(range(points.size)).x).prod(1) + 0.1
    for size in sizes:
        sampler = make(points, size)
        assert sampler.points == points.size, f"points is {sampler.points}, the set has {points.size}"
        first, again = (sampler.draw(np.random.default_rng(seed)) for _ in range(2))
        assert all((a == b).all() for a, b in zip(first, again, strict=True)), "equal generators give different batches"
        weights = _weights(sampler, np.random.default_rng(seed))
        off = np.abs(weights.mean(0) - 1.0) - SIGMAS * weights.std(0, ddof=1) / np.sqrt(DRAWS)
        worst = int(off.argmax())
        counted = weights[:, worst].mean()
        assert off[worst] <= 1e-9, f"batches of {size} are biased: point {worst} counts {counted:.3g} times on average, not once"
        sums = weights @ contributions
        if isinstance(sampler, Adaptive):
            continue
        told, measured = sampler.variance(contributions), sums.var(ddof=1)
        spread = np.sqrt(max(((sums - sums.mean()) ** 2).var() / DRAWS, 0.0)) + 1e-9 * contributions.sum() ** 2
        assert abs(told - measured) <= SIGMAS * spread, f"variance says {told:.4g} for batches of {size}, measured {measured:.4g}"


def check_activation(activation: Activation) -> None:
    """Check that derivatives up to the fourth are those of the value, and that the pullbacks agree with them.

    Raises:
        AssertionError: one of them is not.
    """
    a = torch.linspace(-2.0, 2.0, 41, dtype=torch.float64, device=HOST, requires_grad=True)
    expected = activation.value(a)
    z = expected.detach()
    t = activation.slope(a.detach(), z)
    higher = (activation.curvature, activation.third, activation.fourth)
    for order, told in enumerate((t, *(of(a.detach(), z, t) for of in higher)), 1):
        (expected,) = torch.autograd.grad(expected.sum(), a, create_graph=True)
        gap = float((told - expected).detach().abs().max())
        assert gap < 1e-9, f"derivative {order} is off by {gap:.3g}"
    overwritten = activation.overwrite(a.detach().clone())
    assert torch.allclose(overwritten, z, rtol=0.0, atol=1e-14), "overwrite gives other values than value"
    one = float(activation.value(torch.tensor(activation.one, dtype=torch.float64, device=HOST)))
    assert abs(one - 1.0) < 1e-9, f"σ({activation.one:g}) is {one:g}, not 1"


def _weights(sampler: Sampler, generator: np.random.Generator) -> NDArray[np.float64]:
    """Return how often every point counts in independent batches [DRAWS, points]."""
    weights = np.empty((DRAWS, sampler.points))
    for k in range(DRAWS):
        index, scale = sampler.draw(generator, NOTHING)
        assert index.shape == scale.shape == (sampler.size,), f"a batch has {index.shape} points, not {sampler.size}"
        assert 0 <= index.min() <= index.max() < sampler.points, "an index lies outside the set"
        assert (scale > 0.0).all(), "a scale is not positive"
        weights[k] = np.bincount(index, scale, sampler.points)
    return weights
