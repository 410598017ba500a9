"""Test that losses and gradients of drawn batches have the mean of all points, within standard errors. Seeds are fixed."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from objective.cases import solved
from torch import Tensor

from vpinn.domain import Mesh, interval, rectangle
from vpinn.objective import Batch, Objective, make_objective
from vpinn.problem import make_problem
from vpinn.sampling import SAMPLERS, make_sampler
from vpinn.trial import make_trial

from .test_sampler import Grid

FORMS: dict[str, dict[str, Any]] = {
    "energy": {"energy": "0.5*inner(grad(u), grad(u))*dx + 0.25*u**4*dx - sin(3*x)*u*dx - u*ds('right')"},
    "strong": {"strong": "-div(grad(u)) + u**3 - sin(3*x)"},
    "weak": {
        "weak": "inner(grad(u), grad(v))*dx + u**3*v*dx - sin(3*x)*v*dx - v*ds('right')",
        "test_space": {"degree": 2},
        "quadrature": {"degree": 5},
    },
}


def made(form: str, domain: Mesh, **changed: Any) -> tuple[Objective, Tensor]:
    problem = make_problem(
        domain,
        unknowns={"u": "scalar"},
        boundary=[{"on": "left", "value": 0}],
        network={"layers": [5]},
        **{**FORMS[form], **changed},
    )
    trial = make_trial(problem)
    theta = trial.network.initial(torch.Generator().manual_seed(3))
    return make_objective(problem, trial), theta


def drawer(objective: Objective, name: str, size: int) -> Callable[[Any], Batch]:
    samplers = [make_sampler(name, m.points, min(size, m.points.size)) for m in objective.measures]
    return lambda generator: [
        (m, m.batch(*sampler.draw(generator))) for m, sampler in zip(objective.measures, samplers, strict=True)
    ]


def moments(samples: list[tuple[float, Tensor]]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return mean and standard error of value and gradient [1 + size]."""
    table = np.array([[value, *gradient.tolist()] for value, gradient in samples])
    return table.mean(axis=0), table.std(axis=0, ddof=1) / np.sqrt(len(table))


QUICK = {("energy", "stratified"), ("energy", "cells"), ("strong", "importance"), ("weak", "antithetic")}
"""Pairs of the fast suite: the contract of samplers holds every pair to the mean, and gradients to the estimate's derivative."""


@pytest.mark.parametrize(
    ("form", "name"),
    [pytest.param(*pair, marks=() if pair in QUICK else pytest.mark.slow) for pair in itertools.product(FORMS, SAMPLERS)],
)
def test_means_of_real_draws(form: str, name: str) -> None:
    """No component of the mean of 150 or 250 draws (seed 17) is farther than four standard errors from the full sum."""
    objective, theta = made(form, rectangle(cells=4), quadrature={"degree": 5})
    draw = drawer(objective, name, 24)
    generator = np.random.default_rng(17)
    two = objective.estimator == "two-batch"
    draws = 150 if two else 250
    samples = [objective.sampled(theta, draw(generator), draw(generator) if two else None) for _ in range(draws)]
    mean, error = moments(samples)
    value, gradient = objective.gradient(theta)
    truth = np.array([value, *gradient.tolist()])
    assert (error > 0).all()
    assert (np.abs(mean - truth) / error).max() <= 4
    # four standard errors mean something: they are below the gradient's size
    assert 4 * np.linalg.norm(error[1:]) < np.linalg.norm(truth[1:])


@pytest.mark.parametrize("name", ["uniform", "stratified", "antithetic", "cells"])
@pytest.mark.parametrize("form", ["energy", "strong"])
def test_an_epoch_of_batches_gives_the_full_gradient(form: str, name: str) -> None:
    """The mean over all equally likely batches, enumerated."""
    objective, theta = made(form, interval(cells=8), quadrature={"degree": 3})
    draw, steps = drawer(objective, name, 4), 32
    mean, _ = moments([objective.sampled(theta, draw(Grid(step, steps))) for step in range(steps)])
    value, gradient = objective.gradient(theta)
    assert mean[0] == pytest.approx(value, rel=1e-12)
    assert np.abs(mean[1:] - gradient.numpy()).max() <= 1e-12 * gradient.abs().max()


def test_all_pairs_of_batches_give_the_full_gradient_of_a_squared_residual() -> None:
    """Products of two independent batches, all of them: exactly the full loss. Squares of one batch: more than that."""
    objective, theta = made("weak", interval(cells=3), quadrature={"degree": 5})
    draw = drawer(objective, "uniform", 1)
    batches = [draw(Grid(step, 1)) for step in range(objective.measures[0].points.size)]
    assert 5 < len(batches) < 20
    value, gradient = objective.gradient(theta)
    mean, _ = moments([objective.sampled(theta, *pair) for pair in itertools.product(batches, batches)])
    assert mean[0] == pytest.approx(value, rel=1e-12)
    assert np.abs(mean[1:] - gradient.numpy()).max() <= 1e-12 * gradient.abs().max()
    squared, _ = moments([objective.sampled(theta, batch) for batch in batches])
    assert squared[0] > 1.2 * value


