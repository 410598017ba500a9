"""Steady states of noisy descent against simulation: quadratics, double wells. Seeds are fixed; four standard errors."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from vpinn.noise import steady

from .confidence import agrees

CURVATURE, VARIANCE = np.array([0.5, 2.0, 9.0]), np.array([4.0, 1.0, 3.0])


@pytest.fixture(scope="module")
def settled() -> dict[tuple[float, int], np.ndarray]:
    """Places [8000, 3] of independent runs on a quadratic after eight relaxation times."""
    generator = np.random.default_rng(23)
    found = {}
    for rate, batch in ((0.1, 1), (0.2, 1), (0.2, 10)):
        place = np.zeros((8_000, 3))
        for _ in range(int(8 / (rate * CURVATURE.min()))):
            noise = generator.standard_normal(size=place.shape)
            place -= rate * (CURVATURE * place + np.sqrt(VARIANCE / batch) * noise)
        found[rate, batch] = place
    return found


@pytest.mark.parametrize("case", [(0.1, 1), (0.2, 1), (0.2, 10)])
def test_errors_per_direction(settled: dict[tuple[float, int], np.ndarray], case: tuple[float, int]) -> None:
    predicted = steady.stationary_error(*case, CURVATURE, VARIANCE)
    for k in range(3):
        agrees(predicted[k], settled[case][:, k] ** 2, 0.08)
    agrees(steady.exploration(*case, CURVATURE, VARIANCE), (settled[case] ** 2).sum(axis=1), 0.08)
    agrees(steady.excess_loss(*case, CURVATURE, VARIANCE), 0.5 * (settled[case] ** 2 @ CURVATURE), 0.08)


def test_exploration_goes_like_rate_over_batch() -> None:
    small = steady.exploration(1e-4, 1, CURVATURE, VARIANCE)
    assert steady.exploration(4e-4, 1, CURVATURE, VARIANCE) / small == pytest.approx(4, rel=2e-3)
    assert steady.exploration(1e-4, 4, CURVATURE, VARIANCE) / small == pytest.approx(0.25)


def test_the_temperature_of_steps() -> None:
    """Equipartition: λᵢeᵢ = T for isotropic noise and small steps; and Cov ξ = 2T/η is the noise that gives T."""
    rate, batch, variance = 1e-3, 7, 2.5
    heat = steady.temperature(rate, batch, variance)
    assert steady.stationary_error(rate, batch, CURVATURE, np.full(3, variance)) * CURVATURE == pytest.approx(heat, rel=5e-3)
    assert steady.langevin_noise(heat, rate) == pytest.approx(variance / batch)


def well(x: np.ndarray) -> np.ndarray:
    """A double well, tilted so that the left minimum is the lower one."""
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
    kick = rate * np.sqrt(steady.langevin_noise(heat, rate))
    for _ in range(2500):
        x -= rate * slope(x) - kick * generator.standard_normal(runs)
    edges = np.linspace(-1.8, 1.8, 13)
    counts = np.histogram(x, edges)[0]
    grid = np.linspace(-3, 3, 12_001)
    density = steady.gibbs(well(grid), heat, grid[1] - grid[0])
    assert density.sum() * (grid[1] - grid[0]) == pytest.approx(1.0)
    chance = np.array([density[(grid > a) & (grid <= b)].sum() for a, b in itertools.pairwise(edges)])
    expected = runs * chance * (grid[1] - grid[0])
    assert np.abs(counts - expected).max() < 0.2 * runs
    assert (np.abs(counts - expected) <= 4 * np.sqrt(expected) + 0.02 * expected.max()).all()


def test_small_batches_prefer_flat_minima() -> None:
    """Odds of two basins against the Gibbs measure they abbreviate, and of smaller batches: less of the sharp one."""

    def basins(x: np.ndarray) -> np.ndarray:
        return np.minimum(0.5 * 4.0 * (x + 2) ** 2, 0.5 * 100.0 * (x - 1) ** 2 - 0.0)

    grid = np.linspace(-6, 4, 200_001)
    odds = []
    for batch in (10, 40):
        heat = steady.temperature(0.05, batch, 60.0)
        density = steady.gibbs(basins(grid), heat, grid[1] - grid[0])
        flat = density[basins(grid) == 0.5 * 4.0 * (grid + 2) ** 2].sum() / density.sum()
        assert steady.basin_odds(0.0, 4.0, 100.0, heat) == pytest.approx(flat / (1 - flat), rel=0.02)
        odds.append(steady.basin_odds(0.3, 4.0, 100.0, heat))
    assert odds[0] > odds[1]  # hot: the wide basin although it is the higher one
    assert steady.basin_odds(0.0, 4.0, 100.0, 0.1) == 5.0


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


def test_loss_of_a_batch() -> None:
    generator = np.random.default_rng(26)
    losses = generator.exponential(3.0, size=(40_000, 25)).mean(axis=1)
    agrees(steady.loss_fluctuation(9.0, 25) ** 2, (losses - 3.0) ** 2)
