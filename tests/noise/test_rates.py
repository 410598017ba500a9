"""Test rules, limits and costs of step sizes against simulations, within four standard errors. Seeds are fixed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vpinn.noise import rates
from vpinn.optimization import Adam, Closure

from .confidence import agrees


@pytest.fixture
def generator() -> np.random.Generator:
    return np.random.default_rng(22)


def test_scaling_rules_keep_what_they_promise() -> None:
    batches = np.array([1.0, 4.0, 64.0])
    noise = rates.square_root(0.1, batches) / np.sqrt(batches)
    heat = rates.linear(0.1, batches) / batches
    assert noise == pytest.approx(np.full(3, 0.1))
    assert heat == pytest.approx(np.full(3, 0.1))
    assert rates.square_root(0.1, 32.0, 8.0) == pytest.approx(0.2)


def test_the_steps_of_adam_grow_with_the_root_of_the_batch() -> None:
    """Steps of the method itself on 1,000 weights with the same noisy gradient, after its averages have settled."""
    mean, variance, weights = 0.05, 4.0, 1000
    generator = torch.Generator().manual_seed(4)
    speeds = {}
    for batch in (4, 16, 64):
        method, theta = Adam(), torch.zeros(weights, dtype=torch.float64)
        state, places = method.initial(theta), []
        for step in range(1500):
            noise = torch.randn(weights, generator=generator, dtype=torch.float64) * (variance / batch) ** 0.5
            theta, state, _ = method.step(theta, state, Closure(lambda _, g=noise + mean: (0.0, g)), 1.0, False)
            if step in (299, 1499):
                places.append(theta)
        speed = ((places[0] - places[1]) / 1200).numpy()
        agrees(float(rates.adam_drift(np.array([mean]), np.array([variance / batch]), Adam().epsilon)[0]), speed, 0.2)
        speeds[batch] = speed.mean()
    assert speeds[16] / speeds[4] == pytest.approx(2.0, rel=0.1)
    assert speeds[64] / speeds[16] == pytest.approx(2.0, rel=0.1)


def test_small_gradients_meet_the_epsilon_of_adam() -> None:
    """Weights with the same gradient times 1, 1e-8 and 1e-10: the step falls to a half, and to a hundredth, of the first one."""
    scales, (mean, deviation) = torch.tensor([1.0, 1e-8, 1e-10], dtype=torch.float64), (0.6, 0.8)
    generator, method, theta = torch.Generator().manual_seed(5), Adam(), torch.zeros(3, 400, dtype=torch.float64)
    state, begun = method.initial(theta), theta
    for step in range(900):
        noise = torch.randn(400, generator=generator, dtype=torch.float64) * deviation
        gradient = scales[:, None] * (noise + mean)
        theta, state, _ = method.step(theta, state, Closure(lambda _, g=gradient: (0.0, g)), 1.0, False)
        begun = theta if step == 299 else begun
    for scale, speed in zip(scales.tolist(), ((begun - theta) / 600).numpy(), strict=True):
        drift = rates.adam_drift(np.array([mean * scale]), np.array([(deviation * scale) ** 2]), method.epsilon)
        agrees(float(drift[0]), speed)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("factor", [0.98, 1.02])
def test_the_stability_limit(momentum: float, factor: float) -> None:
    curvature = 7.0
    rate = factor * rates.stability(curvature, momentum)
    place, velocity = 1.0, 0.0
    for _ in range(3000):
        velocity = momentum * velocity + curvature * place
        place -= rate * velocity
    assert (abs(place) + abs(velocity) < 1e-2) == (factor < 1)


@pytest.mark.parametrize("batch", [1, 4, 64])
def test_the_warmup_limit_of_linear_regression(generator: np.random.Generator, batch: int) -> None:
    """Spread 2λ²: 2b/(b + 2) for λ = 1; there the second moment of u neither grows nor falls."""
    curvature = 1.7
    limit = rates.warmup_limit(batch, curvature, 2 * curvature**2)
    assert limit == pytest.approx(2 * batch / (batch + 2) / curvature)
    seen = curvature * (generator.normal(size=(1_000_000 // batch + 100_000, batch)) ** 2).mean(axis=1)
    agrees(1.0, (1 - limit * seen) ** 2, 0.2)
    assert limit < rates.stability(curvature)


@pytest.mark.parametrize("batch", [1, 8, 50])
def test_one_hard_point_limits_the_step(batch: int) -> None:
    """Two levels of Lipschitz constants: the batch with the hard point contracts just so; without it there is room."""
    high, low = 40.0, 1.0
    points = np.array([high, *[low] * 99])
    with_it = np.append(points[:1], points[1:batch])
    limit = rates.stability(rates.heterogeneous(batch, high, low))
    assert abs(1 - limit * with_it.mean()) == pytest.approx(1.0)
    assert abs(1 - 1.01 * limit * with_it.mean()) > 1
    assert abs(1 - limit * points[1 : batch + 1].mean()) < 1
    assert limit == pytest.approx(2 * batch / (high + (batch - 1) * low))


@pytest.mark.parametrize("batch", [1, 6])
def test_steps_and_points_to_accuracy(generator: np.random.Generator, batch: int) -> None:
    """Noise-free regression, S = 2: of the full gradient one step is enough, and 1 + 2/b make as much progress with batches."""
    seen = (generator.normal(size=(400_000, batch)) ** 2).mean(axis=1)
    steps = rates.steps_to_accuracy(batch, 2.0)
    agrees(1.0 - 1.0 / steps, (1 - seen / steps) ** 2)
    assert rates.steps_to_accuracy(10.0, 10.0, 5.0) == 10.0


def test_the_fastest_batch() -> None:
    scale, step, point = 500.0, 1e-3, 2e-6
    best = rates.fastest_batch(scale, step, point)

    def seconds(batch: float) -> float:
        return rates.steps_to_accuracy(batch, scale) * (step + batch * point)

    assert all(seconds(best) < seconds(best * factor) for factor in (0.8, 1.25))
    assert rates.fastest_batch(scale, 0.0, point) == 1.0


@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_a_generation_of_an_evolution_strategy(generator: np.random.Generator, strength: float) -> None:
    """(3/3, 10) on ‖x‖² in 1,000 dimensions: within 10 % of the limit of many dimensions."""
    parents, offspring, size, runs = 3, 10, 1000, 1000
    coefficient = generator.normal(size=(50_000, offspring))
    peak = parents * float(np.sort(coefficient, axis=1)[:, -parents:].mean())
    predicted = rates.evolution_progress(parents, offspring, strength * peak, coefficient)
    if strength == 1.0:
        assert predicted == pytest.approx(peak**2 / parents / 2)
    progress = np.empty(runs)
    for run in range(runs):
        steps = generator.normal(size=(offspring, size)) * strength * peak / size
        steps[:, 0] += 1.0  # the parent, at distance one
        chosen = steps[np.argsort((steps**2).sum(axis=1))[:parents]].mean(axis=0)
        progress[run] = size * (1.0 - np.sqrt(chosen @ chosen))
    assert progress.mean() == pytest.approx(predicted, rel=0.1)
    assert 4 * progress.std() / np.sqrt(runs) < 0.11 * predicted
