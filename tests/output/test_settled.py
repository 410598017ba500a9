"""Test that the closing table shows what a run has chosen itself, and ``vpinn check`` what it would choose."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np

import vpinn
from vpinn.domain import Mesh, rectangle
from vpinn.output.plans import problem_rows
from vpinn.output.settled import planned, settled_rows
from vpinn.output.tables import solution_rows
from vpinn.solving import prepare, solve


def problem(domain: Mesh | None = None, **batch: object) -> vpinn.Problem:
    return vpinn.make_problem(
        {"shape": "rectangle", "cells": 6} if domain is None else domain,
        unknowns={"u": "scalar"},
        energy="0.5*inner(grad(u), grad(u))*dx - u*dx",
        boundary=[{"on": "all", "value": 0}],
        network={"layers": [5]},
        quadrature={"degree": 5},
        batch=batch,
        solver={"method": "adam", "steps": 60, "warmup": "auto", "clip": "auto"},
    )


def test_what_a_run_settled_is_in_metrics_and_table(tmp_path: Path) -> None:
    solution = solve(problem(size=20, growth="geometric", finish=0.1), tmp_path / "run", threads=1)
    found = json.loads((tmp_path / "run" / "metrics.json").read_text())["policy"]
    assert found["batch"]["first"] == 20
    assert found["batch"]["last"] > 20
    assert found["batch"]["all_from"] <= 55
    rows = dict(solution_rows(solution))
    text = f"growing geometrically: 20 points → {found['batch']['last']}, {found['batch']['changes']} changes"
    assert rows["batches"] == f"{text}; all points from step {found['batch']['all_from']} on"
    assert rows["points"].endswith("in batches")
    assert rows["warm-up"].startswith(f"{found['warmup']['steps']} steps: step sizes up to ")
    assert rows["clipping"].endswith(f"{100 * found['clip']['share']:.0f} % of the steps")


def test_points_per_cell_are_told(tmp_path: Path) -> None:
    """A run that finds how many points of each cell it takes says so, with the variances; one that was told does not."""
    solution = solve(problem(size=24, sampler="cells", per_cell="auto"), tmp_path / "run", threads=1)
    found = json.loads((tmp_path / "run" / "metrics.json").read_text())["policy"]["per_cell"]
    assert 24 % found["points"] == 0
    assert found["rule"] == 7
    assert found["between"] > 0
    rows = dict(solution_rows(solution))
    assert rows["points per cell"].startswith(f"{found['points']} of 7: variance {found['between']:.1e} between cells, ")
    assert "per_cell" not in solve(problem(size=24, sampler="cells", per_cell=2), threads=1).metrics["policy"]


def test_what_a_run_would_settle() -> None:
    for batch, words in (
        ({"size": "auto"}, "measured before the first step, following the noise scale, at most 504"),
        ({"size": 20, "growth": "norm-test", "largest": 90}, "20 points per step, growing by the norm test, at most 90"),
        ({"size": 20, "finish": 0.25}, "20 points per step, constant size, and all points in the last 25 % of the steps"),
    ):
        setup = prepare(problem(**batch))
        rows = dict(problem_rows(setup.problem, [setup.trial], setup.objective, setup.plan, 1e6))
        assert rows["batch"].startswith(words)
    assert planned(prepare(problem(size=20)).plan) == ""
    assert settled_rows({}) == []


def test_strata_by_tag_are_in_metrics_and_table(tmp_path: Path) -> None:
    """Shares of the area, points of a step (two of the rare tag), and parts of the variance Σ W²σ²/n that add up to all of it."""
    tags = {"rare": np.arange(1), "rest": np.arange(1, 80)}
    mesh = dataclasses.replace(rectangle(cells=[40, 2], cell="quadrilateral"), cell_tags=tags)
    tagged = problem(mesh, size=20, strata="tags")
    solution = solve(tagged, tmp_path / "run", threads=1)
    found = json.loads((tmp_path / "run" / "metrics.json").read_text())["strata"]
    assert [(row["tag"], row["points"], round(80 * row["share"])) for row in found] == [("rare", 2, 1), ("rest", 18, 79)]
    assert all(row["deviation"] > 0.0 for row in found)
    rest, rare = (text for label, text in solution_rows(solution)[4:] if "deviation of the gradient" in text)
    assert rest.startswith(f"rest: 98.8 % of the domain, 18 points, deviation of the gradient {found[1]['deviation']:.2e}, ")
    assert rare.startswith("rare: 1.25 % of the domain, 2 points, ")
    parts = [int(text.split()[-5]) for text in (rest, rare)]
    noise = [(row["share"] * row["deviation"]) ** 2 / row["points"] for row in found]
    assert parts == [round(100 * noise[1] / sum(noise)), round(100 * noise[0] / sum(noise))]
    many = dataclasses.replace(solution, metrics={**solution.metrics, "strata": found * 12})
    texts = [text for _, text in solution_rows(many)]
    assert texts[[k for k, t in enumerate(texts) if "deviation of" in t][-1] + 1] == "and 4 more in metrics.json"
    again = solve(tagged, tmp_path / "again", threads=1)
    assert again.metrics["strata"] == solution.metrics["strata"]
    assert "strata" not in solve(problem(size=20), threads=1).metrics
