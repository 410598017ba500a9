"""Test signals in any phase of a run: the process exits with 130 or 143, files are undamaged, and --resume completes the run."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from membrane import membrane
from scipy.linalg import lstsq
from scipy.sparse import csc_array, diags_array, eye_array, kron

from vpinn.cli import main
from vpinn.factors import ON_DIAGONAL, SparseFactors
from vpinn.features.rank_revealing import rank_revealing_solution
from vpinn.interrupt import Interrupt, Stopped, apart, undisturbed
from vpinn.optimization import load_arrays
from vpinn.storage import write_atomic

from .phases import PHASES, announce


def text(method: str, more: str, cells: int = 2) -> str:
    """Return the problem file of a method."""
    return membrane(
        f'shape = "rectangle"\ncells = {cells}',
        solver=f'method = "{method}"\n{more}',
        reference='exact = { u = "x*y" }\nfem = { degree = 2 }',
        output='formats = ["csv"]',
    )


METHODS = {"least-squares": "features = 60", "adam": "steps = 6", "gauss-newton": "steps = 4"}
BEFORE = ("reading", "fields")
"""Phases before there is a folder."""
AFTER = ("assessment", "reference elements", "files", "figures")
"""Phases after there is nothing left to train."""


def solve(folder: Path, method: str, *words: str, figures: bool = False) -> int:
    """Run the command; figures, which take most of its time, are drawn where they are what is looked at."""
    (folder / "problem.toml").write_text(text(method, METHODS[method]))
    quiet = ["-q", "--threads", "1", "--set", "network.layers=[6]", "-o", str(folder / "run")]
    with pytest.MonkeyPatch.context() as patch:
        if not figures:
            patch.setattr("vpinn.output.folder.draw", lambda *_: [])
        return main(["solve", str(folder / "problem.toml"), *quiet, *words])


def outcome(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return metrics without times, and arrays without the seconds of the history."""
    metrics = json.loads((folder / "run" / "metrics.json").read_text())
    arrays, _ = load_arrays(folder / "run" / "checkpoint.npz")
    metrics["fem"].pop("seconds")
    for name in ("seconds", "peak_memory_mb"):
        metrics.pop(name)
    return metrics, {name: array.tobytes() for name, array in arrays.items() if name != "history"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return the results of runs that are not interrupted."""
    found = {}
    for method in METHODS:
        folder = tmp_path_factory.mktemp(method)
        assert solve(folder, method) == 0
        found[method] = outcome(folder)
    return found


REPEATED = (
    ("least-squares", "reading", signal.SIGTERM),
    ("adam", "assessment", signal.SIGINT),
    ("adam", "figures", signal.SIGINT),
    ("gauss-newton", "assessment", signal.SIGTERM),
)
"""Phases that share the code of others; they are tried in the slow suite."""


@pytest.fixture(autouse=True)
def heard() -> Iterator[None]:
    """Restore the handling of hang-ups, which tests started with nohup ignore."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize(
    ("method", "phase", "number"),
    [
        *(("least-squares", phase, signal.SIGTERM) for phase in PHASES if phase not in ("steps", "reading")),
        *(("adam", phase, signal.SIGINT) for phase in ("fields", "steps")),
        ("gauss-newton", "steps", signal.SIGTERM),
        *(pytest.param(*each, marks=pytest.mark.slow) for each in REPEATED),
        *(("adam", phase, signal.SIGHUP) for phase in ("fields", "steps")),
    ],
)
def test_a_signal_ends_every_phase(
    method: str,
    phase: str,
    number: signal.Signals,
    whole: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    went_on = list[str]()

    def hold(reached: str) -> None:
        signal.raise_signal(number)
        if reached != "steps":  # the loop of steps looks before each
            went_on.append(reached)

    monkeypatch.setattr(*_target(phase), _original(phase))  # so that it is put back
    announce(tmp_path, phase, *PHASES[phase], hold)
    assert solve(tmp_path, method, figures=phase == "figures") == 128 + number
    assert went_on == []
    said, run = capsys.readouterr().err, tmp_path / "run"
    assert said.startswith("stopped by a signal")
    assert [path for path in tmp_path.rglob(".*") if path.is_file()] == []
    assert run.exists() == (phase not in BEFORE)
    assert (run / "metrics.json").exists() == (phase in ("files", "figures"))
    monkeypatch.undo()
    if phase in BEFORE:
        return
    trained = load_arrays(run / "checkpoint.npz")[1]["stopped"]
    assert (trained not in ("", "signal")) == (phase in AFTER)
    assert "--resume" in said or phase not in ("steps", "assessment", "reference elements")
    growing = list[str]()
    monkeypatch.setattr("vpinn.solving.least_squares.grow", _told(growing))
    assert solve(tmp_path, method, "--resume", figures=phase == "figures") == 0
    assert bool(growing) == (method == "least-squares" and phase not in AFTER)
    assert outcome(tmp_path) == whole[method]


def _target(phase: str) -> tuple[Any, str]:
    import importlib

    module, name = PHASES[phase]
    *outer, last = name.split(".")
    owner: Any = importlib.import_module(module)
    for part in outer:
        owner = getattr(owner, part)
    return owner, last


def _original(phase: str) -> Any:
    owner, name = _target(phase)
    return getattr(owner, name)


def _told(calls: list[str]) -> Any:
    from vpinn.features import grow

    def growing(*args: Any) -> Any:
        calls.append("grow")
        return grow(*args)

    return growing


def test_a_step_that_a_signal_arrives_in_is_undone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: dict[str, Any]
) -> None:
    """After the parameters have been moved and the history written, before the step is over."""
    from vpinn.optimization.rules import Rules

    def follow(self: Rules, training: Any, method: Any) -> None:
        if training.step == 3:
            training.generator.random()
            signal.raise_signal(signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(Rules, "follow", follow)
        assert solve(tmp_path, "adam") == 143
    arrays, meta = load_arrays(tmp_path / "run" / "checkpoint.npz")
    assert meta["numbers"]["step"] == len(arrays["history"]) == 2
    assert solve(tmp_path, "adam", "--resume") == 0
    assert outcome(tmp_path) == whole["adam"]


def test_a_file_is_written_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace, old = os.replace, tmp_path / "file"

    def interrupted(source: str, target: Path) -> None:
        signal.raise_signal(signal.SIGTERM)
        replace(source, target)

    monkeypatch.setattr(os, "replace", interrupted)
    with Interrupt() as interrupt, pytest.raises(Stopped, match="left"), interrupt.abandons("left"):
        write_atomic(old, b"new")
    assert list(tmp_path.iterdir()) == [old]
    assert old.read_bytes() == b"new"


def test_under_nohup_a_hangup_is_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Interrupt() as interrupt, interrupt.abandons():
            signal.raise_signal(signal.SIGHUP)
        assert interrupt.signal is None
    finally:
        signal.signal(signal.SIGHUP, before)


def test_what_a_library_swallows_ends_the_work_later() -> None:
    reached = list[int]()

    def swallow() -> None:
        try:
            signal.raise_signal(signal.SIGINT)
        except BaseException:
            reached.append(1)
        reached.append(2)

    with Interrupt() as interrupt:
        with pytest.raises(Stopped) as caught, interrupt.abandons():
            swallow()
        assert caught.value.exit_code == 130
        with pytest.raises(Stopped), interrupt.abandons():
            reached.append(3)
        with undisturbed():
            reached.append(4)
    assert reached == [1, 2, 4]


def test_what_a_library_swallows_is_handled_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """As while libraries are imported: Python drops exceptions in callbacks of weak references, of which every import has one."""
    monkeypatch.setattr("vpinn.interrupt.REMINDER", 0.02)
    told = list[int]()

    def work() -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            with contextlib.suppress(BaseException):
                signal.raise_signal(number)
            over.wait(30.0)
            told.append(number)

    over = threading.Event()
    with Interrupt() as interrupt, pytest.raises(Stopped) as caught, interrupt.abandons():
        work()
    assert told == []
    assert caught.value.exit_code == 130


def test_long_calls_are_not_waited_for() -> None:
    """The call here would last for minutes; a signal from outside, as a thread sends it, ends the wait."""
    over = threading.Event()
    sender = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGTERM))

    def wait() -> None:
        sender.start()
        apart(lambda: over.wait(120.0))

    with Interrupt() as interrupt, pytest.raises(Stopped), interrupt.abandons():
        wait()
    over.set()
    assert apart(lambda: 3) == 3
    with pytest.raises(ZeroDivisionError):
        apart(lambda: 1 // 0)


def resident() -> float:
    """Return the memory that this process has, in MB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


def test_sparse_factors_are_freed_and_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """SparseFactors of 10 MB are made 30 times; after a signal, the next ones need not wait for those that it interrupted."""
    line = diags_array([-1.0, 2.1, -1.0], offsets=[-1, 0, 1], shape=(90, 90))
    matrix = csc_array(kron(line, eye_array(90)) + kron(eye_array(90), line))
    right = np.cos(np.arange(8100.0))
    assert np.linalg.norm(matrix @ SparseFactors(matrix).solve(right) - right) < 1e-10
    before = resident()
    for _ in range(30):
        SparseFactors(matrix)
    assert resident() - before < 60.0

    over, sender = threading.Event(), threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGTERM))
    monkeypatch.setattr("scipy.sparse.linalg.splu", lambda *_: sender.start() or over.wait(120.0))
    with Interrupt() as interrupt, pytest.raises(Stopped), interrupt.abandons():
        SparseFactors(matrix)
    monkeypatch.undo()
    factors = SparseFactors(matrix, **ON_DIAGONAL)
    over.set()
    assert factors.pivots is not None
    assert factors.pivots.min() > 0.0
    assert np.allclose(factors.lower.diagonal(), 1.0)
    with pytest.raises(RuntimeError, match="singular"):
        SparseFactors(csc_array(np.zeros((2, 2))))


def test_output_is_whole_after_sparse_factors() -> None:
    """Their thread ends before Python is torn down; what is left in the buffer of stdout would be lost otherwise."""
    code = "import numpy, scipy.sparse, vpinn.factors as f; f.SparseFactors(scipy.sparse.csc_array(numpy.eye(2))); print('end')"
    done = [subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True) for _ in range(2)]
    assert [(one.stdout, one.stderr) for one in done] == [("end\n", "")] * 2


def test_sparse_factors_in_a_forked_process() -> None:
    """Its parent's thread is not there; it makes its own."""
    matrix = csc_array(np.eye(3))
    SparseFactors(matrix)
    pid = os.fork()
    if not pid:
        os._exit(int(not np.array_equal(SparseFactors(matrix).solve(np.ones(3)), np.ones(3))))
    assert os.waitpid(pid, 0)[1] == 0


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (400, 90)])
def test_least_squares_by_address_are_those_of_scipy(shape: tuple[int, int]) -> None:
    generator = np.random.default_rng(sum(shape))
    basis = np.linalg.qr(generator.normal(size=(shape[1], shape[1])))[0]
    matrix = generator.normal(size=shape) * np.exp(-np.arange(shape[1])) @ basis
    right = generator.normal(size=shape[0])
    kept = matrix.copy(), right.copy()
    found = rank_revealing_solution(matrix, right, 1e-14)
    expected = lstsq(matrix, right, cond=1e-14, lapack_driver="gelsy")[0]
    assert found.tobytes() == expected.tobytes()
    assert np.array_equal(matrix, kept[0])
    assert np.array_equal(right, kept[1])


@pytest.mark.slow
def test_a_process_ends_with_the_code_of_its_signal(tmp_path: Path) -> None:
    """While an assessment goes on, from outside."""
    (tmp_path / "problem.toml").write_text(text("adam", "steps = 2", 60))
    words = ["solve", str(tmp_path / "problem.toml"), "-q", "-o", str(tmp_path / "run")]
    phases = Path(__file__).with_name("phases.py")
    process = subprocess.Popen([sys.executable, str(phases), str(tmp_path), *words], stderr=subprocess.PIPE, text=True)
    while not (tmp_path / "assessment").exists():
        assert process.poll() is None
        time.sleep(0.005)
    process.terminate()
    _, errors = process.communicate()
    assert process.returncode == 143
    assert errors == "stopped by a signal in the assessment; the state is saved, go on with --resume\n"
