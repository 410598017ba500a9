"""Families from the file to the run folder and back: the example of the guide, members by --param, tables, what is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

import vpinn
from vpinn.cli import main
from vpinn.finite_elements import solve_fem
from vpinn.output import solution_rows
from vpinn.problem import member
from vpinn.solving import load

GUIDE = (Path(__file__).parents[2] / "problems" / "README.md").read_text().split("## Families", 1)[1].split("\n## ", 1)[0]
(EXAMPLE,) = re.findall(r"```toml\n(.*?)```", GUIDE, re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of the example."""
    place = tmp_path_factory.mktemp("fin")
    (place / "fin.toml").write_text(EXAMPLE)
    out = str(place / "out")
    assert main(["solve", str(place / "fin.toml"), "-o", out, "-q", "--threads", "1", "--set", "solver.tolerance=1e-3"]) == 0
    return place / "out"


def test_the_example_of_the_guide_meets_its_tolerance(folder: Path) -> None:
    metrics = json.loads((folder / "metrics.json").read_text())
    family, cost = metrics["family"], metrics["processor_seconds"]
    assert family["largest_bound"] <= 1e-3
    assert family["rigorous"]
    assert family["norm"] == "energy"
    assert not family["interpolated"]
    assert family["parameters"] == {"k": [0.5, 5.0], "loss": [0.1, 1.0]}
    assert all(0.99 <= one["effectivity"] <= 3 for one in family["judged"])
    assert len(family["judged"]) == 5
    assert cost["query"] < cost["elements"]
    rows = dict(solution_rows(load(folder)))
    assert {"parameters", "reduced space", "largest error", "cost"} <= rows.keys()


def test_a_member_is_evaluated_exported_and_reported(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    at = ["--param", "k=2", "--param", "loss=0.3"]
    assert main(["evaluate", str(folder), *at, "--at", "4,0.5", "--csv"]) == 0
    found = float(capsys.readouterr().out.split("\n")[1].split(",")[2])
    problem = vpinn.read_problem(folder / "problem.toml")
    truth = solve_fem(member(problem, np.array([2.0, 0.3])), 8).evaluate([[4.0, 0.5]])["u"][0]
    assert found == pytest.approx(truth, rel=1e-3)
    assert main(["export", str(folder), *at, "-o", str(folder / "member.npz")]) == 0
    assert main(["report", str(folder), *at, "-q"]) == 0
    assert "k = 2, loss = 0.3" in (folder / "members" / "k=2,loss=0.3" / "report.html").read_text()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["--param", "k=7", "--param", "loss=0.3"], "k = 7 is outside the range of the family, 0.5 to 5"),
        (["--param", "k=2"], "no value for the parameter loss"),
        (["--param", "k=two", "--param", "loss=0.3"], "expected NAME=VALUE with a number, got 'k=two'"),
        (["--param", "q=1", "--param", "k=2", "--param", "loss=0.3"], "'q' is not a parameter"),
        ([], "give --param for k, loss"),
    ],
)
def test_wrong_values_are_told_in_a_line(folder: Path, given: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(folder), *given, "--at", "4,0.5"]) == 2
    told = capsys.readouterr().err
    assert words in told
    assert told.count("\n") == 1


@pytest.mark.parametrize("command", ["noise", "compare"])
def test_commands_for_single_problems_refuse_families(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "fin.toml").write_text(EXAMPLE)
    assert main([command, str(tmp_path / "fin.toml"), "-o", str(tmp_path / "out")]) == 2
    assert "[parameters] asks for a family; give k in [constants]" in capsys.readouterr().err


def test_check_shows_ranges_and_a_form(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "fin.toml").write_text(EXAMPLE)
    assert main(["check", str(tmp_path / "fin.toml")]) == 0
    told = capsys.readouterr().out
    assert "k from 0.5 to 5, on a log scale" in told
    assert "reduced space" in told


def test_members_have_the_quantities_that_the_file_asks_for() -> None:
    """The mean of u with −k u″ = 1 and u = 0 at both ends of the unit interval is 1/(12 k)."""
    family = vpinn.make_problem(
        {"shape": "interval", "cells": 4},
        unknowns={"u": "scalar"},
        parameters={"k": [1.0, 3.0]},
        energy="0.5*k*inner(grad(u), grad(u))*dx - u*dx",
        boundary=[{"on": "all", "value": 0}],
        output={"quantities": {"mean": "u*dx"}},
    )
    solution = vpinn.solve(family, threads=1)
    for found, k in ((solution, 2.0), (solution.member({"k": 3.0}), 3.0)):
        assert found.metrics["quantities"]["mean"]["value"] == pytest.approx(1.0 / (12.0 * k), rel=1e-6)
