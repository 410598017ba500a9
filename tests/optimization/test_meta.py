"""Test learning to learn on members whose limits and biases are known in closed form."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from vpinn.noise import bias
from vpinn.optimization.meta import FeatureLearner, Learner, Maml, Reptile
from vpinn.optimization.method import Adam, Closure, Sgd

PLAIN = Sgd(momentum=0.0)
STEEPNESS, CENTRES = np.array([0.5, 1.0, 3.0]), np.array([-1.0, 0.5, 2.0])
RATE, COUNT = 0.2, 4


def quadratic(steepness: float, centre: float) -> Closure:
    """Return J = ½h(θ − c)² and its gradient, the same on every batch."""

    def evaluate(theta: Tensor) -> tuple[float, Tensor]:
        off = theta - centre
        return float(0.5 * steepness * (off @ off)), steepness * off

    return Closure(evaluate, fresh=lambda: evaluate)


def limit(weights: np.ndarray) -> float:
    return float(weights @ CENTRES / weights.sum())


def reached(learner: Learner, steps: int) -> float:
    """Return where many passes over all members end, with steps that shrink."""
    theta = torch.zeros(1, dtype=torch.float64)
    state = learner.initial(theta)
    for k in range(steps):
        for h, c in zip(STEEPNESS, CENTRES, strict=True):
            theta, state, _ = learner.step(theta, state, quadratic(h, c), 0.3 / (1.0 + 0.2 * k), False)
    return float(theta[0])


def test_reptile_ends_at_the_mean_of_minima_weighted_by_how_far_inner_steps_go() -> None:
    """The inner steps move θ by (1 − (1 − αh)^k)(c − θ), whose sum over the members vanishes there."""
    found = reached(Reptile(PLAIN, COUNT, RATE), 300)
    assert found == pytest.approx(limit(1.0 - (1.0 - RATE * STEEPNESS) ** COUNT), abs=1e-2)


def test_the_mean_step_of_first_order_maml_vanishes_where_its_gradients_do() -> None:
    """After the inner steps the gradient is h(1 − αh)^k(θ − c)."""
    there = torch.tensor([limit(STEEPNESS * (1.0 - RATE * STEEPNESS) ** COUNT)], dtype=torch.float64)
    learner = Maml(PLAIN, COUNT, RATE)
    gradients = [float(learner.outer_gradient(there, quadratic(h, c))[1]) for h, c in zip(STEEPNESS, CENTRES, strict=True)]
    assert max(map(abs, gradients)) > 0.1
    assert sum(gradients) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize(
    ("learner", "batches"),
    [
        (Reptile(PLAIN, COUNT, RATE), COUNT),
        (Reptile(PLAIN, COUNT, RATE, reuse=True), 1),
        (Maml(PLAIN, COUNT, RATE), 2),
        (Maml(PLAIN, COUNT, RATE, reuse=True), 1),
    ],
)
def test_how_many_batches_a_step_draws(learner: Learner, batches: int) -> None:
    first = quadratic(1.0, 0.0)
    drawn = [first]

    def fresh() -> Callable[[Tensor], tuple[float, Tensor]]:
        drawn.append(first)
        return first.evaluate

    theta = torch.ones(1, dtype=torch.float64)
    first.fresh = fresh
    _, _, value = learner.step(theta, learner.initial(theta), first, 0.1, False)
    assert len(drawn) == batches
    assert value == 0.5


def regression(generator: np.random.Generator, size: int, noise: float) -> Closure:
    """Return ½(θx − εσ)² over a batch of x, ε ~ N(0, 1), the regression of the theory with its minimum at 0."""

    def draw() -> Callable[[Tensor], tuple[float, Tensor]]:
        x, error = generator.standard_normal((2, size))
        h, c = float((x * x).mean()), float((x * noise * error).mean())
        return lambda theta: (0.5 * h * float(theta[0]) ** 2 - c * float(theta[0]), h * theta - c)

    return Closure(draw(), fresh=draw)


def test_a_reused_batch_biases_first_order_maml_by_half_of_the_closed_form() -> None:
    """Tr Cov of the gradient of a batch is (2θ² + σ²)/b, with slope 4θ/b; the factor 1 − αh, left out, makes the other half."""
    generator, size = np.random.default_rng(3), 2
    step, at, noise = 0.2, 1.5, 0.5
    theta = torch.tensor([at], dtype=torch.float64)
    reused, fresh = (
        np.array(
            [float(Maml(PLAIN, 1, step, reuse).outer_gradient(theta, regression(generator, size, noise))[1]) for _ in range(1000)]
        )
        for reuse in (True, False)
    )
    truth = at - step * at  # g(θ − αg) with g = θ, the mean of which a fresh batch has
    error = fresh.std() / math.sqrt(len(fresh))
    assert fresh.mean() == pytest.approx(truth, abs=3.5 * error)
    predicted = 0.5 * float(bias.reused_batch(step, 4.0 * at / size))
    error = reused.std() / math.sqrt(len(reused))
    assert abs(predicted) > 3.0 * error
    assert reused.mean() - truth == pytest.approx(predicted, abs=3.5 * error)


def test_features_move_along_the_gradient_with_the_last_layer_solved() -> None:
    """J = ½(θ₀θ₁ − 1)² + ½θ₁²: the last layer is θ₁ = θ₀/(θ₀² + 1), and J there has the slope −θ₀/(θ₀² + 1)² by θ₀."""

    def evaluate(theta: Tensor) -> tuple[float, Tensor]:
        a, c = theta
        gap = a * c - 1.0
        return float(0.5 * gap**2 + 0.5 * c**2), torch.stack([gap * c, gap * a + c])

    def solve(theta: Tensor) -> Tensor:
        return torch.stack([theta[0], theta[0] / (theta[0] ** 2 + 1.0)])

    theta = torch.tensor([2.0, 7.0], dtype=torch.float64)
    gradient = evaluate(solve(theta))[1]
    assert float(gradient[0]) == pytest.approx(-2.0 / 25.0)
    new, _ = FeatureLearner(slice(1, 2)).step(theta, Adam().initial(theta), solve, Closure(evaluate), 0.1)
    assert float(new[0]) == pytest.approx(2.1)  # the first step of Adam has its full length
    assert float(new[1]) == 7.0
