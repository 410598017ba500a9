"""Runs of problems in time: the folder, what comes back from it, the command line, and runs that end early."""

from __future__ import annotations

import csv
import itertools
import json
import os
import signal
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

import vpinn
from vpinn.cli import main
from vpinn.errors import InputError
from vpinn.march import MarchJournal
from vpinn.optimization import COLUMNS, load_arrays
from vpinn.solving.march_outcome import MarchOutcome
from vpinn.solving.marching import MarchStrategy

HEAT = """
title = "Heat"
[domain]
shape = "rectangle"
cells = 2
time = [0, 0.1]
[unknowns]
u = "scalar"
[expressions]
u_exact = "exp(-2*pi**2*t)*sin(pi*x)*sin(pi*y) + x*t"
[form]
weak = "dt(u)*v*dx + inner(grad(u), grad(v))*dx - x*v*dx"
[[boundary]]
on = "all"
value = "x*t"
[[boundary]]
on = "initial"
value = "u_exact"
[reference]
exact = { u = "u_exact" }
[output]
times = 3
[solver]
tolerance = 1e-3
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "heat.toml"
    path.write_text(HEAT)
    return path


def solved(file: Path, name: str, *more: str) -> Path:
    folder = file.parent / name
    assert main(["solve", str(file), "-o", str(folder), "-q", "--threads", "1", *more]) == 0
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that tests read, and write nothing into but files of their own."""
    path = tmp_path_factory.mktemp("heat") / "heat.toml"
    path.write_text(HEAT)
    return solved(path, "run", "--set", 'output.formats=["vtu", "csv", "npz"]')


