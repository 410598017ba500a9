"""Test formulas for the bias of estimators against simulations, within four standard errors. Seeds are fixed."""

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


def biases_of_a_meta_gradient(generator: np.random.Generator, error: float, step: float, batch: int) -> np.ndarray:
    """Return samples whose mean is the bias of a meta-gradient that uses one batch in both loops, for y = βx + ε.

    A sample is the meta-gradient after one inner step minus that with a fresh batch in the outer loop. The deviation of the
    batch's gradient at the start from the full gradient u is subtracted, too, since its mean is zero.
    """
    x, epsilon = generator.normal(size=(2, 100_000, batch))
    h, c = (x**2).mean(axis=-1), 0.4 * (x * epsilon).mean(axis=-1)
    inner = error - step * (h * error - c)
    reused, fresh = (1.0 - step * h) * (h * inner - c), (1.0 - step * h) * inner
    return reused - fresh - (h * error - c - error)


@pytest.mark.parametrize(("step", "batch"), [(0.02, 4), (0.02, 16)])
def test_a_batch_used_for_both_loops(generator: np.random.Generator, step: float, batch: int) -> None:
    """−α ∂(tr Σ/b) with tr Σ = 2u² + σ², twice what it is without the inner step's factor 1 − αĥ; to 3 % for steps of 2 %."""
    error = 1.5
    found = biases_of_a_meta_gradient(generator, error, step, batch)
    predicted, wrong = bias.reused_batch(step, 4.0 * error / batch), 4 * found.std() / np.sqrt(len(found))
    assert wrong < 0.1 * abs(predicted)
    assert abs(found.mean() - predicted) <= wrong + 0.03 * abs(predicted)


@pytest.mark.parametrize(("step", "batch"), [(0.1, 4), (0.3, 16), (0.1, 36)])
def test_a_batch_used_for_both_loops_by_long_steps(generator: np.random.Generator, step: float, batch: int) -> None:
    """On the chapter's regression the higher orders are known: a factor 1 − α(1 + 2/b), from E ĥ² and E ĥ³."""
    error = 1.5
    predicted = bias.reused_batch(step, 4.0 * error / batch) * (1.0 - step * (1.0 + 2.0 / batch))
    agrees(predicted, biases_of_a_meta_gradient(generator, error, step, batch), 0.1)


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