def test_the_bias_of_a_single_batch_is_half_the_trace() -> None:
    """E ½‖r̂‖² − ½‖r‖² = ½ tr G⁻¹Cov(r̂) for uniform draws, from the contributions of single points."""
    objective, theta = made("weak", interval(cells=3), weak="inner(grad(u), grad(v))*dx - sin(3*x)*v*dx")
    space = objective.test_space
    assert space is not None
    n = objective.size
    draw_one = drawer(objective, "uniform", 1)
    single = []
    for step in range(n):
        (measure, points), *_ = draw_one(Grid(step, 1))
        coefficients = measure.integrands(theta, points)[1]
        assert measure.contraction is not None
        assert points.frame is not None
        single.append(
            measure.contraction.assemble(measure.tests, coefficients, points.w, points.frame, points.aligned, 1).detach()
        )
    squares = np.array([float((r * space.riesz(r)).sum()) for r in single])
    full = objective.residual(theta)
    norm = float((full * space.riesz(full)).sum())
    trace_of_one = squares.mean() - norm
    size = 6
    draw = drawer(objective, "uniform", size)
    generator = np.random.default_rng(23)
    values = np.array([objective.sampled(theta, draw(generator))[0] for _ in range(500)])
    bias, error = values.mean() - objective.value(theta), values.std(ddof=1) / np.sqrt(len(values))
    assert abs(bias - 0.5 * trace_of_one / size) <= 4 * error
    assert bias > 10 * error


def test_all_batches_give_the_full_gradient_by_pairs() -> None:
    """The U-statistic over all ordered batches of three points, repetitions included: exactly the full loss and gradient."""
    objective, theta = made("weak", interval(cells=2), quadrature={"degree": 3}, batch={"estimator": "u-statistic", "size": 3})
    measures = objective.measures
    n = measures[0].points.size
    assert (n, measures[1].points.size) == (4, 1)
    found = []
    for index in itertools.product(range(n), repeat=3):
        inside = (measures[0], measures[0].batch(np.array(index), np.full(3, n / 3)))
        found.append(objective.sampled(theta, [inside, (measures[1], measures[1].batch(np.zeros(1, np.int64), np.ones(1)))]))
    mean, _ = moments(found)
    value, gradient = objective.gradient(theta)
    assert mean[0] == pytest.approx(value, rel=1e-12)
    assert np.abs(mean[1:] - gradient.numpy()).max() <= 1e-12 * gradient.abs().max()


@pytest.mark.parametrize("estimator", ["u-statistic", "control-variate"])
def test_means_of_other_estimators(estimator: str) -> None:
    """No component of the mean of 200 estimates (seed 29) is farther than four standard errors from the full sum."""
    batch = {"estimator": estimator, "size": 24}
    objective, theta = made("weak", rectangle(cells=3), batch=batch, quadrature={"degree": 12})
    samplers = [make_sampler("uniform", m.points, min(24, m.points.size)) for m in objective.batched]
    generator = np.random.default_rng(29)

    def draw() -> Batch:
        return [(m, m.batch(*s.draw(generator))) for m, s in zip(objective.batched, samplers, strict=True)]

    samples = [objective.sampled(theta, draw(), draw() if estimator == "control-variate" else None) for _ in range(200)]
    mean, error = moments(samples)
    value, gradient = objective.gradient(theta)
    truth = np.array([value, *gradient.tolist()])
    assert (np.abs(mean - truth) / error).max() <= 4


def test_pairs_vary_less_than_halves() -> None:
    """At the solution the loss by pairs of 32 points has half the variance of that by two halves (seed 31)."""
    objective, theta = solved(estimator="u-statistic")
    generator = np.random.default_rng(31)
    spread = {}
    for size, halves in ((32, 1), (16, 2)):
        samplers = [make_sampler("uniform", m.points, min(size, m.points.size)) for m in objective.batched]
        found = []
        for _ in range(150):
            batches = [
                [(m, m.batch(*s.draw(generator))) for m, s in zip(objective.batched, samplers, strict=True)]
                for _ in range(halves)
            ]
            found.append(objective.sampled(theta, *batches))
        spread[halves] = float(np.var([value for value, _ in found]))
    assert 0.35 < spread[1] / spread[2] < 0.75
