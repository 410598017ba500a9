from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
import torch

import vpinn
from vpinn.comparison import course
from vpinn.comparison.course import Course, _until, counted, measured_course
from vpinn.optimization import COLUMNS, Langevin, Method
from vpinn.optimization.plan import METHODS
from vpinn.placement import HERE, Placement
from vpinn.problem import Problem
from vpinn.solving import Setup, prepare, strategies

ERROR, STEP = COLUMNS.index("error"), COLUMNS.index("step")


def sine(**sections: Any) -> Problem:
    """Return −u″ = π² sin πx on the unit interval, with 32 points."""
    stated: dict[str, Any] = {
        "unknowns": {"u": "scalar"},
        "energy": "0.5*inner(grad(u), grad(u))*dx - pi**2*sin(pi*x)*u*dx",
        "boundary": [{"on": "all", "value": 0}],
        "reference": {"exact": {"u": "sin(pi*x)"}},
        "network": {"layers": [6]},
        "quadrature": {"degree": 7},
    }
    return vpinn.make_problem({"shape": "interval", "cells": 8}, **{**stated, **sections})


def consistent(course: Course) -> None:
    assert len(course.seconds) == len(course.updates) == len(course.evaluations) == len(course.error) > 0
    assert all(np.diff(course.seconds) > 0)
    assert course.cpu > 0.0
    assert course.memory >= course.libraries > 0.0


def test_without_a_budget_it_is_the_run_of_solve() -> None:
    """Stopping to measure changes nothing: the last error is that of the same steps in one go."""
    problem = sine(solver={"method": "adam", "steps": 100, "learning_rate": 0.02, "schedule": "cosine", "warmup": 9})
    course = measured_course(problem, HERE, None)
    consistent(course)
    solution = vpinn.solve(problem, threads=1)
    assert (course.stopped, course.updates[-1]) == ("steps", 100)
    assert course.error[-1] == solution.history[-1, ERROR]
    assert math.isnan(course.fluctuation)


def test_a_budget_of_seconds_is_spent_on_training() -> None:
    told: list[tuple[float, int, float]] = []
    problem = sine(solver={"method": "adam", "steps": 1}, batch={"size": 8, "sampler": "uniform"})
    course = measured_course(problem, HERE, 0.2, lambda *values: told.append(values))
    consistent(course)
    assert course.stopped == "time limit"
    assert max(course.seconds[:-1], default=0.0) <= 0.2 < course.seconds[-1]
    assert course.evaluations == tuple(8.0 * updates for updates in course.updates)
    assert course.fluctuation > 0.0
    assert [updates for _, updates, _ in told[:3]] == [0, 0, 1]


def test_every_call_of_a_line_search_counts() -> None:
    course = measured_course(sine(solver={"method": "lbfgs", "steps": 30}), HERE, None)
    consistent(course)
    assert course.evaluations[-1] % 32 == 0
    assert course.evaluations[-1] >= 32 * course.updates[-1]


def test_rows_of_the_curvature_count() -> None:
    """A step of Gauss–Newton takes a gradient, rows, and gradients ahead."""
    course = measured_course(sine(solver={"method": "gauss-newton", "steps": 4}), HERE, None)
    assert course.evaluations[-1] >= 3 * 32 * course.updates[-1]


def test_pilots_count() -> None:
    batch = {"size": 8, "sampler": "stratified", "allocation": "neyman", "strata_count": 2}
    course = measured_course(sine(solver={"method": "adam", "steps": 51}, batch=batch), HERE, None)
    assert course.evaluations[-1] > 8 * 51


