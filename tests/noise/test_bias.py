"""Biased estimators against simulation on the models of the theory. Seeds are fixed; four standard errors."""

from __future__ import annotations

import numpy as np
import pytest

from vpinn.noise import bias

from .confidence import agrees, square_error


@pytest.fixture
def generator() -> np.random.Generator:
    return np.random.default_rng(21)


@pytest.mark.parametrize("batch", [1, 8])
def test_squares_of_means(generator: np.random.Generator, batch: int) -> None:
    mean, deviation = np.array([1.0, -0.5, 0.0]), np.array([0.3, 2.0, 1.0])
    drawn = generator.normal(mean, deviation, size=(100_000, batch, 3)).mean(axis=1)
    agrees(bias.squared_residual(float(deviation @ deviation), batch), 0.5 * (square_error(drawn, 0) - mean @ mean))
    second = generator.normal(mean, deviation, size=(100_000, batch, 3)).mean(axis=1)
    agrees(0.5 * float(mean @ mean), 0.5 * (drawn * second).sum(axis=1), 0.1)  # two independent batches: none


@pytest.mark.parametrize("size", [2, 5, 20])
def test_batch_normalisation(generator: np.random.Generator, size: int) -> None:
    """∂/∂γ of λ/4 (γx̂)⁴ is λγ³x̂⁴; the data's mean and variance do not matter."""
    scale, strength = 1.3, 0.7
    data = generator.normal(5.0, 3.0, size=(1_000_000 // size, size))
    normalised = (data - data.mean(axis=1, keepdims=True)) / data.std(axis=1, keepdims=True)
    gradient = strength * scale**3 * (normalised**4).mean(axis=1)
    population = 3.0 * strength * scale**3
    expected = bias.normalised(size, scale, strength)
    if size == 2:  # two normalised points are ±1 whatever they were: no noise, all bias
        assert gradient == pytest.approx(population + expected)
    else:
        agrees(expected, gradient - population, 0.1)
        agrees(population, bias.normalised_correction(size) * gradient)
    assert expected < 0


@pytest.mark.parametrize(("step", "batch"), [(0.1, 4), (0.3, 16), (1.0, 2)])
def test_a_batch_used_for_both_loops(generator: np.random.Generator, step: float, batch: int) -> None:
    error, noise, runs = 1.5, 0.4, 200_000
    x, epsilon = generator.normal(size=(2, 2, runs, batch))
    h, c = (x**2).mean(axis=-1), noise * (x * epsilon).mean(axis=-1)  # [2, runs]: inner batch, and a fresh one
    inner = error - step * (h[0] * error - c[0])
    chain = 1.0 - step * h[0]
    reused, fresh = (chain * (h[k] * inner - c[k]) for k in (0, 1))
    truth = float(np.mean(chain * inner))  # the population's curvature is one
    agrees(bias.reused_batch(error, step, batch), reused - chain * inner, 0.3)
    agrees(truth, fresh, 0.05)


@pytest.mark.parametrize("threshold", [0.3, 2.0, 5.0])
def test_clipped_exponential_magnitudes(generator: np.random.Generator, threshold: float) -> None:
    mean = 2.0
    clipped = np.minimum(generator.exponential(mean, size=1_000_000), threshold)
    offset, variance, error = bias.clipped_exponential(threshold, mean)
    agrees(offset, clipped - mean)
    agrees(variance, (clipped - mean - offset) ** 2)
    agrees(error, (clipped - mean) ** 2)
    assert error == pytest.approx(offset**2 + variance)


def test_the_best_threshold_of_exponential_magnitudes_is_their_mean() -> None:
    thresholds = np.linspace(0.1, 8.0, 7901)
    errors = bias.clipped_exponential(thresholds, 2.0)[2]
    assert thresholds[errors.argmin()] == pytest.approx(2.0, abs=1e-3)
    assert errors.min() == pytest.approx(4.0 * (1 - 2 / np.e))


@pytest.mark.parametrize("factor", [0.3, 0.7, 1.0])
def test_clipped_gaussian_gradients(generator: np.random.Generator, factor: float) -> None:
    """2,000 dimensions: lengths vary by 2 %, so that the limit of many dimensions holds to 3 %."""
    gradient = np.zeros(2000)
    gradient[:10] = 1.0
    square, variance = 10.0, 20.0
    drawn = gradient + generator.normal(0, np.sqrt(variance / 2000), size=(4000, 2000))
    length = np.sqrt((drawn**2).sum(axis=1))
    threshold = factor * bias.best_threshold(square, variance) / (1 / np.sqrt(3))
    clipped = drawn * np.minimum(1.0, threshold / length)[:, None]
    assert square_error(clipped, gradient).mean() == pytest.approx(bias.clipped_gaussian(threshold, square, variance), rel=0.03)


def test_the_best_threshold_of_gaussian_gradients() -> None:
    thresholds = np.linspace(0.01, 10.0, 100_000)
    errors = bias.clipped_gaussian(thresholds, 10.0, 20.0)
    assert thresholds[errors.argmin()] == pytest.approx(bias.best_threshold(10.0, 20.0), rel=1e-3)
    assert errors.min() == pytest.approx(10.0 * 20.0 / 30.0)  # of the best linear estimate
