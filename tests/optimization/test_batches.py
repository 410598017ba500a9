"""Test mini-batches in training: a checkpoint keeps what samplers have learned, and adaptive draws are unbiased."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from vpinn.domain import rectangle
from vpinn.errors import InputError
from vpinn.objective import Objective, make_objective, signals
from vpinn.optimization import Plan, Training, make_plan, train
from vpinn.optimization.batches import drawn, estimator_found, pilots
from vpinn.problem import make_problem
from vpinn.sampling import State
from vpinn.trial import make_trial

FORMS = {
    "energy": {"energy": "0.5*inner(grad(u), grad(u))*dx - exp(-20*(x**2 + y**2))*u*dx - u*ds('right')"},
    "weak": {"weak": "inner(grad(u), grad(v))*dx - exp(-20*(x**2 + y**2))*v*dx", "test_space": {"degree": 2}},
    "strong": {"strong": "-div(grad(u)) - exp(-20*(x**2 + y**2))"},
}
ADAPTIVE: dict[str, dict[str, Any]] = {
    "neyman": {"allocation": "neyman"},
    "equal-variance": {"allocation": "equal-variance", "strata_count": 5},
    "quantiles": {"allocation": "neyman", "strata": "gradient", "strata_count": 4},
    "importance": {"sampler": "importance"},
}


def made(form: str, rule: str = "gauss", **batch: Any) -> tuple[Objective, torch.Tensor, Plan]:
    problem = make_problem(
        rectangle(cells=4),
        unknowns={"u": "scalar"},
        boundary=[{"on": "left", "value": 0}],
        network={"layers": [5]},
        quadrature={"degree": 5} if rule == "gauss" else {"rule": rule},
        batch={"size": 60, **batch},
        solver={"method": "adam", "steps": 70},
        **FORMS[form],
    )
    trial = make_trial(problem)
    objective = make_objective(problem, trial)
    return objective, trial.network.initial(torch.Generator().manual_seed(1)), make_plan("adam", problem.settings, objective)


@pytest.mark.parametrize("name", ADAPTIVE)
def test_a_resumed_run_draws_the_same(name: str) -> None:
    """Stopped after 53 steps, after its second pilot, and gone on from what a checkpoint holds: bitwise equal after 70."""
    objective, theta, plan = made("energy", **ADAPTIVE[name])
    whole = train(objective, Training.start(theta, plan.method, 3), plan)
    report = 0

    class Stop(Exception):
        pass

    def interrupt(training: Training) -> None:
        nonlocal report
        report += 1
        if report == 53:
            raise Stop

    half = Training.start(theta, plan.method, 3)
    with pytest.raises(Stop):
        train(objective, half, plan, report=interrupt)
    arrays, meta = half.arrays()
    assert any(array.startswith("learned.0.") for array in arrays)
    again = Training.from_arrays(arrays, json.loads(json.dumps(meta)))
    train(objective, again, plan)
    assert torch.equal(again.theta, whole.theta)
    fresh = Training.from_arrays(arrays, json.loads(json.dumps(meta)))
    fresh.learned = ()
    train(objective, fresh, plan)
    assert not torch.equal(fresh.theta, whole.theta)  # forgetting would show


@pytest.mark.parametrize(
    ("rule", "sampler"), [("stochastic-gauss", "cells"), ("monte-carlo", "importance"), ("sobol", "stratified")]
)
def test_random_points_are_made_anew_and_resumed_runs_are_the_same(rule: str, sampler: str) -> None:
    """Stopped after 5 of 12 steps: bitwise equal. The first and the second batch differ in their points, not only in numbers."""
    objective, theta, plan = made("energy", rule, sampler=sampler)
    plan = replace(plan, schedule=replace(plan.schedule, steps=12, course="constant"), project=0)  # a run's end changes neither
    whole = train(objective, Training.start(theta, plan.method, 3), plan)
    half = train(objective, Training.start(theta, plan.method, 3), replace(plan, schedule=replace(plan.schedule, steps=5)))
    arrays, meta = half.arrays()
    again = Training.from_arrays(arrays, json.loads(json.dumps(meta)))
    train(objective, again, plan)
    assert torch.equal(again.theta, whole.theta)
    measure, generator = objective.batched[0], np.random.default_rng(0)
    index, scale = plan.samplers[0].draw(generator)
    first, second = (measure.batch(index, scale, generator) for _ in range(2))
    assert ((first.x - second.x).abs() > 1e-6).any(dim=1).double().mean() > 0.5
    fixed, same = (measure.batch(index, scale) for _ in range(2))
    assert torch.equal(fixed.x, same.x)


QUICK = {("energy", "neyman"), ("energy", "equal-variance"), ("strong", "quantiles"), ("strong", "importance")}
QUICK |= {("weak", "importance")}


@pytest.mark.parametrize(
    ("form", "name"),
    [pytest.param(form, name, marks=() if (form, name) in QUICK else pytest.mark.slow) for form in FORMS for name in ADAPTIVE],
)
def test_adaptive_estimates_are_unbiased(form: str, name: str) -> None:
    """After three pilots no component of the mean of 120 gradients (seed 17) is beyond 4.5 standard errors."""
    objective, theta, plan = made(form, **ADAPTIVE[name])
    generator = np.random.default_rng(17)
    learned: tuple[State, ...] = ()
    for _ in range(3):
        learned = pilots(objective, plan.samplers, generator, theta, learned)
    found = []
    for _ in range(120):
        value, gradient = drawn(objective, plan.samplers, plan.batches, generator, learned)(theta)
        found.append([value, *gradient.tolist()])
    value, gradient = objective.gradient(theta)
    truth, samples = np.array([value, *gradient.tolist()]), np.array(found)
    error = samples.std(axis=0, ddof=1) / np.sqrt(len(samples))
    assert (np.abs(samples.mean(axis=0) - truth) <= 4.5 * error + 1e-14).all()


def test_signals_are_gradients_by_the_last_layer() -> None:
    """Summed over all points they are the last layer's part of the whole gradient; of residuals, the integrands."""
    for form in ("energy", "strong"):
        objective, theta, _ = made(form)
        layer = objective.measures[0].network.layers[-2] + 1
        everything = [
            signals(m, theta, m.batch(np.arange(m.points.size), np.ones(m.points.size)), "gradient") for m in objective.measures
        ]
        total = sum(found.sum(axis=0) for found in everything)
        assert np.abs(total - objective.gradient(theta)[1][-layer:].numpy()).max() <= 1e-12
    objective, theta, _ = made("strong")
    measure = objective.measures[0]
    points = measure.batch(np.arange(measure.points.size), np.ones(measure.points.size))
    residual = signals(measure, theta, points, "residual") / points.w[:, None].numpy()
    density = measure.integrands(theta, points)[0]
    assert isinstance(density, torch.Tensor)
    assert np.abs(0.5 * (residual**2).sum(axis=1) - density.numpy()).max() <= 1e-12


def test_plain_squares_report_their_bias() -> None:
    """The bias of squares of batches of 60 uniform points, in the metrics with its standard error: positive by ten of them."""
    objective, theta, plan = made("weak", estimator="plain", sampler="uniform")
    training = Training.start(theta, plan.method, 0)
    found = estimator_found(objective, plan.samplers, training, theta, objective.value(theta))
    assert found is not None
    assert found["name"] == "plain"
    assert found["bias"]["loss"] > 10 * found["bias"]["standard_error"] > 0
    unbiased, theta, plan = made("weak", estimator="two-batch", sampler="uniform")
    found = estimator_found(unbiased, plan.samplers, training, theta, 0.0)
    assert found == {"name": "two-batch", "why": "as the problem file asks"}


def test_estimators_that_do_not_fit_the_sampler_are_refused() -> None:
    with pytest.raises(InputError, match="needs independent draws"):
        made("weak", estimator="u-statistic", sampler="stratified")
    with pytest.raises(InputError, match=r'set batch\.sampler = "cells"'):
        made("energy", rule="stochastic-gauss")
    with pytest.raises(InputError, match="at least 2"):
        made("weak", estimator="two-batch", size=1)
