"""Test runs from problem to run folder and back, in this process."""

from __future__ import annotations

import csv
import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import vpinn
from vpinn.domain import rectangle
from vpinn.interrupt import Interrupt
from vpinn.optimization import COLUMNS, load_arrays
from vpinn.solving import solve

SOLVER = ("method", "steps", "checkpoint", "time_limit", "precision")
FILES = {"problem.toml", "run.json", "checkpoint.npz", "history.csv", "metrics.json"}
TEXT = """
[domain]
mesh = "meshes/square.vtu"
[unknowns]
u = "scalar"
[fields]
k = { file = "k.csv" }
[form]
energy = "0.5*k*inner(grad(u), grad(u))*dx - u*dx"
[[boundary]]
on = "all"
value = 0
[reference]
file = "truth.csv"
[network]
layers = [6]
[quadrature]
degree = 4
[solver]
method = "adam"
steps = 12
seed = 4
checkpoint = 0.001
[batch]
size = 30
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a problem file, its mesh and its reference values."""
    meshio = pytest.importorskip("meshio")
    folder = tmp_path_factory.mktemp("problem")
    (folder / "meshes").mkdir()
    mesh = rectangle(cells=3)
    points = np.column_stack([mesh.nodes, np.zeros(len(mesh.nodes))])
    meshio.write(folder / "meshes" / "square.vtu", meshio.Mesh(points, [("triangle", mesh.cells)]))
    (folder / "truth.csv").write_text("x,y,u\n0.5,0.5,0.03684\n")
    (folder / "k.csv").write_text("x,y,k\n0,0,2\n1,0,2\n0,1,2\n1,1,2\n")
    (folder / "problem.toml").write_text(TEXT)
    return folder


@pytest.fixture
def problem(files: Path) -> vpinn.Problem:
    return vpinn.read_problem(files / "problem.toml")


def simple(**sections: Any) -> vpinn.Problem:
    """Return a small problem; ``sections`` replace its own, and other keys belong to [solver]."""
    given = {
        "domain": {"shape": "interval", "cells": 6},
        "unknowns": {"u": "scalar"},
        "energy": "0.5*inner(grad(u), grad(u))*dx - u*dx",
        "boundary": [{"on": "all", "value": 0}],
        "network": {"layers": [5]},
        "solver": {"method": "lbfgs", "steps": 15, **{k: v for k, v in sections.items() if k in SOLVER}},
    }
    return vpinn.make_problem(**given | {k: v for k, v in sections.items() if k not in SOLVER})


