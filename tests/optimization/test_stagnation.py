"""Test when Gauss–Newton ends: if the last steps lower J by rounding only, or by little compared with the remaining error."""

from __future__ import annotations

import dataclasses
import math
from functools import cache
from typing import Any

import pytest
import torch

from vpinn.analysis import TrueError, independent_points
from vpinn.optimization import COLUMNS, Adam, GaussNewton, Schedule, Training, train
from vpinn.optimization.stagnation import FLOOR, SETTLED, WINDOW, stagnates
from vpinn.problem import make_problem
from vpinn.solving import Setup, prepare
from vpinn.solving.steps import Steps

FORMS = {"energy": "0.5*inner(grad(u), grad(u))*dx - f*u*dx", "strong": "-div(grad(u)) - f"}


def setup_of(form: str, steps: int) -> Setup:
    problem = make_problem(
        {"shape": "interval", "cells": 4},
        unknowns={"u": "scalar"},
        expressions={"truth": "sin(3*x)*x*(1 - x)", "f": "-div(grad(truth))"},
        boundary=[{"on": "all", "value": 0}],
        reference={"exact": {"u": "truth"}},
        network={"layers": [5]},
        quadrature={"degree": 13},
        solver={"method": "gauss-newton"},
        **{form: FORMS[form]},
    )
    setup = prepare(problem)
    return dataclasses.replace(setup, plan=dataclasses.replace(setup.plan, schedule=Schedule(1.0, 0, steps)))


@cache
def ended_by_itself(form: str) -> tuple[Setup, Training, tuple[Any, Any]]:
    """Train until the run ends by itself; return setup, end, and the last of the states stored every fifty steps."""
    setup, stored = setup_of(form, 2_000), list[tuple[Any, Any]]()

    def store(training: Training) -> None:
        if training.step % 50 == 0 and not training.stopped:
            stored.append(training.arrays())

    return setup, train(setup.objective, setup.start(), setup.plan, report=store), stored[-1]


def error(setup: Setup, training: Training) -> float:
    return float(TrueError(setup.problem, setup.trial, independent_points(setup.problem, 20))(training.theta)["u"]["relative_h1"])


@pytest.mark.parametrize("form", ["energy", pytest.param("strong", marks=pytest.mark.slow)])
@pytest.mark.slow
def test_a_run_ends_by_itself_and_more_steps_would_gain_little(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    setup, ended, stored = ended_by_itself(form)
    assert ended.stopped == "converged"
    assert WINDOW < ended.step <= 1_000
    monkeypatch.setattr("vpinn.optimization.loop.stagnates", lambda *_: False)
    longer = setup_of(form, ended.step + 3 * WINDOW)
    on = train(longer.objective, Training.from_arrays(*stored), longer.plan)
    assert torch.equal(torch.tensor(ended.history.table)[:, 2], torch.tensor(on.history.table)[: ended.step, 2])
    assert error(setup, ended) <= max(3e-7, 2.0 * error(longer, on))


@pytest.mark.slow
def test_a_resumed_run_ends_at_the_same_step() -> None:
    setup, whole, stored = ended_by_itself("energy")
    again = Training.from_arrays(*stored)
    assert again.step < whole.step
    train(setup.objective, again, setup.plan)
    assert (again.step, again.stopped) == (whole.step, whole.stopped)
    assert torch.equal(again.theta, whole.theta)
    assert train(setup.objective, again, setup.plan).step == whole.step  # an end stays one


def noted(losses: list[float], **changed: list[float]) -> Training:
    """Return a state whose history has these losses, on 40 points."""
    training = Training.start(torch.zeros(2, dtype=torch.float64), GaussNewton(), 0)
    for k, loss in enumerate(losses):
        known = {"loss": loss, "batch_size": 40.0, **{name: values[k] for name, values in changed.items()}}
        training.history.append(tuple(known.get(name, math.nan) for name in COLUMNS))
    return training


STEPS = WINDOW + 1


def falling(start: float, fall: float) -> list[float]:
    return [start - fall * k / WINDOW for k in range(STEPS)]


@pytest.mark.parametrize(
    ("form", "losses", "more", "expected"),
    [
        ("energy", falling(-1.0, 0.5 * SETTLED), {}, True),
        ("energy", falling(-1.0, 4.0 * SETTLED), {}, False),
        ("energy", falling(-8.0, 4.0 * SETTLED), {}, True),  # of eight times the unit
        ("energy", falling(-1.0, 0.5 * SETTLED)[1:], {}, False),  # too few steps
        ("energy", falling(-1.0, 0.5 * SETTLED), {"batch_size": [20.0] + [40.0] * WINDOW}, False),  # of other points
        ("energy", falling(-1.0, 0.5e-6 * FLOOR), {"estimate": [math.nan] * 9 + [1e-3] + [math.nan] * 11}, True),
        ("energy", falling(-1.0, 2e-6 * FLOOR), {"estimate": [math.nan] * 9 + [1e-3] + [math.nan] * 11}, False),
        ("energy", falling(-1e6, 0.5 * FLOOR), {"estimate": [math.nan] * 9 + [1e-3] + [math.nan] * 11}, True),  # beside elements
        ("energy", falling(-1e6, 2.0 * FLOOR), {"estimate": [math.nan] * 9 + [1e-3] + [math.nan] * 11}, False),
        ("strong", falling(1e-3, 0.5e-3 * FLOOR), {}, True),
        ("strong", falling(1e-3, 2e-3 * FLOOR), {}, False),
        ("strong", falling(1e-15, 0.5e-15), {}, True),
    ],
)
def test_falls_that_are_no_progress(form: str, losses: list[float], more: dict[str, Any], expected: bool) -> None:
    objective = setup_of(form, 1).objective
    losses = [objective.unit * loss for loss in losses]
    assert stagnates(noted(losses, **more), GaussNewton(), objective) is expected
    assert not stagnates(noted(losses, **more), Adam(), objective)
    drawn = noted(losses, **more)
    drawn.average = 1.0
    assert not stagnates(drawn, GaussNewton(), objective)


def test_a_network_beside_elements_ends_once_it_gains_little_beside_their_error() -> None:
    """Four hidden units lower the error of elements by 2 % in eighty steps; the estimate, made on the way, tells at forty."""
    problem = make_problem(
        {"shape": "rectangle", "cells": [8, 8]},
        unknowns={"u": "scalar"},
        energy="0.5*inner(grad(u), grad(u))*dx - sin(9*x*y)*u*dx",
        boundary=[{"on": "all", "value": 0}],
        network={"layers": [4], "elements": 1},
        solver={"method": "gauss-newton", "steps": 80},
    )
    setup = prepare(problem)
    strategy = Steps(setup)
    training = train(setup.objective, setup.start(), setup.plan, strategy._monitor)
    assert training.stopped == "converged"
    assert WINDOW < training.step < 80
