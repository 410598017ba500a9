"""Runs by least squares: stopped between stages and resumed, and limited in time."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vpinn
from vpinn.features import Direct
from vpinn.features.stages import Stage, Stages
from vpinn.optimization import COLUMNS, Plan, Training
from vpinn.problem import Case
from vpinn.run_files import read_json
from vpinn.solving import elements, solve
from vpinn.solving.element_stages import ElementStage

FILE = """
[domain]
shape = "interval"
cells = 40
[unknowns]
u = "scalar"
[form]
strong = "-div(grad(u)) + u**3 - 1000*sin(40*x**2)"
[[boundary]]
on = "all"
value = 0
"""
POISSON = "inner(grad(u), grad(v))*dx - conditional(lt(x, 0.31), 0, 1)*v*dx"


@pytest.fixture
def problem(tmp_path: Path) -> vpinn.Problem:
    (tmp_path / "waves.toml").write_text(FILE)
    return vpinn.read_problem(tmp_path / "waves.toml")


class Stop(Exception):
    """A process that dies after a stage."""


@pytest.mark.parametrize("after", [0, 1])
def test_a_run_goes_on_from_its_last_stage(
    problem: vpinn.Problem, tmp_path: Path, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stages that a killed run has noted are not made again, and the answer is the same to the last bit."""
    made: list[int] = []
    make = Stages.make

    def counted(self: Stages, *args: Any) -> Stage | None:
        made.append(args[3])
        return make(self, *args)

    monkeypatch.setattr(Stages, "make", counted)
    whole = solve(problem, tmp_path / "whole", threads=1)
    stages = list(made)
    assert len(stages) > after

    def die(training: Training, plan: Plan) -> None:
        if len(training.history) > after:
            raise Stop

    made.clear()
    with pytest.raises(Stop):
        solve(problem, tmp_path / "broken", threads=1, report=die)
    assert vpinn.load(tmp_path / "broken").theta is not None
    made.clear()
    resumed = solve(problem, tmp_path / "broken", threads=1, resume=True)
    assert made == stages[after:]
    assert np.array_equal(resumed.theta, whole.theta)
    same = [COLUMNS.index(name) for name in ("step", "loss", "error", "estimate", "residual")]
    assert np.array_equal(resumed.history[:, same], whole.history[:, same], equal_nan=True)


@pytest.mark.slow
def test_another_tolerance_starts_over(problem: vpinn.Problem, tmp_path: Path) -> None:
    """Decisions that were made for one tolerance are not those for another."""
    solve(problem, tmp_path / "run", threads=1)
    changed = vpinn.read_problem(tmp_path / "waves.toml", ["solver.tolerance=1e-3"])
    loose = solve(changed, tmp_path / "run", threads=1, resume=True)
    assert np.array_equal(loose.theta, solve(changed, threads=1).theta)


def test_what_is_called_an_estimate_is_one(problem: vpinn.Problem) -> None:
    """The history keeps residual and estimate apart, and the last estimate is that of the closing table."""
    solution = solve(problem, threads=1)
    columns = dict(zip(COLUMNS, solution.history.T, strict=True))
    assert (columns["residual"] > 0.0).all()
    known = columns["estimate"][np.isfinite(columns["estimate"])]
    assert known[-1] == pytest.approx(solution.metrics["error_estimate"]["relative_energy"], rel=1e-6)


def test_a_limit_before_the_first_stage_is_told(tmp_path: Path) -> None:
    (tmp_path / "waves.toml").write_text(FILE + "[solver]\ntime_limit = 1e-3\n")
    with pytest.raises(vpinn.InputError, match=r"waves.toml:13: there is no first stage of least squares after"):
        solve(vpinn.read_problem(tmp_path / "waves.toml"), threads=1)


def test_a_limit_returns_the_best_stage_so_far(problem: vpinn.Problem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit comes in the middle of the second stage; a run that is given more time goes on from the first."""
    make, calls = Stages.make, list[int]()

    def slow(self: Stages, *args: Any) -> Stage | None:
        calls.append(args[3])
        if len(calls) > 1:
            os.kill(os.getpid(), signal.SIGALRM)  # as the timer does
        return make(self, *args)

    monkeypatch.setattr(Stages, "make", slow)
    limited = vpinn.read_problem(tmp_path / "waves.toml", ["solver.time_limit=1e6"])
    solution = solve(limited, tmp_path / "run", threads=1)
    assert solution.metrics["stopped"] == "time limit"
    assert len(solution.history) == 1
    monkeypatch.setattr(Stages, "make", make)
    more = solve(problem, tmp_path / "run", threads=1, resume=True)
    assert np.array_equal(more.theta, solve(problem, threads=1).theta)
    assert read_json(tmp_path / "run" / "metrics.json") is not None


def test_elements_beside_features_keep_to_the_time_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit comes in their second stage, and the first is the solution, since it is better than the features."""
    made = elements.solve_by_elements

    def slow(problem: Case, method: Direct, note: Callable[[ElementStage], bool]) -> tuple[ElementStage, str]:
        made(problem, method, lambda stage: note(stage) and False)
        os.kill(os.getpid(), signal.SIGALRM)  # as the timer does
        return made(problem, method, note)

    monkeypatch.setattr(elements, "solve_by_elements", slow)
    jump = FILE.replace('strong = "-div(grad(u)) + u**3 - 1000*sin(40*x**2)"', f'weak = "{POISSON}"')
    (tmp_path / "jump.toml").write_text(jump + "[solver]\ntime_limit = 1e6\n")
    solution = solve(vpinn.read_problem(tmp_path / "jump.toml"), threads=1)
    told = [solution.metrics[name] for name in ("method", "stopped")]
    assert told == ["elements", "time limit"]


@pytest.mark.slow
def test_windows_between_the_points_are_not_taken_for_a_better_stage(tmp_path: Path) -> None:
    """A source that jumps inside cells: the stage with windows fits its points 8 times better, and is 330 % off in H¹."""
    (tmp_path / "jump.toml").write_text(
        """
[domain]
shape = "rectangle"
cells = [6, 6]
cell = "quadrilateral"
[unknowns]
u = "scalar"
[expressions]
s = "x + y/3"
u_exact = "conditional(lt(s, 0.6), -0.5*(s - 0.6)**2, 0)"
[form]
energy = "0.5*inner(grad(u), grad(u))*dx - conditional(lt(s, 0.6), 10/9, 0)*u*dx"
[[boundary]]
on = "all"
value = "u_exact"
[reference]
exact = { u = "u_exact" }
[solver]
method = "least-squares"
"""
    )
    solution = solve(vpinn.read_problem(tmp_path / "jump.toml"), threads=1)
    assert solution.metrics["errors"]["u"]["relative_h1"] <= 1e-2
    assert solution.metrics["best_step"] == 1 < solution.metrics["steps"]


@pytest.mark.slow
def test_stages_of_an_energy_are_compared_by_their_residual() -> None:
    """A nonlinear energy, negative at its minimum: stages are told apart by the variation, which least squares solves."""
    problem = vpinn.make_problem(
        {"shape": "rectangle", "cells": [3, 3], "cell": "quadrilateral"},
        unknowns={"u": "scalar"},
        energy="0.5*(1 + u**2)*inner(grad(u), grad(u))*dx - sin(3*x)*u*dx - u*ds('right')",
        boundary=[{"on": "left", "value": "y*(1 - y)"}],
        solver={"method": "least-squares"},
    )
    solution = solve(problem, threads=1)
    assert solution.metrics["energy"] < 0.0
    assert solution.error_estimate["relative_energy"] <= 1e-3
    assert solution.metrics["checks"] == []
