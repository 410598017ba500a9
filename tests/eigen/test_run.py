"""Eigenproblems from the file to the run folder and back: the example of the guide, tables, fields and what is refused."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import jn_zeros

import vpinn
from vpinn.cli import main
from vpinn.finite_elements import solve_fem
from vpinn.output import solution_rows
from vpinn.solving import load

GUIDE = (Path(__file__).parents[2] / "problems" / "README.md").read_text().split("## Eigenvalues", 1)[1].split("\n## ", 1)[0]
(EXAMPLE,) = re.findall(r"```toml\n(.*?)```", GUIDE, re.DOTALL)


def beam() -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return λ of the beam of the guide: 3 a cot(a/2) = b tan(b/2) with a² = 2.9 λ/3 and b² = λ."""

    def gap(root: float) -> float:
        a, b = root * np.sqrt(2.9 / 3), root
        return float(3 * a * np.cos(a / 2) * np.cos(b / 2) - b * np.sin(b / 2) * np.sin(a / 2))

    ends = np.linspace(0.1, 9.0, 200)
    roots = [brentq(gap, low, high, xtol=1e-15) for low, high in pairwise(ends) if gap(low) * gap(high) < 0]
    return np.array(roots[:3]) ** 2


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of the example."""
    place = tmp_path_factory.mktemp("beam")
    (place / "beam.toml").write_text(EXAMPLE + '\n[output]\nformats = ["vtu", "csv"]\n')
    assert main(["solve", str(place / "beam.toml"), "-q", "-o", str(place / "run"), "--threads", "1"]) == 0
    return place / "run"


def test_the_example_of_the_guide(folder: Path) -> None:
    metrics = json.loads((folder / "metrics.json").read_text())
    found = np.array([entry["value"] for entry in metrics["eigenvalues"]])
    np.testing.assert_allclose(found, beam(), rtol=1e-10)
    assert metrics["checks"] == []
    assert all(0.0 < entry["bound"] <= 1e-9 * entry["value"] for entry in metrics["eigenvalues"])


def test_modes_are_fields(folder: Path) -> None:
    solution = load(folder)
    x = np.linspace(0.0, 1.0, 201)
    values = solution.evaluate(x[:, None])
    assert list(values) == ["u_1", "u_2", "u_3"]
    mass = np.where(x < 0.5, 2.9, 1.0)
    for name, value in values.items():
        assert abs(value[0]) < 1e-12, name
        assert np.trapezoid(mass * value**2, x) == pytest.approx(1.0, abs=0.02)
    header = (folder / "solution.csv").read_text().splitlines()[0]
    assert header.startswith("x,u_1,u_2,u_3,")


def test_the_report_tells_eigenvalues_with_their_errors(folder: Path) -> None:
    text = re.sub(r"<[^>]+>", " ", (folder / "report.html").read_text())
    digits = f"{beam()[0]:.9g}"[:9]
    assert re.search(rf"eigenvalues\s+{re.escape(digits)}\d* ± \d\.\de-\d\d", text)


def test_check_shows_both_forms(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "beam.toml").write_text(EXAMPLE)
    assert main(["check", str(tmp_path / "beam.toml")]) == 0
    told = capsys.readouterr().out
    assert re.search(r"form a +dx: ", told)
    assert re.search(r"form m +dx: ", told)
    assert "3 nearest to 0" in told


@pytest.mark.parametrize("command", ["compare", "noise"])
def test_commands_for_one_solution_refuse_it(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "beam.toml").write_text(EXAMPLE)
    assert main([command, str(tmp_path / "beam.toml"), "-o", str(tmp_path / "run")]) == 2
    assert "[eigen] asks for several modes" in capsys.readouterr().err


def test_finite_elements_of_one_solution_refuse_it(tmp_path: Path) -> None:
    (tmp_path / "beam.toml").write_text(EXAMPLE)
    with pytest.raises(vpinn.errors.InputError, match="asks for several modes"):
        solve_fem(vpinn.read_problem(tmp_path / "beam.toml"))


def test_the_angle_between_sides_of_a_curve_is_told() -> None:
    """No estimate on the mesh sees that a disk of cells is no circle: the first eigenvalue is 1e-5 off a squared zero of J₀."""
    problem = vpinn.make_problem(
        {"shape": "disk", "cells": 4},
        unknowns={"u": "scalar"},
        weak="inner(grad(u), grad(v))*dx",
        boundary=[{"on": "all", "value": 0}],
        eigen={"mass": "u*v*dx", "count": 1},
    )
    solution = vpinn.solve(problem, threads=1)
    value = solution.metrics["eigenvalues"][0]["value"]
    assert 1e-6 < abs(value / jn_zeros(0, 1)[0] ** 2 - 1.0) < 2e-5
    rows = dict(solution_rows(solution))
    assert rows["error estimate"].endswith("not seen, they meet at 1.1e-03 rad")
