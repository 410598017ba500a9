"""Langevin sampling: the Gibbs law on quadratics, coverage of a known solution by noisy data, fields with a spread."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from vpinn import solve
from vpinn.optimization import Closure, Langevin, Training, samples_of
from vpinn.optimization.langevin import KEPT
from vpinn.optimization.method import Method
from vpinn.output import fields_at
from vpinn.problem import make_problem


def walk(method: Method, gradient: Tensor, hessian: Tensor, theta: Tensor, steps: int, rate: float) -> Tensor:
    """Samples [n, size] of a run on ½θᵀHθ + gᵀθ."""
    state = method.initial(theta)
    for _ in range(steps):
        closure = Closure(lambda t: (float(0.5 * t @ hessian @ t + gradient @ t), hessian @ t + gradient))
        theta, state, _ = method.step(theta, state, closure, rate, True)
    found = samples_of(state)
    assert found is not None
    return found


@pytest.mark.parametrize("preconditioned", [True, False])
def test_the_stationary_law_is_that_of_gibbs(preconditioned: bool) -> None:
    """400 independent weights with curvature 2 at T = 0.3: variance T/2, of 64·400 samples within 6 %."""
    size, heat = 400, 0.3
    hessian = 2.0 * torch.eye(size, dtype=torch.float64)
    start = torch.full((size,), 0.5, dtype=torch.float64)
    method = Langevin(heat, 2000, 3, preconditioned)
    found = walk(method, -2.0 * torch.ones(size, dtype=torch.float64), hessian, start, 2000, 0.004 if preconditioned else 0.01)
    assert found.shape == (KEPT, size)
    assert float(found.mean()) == pytest.approx(1.0, abs=0.02)
    assert float(((found - 1.0) ** 2).mean()) == pytest.approx(heat / 2.0, rel=0.06)


def test_coverage_of_a_known_solution() -> None:
    """U = c₁ sin πx + c₂ sin 2πx on (0, 1) from 40 noisy values: mean ± 2 deviations holds u at 90 to 99 % of places.

    300 data sets at once: the parameters of all are one vector, J = ½Σ(residual/σ)², so that T = 1 is the posterior.
    """
    generator = np.random.default_rng(6)
    sets, noise = 300, 0.1
    x = generator.uniform(size=40)
    modes = np.stack([np.sin(np.pi * x), np.sin(2 * np.pi * x)], 1)
    truth = np.array([1.0, -0.5])
    data = modes @ truth + noise * generator.standard_normal((sets, 40))
    normal = torch.from_numpy(modes.T @ modes / noise**2)
    right = torch.from_numpy(data @ modes / noise**2)

    def evaluate(theta: Tensor) -> tuple[float, Tensor]:
        c = theta.view(sets, 2)
        gradient = c @ normal - right
        return float(0.5 * (c * (gradient - right)).sum()), gradient.reshape(-1)

    method, theta = Langevin(1.0, 2400, 1, False), torch.from_numpy(np.tile(truth, sets))
    state = method.initial(theta)
    for _ in range(2400):
        theta, state, _ = method.step(theta, state, Closure(evaluate), 4e-5, True)
    found = samples_of(state)
    assert found is not None
    places = np.linspace(0.05, 0.95, 19)
    at = np.stack([np.sin(np.pi * places), np.sin(2 * np.pi * places)], 1)
    fields = found.view(KEPT, sets, 2).numpy() @ at.T
    inside = np.abs(fields.mean(0) - at @ truth) <= 2.0 * fields.std(0, ddof=1)
    assert 0.90 <= inside.mean() <= 0.99


def test_fields_have_a_spread() -> None:
    problem = make_problem(
        {"shape": "interval", "cells": 4},
        unknowns={"u": "scalar"},
        energy="0.5*inner(grad(u), grad(u))*dx - u*dx",
        boundary=[{"on": "all", "value": 0}],
        network={"layers": [6]},
        solver={"method": "langevin", "steps": 400, "learning_rate": 1e-3, "temperature": 1e-5},
    )
    solution = solve(problem)
    values = fields_at(solution, [[0.25], [0.5]]).values
    assert (values["u_std"] > 0).all()
    assert np.abs(values["u_mean"] - values["u"]).max() < 0.1
    assert solution.samples is not None


def test_a_resumed_walk_is_the_same() -> None:
    method, theta = Langevin(0.1, 40, 2), torch.ones(3, dtype=torch.float64)
    training = Training.start(theta, method, 0)

    def steps(training: Training, count: int) -> None:
        for _ in range(count):
            closure = Closure(lambda t: (float(0.5 * t @ t), t))
            training.theta, training.state, _ = method.step(training.theta, training.state, closure, 0.01, True)

    steps(training, 30)
    again = Training.from_arrays(*training.arrays())
    steps(training, 10)
    steps(again, 10)
    assert torch.equal(training.theta, again.theta)
    assert torch.equal(training.state["samples"], again.state["samples"])
