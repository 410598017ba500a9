"""Test problems in time solved over space and time by the methods for steady problems."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vpinn
from vpinn.cli import main
from vpinn.solution_in_time import SpaceTimeSolution
from vpinn.solving import load

ROD = """
title = "A rod"
[domain]
shape = "interval"
cells = 3
time = [0, 0.5]
[unknowns]
u = "scalar"
[expressions]
u_exact = "exp(-t)*sin(pi*x) + x*t"
f = "dt(u_exact) - div(grad(u_exact))"
[form]
weak = "dt(u)*v*dx + inner(grad(u), grad(v))*dx - f*v*dx"
[[boundary]]
on = "all"
value = "u_exact"
[[boundary]]
on = "initial"
value = "u_exact"
[network]
layers = [8]
[output]
times = 3
[reference]
exact = { u = "u_exact" }
"""
STRING = {
    "unknowns": {"u": "scalar"},
    "expressions": {"e": "sin(pi*x)*cos(pi*t) + 0.25*sin(2*pi*x)*sin(2*pi*t)"},
    "boundary": [{"on": "all", "value": 0}, {"on": "initial", "value": "e", "rate": "dt(e)"}],
    "reference": {"exact": {"u": "e"}},
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "rod.toml"
    path.write_text(ROD)
    return path


def read(file: Path, *changes: str) -> vpinn.Problem:
    return vpinn.read_problem(file, list(changes))


@pytest.mark.parametrize("method", ["least-squares", "elements"])
def test_a_direct_method_finds_the_field_and_its_error(file: Path, method: str) -> None:
    solution = vpinn.solve(read(file), method=method, threads=1)
    assert isinstance(solution, SpaceTimeSolution)
    assert solution.metrics["checks"] == []
    assert solution.errors["u"]["relative_l2"] < 1e-7
    assert solution.errors["u"]["relative_l2_final"] < 1e-7
    true = solution.metrics["error_estimate"]
    assert 0.5 <= true["relative_l2"]["u"] / solution.errors["u"]["relative_l2"] <= 2.0


@pytest.mark.parametrize(
    "form",
    [{"weak": "dt(dt(u))*v*dx + inner(grad(u), grad(v))*dx"}, {"strong": "dt(dt(u)) - div(grad(u))"}],
    ids=["weak", "strong"],
)
@pytest.mark.slow
def test_a_wave_starts_with_its_rate(form: dict[str, Any]) -> None:
    problem = vpinn.make_problem({"shape": "interval", "cells": 4, "time": [0, 1]}, **STRING, **form)
    solution = vpinn.solve(problem, method="least-squares", threads=1)
    assert solution.errors["u"]["relative_l2"] < 1e-7


@pytest.mark.parametrize(
    "sampler",
    [
        "stratified",
        *(pytest.param(one, marks=pytest.mark.slow) for one in ("uniform", "antithetic", "sobol", "importance", "cells")),
    ],
)
def test_batches_of_points_of_space_and_time(file: Path, sampler: str) -> None:
    """Every sampler takes them as it takes those of space; the estimate is that of the network, near or far from the solution."""
    changes = ["solver.method=adam", "solver.steps=3", "batch.size=64", f"batch.sampler={sampler}", "quadrature.degree=5"]
    solution = vpinn.solve(read(file, *changes), threads=1)
    assert 0 < solution.metrics["batch_size"] <= 64 + 4 * 16
    assert 0.5 <= solution.error_estimate["effectivity"] <= 2.0


@pytest.mark.slow
def test_a_run_is_read_again_and_written_by_instants(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    options = ["-q", "--threads", "1", "--set", "solver.method=gauss-newton", "--set", "solver.steps=8"]
    assert main(["solve", str(file), "-o", str(run), *options]) == 0
    assert json.loads((run / "metrics.json").read_text())["errors"]["u"]["relative_l2_final"] < 0.1
    assert [path.name for path in sorted(run.glob("*.vtu"))] == ["solution_0.vtu", "solution_1.vtu", "solution_2.vtu"]
    assert {path.stem for path in (run / "figures").glob("*.png")} >= {"solution", "snapshots", "error", "quadrature"}
    solution = load(run)
    assert isinstance(solution, SpaceTimeSolution)
    x = np.array([[0.25], [0.5]])
    moment = solution.snapshot(0.25)
    np.testing.assert_array_equal(moment.evaluate(x)["u"], solution.evaluate(np.column_stack([x, [0.25, 0.25]]))["u"])
    assert moment.gradient(x)["u"].shape == (2, 1)
    assert solution.gradient([[0.5, 0.25]])["u"].shape == (1, 1)
    np.testing.assert_array_equal(solution.evaluate(x)["u"], solution.snapshot(0.5).evaluate(x)["u"])
    capsys.readouterr()
    assert main(["evaluate", str(run), "--at", "0.5,0.25"]) == 0
    assert capsys.readouterr().out.split()[:4] == ["x", "t", "u", "du/dx"]
    with pytest.raises(vpinn.InputError, match=r"t lies between 0 and 0\.5, got 0\.6"):
        solution.snapshot(0.6)


def test_check_shows_space_and_time(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(file), "--set", "solver.method=adam"]) == 0
    told = capsys.readouterr().out
    for part in ("x in [0, 1], t in [0, 0.5]", "left, right, initial, final", "du/dt*v", "u on initial: exact"):
        assert part in told


@pytest.mark.slow
def test_noise_and_comparison_take_space_and_time(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changes = ["--set", "solver.method=adam", "--set", "batch.size=64", "--set", "quadrature.degree=5"]
    assert main(["noise", str(file), "--quick", "-o", str(tmp_path / "noise"), *changes]) == 0
    assert "batch" in capsys.readouterr().out
    assert main(["compare", str(file), "-o", str(tmp_path / "compared"), "--seeds", "2", "--seconds", "1", *changes]) == 0
    assert json.loads((tmp_path / "compared" / "comparison.json").read_text())["variants"]
