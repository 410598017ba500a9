"""Runs: problem → training → assessment → run folder, and back from a run folder to a solution.

A run folder holds ``problem.toml`` with the files it names, ``run.json`` (resolved settings, versions, machine),
``checkpoint.npz``, ``history.csv``, ``metrics.json``, the field and the figures.
"""

from __future__ import annotations

import csv
import io
import json
import os
import platform
import resource
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vpinn.analysis import Estimator, TrueError, assess, independent_points, make_estimator
from vpinn.errors import InputError, StorageError
from vpinn.objective import Objective, make_objective
from vpinn.optimization import (
    COLUMNS,
    Interrupt,
    Plan,
    Training,
    final_parameters,
    load_arrays,
    make_plan,
    save_arrays,
    train,
    write_atomic,
)
from vpinn.problem import Problem
from vpinn.problem.build import build_problem
from vpinn.problem.source import Source
from vpinn.problem.validation import validate
from vpinn.solution import Solution
from vpinn.trial import Trial, make_trial

Report = Callable[[Training, Plan], None]

CHECKPOINT, RUN, METRICS, HISTORY, PROBLEM = "checkpoint.npz", "run.json", "metrics.json", "history.csv", "problem.toml"
FREE = {"solver": {"steps", "time_limit", "checkpoint", "tolerance"}, "output": None}
"""Settings that may change when a run goes on: None stands for the whole section."""
MONITOR_DEGREE = 12
"""Quadrature degree of errors watched during training."""


def solve(
    problem: Problem,
    directory: str | os.PathLike[str] | None = None,
    *,
    method: str | None = None,
    resume: bool = False,
    overwrite: bool = False,
    threads: int | None = None,
    report: Report | None = None,
    interrupt: Interrupt | None = None,
) -> Solution:
    """Solve a problem.

    Args:
        problem: what to solve.
        directory: run folder; None keeps everything in memory.
        method: instead of the problem's ``solver.method``.
        resume: go on from the folder's checkpoint.
        overwrite: replace what is in the folder.
        threads: parts of the points worked on at a time, ≥ 1; default as many as there are cores.
        report: called after every step.
        interrupt: signals received; without one they are caught while this call lasts.

    Returns:
        the solution with its errors, error estimate and metrics; after a signal without these.

    Raises:
        InputError: the problem cannot be solved as stated, or the folder holds a run already.
        DivergenceError: training diverged.
        StorageError: the folder could not be written.
    """
    began = time.perf_counter()
    torch.set_num_threads(1)  # threads are ours: parts of the points in parallel, each single-threaded
    threads = threads or available_cores()
    if method is not None:
        problem = _with_method(problem, method)
    folder = None if directory is None else Path(directory)
    trial, objective, plan = prepare(problem, threads)
    estimator = make_estimator(problem, trial)
    settings = problem.settings.solver
    theta = trial.network.initial(torch.Generator().manual_seed(settings.seed)).to(getattr(torch, settings.precision))
    training = Training.start(theta, plan.method, settings.seed)
    if folder is not None:
        record = _record(problem, plan, threads)
        if resume:
            training = _resumed(folder, record)
        elif (folder / RUN).exists() and not overwrite:
            raise InputError(
                f"{folder} holds a run already; go on with --resume, replace it with --overwrite, or choose another with -o"
            )
        else:
            (folder / CHECKPOINT).unlink(missing_ok=True)
        _begin(folder, problem, record)
    setup = time.perf_counter() - began

    def save(state: Training) -> None:
        if folder is not None:
            arrays, meta = state.arrays()
            save_arrays(folder / CHECKPOINT, arrays, meta)
            write_atomic(folder / HISTORY, _history_csv(state).encode())

    monitor = _monitor(problem, trial, estimator if plan.tolerance is not None else None)
    tell = (lambda state: report(state, plan)) if report is not None else (lambda state: None)
    if interrupt is None:
        with Interrupt() as interrupt:
            train(objective, training, plan, monitor, tell, save, interrupt)
    else:
        train(objective, training, plan, monitor, tell, save, interrupt)
    return _close(problem, trial, objective, plan, training, estimator, folder, began, setup)


