"""Runs: problem → training → assessment → run folder, and back from a run folder to a solution."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vpinn import run_files, run_folder
from vpinn.analysis import Estimator, assess, assessed_objective, make_estimator, make_monitor
from vpinn.direct import GROWN, Grown, grow_noting, regrown
from vpinn.finite_elements import Level
from vpinn.interrupt import Interrupt
from vpinn.objective import summable
from vpinn.optimization import (
    COLUMNS,
    Journal,
    LeastSquares,
    Plan,
    Rules,
    Training,
    estimator_found,
    final_parameters,
    load_arrays,
    policy_found,
    samples_of,
    strata_found,
    train,
    walk_found,
    with_tangents,
)
from vpinn.preparation import Setup, prepare
from vpinn.problem import Problem
from vpinn.problem.validation import validate
from vpinn.process import available_cores, peak_memory_mb
from vpinn.solution import Solution
from vpinn.storage import claimed
from vpinn.trial import Scales, Trial, coefficients_of, make_trial

Report = Callable[[Training, Plan], None]
Save = Callable[[Training], None]


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
        threads: threads that share the work, ≥ 1; default as many as there are cores.
        report: called after every step.
        interrupt: signals received; without one they are caught while this call lasts.

    Returns:
        the solution with its errors, error estimate and metrics; without these where a signal ended training.

    Raises:
        Stopped: a signal came before training, with the folder as it was before, or after it, with its end in the folder.
        InputError: the problem cannot be solved as stated, or the folder holds a run already, or another one writes into it.
        DivergenceError: training diverged.
        StorageError: the folder could not be written.
    """
    began = time.perf_counter()
    folder = None if directory is None else Path(directory)
    with claimed(folder), contextlib.nullcontext(interrupt) if interrupt is not None else Interrupt() as signals:
        if folder is not None:
            run_files.check_vacant(folder, resume, overwrite)
        with signals.abandons():
            setup = prepare(problem if method is None else _with_method(problem, method), threads or available_cores())
            training, held, journal = setup.start(), dict[str, Any](), Journal()
            estimator, watch = _watched(setup)
        if folder is not None:
            training, held, journal = _begin(setup, training, folder, resume)
        ready = time.perf_counter() - began

        def save(state: Training, solution: Solution | None = None) -> None:
            if folder is not None:
                run_folder.save(folder, state, setup.trial, solution, held, journal)

        def save_stage(state: Training, trial: Trial, journal: Journal) -> None:
            if folder is not None:
                run_folder.save(folder, state, trial, None, {}, journal)

        tell = (lambda state: report(state, setup.plan)) if report is not None else (lambda state: None)
        if not held and not journal.notes:
            save(training)
        if isinstance(setup.plan.method, LeastSquares):
            grown = _grown(setup, training, held, journal, tell, save_stage, signals)
            setup = dataclasses.replace(setup, trial=grown.trial, objective=grown.objective)
            estimator, held = grown.estimator, grown.record
            save(training)
        else:
            train(setup.objective, training, setup.plan, watch, tell, save, signals)
        if training.stopped == "signal":
            return _close(setup, training, estimator, began, ready)
        with signals.abandons("stopped by a signal in the assessment; the state is saved, go on with --resume"):
            solution = _close(setup, training, estimator, began, ready)
        save(training, solution)
        return solution


def load(directory: str | os.PathLike[str]) -> Solution:
    """Return the solution of a finished or unfinished run folder.

    Raises:
        InputError: the folder holds no run, or one made in Python, which has no problem file.
        StorageError: its files are damaged.
    """
    folder = Path(directory)
    problem = run_folder.read_problem_of(folder)
    arrays, meta = load_arrays(folder / run_files.CHECKPOINT)
    training = Training.from_arrays(arrays, meta)
    trial = make_trial(problem, rows=meta["rows"], corners=meta.get("corners", False))
    if meta.get("scales"):
        trial = trial.scaled(Scales(*map(tuple, meta["scales"])))
    theta = torch.from_numpy(arrays["solution"]) if "solution" in arrays else training.best[0]
    metrics = run_files.read_json(folder / run_files.METRICS) or {}
    history = np.array(training.history).reshape(-1, len(COLUMNS))
    trial = dataclasses.replace(trial, network=run_folder.network_of(trial, meta))
    return Solution(problem, trial, theta.double(), metrics, history, arrays.get("cell_estimate"), samples_of(training.state))


