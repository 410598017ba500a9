"""Test how workers are started, and what is told where they cannot be."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from membrane import membrane

from vpinn.errors import InputError
from vpinn.placement import HERE
from vpinn.process import available_cores
from vpinn.solving.divided import check_shares, check_workers
from vpinn.workers import ALONE, Group, joined

PROBLEM = membrane(
    'shape = "rectangle"\ncells = [4, 4]\ncell = "quadrilateral"',
    network="layers = [8, 8]",
    batch="size = 60",
    solver='method = "adam"\nsteps = 300',
)
LONG = ("--threads", 1, "--set", "solver.steps=100000", "--set", "solver.checkpoint=0.2")
ENVIRONMENT = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}


@pytest.fixture
def problem(tmp_path: Path) -> Path:
    path = tmp_path / "heat.toml"
    path.write_text(PROBLEM)
    return path


def started(*arguments: object, **environment: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-P", "-m", "vpinn", *map(str, arguments)]
    env = {**os.environ, "PYTHONWARNINGS": "ignore", **environment}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)


def ended(process: subprocess.Popen[str], seconds: float = 600.0) -> tuple[int, str, str]:
    out, told = process.communicate(timeout=seconds)
    return process.returncode, out, told


def wait_for_steps(folder: Path, steps: int, process: subprocess.Popen[str]) -> None:
    """Wait until the history of a run has some steps."""
    history = folder / "history.csv"
    while process.poll() is None and not (history.exists() and len(history.read_text().splitlines()) > steps):
        time.sleep(0.05)
    assert process.poll() is None


def parameters(folder: Path) -> np.ndarray:
    with np.load(folder / "checkpoint.npz") as held:
        return held["theta"]


@pytest.mark.slow
def test_more_workers_than_cores_are_refused(problem: Path) -> None:
    code, out, told = ended(started("solve", problem, "--workers", 10_000))
    assert (code, out) == (2, "")
    assert told == f"--workers: 10000 workers on a machine with {available_cores()} cores; start fewer\n"


def test_a_port_in_use_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        for name, value in {**ENVIRONMENT, "MASTER_PORT": str(other.getsockname()[1])}.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(InputError, match=r"cannot be connected at 127.0.0.1:\d+ .*; is the port in use\?"):
            joined()


def test_a_backend_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**ENVIRONMENT, "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=r'the backend "mpi" of torch.distributed is not there'):
        joined("mpi")


def test_a_process_of_its_own_is_alone() -> None:
    assert joined() == joined("nccl") == ALONE


def test_more_workers_than_points_or_strata_are_refused() -> None:
    from tests.workers.cases import problem_of
    from vpinn.solving import prepare

    setup = prepare(problem_of(("energy", "adam", {"batch": {"size": 3}})))
    many = replace(setup.objective, placement=replace(HERE, group=Group(0, 4)))
    with pytest.raises(InputError, match="4 workers for 3 strata of a batch; start fewer workers"):
        check_shares(many, setup.plan.samplers)
    many = replace(setup.objective, placement=replace(HERE, group=Group(0, 10**6)))
    with pytest.raises(InputError, match=r"1000000 workers for [0-9]+ points of a step"):
        check_shares(many, ())


def test_devices_without_connections_are_refused() -> None:
    import torch

    from tests.workers.cases import problem_of

    placement = replace(HERE, device=torch.device("mps"), group=Group(0, 2))
    with pytest.raises(InputError, match="mps"):
        check_workers(problem_of(("energy", "adam", {})), placement)


@pytest.mark.slow
def test_two_workers_write_what_one_writes(problem: Path, tmp_path: Path) -> None:
    code, out, told = ended(started("solve", problem, "-o", tmp_path / "one", "--threads", 1))
    assert code == 0, told
    code, other, told = ended(started("solve", problem, "-o", tmp_path / "two", "--threads", 1, "--workers", 2))
    assert code == 0, told
    np.testing.assert_allclose(parameters(tmp_path / "one"), parameters(tmp_path / "two"), rtol=0, atol=1e-10)
    assert "\nworkers " in other
    assert len([line for line in told.splitlines() if line.startswith("step 300/300")]) == 1
    same = [line for line in out.splitlines() if line.startswith(("loss", "error", "points"))]
    assert same == [line for line in other.splitlines() if line.startswith(("loss", "error", "points"))]


@pytest.mark.slow
def test_torchrun_starts_workers_too(problem: Path, tmp_path: Path) -> None:
    command = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "vpinn", "solve", problem]
    arguments = [*command, "-o", tmp_path / "run", "--threads", 1, "--quiet"]
    done = subprocess.run([sys.executable, "-P", "-m", *map(str, arguments)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert (tmp_path / "run" / "metrics.json").exists()


@pytest.mark.slow
def test_bad_input_is_one_line_of_all_workers(problem: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text("{}")
    code, out, told = ended(started("solve", problem, "-o", tmp_path / "run", "--workers", 2, "--max-restarts", 2))
    assert (code, out, told.count("\n")) == (2, "", 1), told


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_all_workers_with_the_state_saved(number: int, problem: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    process = started("solve", problem, "-o", folder, "--workers", 2, *LONG)
    wait_for_steps(folder, 20, process)
    process.send_signal(number)
    code, _, told = ended(process)
    assert code == 128 + number, told
    assert "the state is saved, go on with --resume" in told


@pytest.mark.slow
def test_a_worker_that_is_killed_ends_the_others_at_once(problem: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    process = started("solve", problem, "-o", folder, "--workers", 2, *LONG)
    wait_for_steps(folder, 20, process)
    workers = children(process.pid)
    assert len(workers) == 2
    os.kill(workers[1], signal.SIGKILL)
    code, _, told = ended(process)
    assert code == 128 + signal.SIGKILL, told
    assert told.splitlines()[-1] == "the connection to another worker is lost, which has probably ended"
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)


@pytest.mark.slow
def test_runs_whose_workers_are_killed_end_with_the_same_answer(problem: Path, tmp_path: Path) -> None:
    """Kill a random worker at a random time, twenty times; the last bits are those of a run that was left alone."""
    steps = ("--threads", 1, "--set", "solver.steps=3000", "--set", "solver.checkpoint=0.1", "--workers", 2)
    assert ended(started("solve", problem, "-o", tmp_path / "left", *steps))[0] == 0
    generator = random.Random(0)
    process, kills = started("solve", problem, "-o", tmp_path / "killed", *steps, "--max-restarts", 20), 0
    seen: set[int] = set()
    while kills < 20 and process.poll() is None:
        time.sleep(generator.uniform(0.0, 6.0))
        alive = [pid for pid in children(process.pid) if pid not in seen]
        if len(alive) == 2:
            seen.update(alive)
            os.kill(generator.choice(alive), signal.SIGKILL)
            kills += 1
    code, _, told = ended(process, 1200.0)
    assert code == 0, told
    assert kills >= 5
    np.testing.assert_array_equal(parameters(tmp_path / "left"), parameters(tmp_path / "killed"))


def children(pid: int) -> list[int]:
    """Return the processes that a launcher has started as workers, in order."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            command = (path.parent / "cmdline").read_bytes()
            if int(fields[1]) == pid and b"spawn_main" in command:
                found.append(int(path.parent.name))
    return sorted(found)