def test_the_step_size_falls_over_the_budget() -> None:
    """At half the time the foretold schedule is half way, whatever steps the file asks for."""
    setup = prepare(sine(solver={"method": "adam", "steps": 5, "schedule": "cosine", "decay": 0.01, "learning_rate": 1.0}))
    training = dataclasses.replace(setup.start(), step=300, seconds=2.0)
    plan = _until(setup.plan, training, 2.1, 4.0)
    assert plan.schedule.steps == 600
    assert plan.schedule(300) == pytest.approx(0.505)
    assert plan.time_limit == 2.1
    assert _until(setup.plan, training, 9.0, 4.0).time_limit == 4.0
    assert _until(setup.plan, setup.start(), 0.0, 4.0).schedule(10) == pytest.approx(1.0)


def test_a_walk_is_half_of_the_budget() -> None:
    """Langevin samples in the second half of the steps foretold, whatever steps the file asks for."""
    setup = prepare(sine(solver={"method": "langevin", "steps": 5, "temperature": 1e-3}))
    plan = dataclasses.replace(setup.plan, method=counted(setup.plan.method)[0])
    method = _until(plan, dataclasses.replace(setup.start(), step=300, seconds=2.0), 2.1, 4.0).method
    assert isinstance(method, Langevin)
    assert type(method) is type(plan.method)
    assert vars(method) == vars(dataclasses.replace(setup.plan.method, length=600))


@pytest.mark.parametrize("name", [name for name in METHODS if isinstance(METHODS[name](sine().settings), Method)])
def test_a_method_that_is_counted_is_asked_for_the_same(name: str) -> None:
    """Flags, limits and remedies of every method, so that it is watched, warmed up and stopped as elsewhere."""
    method = METHODS[name](sine().settings)
    assert isinstance(method, Method)
    found, calls = counted(method)
    told = [at for at in dir(Method) if not at.startswith("_") and not callable(getattr(Method, at, None))]
    assert {at: getattr(found, at) for at in told} == {at: getattr(method, at) for at in told}
    squares = torch.full((3,), 4.0, dtype=torch.float64)
    assert found.stability(squares)[0] == method.stability(squares)[0]
    assert calls == []


def test_least_squares_is_prepared_once(monkeypatch: pytest.MonkeyPatch) -> None:
    prepared: list[Problem] = []

    def noted(problem: Problem, placement: Placement) -> Setup:
        prepared.append(problem)
        return prepare(problem, placement)

    monkeypatch.setattr(course, "prepare", noted)
    monkeypatch.setattr(strategies, "prepare", noted)
    measured_course(sine(solver={"method": "least-squares"}), HERE, None)
    assert len(prepared) == 1


def test_least_squares_has_stages_for_steps() -> None:
    course = measured_course(sine(solver={"method": "least-squares"}), HERE, 60.0)
    consistent(course)
    assert course.error[-1] < 1e-5
    assert course.stopped in ("grown", "tolerance")


@pytest.mark.parametrize("known", [{"exact": {"u": "sin(pi*x)"}}, {}], ids=["error", "estimate"])
def test_elements_have_a_measurement_for_each_stage(known: dict[str, Any]) -> None:
    course = measured_course(sine(reference=known, solver={"method": "elements"}), HERE, None)
    consistent(course)
    assert course.updates == tuple(range(1, len(course.updates) + 1))
    assert len(course.updates) > 2
    assert all(np.diff(np.log(course.error[:3])) < -2)  # each degree gains more than a factor of seven


def test_without_truth_the_estimate_falls() -> None:
    course = measured_course(sine(reference={}, solver={"method": "lbfgs", "steps": 60}), HERE, None)
    consistent(course)
    assert course.error[-1] < 0.1 * course.error[0]
    direct = measured_course(sine(reference={}, solver={"method": "least-squares"}), HERE, None)
    assert direct.error[-1] < 1e-4


def test_divergence_ends_a_run_without_an_error() -> None:
    problem = sine(energy="0.5*inner(grad(u), grad(u))*dx - u*dx + ln(-1 - u*u)*dx", solver={"method": "adam"})
    course = measured_course(problem, HERE, 1.0)
    assert (course.stopped, course.error) == ("diverged", ())