def available_cores() -> int:
    """Return the number of cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def prepare(problem: Problem, threads: int = 1) -> tuple[Trial, Objective, Plan]:
    """Return trial space, objective and plan of a problem; what ``vpinn check`` shows.

    Raises:
        InputError: the problem cannot be solved as stated.
    """
    trial = make_trial(problem)
    objective = make_objective(problem, trial, getattr(torch, problem.settings.solver.precision), threads=threads)
    with problem.source.located("batch"):
        plan = make_plan(problem.settings, objective)
    return trial, objective, plan


def load(directory: str | os.PathLike[str]) -> Solution:
    """Return the solution of a finished or unfinished run folder.

    Raises:
        InputError: the folder holds no run, or one made in Python, which has no problem file.
        StorageError: its files are damaged.
    """
    folder = Path(directory)
    record = _read_json(folder / RUN)
    if record is None or record.get("data") is None:
        raise InputError(f"{folder} holds no run of a problem file; give the folder that 'vpinn solve' wrote")
    data = {**record["data"], "output": {k: v for k, v in record["data"].get("output", {}).items() if k != "directory"}}
    source = Source(folder / PROBLEM, None, data)
    problem = build_problem(source, validate(source), folder)
    arrays, meta = load_arrays(folder / CHECKPOINT)
    training = Training.from_arrays(arrays, meta)
    metrics = _read_json(folder / METRICS) or {}
    theta = torch.from_numpy(arrays["solution"]) if "solution" in arrays else training.best[0]
    history = np.array(training.history).reshape(-1, len(COLUMNS))
    shares = arrays.get("cell_estimate")
    return Solution(problem, make_trial(problem), theta.double(), metrics, history, shares)


def _close(
    problem: Problem,
    trial: Trial,
    objective: Objective,
    plan: Plan,
    training: Training,
    estimator: Estimator | None,
    folder: Path | None,
    began: float,
    setup: float,
) -> Solution:
    """Assess what training found and write it."""
    history = np.array(training.history).reshape(-1, len(COLUMNS))
    metrics: dict[str, Any] = {
        "method": plan.method.name,
        "steps": training.step,
        "stopped": training.stopped,
        "rollbacks": training.rollbacks,
        "parameters": trial.network.size,
        "quadrature_points": objective.size,
        "test_functions": objective.test_space.size if objective.test_space else None,
        "batch_size": plan.batch_size or "full",
        "imposed": [
            {"on": list(i.condition.on), "unknown": i.condition.unknown, "component": i.component, "how": i.how, "why": i.why}
            for i in trial.imposed
        ],
        "inferred": {},
    }
    if training.stopped == "signal":
        return Solution(problem, trial, training.best[0].double(), metrics, history)
    theta, loss = final_parameters(objective, training)
    solution = assess(Solution(problem, trial, theta.double(), metrics, history), objective, estimator, loss)
    total = time.perf_counter() - began
    seconds = {"total": total, "setup": setup, "solve": training.seconds, "assessment": total - setup - training.seconds}
    closing = {"loss": loss, "seconds": seconds, "peak_memory_mb": peak_memory_mb(), "threads": objective.threads}
    solution = Solution(problem, trial, solution.theta, {**solution.metrics, **closing}, history, solution.cell_estimate)
    if folder is not None:
        arrays, meta = training.arrays()
        arrays["solution"] = solution.theta.numpy()
        if solution.cell_estimate is not None:
            arrays["cell_estimate"] = solution.cell_estimate
        save_arrays(folder / CHECKPOINT, arrays, meta)
        write_atomic(folder / METRICS, (json.dumps(solution.metrics, indent=2) + "\n").encode())
    return solution


def peak_memory_mb() -> float:
    """Return the largest resident memory of this process so far, in MB (10⁶ bytes)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / 1e6


