"""Test what a run measures before its first step, on quadratics with known noise and curvature. Seeds are fixed."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from vpinn.noise import rates
from vpinn.optimization import Adam, Closure, Langevin, Method, Schedule, Sgd
from vpinn.optimization.pilot import FOLDS, Gradient, measured_noise, stable_rate, warmup_steps

SIZE = 300
CURVATURE = torch.logspace(-2, 1, SIZE, dtype=torch.float64)
THETA = torch.ones(SIZE, dtype=torch.float64)


def batches(noise: float, spread: float = 0.0) -> Callable[[], Gradient]:
    """Return batches of ½Σλθ², with noise per entry of the gradient, and curvatures times 1 + spread · N(0, 1)."""
    generator = torch.Generator().manual_seed(2)

    def draw() -> Gradient:
        kick = noise * torch.randn(SIZE, generator=generator, dtype=torch.float64)
        bend = 1.0 + spread * float(torch.randn((), generator=generator, dtype=torch.float64))
        return lambda theta: (0.0, bend * CURVATURE * theta + kick)

    return draw


def exact(theta: Tensor) -> tuple[float, Tensor]:
    return 0.0, CURVATURE * theta


@pytest.mark.parametrize("noise", [0.3, 2.0])
def test_the_noise_of_a_batch(noise: float) -> None:
    """tr(Σ/b)/‖g‖² is known; 32 draws tell it within a fifth."""
    known = SIZE * noise**2 / float((CURVATURE**2).sum())
    assert measured_noise(batches(noise), THETA) == pytest.approx(known, rel=0.2)
    assert measured_noise(batches(1000.0), THETA) == 32.0  # drowned
    assert measured_noise(batches(0.0), THETA) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_descent_is_stable_up_to_its_limit(momentum: float) -> None:
    """2(1 + μ)/λ_max within a per cent; at 0.95 of it a walk shrinks, at 1.05 it grows."""
    method = Sgd(momentum)
    found = stable_rate(method, batches(0.0), exact, THETA, np.random.default_rng(0))
    assert found == pytest.approx(rates.stability(10.0, momentum), rel=0.01)
    for share, stays in ((0.95, True), (1.05, False)):
        assert walk(method, share * found, 600) == stays


def test_adam_is_stable_up_to_its_limit() -> None:
    """38/λ_max(P^-½HP^-½) with squares frozen at those of the start; the chapter's walk with that preconditioner."""
    method = Adam()
    found = stable_rate(method, batches(0.0), exact, THETA, np.random.default_rng(0))
    scaled = CURVATURE / (CURVATURE.abs() + method.epsilon)
    assert found == pytest.approx(38.0 / float(scaled.max()), rel=0.01)
    assert stable_rate(Langevin(1e-6, 100, 0), batches(0.0), exact, THETA, np.random.default_rng(0)) == found
    for share, stays in ((0.95, True), (1.05, False)):
        theta, mean = THETA.clone(), torch.zeros(SIZE, dtype=torch.float64)
        for _ in range(2000):
            mean = 0.9 * mean + 0.1 * CURVATURE * theta
            theta = theta - share * found * mean / CURVATURE
        assert (float(theta.norm()) < float(THETA.norm())) == stays


def test_batches_that_see_other_curvatures_lower_the_limit() -> None:
    """2λ/(λ² + v): the chapter's limit of the warm-up, with v from eight batches, within 40 % of the known one."""
    found = stable_rate(Sgd(0.0), batches(0.0, spread=1.0), exact, THETA, np.random.default_rng(0))
    assert found == pytest.approx(float(rates.warmup_limit(1.0, 10.0, 100.0)), rel=0.4)
    assert found < 0.8 * rates.stability(10.0)


def test_where_nothing_curves_upwards_every_step_is_stable() -> None:
    def down(theta: Tensor) -> tuple[float, Tensor]:
        return 0.0, -theta

    assert stable_rate(Sgd(0.0), batches(1.0), down, THETA, np.random.default_rng(0)) == math.inf
    assert warmup_steps(0.1, math.inf, 100) == 0


def test_single_precision() -> None:
    def single(theta: Tensor) -> tuple[float, Tensor]:
        return 0.0, CURVATURE.float() * theta

    found = stable_rate(Sgd(0.0), lambda: single, single, THETA.float(), np.random.default_rng(0))
    assert found == pytest.approx(0.2, rel=0.02)


def test_a_warm_up_contracts_the_steepest_direction() -> None:
    """Rising to four times the stable rate: where it passes that, plain descent has shrunk the direction by e^-10 or more."""
    stable = 0.2
    length = warmup_steps(4.0 * stable, stable, 10_000)
    assert length == 4 * FOLDS
    schedule, height = Schedule(4.0 * stable, length, 1000), 1.0
    for step in range(FOLDS):
        height *= 1.0 - schedule(step) * 10.0
    assert schedule(FOLDS - 1) == pytest.approx(stable)
    assert abs(height) <= math.exp(-FOLDS)
    assert warmup_steps(4.0 * stable, stable, 25) == 25


def walk(method: Method, rate: float, steps: int) -> bool:
    """Return whether descent on the quadratic approaches the minimum."""
    theta, state = THETA.clone(), method.initial(THETA)
    for _ in range(steps):
        theta, state, _ = method.step(theta, state, Closure(exact), rate, False)
    return float(theta.norm()) < float(THETA.norm())
