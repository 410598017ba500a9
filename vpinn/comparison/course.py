"""One run of a comparison: trained until its time is up, its error measured while the clock stands still."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from vpinn.analysis import WATCHED_DEGREE, TrueError, independent_points, make_estimator, reference_errors
from vpinn.errors import DivergenceError, InputError
from vpinn.features import Direct
from vpinn.interrupt import Interrupt
from vpinn.objective import Curvature
from vpinn.optimization import COLUMNS, Closure, Langevin, Method, Plan, Training, train
from vpinn.optimization.batches import PILOT_EVERY
from vpinn.optimization.method import State
from vpinn.placement import Placement, wide
from vpinn.problem import Problem
from vpinn.process import peak_memory_mb
from vpinn.sampling import Adaptive
from vpinn.solution import Solution
from vpinn.solving import Hooks, Setup, prepare
from vpinn.solving.run import strategy_of

SPACING = 0.06
"""Time between measurements of the error, as a share of the time so far."""
TELL_EVERY = 0.25
"""Seconds between messages."""
TAIL = 0.2
"""Last share of a run whose loss counts for its fluctuation."""
WARMUP = 0.1
"""Most of a run that may be warm-up."""
ENDLESS = 10**9
"""Steps that no budget of seconds sees."""

Mark = tuple[float, ...]
"""Seconds, updates, evaluations and error."""
Tell = Callable[[float, int, float], None]
"""Told seconds, updates and the last error now and then."""


@dataclass(frozen=True)
class Course:
    """What one run did; the first four are measured together, again and again.

    Attributes:
        seconds: of training alone [m].
        updates: steps taken [m].
        evaluations: points at which the integrands were evaluated with their gradient, and those of pilots [m]; nan for least
            squares, which makes columns of them.
        error: relative, dimensionless [m].
        stopped: why the run ended: "time limit", "steps", "converged", "diverged", …
        setup: seconds from the problem through a first step that is thrown away; not part of ``seconds``.
        cpu: processor seconds of training.
        memory: peak of the process in MB before the first measurement.
        libraries: memory in MB that the process held before the problem was set up; part of ``memory``.
        fluctuation: standard deviation of the loss from step to step over its mean, nan without mini-batches.
    """

    seconds: tuple[float, ...]
    updates: tuple[int, ...]
    evaluations: tuple[float, ...]
    error: tuple[float, ...]
    stopped: str
    setup: float
    cpu: float
    memory: float
    libraries: float
    fluctuation: float

    @classmethod
    def of(cls, marks: Sequence[Mark], stopped: str, *numbers: float) -> Course:
        """Return the course through some marks."""
        seconds, evaluations, error = (tuple(mark[k] for mark in marks) for k in (0, 2, 3))
        return cls(seconds, tuple(int(mark[1]) for mark in marks), evaluations, error, stopped, *numbers)


def counted(method: Method) -> tuple[Method, list[int]]:
    """Return a method that takes the same steps, and a list that gets how often each evaluates gradient or rows of curvature.

    Its class lies below the method's own, so that all that a run asks of a method is answered alike.
    """
    calls: list[int] = []
    kind = type(method)

    def step(
        self: Method, theta: Tensor, state: State, closure: Closure, learning_rate: float, same: bool
    ) -> tuple[Tensor, State, float]:
        rows, curved = closure.curvature, 0

        def counting(at: Tensor) -> Curvature:
            nonlocal curved
            curved += 1
            return rows(at)

        closure.curvature = counting
        try:
            return kind.step(self, theta, state, closure, learning_rate, same)
        finally:
            calls.append(closure.evaluations + curved)

    found = copy.copy(method)
    object.__setattr__(found, "__class__", type(f"Counted{kind.__name__}", (kind,), {"step": step}))
    return found, calls


def _warm_up(setup: Setup) -> None:
    """Take a step and throw it away: factorisations and strata are made by the first one."""
    with contextlib.suppress(DivergenceError):
        train(setup.objective, setup.start(), dataclasses.replace(setup.plan, time_limit=0.0, checkpoint_every=math.inf))


def measured_course(problem: Problem, placement: Placement, seconds: float | None, tell: Tell = lambda *values: None) -> Course:
    """Solve a problem and return how its error fell.

    Args:
        problem: with its seed.
        placement: where it runs.
        seconds: of training; None for as many as the problem's steps take.
        tell: called now and then.

    Raises:
        InputError: the problem cannot be solved as stated.
    """
    libraries, began = peak_memory_mb(), time.perf_counter()
    setup = prepare(problem, placement)
    if isinstance(setup.plan.method, Direct):
        return _direct(setup, seconds, tell, (time.perf_counter() - began, libraries))
    tell(0.0, 0, math.nan)
    _warm_up(setup)
    ready = time.perf_counter() - began
    tell(0.0, 0, math.nan)  # a set-up as long as the seconds is no reason to give up
    training, (method, calls) = setup.start(), counted(setup.plan.method)
    plan = dataclasses.replace(setup.plan, method=method, tolerance=None, checkpoint_every=math.inf)
    marks: list[Mark] = []
    next_mark, cpu, memory, stopped, last = 0.0, 0.0, 0.0, "", [-math.inf, math.nan]
    error: Callable[[Tensor], float] | None = None

    def report(state: Training) -> None:
        if state.seconds - last[0] > TELL_EVERY:
            last[0] = state.seconds
            tell(state.seconds, state.step, last[1])

    while not stopped:
        part = _until(plan, training, next_mark, seconds)
        used = time.process_time()
        try:
            train(setup.objective, training, part, report=report)
        except DivergenceError:
            stopped = "diverged"
            break
        finally:
            cpu += time.process_time() - used
        stopped = _ended(training, seconds)
        if not stopped and training.seconds < next_mark:
            continue
        if error is None:  # the evaluator's memory is not the training's
            memory = peak_memory_mb()
            error = make_error(setup)
        tell(training.seconds, training.step, last[1])
        paused, last[1] = time.perf_counter(), error(training.theta)
        cost = time.perf_counter() - paused
        marks.append((training.seconds, training.step, _evaluations(calls, plan, training), last[1]))
        next_mark = training.seconds + max(SPACING * training.seconds, cost)
    noise = _fluctuation(training) if plan.samplers else math.nan
    return Course.of(marks, stopped, ready, cpu, memory or peak_memory_mb(), libraries, noise)


def make_error(setup: Setup) -> Callable[[Tensor], float]:
    """Return the error of parameters: the true one where it is known, else the estimate; the largest of all unknowns.

    True errors are relative L² norms, the estimate is relative to the flux, nan where it says nothing.

    Raises:
        InputError: there is no truth, and no estimate either.
    """
    problem, trial = setup.problem, setup.trial
    if problem.exact:
        truth = TrueError(problem, trial, independent_points(problem, WATCHED_DEGREE))
        return lambda theta: _largest(truth(theta))
    if (known := problem.reference) is not None:
        nothing = np.empty((0, len(COLUMNS)))
        return lambda theta: _largest(reference_errors(Solution(problem, trial, wide(theta), {}, nothing), known))
    space = setup.objective.test_space
    estimator = make_estimator(problem, trial, space.space.degree if space is not None else None)
    if estimator is None:
        raise InputError("nothing tells the error of this problem; give [reference] exact or file to compare by")
    return lambda theta: math.nan if (estimate := estimator(theta)) is None else estimate.relative


def _largest(errors: dict[str, dict[str, float]]) -> float:
    return max(found["relative_l2"] for found in errors.values())


def _until(plan: Plan, training: Training, mark: float, seconds: float | None) -> Plan:
    """Return the plan up to a time, the course of its step size stretched over the budget by the speed so far.

    Steps on all points may be so few that they would spend the whole budget on a warm-up meant for many.
    """
    if seconds is None:
        return dataclasses.replace(plan, time_limit=mark)
    steps = math.ceil(seconds * training.step / training.seconds) if training.seconds else ENDLESS
    steps = max(steps, training.step + 1)
    schedule = dataclasses.replace(plan.schedule, steps=steps, warmup=min(plan.schedule.warmup, round(WARMUP * steps)))
    method = plan.method
    if isinstance(method, Langevin):  # its walk is the second half of the budget
        method = dataclasses.replace(method, length=steps)
    return dataclasses.replace(plan, method=method, schedule=schedule, time_limit=min(mark, seconds))


def _ended(training: Training, seconds: float | None) -> str:
    """Return why a run is over, "" where it goes on after a measurement."""
    if training.stopped == "converged" or (seconds is None and training.stopped == "steps"):
        return training.stopped
    return "time limit" if seconds is not None and training.seconds > seconds else ""


def _evaluations(calls: Sequence[int], plan: Plan, training: Training) -> float:
    sizes = [row[COLUMNS.index("batch_size")] for row in training.history]
    pilots = sum(sampler.pilot_size for sampler in plan.samplers if isinstance(sampler, Adaptive))
    return float(sum(calls) * np.mean(sizes) + pilots * -(-len(calls) // PILOT_EVERY))


def _fluctuation(training: Training) -> float:
    """Return the spread of the loss about its course, by differences of successive steps (von Neumann et al. 1941)."""
    loss = np.array(training.history)[:, COLUMNS.index("loss")]
    tail = loss[-max(2, round(TAIL * len(loss))) :]
    return float(np.sqrt(0.5 * np.mean(np.diff(tail) ** 2)) / abs(tail.mean())) if len(tail) > 1 else math.nan


def _direct(setup: Setup, seconds: float | None, tell: Tell, before: tuple[float, float]) -> Course:
    """Solve without steps: stages stand for them, and the last one is that in which the time is up."""
    rows: list[tuple[float, int, float, float]] = []
    used = time.process_time()

    def report(training: Training) -> None:
        row = dict(zip(COLUMNS, training.history[-1], strict=True))
        rows.append((training.seconds, training.step, math.nan, row["error"]))
        tell(training.seconds, training.step, row["error"])

    strategy = strategy_of(setup)
    state = strategy.start()
    finish = strategy.solve(state, Hooks(report, lambda *kept: None, Interrupt(), enough=seconds))
    cpu, memory = time.process_time() - used, peak_memory_mb()
    ready, libraries = before
    if seconds is not None and any(row[0] > seconds for row in rows):
        known = [row for row in rows if row[0] <= seconds]
        return Course.of(known, "time limit", ready, cpu, memory, libraries, math.nan)
    known = [row for row in rows if math.isfinite(row[3])]
    if not known:  # without an exact solution the error is measured at the end alone
        solution = finish().assessed()
        errors = {name: dict(found) for name, found in solution.errors.items()}
        known = [(*rows[-1][:3], _largest(errors) if errors else float(solution.error_estimate["relative_energy"]))]
    return Course.of(known, state.training.stopped, ready, cpu, memory, libraries, math.nan)
