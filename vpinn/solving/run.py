"""Run a strategy on a problem, assess its solution and keep the run folder; load a solution from a run folder."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from vpinn import run_files, run_folder
from vpinn.errors import InputError
from vpinn.interrupt import Interrupt
from vpinn.metrics import Cost, Metrics, Seconds
from vpinn.objective import expected_points
from vpinn.optimization import Plan, Training
from vpinn.placement import Placement
from vpinn.problem import Case, Settings, check_settings_in_time
from vpinn.problem.validation import validate
from vpinn.process import available_cores, peak_memory_mb, usual_threads
from vpinn.solution import Solution
from vpinn.solving.divided import check_workers
from vpinn.solving.events import Callback, Teller
from vpinn.solving.loaded import OUTLET, read_origin
from vpinn.solving.marching import arrays_of_stage
from vpinn.solving.origin import Origin
from vpinn.solving.over_time import in_time, with_final_errors
from vpinn.solving.strategies import make_strategy
from vpinn.solving.strategy import Hooks, Outcome, Space, State, Strategy
from vpinn.storage import claimed
from vpinn.trial import Trial
from vpinn.workers import Group, joined, local_workers

Report = Callable[[Training, Plan], None]


def solve(  # noqa: PLR0913 (keywords of the public interface)
    problem: Case,
    directory: str | os.PathLike[str] | None = None,
    *,
    method: str | None = None,
    resume: bool = False,
    overwrite: bool = False,
    threads: int | None = None,
    device: str | None = None,
    report: Report | None = None,
    interrupt: Interrupt | None = None,
    callbacks: Sequence[Callback] = (),
    start: str | os.PathLike[str] | None = None,
) -> Solution:
    """Solve a problem.

    Args:
        problem: The problem to solve.
        directory: Run folder; None keeps everything in memory.
        method: Method to use instead of ``solver.method`` of the problem.
        resume: Continue from the checkpoint in the folder.
        overwrite: Replace the run in the folder.
        threads: Number of threads ≥ 1; default that of `usual_threads`.
        device: Device for the steps of training: cpu (the default), cuda or mps.
        report: Called after every step or stage.
        interrupt: Signals received by the process; by default they are caught while this call lasts.
        callbacks: Called with the events of the run; one that returns False after a step or stage ends it.
        start: Run folder of another run to start from: its weights where a network is trained, its features with least
            squares, its field with elements.

    Returns:
        The solution with its errors, error estimate and metrics; without these if a signal ended training.

    Raises:
        Stopped: A signal arrived before training, and the folder is unchanged, or after it, and the folder holds the last state.
        InputError: The problem cannot be solved as stated, there is no such device, the folder holds a run already, or another
            process writes into it; or workers cannot share the work, or have different problems.
        WorkerError: Another worker has ended.
        DivergenceError: Training diverged.
        StorageError: The folder could not be written.
    """
    began = time.perf_counter()
    folder = None if directory is None else Path(directory)
    settings = problem.settings if method is None else asking(problem, method)
    placement = _placed(problem, settings, device, threads)
    group = placement.group
    signals = interrupt or Interrupt()
    with group.held_by_first(claimed(folder)), contextlib.nullcontext() if interrupt is not None else signals:
        group.by_first(lambda: _check_vacant(folder, resume, overwrite))
        teller = Teller(callbacks if group.first else (), signals)
        teller.phase("set-up")
        with signals.abandons():
            origin = _origin(start, folder, resume)
            strategy = make_strategy(problem, settings, placement, origin)
            state = strategy.start()
        if folder is not None:
            state = _begin(strategy, state, folder, resume, group, origin)
        ready = time.perf_counter() - began

        def save(reached: State, space: Space, solution: Solution | None = None) -> None:
            if folder is not None and group.first:
                run_folder.save(folder, reached.training, [({}, dict(reached.record)), *_kept(reached, space)], solution)

        if not state.begun:
            save(state, strategy.space)

        teller.phase("solving")
        tell = _telling(report if placement.group.first else None, teller, strategy.plan)
        finish = strategy.solve(state, Hooks(tell, save, signals, folder, ready=ready))
        teller.settle(state.training)
        if state.training.stopped == "signal":
            found = in_time(problem, dataclasses.replace(finish().solution, outlet=OUTLET))
            teller.end(state.training, found)
            return found
        with signals.abandons("stopped by a signal in the assessment; the state is saved, go on with --resume"):
            teller.phase("assessment")
            outcome = finish()
            solution = _closed(problem, outcome, state.training, _with(strategy.placement, placement.group), began, ready)
        save(state, outcome.space, solution)
        solution = in_time(problem, dataclasses.replace(solution, outlet=OUTLET))
        teller.end(state.training, solution)
        return solution


def _telling(report: Report | None, teller: Teller, plan: Plan) -> Callable[[Training], None]:
    """Return the function that a strategy calls after every step or stage."""

    def tell(training: Training) -> None:
        if report is not None:
            report(training, plan)
        teller.progress(training, plan)

    return tell


def _check_vacant(folder: Path | None, resume: bool, overwrite: bool) -> None:
    """Check that a run may write into its folder, if it has one."""
    if folder is not None:
        run_files.check_vacant(folder, resume, overwrite)


def _placed(problem: Case, settings: Settings, device: str | None, threads: int | None) -> Placement:
    """Return device, threads and workers of a run, after a check that the workers have the same problem and enough cores.

    Raises:
        InputError: there is no such device, or the workers cannot share the work.
    """
    group = joined(settings.parallel.backend)
    usual = min(usual_threads(expected_points(problem, settings)), max(1, available_cores() // local_workers()))
    placement = _with(Placement.of(device, threads or usual), group)
    check_workers(problem, placement)
    return placement


def _with(placement: Placement, group: Group) -> Placement:
    """Return a placement with the workers of a run; strategies that do not divide their work have one without."""
    return dataclasses.replace(placement, group=group)


def _origin(start: str | os.PathLike[str] | None, folder: Path | None, resume: bool) -> Origin | None:
    """Return the run to start from; one that is resumed keeps its own.

    Raises:
        InputError: there is no such run, or a resumed run started from another one, or from one that has changed since.
    """
    record = run_files.read_json(folder / run_files.RUN) if resume and folder is not None else None
    known = (record or {}).get("from", {})
    if start is None and not known:
        return None
    origin = read_origin(Path(known["run"] if start is None else start))
    if resume and known.get("sha256") != origin.digest:
        raise InputError(
            f"{folder}: --resume goes on from where the run began, but {origin.folder} is another start, or has changed; start "
            "anew with --overwrite"
        )
    return origin


def _begin(strategy: Strategy, state: State, folder: Path, resume: bool, group: Group, origin: Origin | None) -> State:
    """Prepare the run folder; return the given state or, if the run is resumed, the state of its checkpoint."""
    problem, placement = strategy.problem, _with(strategy.placement, group)
    described = run_folder.describe(problem, strategy.settings, strategy.plan.method.name, placement)
    described |= {} if origin is None else {"from": origin.told}
    if resume:
        held = group.by_first(lambda: run_folder.resumed(folder, described, placement.device))
        with run_folder.understood(folder):
            state = strategy.resumed(*held)
    group.by_first(lambda: run_folder.begin(folder, problem, described, anew=not resume))
    return state


def _kept(state: State, space: Space) -> Iterator[tuple[run_folder.Arrays, dict[str, Any]]]:
    """Yield the arrays and values that a checkpoint holds in addition to the training state and the record."""
    if state.journal is not None:
        yield state.journal.arrays()
    if isinstance(space, Trial):
        yield run_folder.arrays_of_space(space)
    elif space is not None:
        yield arrays_of_stage(space)


def _closed(problem: Case, outcome: Outcome, training: Training, placement: Placement, began: float, ready: float) -> Solution:
    """Return the assessed solution, with the time and memory of the run in its metrics."""
    solution = with_final_errors(problem, outcome.assessed())
    metrics = Metrics.of(solution.metrics)
    assert metrics.account is not None
    account = dataclasses.replace(metrics.account, stopped=training.stopped)
    total = time.perf_counter() - began
    seconds = Seconds(total, ready, training.seconds, total - ready - training.seconds)
    cost = Cost(outcome.loss, seconds, peak_memory_mb(), **placement.told)
    return dataclasses.replace(solution, metrics=dataclasses.replace(metrics, account=account, cost=cost))


def asking(problem: Case, method: str) -> Settings:
    """Return the settings of a problem, with another method.

    Raises:
        InputError: There is no such method, or another setting contradicts it.
    """
    data = {**problem.source.data, "solver": {**problem.source.data.get("solver", {}), "method": method}}
    source = dataclasses.replace(problem.source, data=data)
    settings = validate(source)
    check_settings_in_time(settings, source, problem.domain)
    return settings