def test_the_folder_has_a_series_a_report_and_metrics(run: Path) -> None:
    folder = run
    sets = ElementTree.parse(folder / "solution.pvd").getroot().findall("./Collection/DataSet")
    assert [float(one.attrib["timestep"]) for one in sets] == pytest.approx([0.0, 0.05, 0.1])
    assert all((folder / one.attrib["file"]).is_file() for one in sets)
    with (folder / "solution.csv").open() as table:
        rows = list(csv.DictReader(table))
    assert {float(row["t"]) for row in rows} == {0.0, 0.05, 0.1}
    row = rows[len(rows) // 2]
    x, y, t = (float(row[name]) for name in "xyt")
    assert float(row["u"]) == pytest.approx(np.exp(-2 * np.pi**2 * t) * np.sin(np.pi * x) * np.sin(np.pi * y) + x * t, abs=1e-3)
    archive = np.load(folder / "solution.npz")
    assert archive["x"].shape[1] == 2
    assert len(archive["t"]) == len(archive["u"])
    assert {path.stem for path in (folder / "figures").glob("*.png")} >= {"solution", "snapshots", "error", "time"}
    assert "Course in time" in (folder / "report.html").read_text()
    metrics = json.loads((folder / "metrics.json").read_text())
    assert {"relative_l2", "relative_h1", "relative_l2_final"} <= set(metrics["errors"]["u"])
    assert 0.5 <= metrics["error_estimate"]["effectivity"] <= 2.0
    assert metrics["method"] == "march"


def test_values_come_back_from_the_folder(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = run
    assert main(["evaluate", str(folder), "--at", "0.3,0.4,0.05", "--csv"]) == 0
    header, values = capsys.readouterr().out.strip().splitlines()[-2:]
    found = dict(zip(header.split(","), map(float, values.split(",")), strict=True))
    decay = np.exp(-(np.pi**2) / 10)
    assert found["t"] == 0.05
    assert found["u"] == pytest.approx(decay * np.sin(0.3 * np.pi) * np.sin(0.4 * np.pi) + 0.015, abs=1e-3)
    assert found["du/dx"] == pytest.approx(decay * np.pi * np.cos(0.3 * np.pi) * np.sin(0.4 * np.pi) + 0.05, abs=1e-2)
    loaded = vpinn.load(folder)
    again = vpinn.solve(vpinn.read_problem(run.parent / "heat.toml"), threads=1)
    points = np.random.default_rng(0).uniform(0, [1, 1, 0.1], (20, 3))
    np.testing.assert_array_equal(loaded.evaluate(points)["u"], again.evaluate(points)["u"])
    np.testing.assert_array_equal(loaded.evaluate([[0.2, 0.3]])["u"], loaded.evaluate([[0.2, 0.3, 0.1]])["u"])
    assert main(["export", str(folder), "-o", str(folder / "probes.csv"), "--at", "0.3,0.4,0.05"]) == 0
    assert (folder / "probes.csv").read_text().startswith("x,y,t,u,du/dx,du/dy")


def test_times_outside_and_points_without_one_are_refused(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for at in ("0.3,0.4,0.2", "0.3,0.4,-1", "0.3,0.4"):
        assert main(["evaluate", str(run), "--at", at]) == 2, at
        assert capsys.readouterr().err.count("\n") == 1, at


@pytest.mark.slow
def test_a_run_that_is_resumed_ends_with_the_same_bits(file: Path) -> None:
    folder = solved(file, "run")
    before = dict(np.load(folder / "checkpoint.npz"))
    assert main(["solve", str(file), "-o", str(folder), "-q", "--threads", "1", "--resume"]) == 0
    after = dict(np.load(folder / "checkpoint.npz"))
    assert before.keys() == after.keys()
    assert all(before[name].tobytes() == after[name].tobytes() for name in before)


BAR = HEAT.replace('shape = "rectangle"', 'shape = "interval"').replace("2*pi**2*t)*sin(pi*x)*sin(pi*y)", "pi**2*t)*sin(pi*x)")
BAR = BAR.replace("times = 3", 'times = 3\nformats = ["csv"]')
MOMENTS = {
    "before the first march": (MarchJournal, "marched", 1),
    "before the second": (MarchJournal, "marched", 2),
    "when an estimate is noted": (MarchStrategy, "_note", 1),
    "before the third": (MarchJournal, "marched", 3),
    "in the assessment": (MarchOutcome, "assessed", 1),
}
"""Moment → class, method, and its call that never returns."""


def killed(file: Path, folder: Path, owner: Any, name: str, call: int) -> None:
    """Run in a fork that is killed at a call of a method, and resume where there is something to go on from."""
    how = ["--resume"] if (folder / "checkpoint.npz").exists() else ["--overwrite"]
    pid = os.fork()
    if not pid:
        begun, calls = getattr(owner, name), itertools.count(1)

        def dying(*given: Any) -> Any:
            if next(calls) == call:
                os.kill(os.getpid(), signal.SIGKILL)
            return begun(*given)

        setattr(owner, name, dying)
        try:
            main(["solve", str(file), "-o", str(folder), "-q", "--threads", "1", *how])
        finally:
            os._exit(70)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL


def left(folder: Path) -> dict[str, Any]:
    """Return what a run left but for times."""
    arrays, _ = load_arrays(folder / "checkpoint.npz")
    table = np.delete(arrays.pop("history"), COLUMNS.index("seconds"), axis=1)
    metrics = json.loads((folder / "metrics.json").read_text())
    times = {"seconds": None, "peak_memory_mb": None}
    bits = {name: array.tobytes() for name, array in arrays.items()}
    return {**bits, "history": table.tobytes(), "metrics": metrics | times, "field": (folder / "solution.csv").read_bytes()}


@pytest.mark.slow
def test_five_kills_change_no_bit(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Marches that were finished are read, not made again."""
    monkeypatch.setattr("vpinn.output.folder.draw", lambda *_: [])
    file.write_text(BAR.replace("1e-3", "1e-9"))
    whole, folder, kept = solved(file, "whole"), file.parent / "killed", list[int]()
    for owner, name, call in MOMENTS.values():
        killed(file, folder, owner, name, call)
        kept.append(len(load_arrays(folder / "checkpoint.npz")[1].get("marches", [])))
    assert kept == [0, 1, 2, 2, 0]
    solved(file, "killed", "--resume")
    assert left(folder) == left(whole)


@pytest.mark.slow
def test_another_tolerance_starts_anew(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vpinn.output.folder.draw", lambda *_: [])
    file.write_text(BAR)
    folder = solved(file, "run")
    solved(file, "run", "--resume", "--set", "solver.tolerance=1e-6")
    assert left(folder)["metrics"] == left(solved(file, "anew", "--set", "solver.tolerance=1e-6"))["metrics"]


def test_check_tells_form_time_and_states_and_runs_nothing(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(file)]) == 0
    told = capsys.readouterr().out
    for part in ("0 to 0.1, written at 3 instants", "first order in time", "v*dt(u)", "u at t = 0: value", "march"):
        assert part in told


def test_elements_say_so(file: Path) -> None:
    with pytest.raises(InputError, match="finite elements solve steady problems only"):
        vpinn.solve_fem(vpinn.read_problem(file))


@pytest.mark.slow
def test_what_was_computed_before_a_collapse_is_saved(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "blow_up.toml"
    file.write_text(
        '[domain]\nshape = "interval"\ncells = 2\ntime = [0, 3]\n[unknowns]\nu = "scalar"\n'
        '[form]\nweak = "dt(u)*v*dx - u**2*v*dx"\n'
        '[[boundary]]\non = "initial"\nvalue = 1\n'
    )
    folder = tmp_path / "run"
    assert main(["solve", str(file), "-o", str(folder), "-q", "--threads", "1"]) == 3
    told = capsys.readouterr().err
    assert "too small at t = " in told
    assert "is saved" in told
    half = vpinn.load(folder).evaluate([[0.5, 0.5]])["u"]
    np.testing.assert_allclose(half, 2.0, rtol=1e-2)
    assert main(["export", str(folder)]) == 0


def test_reference_values_in_time_are_compared_with(file: Path) -> None:
    rows = [
        (x, 0.4, t, np.exp(-2 * np.pi**2 * t) * np.sin(np.pi * x) * np.sin(0.4 * np.pi) + x * t)
        for x in (0.2, 0.7)
        for t in (0.05, 0.1)
    ]
    np.savetxt(file.parent / "known.csv", rows, delimiter=",", header="x,y,t,u", comments="")
    file.write_text(HEAT.replace('exact = { u = "u_exact" }', 'file = "known.csv"'))
    errors = vpinn.solve(vpinn.read_problem(file), threads=1).metrics["errors"]["u"]
    assert errors["points"] == 4
    assert errors["relative_l2"] < 1e-3
    assert errors["relative_l2_final"] < 1e-3
