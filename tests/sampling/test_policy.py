"""Test batch policies: sizes against their formulas, and the sizes that known noise leads to."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest

from vpinn.noise import rates
from vpinn.sampling import Fixed, Geometric, Logarithmic, NoiseScale, NormTest, Policy, best_batch
from vpinn.sampling.policy import CHANGE, LOOK_EVERY, STEP

POINTS = 10**6


def course(policy: Policy, first: int, steps: int, noise: Callable[[int], float] = lambda size: math.nan) -> list[int]:
    """Return the batch sizes of steps 1, 2, … if a batch of b points has the noise ``noise``(b) = S/b."""
    sizes = [first]
    for step in range(steps):
        sizes.append(policy.next(first, sizes[-1], step, steps, noise(sizes[-1])))
    return sizes[1:]


def test_schedules_follow_their_formulas_within_a_tenth() -> None:
    k = np.arange(2000)
    geometric = np.array(course(Geometric(POINTS, 10, 4000), 40, len(k)))
    logarithmic = np.array(course(Logarithmic(POINTS, 10, 4000), 40, len(k)))
    for sizes, formula in ((geometric, 40 * 100 ** (k / 1999)), (logarithmic, 40 * np.log(k + math.e))):
        assert (np.diff(sizes) >= 0).all()
        assert (np.abs(np.log(sizes / formula)) <= math.log(CHANGE) + 0.02).all()
    assert geometric[-1] >= 4000 / CHANGE
    assert len(set(geometric)) < 60  # few enough for strata of their own
    assert set(course(Fixed(POINTS, 7, 7), 7, 300)) == {7}


@pytest.mark.parametrize("threshold", [0.5, 1.0, 2.0])
def test_the_norm_test_grows_until_it_holds(threshold: float) -> None:
    """A noise scale of 3,000 points takes any smaller batch to S/θ², within a tenth, and no larger one anywhere."""
    policy, scale = NormTest(POINTS, 10, POINTS, threshold), 3000.0
    sizes = course(policy, 16, 20 * LOOK_EVERY, lambda size: scale / size)
    assert abs(math.log(sizes[-1] * threshold**2 / scale)) <= math.log(CHANGE) + 1e-3
    assert scale / sizes[-1] <= CHANGE * threshold**2
    changes = np.flatnonzero(np.diff(sizes)) + 1
    assert (changes % LOOK_EVERY == 0).all()
    assert max(b / a for a, b in itertools.pairwise(sizes)) <= 2.0
    assert set(course(policy, 50_000, 200, lambda size: scale / size)) == {50_000}


def test_the_noise_scale_is_followed_both_ways() -> None:
    """To √(S c₀/c₁), within a tenth."""
    policy, best = NoiseScale(POINTS, 32, 65_536), rates.fastest_batch(3000.0, STEP, 1.0)
    for first in (32, 60_000):
        sizes = course(policy, first, 20 * LOOK_EVERY, lambda size: 3000.0 / size)
        assert abs(math.log(sizes[-1] / best)) <= math.log(CHANGE) + 1e-3
    assert course(policy, 64, 30 * LOOK_EVERY, lambda size: math.inf)[-1] == 65_536  # a signal that drowns: as many as may be
    assert course(policy, 64, 30 * LOOK_EVERY, lambda size: 0.0)[-1] == 32  # no noise: as few as may be
    assert set(course(policy, 64, 30 * LOOK_EVERY)) == {64}  # nothing known


def test_the_best_batch_costs_least() -> None:
    """Steps needed for a noise scale, times the points that each costs: no batch of 1 to 20,000 is cheaper."""
    b = np.arange(1.0, 20_000.0)
    for scale in (5.0, 300.0, 40_000.0):
        cost = rates.steps_to_accuracy(b, scale) * (STEP + b)
        assert abs(b[cost.argmin()] - best_batch(scale)) <= 1.0


def test_half_of_the_points_are_all_of_them() -> None:
    policy = Geometric(1000, 10, 1000)
    sizes = course(policy, 10, 100)
    assert max(size for size in sizes if size < 1000) < 500
    assert sizes[-1] == 1000
    assert Geometric(1000, 10, 800).bounded(790.0) == 790  # all points are out of bounds
    assert policy.bounded(3.0) == 10
