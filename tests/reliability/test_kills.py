"""Test that runs that are killed or stopped, and resumed, end with the same results to the last bit."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vpinn.optimization import COLUMNS, load_arrays
from vpinn.process import processor_seconds

from .worker import STEPS, work

KINDS = tuple(STEPS)


@pytest.fixture(scope="module")
def context() -> ForkServerContext:
    """Return a context whose processes start with all modules imported."""
    made = multiprocessing.get_context("forkserver")
    made.set_forkserver_preload(["vpinn.solving.run", "torch"])
    return made


@pytest.fixture(scope="module")
def whole(context: ForkServerContext, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Any, Any]]:
    """Return the results of runs that are not interrupted."""
    results = {}
    for kind in KINDS:
        folder = tmp_path_factory.mktemp(kind)
        finish(begin(context, folder, kind, resume=False))
        results[kind] = load_arrays(folder / "checkpoint.npz")
    return results


def begin(context: ForkServerContext, folder: Path, kind: str, resume: bool, naive: bool = False) -> BaseProcess:
    for name in ("started", "finished"):
        (folder / name).unlink(missing_ok=True)
    process = context.Process(target=work, args=(str(folder), kind, resume, naive))
    process.start()
    return process


def finish(process: BaseProcess) -> None:
    process.join(600)
    assert process.exitcode == 0


def wait_for(path: Path, process: BaseProcess | subprocess.Popen[str]) -> None:
    while not path.exists():
        assert process.is_alive() if isinstance(process, BaseProcess) else process.poll() is None
        time.sleep(0.002)


def same(a: tuple[Any, Any], b: tuple[Any, Any]) -> bool:
    """Return whether parameters, method, generator, solution and history without seconds agree to the last bit."""
    arrays = [dict(side[0]) for side in (a, b)]
    tables = [np.delete(side.pop("history"), COLUMNS.index("seconds"), axis=1) for side in arrays]
    numbers = [{**side[1]["numbers"], "seconds": None} for side in (a, b)]
    return (
        tables[0].tobytes() == tables[1].tobytes()
        and set(arrays[0]) == set(arrays[1])
        and all(arrays[0][k].tobytes() == arrays[1][k].tobytes() for k in arrays[0])
        and repr(numbers[0]) == repr(numbers[1])
        and a[1]["generator"] == b[1]["generator"]
        and a[1]["stopped"] == b[1]["stopped"]
    )


def killed_and_resumed(context: ForkServerContext, folder: Path, kind: str, kills: int, seed: int, naive: bool = False) -> int:
    """Kill a run at random moments after its training has begun, resume it each time, and return how often it was killed.

    A run that ends before it is first killed is started again, and killed sooner.
    """
    generator = np.random.default_rng(seed)
    checkpoint = folder / "checkpoint.npz"
    done, longest = 0, 0.2
    while True:
        process = begin(context, folder, kind, resume=checkpoint.exists(), naive=naive)
        if done == kills:
            finish(process)
            return done
        while process.exitcode is None and not ((folder / "started").exists() and checkpoint.exists()):
            process.join(0.002)  # a run that was killed in its assessment takes no step more
        process.join(float(generator.uniform(0.0, longest)))
        if process.exitcode is not None:
            assert process.exitcode == 0
            if done:
                return done  # resumed to the end before the next kill
            checkpoint.unlink()
            longest /= 2
            continue
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        done += 1
        load_arrays(checkpoint)


@pytest.mark.parametrize("kind", KINDS)
def test_a_killed_run_ends_as_if_nothing_had_happened(
    kind: str, context: ForkServerContext, whole: dict[str, tuple[Any, Any]], tmp_path: Path
) -> None:
    assert killed_and_resumed(context, tmp_path, kind, kills=1, seed=KINDS.index(kind)) == 1
    assert same(load_arrays(tmp_path / "checkpoint.npz"), whole[kind])
    assert json.loads((tmp_path / "metrics.json").read_text())["steps"] == STEPS[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_a_saver_that_forgets_is_caught(
    kind: str, context: ForkServerContext, whole: dict[str, tuple[Any, Any]], tmp_path: Path
) -> None:
    """Without the memory of L-BFGS, the moments of Adam or the state of the generator the end is another one."""
    assert killed_and_resumed(context, tmp_path, kind, kills=1, seed=KINDS.index(kind), naive=True) == 1
    assert not same(load_arrays(tmp_path / "checkpoint.npz"), whole[kind])


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_twenty_kills(kind: str, context: ForkServerContext, whole: dict[str, tuple[Any, Any]], tmp_path: Path) -> None:
    kills, seed = 0, 100
    while kills < 20:
        folder = tmp_path / str(seed)
        folder.mkdir()
        kills += killed_and_resumed(context, folder, kind, kills=20 - kills, seed=seed)
        assert same(load_arrays(folder / "checkpoint.npz"), whole[kind])
        seed += 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_run_with_its_state_saved(
    number: signal.Signals, context: ForkServerContext, whole: dict[str, tuple[Any, Any]], tmp_path: Path
) -> None:
    """Within two seconds of processor time."""
    (tmp_path / "held").touch()
    process = begin(context, tmp_path, "adam", resume=False)
    wait_for(tmp_path / "started", process)
    assert process.pid is not None
    before = processor_seconds(process.pid)
    os.kill(process.pid, number)
    (tmp_path / "held").unlink()
    finish(process)
    found = json.loads((tmp_path / "finished").read_text())
    assert found["stopped"] == "signal"
    assert found["processor"] - before < 2
    arrays, meta = load_arrays(tmp_path / "checkpoint.npz")
    assert 0 < meta["numbers"]["step"] < STEPS["adam"]
    assert len(arrays["history"]) == meta["numbers"]["step"]
    finish(begin(context, tmp_path, "adam", resume=True))
    assert same(load_arrays(tmp_path / "checkpoint.npz"), whole["adam"])


@pytest.mark.slow
def test_an_interpreter_of_its_own(whole: dict[str, tuple[Any, Any]], tmp_path: Path) -> None:
    """The same by ``python -c``: terminated, and resumed here, with the same result as in other processes."""
    code = "import sys; sys.path.insert(0, sys.argv[1]); from reliability.worker import work; work(sys.argv[2], 'batches', False)"
    command = [sys.executable, "-P", "-c", code, str(Path(__file__).parent.parent), str(tmp_path)]
    process = subprocess.Popen(command, text=True, stderr=subprocess.PIPE)
    wait_for(tmp_path / "started", process)
    process.terminate()
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors
    assert json.loads((tmp_path / "finished").read_text())["stopped"] == "signal"
    work(str(tmp_path), "batches", resume=True)
    assert same(load_arrays(tmp_path / "checkpoint.npz"), whole["batches"])
