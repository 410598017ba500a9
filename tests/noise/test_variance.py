"""Variances of estimators against simulation: each closed form within four standard errors. Seeds are fixed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from vpinn.noise import variance as v

from .confidence import agrees, square_error


@pytest.fixture
def generator() -> np.random.Generator:
    return np.random.default_rng(20)


@pytest.fixture(scope="module")
def population() -> Any:
    """Gradients of 300 points in 6 dimensions, anisotropic, with mean and trace of the covariance."""
    generator = np.random.default_rng(1)
    gradients = generator.normal(size=(300, 6)) * np.array([3.0, 1.0, 1.0, 0.3, 0.1, 0.0]) + np.array([1.0, 0, 2.0, 0, 0, 1.0])
    mean = gradients.mean(axis=0)
    return gradients, mean, float(square_error(gradients, mean).mean())


@pytest.mark.parametrize("batch", [1, 7, 60])
def test_independent_points(population: Any, generator: np.random.Generator, batch: int) -> None:
    gradients, mean, trace = population
    drawn = gradients[generator.integers(300, size=(20_000, batch))].mean(axis=1)
    agrees(v.batch_variance(trace, batch), square_error(drawn, mean))
    for k in range(6):
        if gradients[:, k].std() > 0:
            agrees(0.0, (drawn[:, k] - mean[k]) / drawn[:, k].std())


@pytest.mark.parametrize("batch", [1, 60, 299])
def test_different_points(population: Any, generator: np.random.Generator, batch: int) -> None:
    gradients, mean, trace = population
    rows = generator.random((20_000, 300)).argpartition(batch - 1, axis=1)[:, :batch]
    agrees(v.without_replacement(trace, batch, 300), square_error(gradients[rows].mean(axis=1), mean))


def test_all_points_have_no_variance() -> None:
    assert v.without_replacement(3.0, 300, 300) == 0.0


@pytest.mark.parametrize(("error", "noise"), [(1.0, 0.0), (0.5, 1.0), (0.1, 0.7)])
def test_the_noise_scale_of_linear_regression(generator: np.random.Generator, error: float, noise: float) -> None:
    x, epsilon = generator.normal(size=(2, 1_000_000))
    gradient = x * (x * error - noise * epsilon)
    scale = v.regression_scale(error, noise)
    agrees(scale * error**2, (gradient - error) ** 2)
    assert v.noise_scale(scale * error**2, error**2) == pytest.approx(scale)


def test_a_zero_gradient_has_an_infinite_noise_scale() -> None:
    assert v.noise_scale(1.0, 0.0) == np.inf


@pytest.mark.parametrize("batch", [1, 4, 32])
def test_progress_of_linear_regression(generator: np.random.Generator, batch: int) -> None:
    """The best step of f = u²/2 decreases it by u²/2 · 1/(1 + S/b), and no other step by more."""
    error, noise = 0.8, 0.6
    x, epsilon = generator.normal(size=(2, 200_000, batch))
    gradient = (x * (x * error - noise * epsilon)).mean(axis=1)
    best = v.progress(batch, v.regression_scale(error, noise))
    agrees(0.5 * error**2 * best, 0.5 * (error**2 - (error - best * gradient) ** 2))
    for other in (0.8 * best, 1.2 * best):
        assert np.mean((error - other * gradient) ** 2) > np.mean((error - best * gradient) ** 2)


def test_the_two_regimes_of_progress() -> None:
    assert v.progress(1e-3, 1.0) == pytest.approx(1e-3, rel=2e-3)  # noise: proportional to b
    assert v.progress(1e3, 1.0) == pytest.approx(1.0, rel=2e-3)  # signal: saturated
    assert v.progress(5.0, 5.0) == 0.5


@pytest.mark.parametrize("rule", ["proportional", "neyman", "equal-variance"])
def test_strata(generator: np.random.Generator, rule: str) -> None:
    share, deviation, mean = np.array([0.5, 0.3, 0.2]), np.array([0.2, 1.0, 3.0]), np.array([1.0, -2.0, 0.5])
    drawn = np.maximum(1, np.round(v.allocate(60, share, deviation, rule))).astype(int)
    strata = zip(share, mean, deviation, drawn, strict=True)
    estimate = sum(w * generator.normal(m, s, size=(40_000, n)).mean(axis=1) for w, m, s, n in strata)
    agrees(v.stratified(share, deviation, drawn), (estimate - share @ mean) ** 2)


def test_neyman_has_the_least_variance() -> None:
    """(Σ W_kσ_k)²/b, and every other allocation more."""
    generator = np.random.default_rng(3)
    share, deviation = generator.dirichlet(np.ones(8)), generator.exponential(size=8)
    best = v.stratified(share, deviation, v.allocate(50, share, deviation, "neyman"))
    assert best == pytest.approx(np.sum(share * deviation) ** 2 / 50)
    assert all(best < v.stratified(share, deviation, 50 * generator.dirichlet(np.ones(8))) for _ in range(200))
    equal = deviation**2 / v.allocate(50, share, deviation, "equal-variance")
    assert np.ptp(equal) <= 1e-12 * equal.max()


@pytest.mark.parametrize("keep", [0.1, 0.5])
def test_sparsified_gradients(population: Any, generator: np.random.Generator, keep: float) -> None:
    """Four workers of eight points each keep every entry with probability p."""
    gradients, mean, trace = population
    workers, batch = 4, 32
    local = gradients[generator.integers(300, size=(40_000, workers, batch // workers))].mean(axis=2)
    sent = local * (generator.random(local.shape) < keep) / keep
    share = v.sparsified(trace, float(mean @ mean), batch, workers, keep)
    agrees(v.compressed(trace, batch, workers, share), square_error(sent.mean(axis=1), mean))


def test_rounded_gradients(population: Any, generator: np.random.Generator) -> None:
    gradients, mean, trace = population
    workers, batch, step = 4, 32, 0.3
    spread = gradients + generator.uniform(0, 10, size=(300, 6))  # no entry is the same for all points
    mean, trace = spread.mean(axis=0), float(square_error(spread, spread.mean(axis=0)).mean())
    local = spread[generator.integers(300, size=(40_000, workers, batch // workers))].mean(axis=2) / step
    sent = step * (np.floor(local) + (generator.random(local.shape) < local % 1.0))
    share = v.rounded(step, 6)
    agrees(v.compressed(trace, batch, workers, share), square_error(sent.mean(axis=1), mean), 0.06)
    assert share / workers > 0.002 * trace / batch


def test_a_larger_batch_makes_up_for_compression() -> None:
    larger = v.batch_to_compensate(8.0, 32, 4, 0.3)
    assert v.compressed(8.0, larger, 4, 0.3) == pytest.approx(v.batch_variance(8.0, 32))
    assert v.batch_to_compensate(8.0, 32, 4, 1.0) == np.inf


@pytest.mark.parametrize("batch", [1, 4, 30])
def test_products_of_two_batches(generator: np.random.Generator, batch: int) -> None:
    """Slopes J and residuals R of points, normal with correlation: L = ½ Var(J̄R + R̄J) and Q = ½(σ_J²σ_R² + cov²)."""
    mean, cov = np.array([0.7, -0.4]), np.array([[2.0, 0.9], [0.9, 1.5]])
    drawn = generator.multivariate_normal(mean, cov / batch, size=(400_000, 2))  # means of two batches
    estimates = 0.5 * (drawn[:, 0, 0] * drawn[:, 1, 1] + drawn[:, 1, 0] * drawn[:, 0, 1])
    influence = mean[::-1] @ cov @ mean[::-1]
    quadratic = 0.5 * (cov[0, 0] * cov[1, 1] + cov[0, 1] ** 2)
    agrees(float(v.two_batches(0.5 * influence, quadratic, float(batch))), (estimates - mean.prod()) ** 2)