def _monitor(problem: Problem, trial: Trial, estimator: Estimator | None) -> Callable[[torch.Tensor], dict[str, float]] | None:
    """Return the monitor of errors and, where a tolerance asks for it, of the estimate."""
    truth = TrueError(problem, trial, independent_points(problem, MONITOR_DEGREE)) if problem.exact else None
    if truth is None and estimator is None:
        return None

    def monitor(theta: torch.Tensor) -> dict[str, float]:
        values = {}
        if truth is not None:
            values["error"] = max(e["relative_l2"] for e in truth(theta).values())
        if estimator is not None:
            values["estimate"] = estimator(theta)[1]
        return values

    return monitor


def _with_method(problem: Problem, method: str) -> Problem:
    import dataclasses

    data = {**problem.source.data, "solver": {**problem.source.data.get("solver", {}), "method": method}}
    source = dataclasses.replace(problem.source, data=data)
    return dataclasses.replace(problem, source=source, settings=validate(source))


def _record(problem: Problem, plan: Plan, threads: int) -> dict[str, Any]:
    """Return the content of run.json."""
    packages = ("torch", "numpy", "scipy", "fenics-ufl", "fenics-basix", "meshio")
    return {
        "title": problem.title,
        "settings": problem.settings.model_dump(mode="json"),
        "data": problem.source.data if problem.source.text is not None else None,
        "method": plan.method.name,
        "seed": problem.settings.solver.seed,
        "threads": threads,
        "versions": {"vpinn": version("vpinn"), "python": platform.python_version(), **{p: version(p) for p in packages}},
        "machine": {"system": platform.platform(), "processor": platform.machine(), "cores": os.cpu_count()},
    }


def _begin(folder: Path, problem: Problem, record: dict[str, Any]) -> None:
    """Write what a run folder holds from the start: the problem with its files, and how it is run."""
    if problem.source.text is not None and problem.source.path is not None:
        write_atomic(folder / PROBLEM, problem.source.text.encode())
        settings = problem.settings
        for name in (settings.domain.mesh if settings.domain else None, settings.reference.file):
            if name is not None:
                target, origin = folder / name, problem.source.path.parent / name
                if target.resolve() != origin.resolve():
                    write_atomic(target, origin.read_bytes())
    write_atomic(folder / RUN, (json.dumps(record, indent=2) + "\n").encode())
    (folder / METRICS).unlink(missing_ok=True)


def _resumed(folder: Path, record: dict[str, Any]) -> Training:
    """Return the training state of a folder whose run has the same settings."""
    before = _read_json(folder / RUN)
    if before is None:
        raise InputError(f"{folder} holds no run to resume; run without --resume")
    changed = _changes(before["settings"], record["settings"])
    if changed:
        raise InputError(f"{folder}: --resume needs the settings of the run, but {changed} changed; start anew with --overwrite")
    if before["threads"] != record["threads"]:
        raise InputError(
            f"{folder}: the run used {before['threads']} threads, now there are {record['threads']}; "
            f"resume with --threads {before['threads']}, since results depend on them"
        )
    return Training.from_arrays(*load_arrays(folder / CHECKPOINT))


def _changes(before: dict[str, Any], now: dict[str, Any]) -> str:
    """Return the first setting that differs, as ``section.key``; "" where none does."""
    for section in now:
        if (section in FREE and FREE[section] is None) or before.get(section) == now[section]:
            continue
        if not isinstance(now[section], dict) or not isinstance(before.get(section), dict):
            return section
        for key in now[section]:
            if key not in (FREE.get(section) or ()) and before[section].get(key) != now[section][key]:
                return f"{section}.{key}"
    return ""


def _history_csv(training: Training) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([f"{value:.17g}" for value in row] for row in training.history)
    return text.getvalue()


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise StorageError(f"{path}: cannot be read: {error}") from None
    return content if isinstance(content, dict) else None


__all__ = ["load", "peak_memory_mb", "prepare", "solve"]