def test_a_run_folder_and_back(problem: vpinn.Problem, files: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    solution = solve(problem, folder, threads=1)
    assert {path.name for path in folder.iterdir() if path.is_file()} == FILES | {"truth.csv", "k.csv"}
    assert (folder / "problem.toml").read_text() == TEXT
    assert (folder / "meshes" / "square.vtu").read_bytes() == (files / "meshes" / "square.vtu").read_bytes()
    record = json.loads((folder / "run.json").read_text())
    assert (record["method"], record["seed"], record["threads"]) == ("adam", 4, 1)
    assert set(record["versions"]) >= {"vpinn", "python", "torch", "numpy"}
    with (folder / "history.csv").open() as file:
        header, *rows = csv.reader(file)
    assert tuple(header) == COLUMNS
    assert np.array_equal(np.array(rows, dtype=float), solution.history, equal_nan=True)
    assert len(rows) == 12
    assert (solution.history[:, COLUMNS.index("batch_size")] == 30).all()
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["stopped"] == "steps"
    assert metrics["errors"]["u"]["relative_l2"] == solution.errors["u"]["relative_l2"]
    assert sum(metrics["seconds"][part] for part in ("setup", "solve", "assessment")) == pytest.approx(
        metrics["seconds"]["total"], abs=1e-6
    )
    again = vpinn.load(folder)
    x = np.random.default_rng(0).uniform(size=(20, 2))
    assert np.array_equal(again.evaluate(x)["u"], solution.evaluate(x)["u"])
    assert np.array_equal(again.history, solution.history, equal_nan=True)
    assert again.metrics == json.loads(json.dumps(dict(solution.metrics)))
    assert again.cell_estimate is not None
    assert solution.cell_estimate is not None
    assert np.array_equal(again.cell_estimate, solution.cell_estimate)
    # the folder is enough: it can be moved, and the original may be gone
    moved = shutil.copytree(folder, tmp_path / "moved")
    shutil.rmtree(folder)
    assert np.array_equal(vpinn.load(moved).evaluate(x)["u"], solution.evaluate(x)["u"])


def test_the_same_problem_twice_is_the_same_to_the_last_bit(problem: vpinn.Problem, tmp_path: Path) -> None:
    contents = []
    for name in ("a", "b"):
        solve(problem, tmp_path / name, threads=1)
        arrays, meta = load_arrays(tmp_path / name / "checkpoint.npz")
        arrays["history"] = np.delete(arrays["history"], COLUMNS.index("seconds"), axis=1)
        meta["numbers"].pop("seconds")
        contents.append(({k: v.tobytes() for k, v in arrays.items()}, repr(meta)))
    assert contents[0] == contents[1]
    in_memory = solve(problem, threads=1)
    assert in_memory.theta.numpy().tobytes() == contents[0][0]["solution"]


def test_a_folder_that_holds_a_run_is_not_touched(tmp_path: Path) -> None:
    solve(simple(), tmp_path, threads=1)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(vpinn.InputError, match="holds a run already; go on with --resume"):
        solve(simple(), tmp_path, threads=1)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    solve(simple(steps=3), tmp_path, overwrite=True, threads=1)
    assert json.loads((tmp_path / "metrics.json").read_text())["steps"] == 3
    with pytest.raises(vpinn.InputError, match="no run to resume"):
        solve(simple(), tmp_path / "nowhere", resume=True)


def test_more_steps_than_before(tmp_path: Path) -> None:
    """Steps, tolerance, time limit, checkpoint and output may change; a longer run is one run."""
    whole = solve(simple(steps=14), threads=1)
    solve(simple(steps=6), tmp_path, threads=1)
    resumed = solve(simple(steps=14, checkpoint=5.0, time_limit=1e4), tmp_path, resume=True, threads=1)
    assert torch.equal(resumed.theta, whole.theta)
    seconds = COLUMNS.index("seconds")
    assert np.array_equal(np.delete(resumed.history, seconds, 1), np.delete(whole.history, seconds, 1), equal_nan=True)
    again = solve(simple(steps=14), tmp_path, resume=True, threads=1)
    assert torch.equal(again.theta, whole.theta)
    assert len(again.history) == 14


CHANGES: dict[str, dict[str, Any]] = {
    "solver.seed": {"solver": {"method": "lbfgs", "steps": 15, "seed": 5}},
    "solver.method": {"solver": {"method": "adam", "steps": 15}},
    "solver.precision": {"solver": {"method": "lbfgs", "steps": 15, "precision": "float32"}},
    "network.layers": {"network": {"layers": [6]}},
    "quadrature.degree": {"quadrature": {"degree": 5}},
    "domain.cells": {"domain": {"shape": "interval", "cells": 7}},
    "form.energy": {"energy": "0.5*inner(grad(u), grad(u))*dx - 2*u*dx"},
    "boundary": {"boundary": [{"on": "all", "value": 1}]},
    "constants": {"constants": {"k": 1.0}},
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    solve(simple(), folder, threads=1)
    return folder


@pytest.mark.parametrize("field", CHANGES)
def test_a_changed_problem_is_not_resumed(field: str, finished: Path, tmp_path: Path) -> None:
    """The message names what changed, and the run stays as it was."""
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(vpinn.InputError, match=rf"but {field}(\.k)? changed; start anew with --overwrite") as caught:
        solve(simple(**CHANGES[field]), tmp_path, resume=True, threads=1)
    assert "\n" not in str(caught.value)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_changed_files_and_threads_are_not_resumed(problem: vpinn.Problem, files: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    solve(problem, run, threads=1)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    for name in ("meshes/square.vtu", "k.csv"):
        folder = shutil.copytree(files, tmp_path / "changed", dirs_exist_ok=True)
        (folder / name).write_bytes((folder / name).read_bytes() + b"\n")
        with pytest.raises(vpinn.InputError, match=f"but file.{name} changed"):
            solve(vpinn.read_problem(folder / "problem.toml"), run, resume=True, threads=1)
    with pytest.raises(vpinn.InputError, match="--threads was 1, now it is 2; resume with --threads 1"):
        solve(problem, run, resume=True, threads=2)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_damaged_folders(problem: vpinn.Problem, tmp_path: Path) -> None:
    run = tmp_path / "run"
    solution = solve(problem, run, threads=1)
    checkpoint = run / "checkpoint.npz"
    data = bytearray(checkpoint.read_bytes())
    data[data.index(solution.theta.numpy().tobytes()) + 20] ^= 1
    checkpoint.write_bytes(data)
    for use in (lambda: vpinn.load(run), lambda: solve(problem, run, resume=True, threads=1)):
        with pytest.raises(vpinn.StorageError, match="damaged"):
            use()
    checkpoint.unlink()
    with pytest.raises(vpinn.StorageError, match="there is no checkpoint"):
        vpinn.load(run)
    (run / "run.json").write_text("{")
    with pytest.raises(vpinn.StorageError, match=r"run\.json: cannot be read"):
        vpinn.load(run)
    with pytest.raises(vpinn.InputError, match="holds no run"):
        vpinn.load(tmp_path)
    solve(problem, run, overwrite=True, threads=1)
    vpinn.load(run)


def test_a_disk_that_fills_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run ends with exit code 4; what was saved before is whole and goes on where it was."""
    real, calls = os.fsync, []

    def fsync(handle: int) -> None:
        calls.append(handle)
        if len(calls) > 12:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(vpinn.StorageError, match="No space left on device") as caught:
        solve(simple(checkpoint=1e-9), tmp_path, threads=1)
    monkeypatch.undo()
    assert caught.value.exit_code == 4
    assert not list(tmp_path.glob(".*"))
    steps = load_arrays(tmp_path / "checkpoint.npz")[1]["numbers"]["step"]
    assert 0 < steps < 15
    resumed = solve(simple(checkpoint=1e-9), tmp_path, resume=True, threads=1)
    assert torch.equal(resumed.theta, solve(simple(), threads=1).theta)


def test_divergence_ends_with_its_own_code() -> None:
    unbounded = vpinn.make_problem(
        {"shape": "interval", "cells": 4},
        unknowns={"u": "scalar"},
        energy="-exp(u**2)*dx",
        network={"layers": [5]},
        solver={"method": "sgd", "steps": 3000, "learning_rate": 5.0},
    )
    with pytest.raises(vpinn.DivergenceError, match="training diverged at step") as caught:
        solve(unbounded, threads=1)
    assert caught.value.exit_code == 3


def test_methods_by_name() -> None:
    for name in ("adam", "sgd", "lbfgs"):
        assert solve(simple(steps=3), method=name, threads=1).metrics["method"] == name
    with pytest.raises(vpinn.InputError, match=r"solver\.method"):
        solve(simple(), method="newton")


def test_a_signal_before_the_end() -> None:
    interrupt = Interrupt()
    seen = []

    def report(training: Any, plan: Any) -> None:
        seen.append(training.step)
        if training.step == 4:
            interrupt.signal = 15

    solution = solve(simple(), report=report, interrupt=interrupt, threads=1)
    assert seen == [1, 2, 3, 4]
    assert solution.metrics["stopped"] == "signal"
    assert solution.errors == {}
    assert np.isfinite(solution.evaluate([[0.5]])["u"]).all()


def test_single_precision() -> None:
    """Trained in float32 to what it allows: the solution of −u'' = 1 to a few per mille."""
    solution = solve(simple(precision="float32", steps=150), threads=1)
    x = np.linspace(0, 1, 11)[:, None]
    assert np.abs(solution.evaluate(x)["u"] - x[:, 0] * (1 - x[:, 0]) / 2).max() <= 1e-3
    assert solution.theta.dtype == torch.float64
