"""Test formulas for steady states of noisy descent against simulations, within four standard errors. Seeds are fixed."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from vpinn.noise import steady

from .confidence import agrees

CURVATURE, VARIANCE = np.array([0.5, 2.0, 9.0]), np.array([4.0, 1.0, 3.0])


def settled(rate: float, batch: int, momentum: float, seed: int = 23) -> np.ndarray:
    """Return the places [8000, 3] of independent heavy-ball runs on a quadratic after at least eight relaxation times."""
    generator = np.random.default_rng(seed)
    place, velocity = np.zeros((2, 8_000, 3))
    for _ in range(int(8 * max((1 - momentum) / (rate * CURVATURE.min()), 2 / (1 - momentum)))):
        noise = generator.standard_normal(size=place.shape)
        velocity = momentum * velocity + CURVATURE * place + np.sqrt(VARIANCE / batch) * noise
        place = place - rate * velocity
    return place


@pytest.mark.parametrize("case", [(0.1, 1, 0.0), (0.2, 1, 0.0), (0.2, 10, 0.0), (0.02, 2, 0.9), (0.2, 2, 0.5)])
def test_errors_per_direction(case: tuple[float, int, float]) -> None:
    rate, batch, momentum = case
    place = settled(*case)
    predicted = steady.stationary_error(rate, batch, CURVATURE, VARIANCE, momentum)
    for k in range(3):
        agrees(predicted[k], place[:, k] ** 2, 0.08)
        heat = steady.temperature(rate, batch, float(VARIANCE[k]), momentum)
        agrees(heat, steady.equipartition(rate, float(CURVATURE[k]), place[:, k] ** 2, momentum), 0.08)
    if momentum == 0.0:
        agrees(steady.exploration(rate, batch, CURVATURE, VARIANCE), (place**2).sum(axis=1), 0.08)
        agrees(steady.excess_loss(rate, batch, CURVATURE, VARIANCE), 0.5 * (place**2 @ CURVATURE), 0.08)


def test_exploration_goes_like_rate_over_batch() -> None:
    small = steady.exploration(1e-4, 1, CURVATURE, VARIANCE)
    assert steady.exploration(4e-4, 1, CURVATURE, VARIANCE) / small == pytest.approx(4, rel=2e-3)
    assert steady.exploration(1e-4, 4, CURVATURE, VARIANCE) / small == pytest.approx(0.25)


def well(x: np.ndarray) -> np.ndarray:
    """Return a double-well potential whose left minimum is the lower one."""
    return (x**2 - 1) ** 2 + 0.25 * x


def slope(x: np.ndarray) -> np.ndarray:
    return 4 * x * (x**2 - 1) + 0.25


def test_langevin_paths_follow_gibbs() -> None:
    """The double well at T = 0.6 with η = 0.01: every one of twelve bins of 10,000 paths within four standard errors.

    The steps' own error is of order ηf'' = 8 %, a quarter of it in the variance: 2 % of the density, allowed on top.
    """
    generator = np.random.default_rng(24)
    heat, rate, runs = 0.6, 0.01, 10_000
    x = generator.choice([-1.0, 1.0], size=runs)
    kick = np.sqrt(2 * rate * heat)
    for _ in range(2500):
        x -= rate * slope(x) - kick * generator.standard_normal(runs)
    edges = np.linspace(-1.8, 1.8, 13)
    counts = np.histogram(x, edges)[0]
    grid = np.linspace(-3, 3, 12_001)
    density = steady.gibbs(well(grid), heat, grid[1] - grid[0])
    assert density.sum() * (grid[1] - grid[0]) == pytest.approx(1.0)
    agrees(steady.gibbs_energy(well(grid), heat, grid[1] - grid[0]), well(x), 0.1)
    chance = np.array([density[(grid > a) & (grid <= b)].sum() for a, b in itertools.pairwise(edges)])
    expected = runs * chance * (grid[1] - grid[0])
    assert np.abs(counts - expected).max() < 0.2 * runs
    assert (np.abs(counts - expected) <= 4 * np.sqrt(expected) + 0.02 * expected.max()).all()


def test_growing_batches_find_the_lower_well() -> None:
    """b_k ∝ log k from the wrong well: more runs end in the lower one than by cooling at once, and as many as Gibbs says.

    400 runs of 20,000 steps; the wells exchange until shortly before the end, so that Gibbs holds to 3 %.
    """
    generator = np.random.default_rng(25)
    rate, variance, runs, steps = 0.02, 30.0, 400, 20_000
    barrier = 2.0
    slow, fast = np.ones(runs), np.ones(runs)
    batches = steady.annealing_batch(np.arange(steps, dtype=float), rate, variance, barrier)
    assert np.diff(batches).min() > 0
    for batch in batches:
        noise = generator.standard_normal((2, runs))
        slow -= rate * (slope(slow) + np.sqrt(variance / batch) * noise[0])
        fast -= rate * (slope(fast) + np.sqrt(variance / (40 * batch)) * noise[1])
    grid = np.linspace(-3, 3, 6001)
    density = steady.gibbs(well(grid), steady.temperature(rate, float(batches[-1]), variance), 0.001)
    lower = density[grid < 0].sum() * 0.001
    found = (slow < 0).mean()
    assert abs(found - lower) <= 4 * np.sqrt(lower * (1 - lower) / runs) + 0.03
    assert (fast < 0).mean() < 0.1 < 0.7 < found
