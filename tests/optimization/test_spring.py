"""Test SPRING: one step against the least-squares problem that it solves, and batches that lead to an interpolating solution."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import vpinn
from vpinn.analysis import TrueError, independent_points
from vpinn.errors import InputError
from vpinn.objective import Curvature, make_objective
from vpinn.optimization import Closure, Plan, Schedule, Spring, Training, train
from vpinn.sampling import make_sampler
from vpinn.solving import prepare
from vpinn.trial import make_trial


def closure_of(matrix: Tensor, b: Tensor, signs: Tensor | None = None) -> Closure:
    """Return the rows of ½ Σ s (Mθ − b)², which are all that SPRING evaluates."""
    signs = torch.ones(len(b), dtype=torch.float64) if signs is None else signs

    def rows(theta: Tensor) -> Curvature:
        return Curvature(matrix, signs, matrix @ theta - b, lambda moved: matrix @ moved - b)

    def refuse(theta: Tensor) -> tuple[float, Tensor]:
        raise AssertionError("SPRING needs no gradient")

    return Closure(refuse, None, rows)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_a_step_is_the_nearest_to_the_last_that_solves_the_batch() -> None:
    """φ minimises ‖Aφ + r‖² + λ‖φ − μφ₋‖², by the normal equations, and is shortened to √C."""
    matrix, b, theta, last = random(7, 20), random(7, seed=1), random(20, seed=2), random(20, seed=3)
    method = Spring(momentum=0.9, damping=1e-2, longest=0.5)
    closure = closure_of(matrix, b)
    new, state, value = method.step(theta, {"step": last}, closure, 1.0, False)
    damping = 1e-2 * float((matrix**2).sum()) / 7
    residual = matrix @ theta - b
    left = matrix.T @ matrix + damping * torch.eye(20, dtype=torch.float64)
    expected = torch.linalg.solve(left, damping * 0.9 * last - matrix.T @ residual)
    assert float((state["step"] - expected).norm()) <= 1e-10 * float(expected.norm())
    assert value == pytest.approx(0.5 * float(residual @ residual), rel=1e-14)
    assert closure.gradient_norm == pytest.approx(float((matrix.T @ residual).norm()), rel=1e-12)
    moved = new - theta
    assert float(moved.norm()) == pytest.approx(0.5, rel=1e-12)
    assert float(moved @ expected) == pytest.approx(0.5 * float(expected.norm()), rel=1e-12)
    assert torch.equal(theta, random(20, seed=2))


def test_negative_weights_subtract() -> None:
    """With signs S the step solves (AᵀSA + λI)φ = −AᵀSr."""
    matrix, b, signs = random(5, 12), random(5, seed=1), torch.tensor([1.0, 1, -1, 1, -1], dtype=torch.float64)
    theta = torch.zeros(12, dtype=torch.float64)
    _, state, _ = Spring(damping=0.1).step(theta, {"step": theta}, closure_of(matrix, b, signs), 1.0, False)
    damping = 0.1 * float((matrix**2).sum()) / 5
    left = matrix.T @ (signs[:, None] * matrix) + damping * torch.eye(12, dtype=torch.float64)
    expected = torch.linalg.solve(left, matrix.T @ (signs * b))
    assert float((state["step"] - expected).norm()) <= 1e-10 * float(expected.norm())


def test_batches_of_a_solvable_system_lead_to_its_solution() -> None:
    """300 equations for 60 unknowns, 10 at a time: momentum goes on where a batch is blind, and is ten times ahead at 1e-6."""
    matrix, truth = random(300, 60) * torch.logspace(0, -0.5, 60, dtype=torch.float64), random(60, seed=5)
    left = {}
    for momentum in (0.0, 0.95):
        method, generator = Spring(momentum=momentum, damping=1e-8, longest=10.0), np.random.default_rng(0)
        theta = torch.zeros(60, dtype=torch.float64)
        state = method.initial(theta)
        for _ in range(400):
            drawn = torch.from_numpy(generator.integers(300, size=10))
            theta, state, _ = method.step(theta, state, closure_of(matrix[drawn], matrix[drawn] @ truth), 0.1, False)
        left[momentum] = float((matrix @ (theta - truth)).norm() / (matrix @ truth).norm())
    assert left[0.95] <= 1e-6
    assert left[0.95] <= 0.1 * left[0.0]


def test_single_rows_contract_as_kaczmarz_does() -> None:
    """Without momentum and at η = 1 the step projects: E‖e_k‖² ≤ (1 − σ²_min/‖A‖²_F)^k ‖e_0‖² with rows ∝ their squared norms.

    Strohmer & Vershynin 2009. 12 runs; the mean lies below the bound, and each run's error falls in every step.
    """
    matrix, truth = random(40, 8), random(8, seed=5)
    shares = (matrix**2).sum(1).numpy() / float((matrix**2).sum())
    rate = 1 - float(torch.linalg.svdvals(matrix)[-1]) ** 2 / float((matrix**2).sum())
    method, generator, steps, ends = Spring(momentum=0.0, damping=1e-14, longest=100.0), np.random.default_rng(0), 60, []
    for _ in range(12):
        theta = torch.zeros(8, dtype=torch.float64)
        state, error = method.initial(theta), float((theta - truth).norm())
        for row in generator.choice(40, size=steps, p=shares):
            theta, state, _ = method.step(theta, state, closure_of(matrix[[row]], matrix[[row]] @ truth), 1.0, False)
            left = float((theta - truth).norm())
            assert left <= error * (1 + 1e-9)
            error = left
        ends.append(error**2)
    assert np.mean(ends) <= rate**steps * float(truth @ truth)


def poisson(form: str = "strong", method: str = "spring", **more: Any) -> vpinn.Problem:
    forms = {
        "strong": "-div(grad(u)) - f",
        "weak": "inner(grad(u), grad(v))*dx - f*v*dx",
        "energy": "0.5*inner(grad(u), grad(u))*dx - f*u*dx",
    }
    return vpinn.make_problem(
        {"shape": "rectangle", "cells": [4, 4], "cell": "quadrilateral"},
        unknowns={"u": "scalar"},
        expressions={"u_exact": "sin(pi*x)*sin(pi*y)", "f": "-div(grad(u_exact))"},
        boundary=[{"on": "all", "value": 0}],
        reference={"exact": {"u": "u_exact"}},
        network={"layers": [10, 10]},
        quadrature={"degree": 11},
        solver={"method": method, "steps": 120},
        **{form: forms[form]},
        **more,
    )


@pytest.mark.slow
def test_a_small_problem_in_batches_of_sixteen() -> None:
    """Relative L² error after 120 steps on 16 of 576 points."""
    solution = vpinn.solve(poisson(batch={"size": 16}), threads=1)
    assert solution.errors["u"]["relative_l2"] <= 3e-3


def test_weak_batches_with_a_control_variate() -> None:
    """Rows of a drawn dual norm: relative L² error after 60 steps on 48 of 576 points."""
    problem = poisson("weak", batch={"size": 48}, test_space={"degree": 3})
    setup = prepare(problem)
    assert (setup.objective.estimator, setup.plan.batches, setup.plan.batch_size) == ("control-variate", 1, 48)
    plan = dataclasses.replace(setup.plan, schedule=Schedule(0.1, steps=60))
    theta = train(setup.objective, setup.start(), plan).theta
    assert TrueError(problem, setup.trial, independent_points(problem, 12))(theta)["u"]["relative_l2"] <= 3e-2


def test_a_run_that_is_resumed_ends_the_same_to_the_last_bit() -> None:
    problem = poisson()
    trial = make_trial(problem)
    objective = make_objective(problem, trial)
    theta = trial.network.initial(torch.Generator().manual_seed(1))
    samplers = tuple(make_sampler("stratified", m.points, 8) for m in objective.measures)
    ends = []
    for half in (None, 13):
        training = Training.start(theta, Spring(), 5)
        if half is not None:
            train(objective, training, Plan(Spring(), Schedule(0.3, steps=half), samplers))
            training = Training.from_arrays(*training.arrays())
        ends.append(train(objective, training, Plan(Spring(), Schedule(0.3, steps=30), samplers)).theta)
    assert torch.equal(*ends)


@pytest.mark.parametrize(
    ("form", "batch", "said"),
    [
        ("energy", {"size": 64}, "minimises squares of residuals"),
        ("weak", {"size": 64, "estimator": "two-batch"}, "noise has to vanish at the solution"),
        ("strong", {"size": "full"}, "works on mini-batches"),
    ],
)
def test_what_it_cannot_honour_is_said_in_a_line(form: str, batch: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        prepare(poisson(form, batch=batch))
    assert "\n" not in str(caught.value)
