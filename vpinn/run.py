"""Runs: problem → training → assessment → run folder, and back from a run folder to a solution."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vpinn import run_folder
from vpinn.analysis import Estimator, StageEstimators, assess, make_estimator, make_monitor
from vpinn.domain import Mesh
from vpinn.errors import InputError
from vpinn.finite_elements import Level
from vpinn.finite_elements import check as check_finite_elements
from vpinn.objective import Objective, highest_order, summable
from vpinn.optimization import (
    COLUMNS,
    PILOT,
    Interrupt,
    LeastSquares,
    Method,
    Objectives,
    Plan,
    Rules,
    Stage,
    Training,
    candidates,
    estimator_found,
    final_parameters,
    grow,
    load_arrays,
    make_plan,
    make_rules,
    objective_for,
    policy_found,
    reason,
    samples_of,
    start,
    stated_problem,
    train,
    trained_objective,
    walk_found,
)
from vpinn.problem import Problem
from vpinn.problem.validation import validate
from vpinn.process import available_cores, peak_memory_mb, settle_process
from vpinn.solution import Solution
from vpinn.trial import Trial, coefficients_of, make_trial

Report = Callable[[Training, Plan], None]
Save = Callable[[Training], None]


@dataclass(frozen=True)
class Setup:
    """A problem made ready to train.

    Attributes:
        problem: the problem.
        trial: its trial space.
        objective: what is minimised.
        plan: how.
        others: further trial spaces that least squares may take instead.
        objectives: of least squares, made so far.
        reason: why this method.
    """

    problem: Problem
    trial: Trial
    objective: Objective
    plan: Plan
    others: tuple[Trial, ...] = ()
    objectives: Objectives | None = None
    reason: str = ""

    @property
    def stated(self) -> Problem:
        """The problem in the formulation that is solved."""
        return stated_problem(self.problem, self.trial, self.plan.method.name)

    def start(self) -> Training:
        """Return the state before the first step, drawn with the problem's seed."""
        return start(self.objective, self.trial.network, self.plan, self.problem.settings.solver.seed)


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
        the solution with its errors, error estimate and metrics; after a signal without these.

    Raises:
        InputError: the problem cannot be solved as stated, or the folder holds a run already.
        DivergenceError: training diverged.
        StorageError: the folder could not be written.
    """
    began = time.perf_counter()
    folder = None if directory is None else Path(directory)
    if folder is not None:
        run_folder.check_vacant(folder, resume, overwrite)
    setup = prepare(problem if method is None else _with_method(problem, method), threads or available_cores())
    training = _begin(setup, folder, resume)
    ready = time.perf_counter() - began

    def save(state: Training) -> None:
        if folder is not None:
            run_folder.save(folder, state, setup.trial)

    tell = (lambda state: report(state, setup.plan)) if report is not None else (lambda state: None)
    with contextlib.nullcontext(interrupt) if interrupt is not None else Interrupt() as signals:
        if isinstance(setup.plan.method, LeastSquares):
            setup, estimator = _grow(setup, setup.plan.method, training, tell, signals)
        else:
            tests = setup.objective.test_space
            estimator = make_estimator(setup.problem, setup.trial, None if tests is None else tests.space.degree)
            watch = make_monitor(setup.problem, setup.trial, estimator if setup.plan.tolerance is not None else None)
            train(setup.objective, training, setup.plan, watch, tell, save, signals)
    solution = _close(setup, training, estimator, began, ready)
    if folder is not None:
        run_folder.save(folder, training, setup.trial, None if training.stopped == "signal" else solution)
    return solution


def prepare(problem: Problem, threads: int = 1) -> Setup:
    """Return trial space, objective and plan of a problem; what ``vpinn check`` shows.

    Raises:
        InputError: the problem cannot be solved as stated.
    """
    settle_process(threads)
    if (fem := problem.settings.reference.fem) is not None:
        check_finite_elements(problem, fem.degree, fem.refine)
    *others, last = candidates(problem)
    refused = ""
    for name in others:
        try:
            return _prepare(problem, name, threads)
        except InputError as error:
            refused = refused or error.message
    return dataclasses.replace(_prepare(problem, last, threads), reason=reason(problem, last, refused))


def load(directory: str | os.PathLike[str]) -> Solution:
    """Return the solution of a finished or unfinished run folder.

    Raises:
        InputError: the folder holds no run, or one made in Python, which has no problem file.
        StorageError: its files are damaged.
    """
    folder = Path(directory)
    problem = run_folder.read_problem_of(folder)
    arrays, meta = load_arrays(folder / run_folder.CHECKPOINT)
    training = Training.from_arrays(arrays, meta)
    trial = make_trial(problem, rows=meta["rows"], corners=meta.get("corners", False))
    theta = torch.from_numpy(arrays["solution"]) if "solution" in arrays else training.best[0]
    metrics = run_folder.read_json(folder / run_folder.METRICS) or {}
    history = np.array(training.history).reshape(-1, len(COLUMNS))
    trial = dataclasses.replace(trial, network=run_folder.network_of(trial, meta))
    return Solution(problem, trial, theta.double(), metrics, history, arrays.get("cell_estimate"), samples_of(training.state))


def _prepare(problem: Problem, name: str, threads: int) -> Setup:
    direct = name == LeastSquares.name
    others: tuple[Trial, ...] = ()
    objectives: Objectives | None = None
    trial = make_trial(problem, rows=direct)
    if direct:
        width = min(PILOT, problem.settings.solver.features or PILOT)
        objectives = Objectives(stated_problem(problem, trial, name), threads)
        objective = objective_for(objectives, trial, width)
        if trial.rows and not problem.enrich and problem.formulation != "strong" and isinstance(problem.domain, Mesh):
            others = (make_trial(problem),)
        cornered = make_trial(problem, rows=True, corners=not problem.enrich and highest_order(problem) <= 2)
        if cornered.corners:
            others += (cornered,)
    else:
        trained = partial(trained_objective, trial=trial, name=name, threads=threads)
        objective = trained(problem)
    with problem.source.located("batch"):
        plan = make_plan(name, problem.settings, objective)
    if not plan.samplers and isinstance(plan.method, Method) and plan.method.descends:
        plan = dataclasses.replace(plan, rules=make_rules(problem, objective, trained))
    return Setup(problem, trial, objective, plan, others, objectives, reason(problem, name))


def _begin(setup: Setup, folder: Path | None, resume: bool) -> Training:
    """Return the state to start from, with the folder ready."""
    training = setup.start()
    if folder is not None:
        record = run_folder.describe(setup.problem, setup.plan, setup.objective.threads)
        if resume and not isinstance(setup.plan.method, LeastSquares):
            training = run_folder.resumed(folder, record)
        else:
            run_folder.discard(folder)
        run_folder.begin(folder, setup.problem, record)
    return training


def _grow(
    setup: Setup, method: LeastSquares, training: Training, tell: Save, signals: Interrupt
) -> tuple[Setup, Estimator | None]:
    """Solve by least squares, stage by stage, and note the stages in the training state; with the estimator of the best."""

    def note(stage: Stage) -> bool:
        training.step += 1
        training.seconds, training.theta = stage.seconds, stage.fit.theta
        loss, points = 0.5 * stage.fit.residual**2, stage.fit.points or stage.objective.size
        watch = make_monitor(setup.problem, stage.trial, None)
        error = watch(stage.fit.theta)["error"] if watch is not None else float("nan")
        row = (training.step, stage.seconds, loss, float("nan"), stage.recipe.scale, points, 0.0, error, stage.relative)
        training.history.append((*row, *(float("nan") for _ in COLUMNS[len(row) :])))
        tell(training)
        return signals.signal is None

    assert setup.objectives is not None
    estimators = StageEstimators(setup.problem)
    best = grow(setup.objectives, (setup.trial, *setup.others), method, note, estimators.judge)
    training.theta, training.best = best.fit.theta, (best.fit.theta, 0.5 * best.fit.residual**2)
    training.anchor, training.origin = (best.fit.theta, {}), (best.fit.theta, math.nan, math.nan)
    training.stopped = "signal" if signals.signal is not None else "tolerance" if best.converged else "grown"
    ended = dataclasses.replace(setup, trial=best.trial, objective=best.objective)
    return ended, estimators.of(best) if training.stopped != "signal" else None


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
    objective = summable(objective, setup.problem, trial) if plan.samplers else objective
    theta, loss = final_parameters(objective, training, rules.judge(training))
    theta = Level.of(setup.problem)(trial, theta)
    metrics["estimator"] = estimator_found(setup.objective, plan.samplers, training, theta, loss)
    metrics |= coefficients_of(setup.problem, trial, theta)
    found = Solution(setup.problem, trial, theta.double(), metrics, history, samples=samples_of(training.state))
    solution = assess(found, objective, estimator, loss, setup.stated)
    if (walk := walk_found(training.state)) is not None:
        checks = [*solution.metrics["checks"], *(f"walk: {check}" for check in walk.pop("checks"))]
        solution = dataclasses.replace(solution, metrics={**solution.metrics, "walk": walk, "checks": checks})
    total = time.perf_counter() - began
    seconds = {"total": total, "setup": ready, "solve": training.seconds, "assessment": total - ready - training.seconds}
    closing = {"loss": loss, "seconds": seconds, "peak_memory_mb": peak_memory_mb(), "threads": objective.threads}
    return dataclasses.replace(solution, metrics={**solution.metrics, **closing})


def _with_method(problem: Problem, method: str) -> Problem:
    data = {**problem.source.data, "solver": {**problem.source.data.get("solver", {}), "method": method}}
    source = dataclasses.replace(problem.source, data=data)
    return dataclasses.replace(problem, source=source, settings=validate(source))
