"""Test closed forms for variances of estimators against simulations, within four standard errors. Seeds are fixed."""

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
    """Return anisotropic gradients of 300 points [300, 6], their mean [6], and the trace of their covariance."""
    generator = np.random.default_rng(1)
    gradients = generator.normal(size=(300, 6)) * np.array([3.0, 1.0, 1.0, 0.3, 0.1, 0.0]) + np.array([1.0, 0, 2.0, 0, 0, 1.0])
    mean = gradients.mean(axis=0)
    return gradients, mean, float(square_error(gradients, mean).mean())


@pytest.mark.parametrize(("error", "noise"), [(1.0, 0.0), (0.5, 1.0), (0.1, 0.7)])
def test_the_noise_scale_of_linear_regression(generator: np.random.Generator, error: float, noise: float) -> None:
    x, epsilon = generator.normal(size=(2, 1_000_000))
    gradient = x * (x * error - noise * epsilon)
    agrees(v.noise_scale(2 * error**2 + noise**2, error**2), (gradient / error - 1.0) ** 2)
    assert v.noise_scale(2 * error**2 + noise**2, error**2) == pytest.approx(2 + noise**2 / error**2)


def test_a_zero_gradient_has_an_infinite_noise_scale() -> None:
    assert v.noise_scale(1.0, 0.0) == np.inf


@pytest.mark.parametrize("batch", [1, 4, 32])
def test_progress_of_linear_regression(generator: np.random.Generator, batch: int) -> None:
    """The best step of f = u²/2 decreases it by u²/2 · 1/(1 + S/b), and no other step by more."""
    error, noise = 0.8, 0.6
    x, epsilon = generator.normal(size=(2, 200_000, batch))
    gradient = (x * (x * error - noise * epsilon)).mean(axis=1)
    best = v.progress(batch, 2 + noise**2 / error**2)
    agrees(0.5 * error**2 * best, 0.5 * (error**2 - (error - best * gradient) ** 2))
    for other in (0.8 * best, 1.2 * best):
        assert np.mean((error - other * gradient) ** 2) > np.mean((error - best * gradient) ** 2)


def test_the_two_regimes_of_progress() -> None:
    assert v.progress(1e-3, 1.0) == pytest.approx(1e-3, rel=2e-3)  # noise: proportional to b
    assert v.progress(1e3, 1.0) == pytest.approx(1.0, rel=2e-3)  # signal: saturated
    assert v.progress(5.0, 5.0) == 0.5


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
    """Entries that spread over many multiples of the rounding step, and entries far below it, which add less variance."""
    gradients, _, _ = population
    workers, batch, step = 4, 32, 0.3
    wide = gradients + generator.uniform(0, 10, size=(300, 6))  # no entry is the same for all points
    for spread in (wide, wide * 0.1 ** np.arange(6)):
        mean, trace = spread.mean(axis=0), float(square_error(spread, spread.mean(axis=0)).mean())
        local = spread[generator.integers(300, size=(40_000, workers, batch // workers))].mean(axis=2)
        sent = step * (np.floor(local / step) + (generator.random(local.shape) < local / step % 1.0))
        share = v.rounded(step, local[:2000, 0])
        agrees(v.compressed(trace, batch, workers, share), square_error(sent.mean(axis=1), mean), 0.06)
        agrees(share / workers, square_error(sent.mean(axis=1), local.mean(axis=1)))
        assert share / (step**2) < 1.1 * (1.0 if spread is wide else 0.7)


@pytest.mark.parametrize("quadratic", [0.0, 0.7])
def test_a_larger_batch_makes_up_for_compression(quadratic: float) -> None:
    """A variance L/t + Q/t², with t times as many points, plus that of the compressor is the variance without it."""
    t = v.batch_to_compensate(1.0, quadratic, 8, 0.3) / 8
    assert 1.0 / t + quadratic / t**2 + 0.3 == pytest.approx(1.0 + quadratic)
    assert v.batch_to_compensate(1.0, quadratic, 8, 1.0 + quadratic) == np.inf
