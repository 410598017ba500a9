"""The closing table says what a run settled itself, and ``vpinn check`` what it would."""

from __future__ import annotations

import json
from pathlib import Path

import vpinn
from vpinn.output.settled import planned, settled_rows
from vpinn.output.tables import problem_rows, solution_rows
from vpinn.preparation import prepare


def problem(**batch: object) -> vpinn.Problem:
    return vpinn.make_problem(
        {"shape": "rectangle", "cells": 6},
        unknowns={"u": "scalar"},
        energy="0.5*inner(grad(u), grad(u))*dx - u*dx",
        boundary=[{"on": "all", "value": 0}],
        network={"layers": [5]},
        quadrature={"degree": 5},
        batch=batch,
        solver={"method": "adam", "steps": 60, "warmup": "auto", "clip": "auto"},
    )


def test_what_a_run_settled_is_in_metrics_and_table(tmp_path: Path) -> None:
    solution = vpinn.solve(problem(size=20, growth="geometric", finish=0.1), tmp_path / "run", threads=1)
    found = json.loads((tmp_path / "run" / "metrics.json").read_text())["policy"]
    assert found["batch"]["first"] == 20
    assert found["batch"]["last"] > 20
    assert found["batch"]["all_from"] <= 55
    rows = dict(solution_rows(solution))
    text = f"growing geometrically: 20 points → {found['batch']['last']}, {found['batch']['changes']} changes"
    assert rows["batches"] == f"{text}; all points from step {found['batch']['all_from']} on"
    assert rows["points"].endswith("in batches")
    assert rows["warm-up"].startswith(f"{found['warmup']['steps']} steps: up to ")
    assert rows["clipping"].endswith(f"{100 * found['clip']['share']:.0f} % of the steps")


def test_points_per_cell_are_told(tmp_path: Path) -> None:
    """A run that finds how many points of each cell it takes says so, with the variances; one that was told does not."""
    solution = vpinn.solve(problem(size=24, sampler="cells", per_cell="auto"), tmp_path / "run", threads=1)
    found = json.loads((tmp_path / "run" / "metrics.json").read_text())["policy"]["per_cell"]
    assert 24 % found["points"] == 0
    assert found["rule"] == 7
    assert found["between"] > 0
    rows = dict(solution_rows(solution))
    assert rows["points per cell"].startswith(f"{found['points']} of 7: variance {found['between']:.1e} between cells, ")
    assert "per_cell" not in vpinn.solve(problem(size=24, sampler="cells", per_cell=2), threads=1).metrics["policy"]


def test_what_a_run_would_settle() -> None:
    for batch, words in (
        ({"size": "auto"}, "measured before the first step, as the noise scale asks, at most 504"),
        ({"size": 20, "growth": "norm-test", "largest": 90}, "20 points per step, growing by the norm test, at most 90"),
        ({"size": 20, "finish": 0.25}, "20 points per step, of one size, and all points in the last 25 % of the steps"),
    ):
        setup = prepare(problem(**batch))
        rows = dict(problem_rows(setup.problem, setup.trial, setup.objective, setup.plan, 1e6))
        assert rows["batch"].startswith(words)
    assert planned(prepare(problem(size=20)).plan) == ""
    assert settled_rows({}) == []