def _watched(setup: Setup) -> tuple[Estimator | None, Callable[[torch.Tensor], dict[str, float]] | None]:
    """Return the error estimator and the monitor of a run by steps; least squares has those of its stages."""
    if isinstance(setup.plan.method, LeastSquares):
        return None, None
    tests = setup.objective.test_space
    estimator = make_estimator(setup.problem, setup.trial, None if tests is None else tests.space.degree)
    return estimator, make_monitor(setup.problem, setup.trial, estimator if setup.plan.tolerance is not None else None)


def _begin(setup: Setup, training: Training, folder: Path, resume: bool) -> tuple[Training, dict[str, Any], Journal]:
    """Make the folder ready; return the state to go on from, what a checkpoint of growth that ended says, and its journal."""
    record = run_folder.describe(setup.problem, setup.plan, setup.objective.threads)
    method, held = setup.plan.method, dict[str, Any]()
    journal = Journal(asked=method.asked) if isinstance(method, LeastSquares) else Journal()
    if resume:
        before, meta, noted = run_folder.resumed(folder, record)
        if not isinstance(method, LeastSquares):
            training = before
        elif noted.asked == method.asked:
            journal = noted
            if meta["stopped"] in GROWN and meta["stopped"] != "time limit" and "width" in meta:
                training, held = before, meta
    run_folder.begin(folder, setup.problem, record, anew=not resume)
    return training, held, journal


def _grown(
    setup: Setup,
    training: Training,
    held: Mapping[str, Any],
    journal: Journal,
    tell: Save,
    save: Callable[[Training, Trial, Journal], None],
    signals: Interrupt,
) -> Grown:
    """Grow features, or take those of a checkpoint where they were grown to the end."""
    assert setup.objectives is not None
    assert isinstance(setup.plan.method, LeastSquares)
    trials = (setup.trial, *setup.others)
    if held:
        with signals.abandons():
            return regrown(setup.problem, setup.objectives, trials, held, training)
    return grow_noting(setup.problem, setup.objectives, trials, setup.plan.method, training, tell, save, signals, journal)


def _close(setup: Setup, training: Training, estimator: Estimator | None, began: float, ready: float) -> Solution:
    """Return the solution with its assessment."""
    trial, plan = setup.trial, setup.plan
    rules = plan.rules or Rules(setup.objective)
    objective = rules.at(training)
    history = np.array(training.history).reshape(-1, len(COLUMNS))
    metrics: dict[str, Any] = {
        "method": plan.method.name,
        "method_reason": setup.reason,
        "steps": training.step,
        "stopped": training.stopped,
        "rollbacks": training.rollbacks,
        "parameters": trial.network.size,
        "quadrature_points": objective.size,
        "test_functions": objective.test_space.size if objective.test_space else None,
        "batch_size": plan.batch_size or "full",
        "policy": policy_found(training, plan, objective.size),
        "imposed": [
            {"on": list(i.condition.on), "unknown": i.condition.unknown, "component": i.component, "how": i.how, "why": i.why}
            for i in trial.imposed
        ],
        "inferred": {},
    }
    if training.stopped == "signal":
        return Solution(setup.problem, trial, training.best[0].double(), metrics, history)
    if plan.samplers:
        objective = assessed_objective(setup.problem, summable(objective, setup.problem, trial))
    theta, loss = final_parameters(objective, training, rules.judge(training))
    theta = Level.of(setup.problem)(trial, theta)
    metrics["estimator"] = estimator_found(setup.objective, plan.samplers, training, theta, loss)
    if strata := strata_found(setup.objective, plan, training, theta):
        metrics["strata"] = strata
    metrics |= coefficients_of(setup.problem, trial, theta)
    training.state = with_tangents(setup.problem, trial, objective, training.state)
    found = Solution(setup.problem, trial, theta.double(), metrics, history, samples=samples_of(training.state))
    solution = assess(found, objective, estimator, loss * objective.unit, setup.stated)
    if (walk := walk_found(training.state, setup.objective.unit)) is not None:
        checks = [*solution.metrics["checks"], *(f"walk: {check}" for check in walk.pop("checks"))]
        solution = dataclasses.replace(solution, metrics={**solution.metrics, "walk": walk, "checks": checks})
    total = time.perf_counter() - began
    seconds = {"total": total, "setup": ready, "solve": training.seconds, "assessment": total - ready - training.seconds}
    closing = {"seconds": seconds, "peak_memory_mb": peak_memory_mb(), "threads": objective.threads}
    return dataclasses.replace(solution, metrics={**solution.metrics, "loss": loss * objective.unit, **closing})


def _with_method(problem: Problem, method: str) -> Problem:
    data = {**problem.source.data, "solver": {**problem.source.data.get("solver", {}), "method": method}}
    source = dataclasses.replace(problem.source, data=data)
    return dataclasses.replace(problem, source=source, settings=validate(source))
