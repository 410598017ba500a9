"""One run of a comparison: training for a given time, with the error measured from time to time. Start from `measured_course`.

The time to measure the error is not counted. Measurements are spaced evenly in the logarithm of time, so that errors can be drawn
against time on logarithmic axes.
"""

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
from vpinn.optimization import COLUMNS, Closure, Langevin, Method, Plan, Training, steps_of, train
from vpinn.optimization.batches import PILOT_EVERY
from vpinn.optimization.method import State
from vpinn.placement import Placement, wide
from vpinn.problem import Case
from vpinn.process import peak_memory_mb
from vpinn.sampling import Adaptive
from vpinn.solution import Solution
from vpinn.solving import Hooks, Setup, prepare
from vpinn.solving.strategies import strategy_of

SPACING = 0.06
"""Training time between two measurements of the error, as a share of the training time so far."""
TELL_EVERY = 0.25
"""Training seconds between progress messages."""
TAIL = 0.2
"""Share of the steps, at the end of a run, from which the fluctuation of the loss is computed."""
WARMUP = 0.1
"""Largest share of the steps of a run that the warm-up of the step size may take."""
ENDLESS = 10**9
"""Number of steps that stands for "as many as the time allows" until the speed of training is known."""

Mark = tuple[float, ...]
"""One measurement: seconds, updates, evaluations and error."""
Tell = Callable[[float, int, float], None]
"""Function that receives seconds, updates and the last error as progress messages."""


@dataclass(frozen=True)
class Course:
    """The record of one run: m measurements during training, and numbers about the whole run.

    Attributes:
        seconds: Training time at every measurement [m], in s; set-up and measurements are not counted.
        updates: Steps taken so far [m].
        evaluations: Points at which integrands and their gradients have been evaluated so far, pilots included [m]; nan for
            direct methods, which evaluate columns of a matrix instead.
        error: Relative error, dimensionless [m].
        stopped: Why the run ended: "time limit", "steps", "converged", "diverged", …
        setup: Seconds to set the problem up, including a first step that is discarded; not part of ``seconds``.
        cpu: Processor seconds of training.
        memory: Peak memory of the process in MB before the error was first measured.
        libraries: Memory in MB that the process needed before the problem was set up; part of ``memory``.
        fluctuation: Standard deviation of the loss from step to step over its mean, dimensionless; nan without mini-batches.
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
        """Return the course of some measurements; ``numbers`` are setup to fluctuation, in order."""
        seconds, evaluations, error = (tuple(mark[k] for mark in marks) for k in (0, 2, 3))
        return cls(seconds, tuple(int(mark[1]) for mark in marks), evaluations, error, stopped, *numbers)


def counted(method: Method) -> tuple[Method, list[int]]:
    """Return a copy of a method that counts its evaluations, and the list to which every step appends their number.

    Evaluations of the gradient and of the rows of the curvature are counted. The copy is of a subclass of the method's class, so
    that type checks elsewhere treat it as the original.
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
    """Take one step and discard its result, so that factorisations and strata, which the first step makes, are in the set-up."""
    with contextlib.suppress(DivergenceError):
        train(setup.objective, setup.start(), dataclasses.replace(setup.plan, time_limit=0.0, checkpoint_every=math.inf))


def measured_course(problem: Case, placement: Placement, seconds: float | None, tell: Tell = lambda *values: None) -> Course:
    """Solve a problem in a given training time, and return how its error fell.

    Args:
        problem: Problem to solve, with the seed of the run.
        placement: Device, precision and threads.
        seconds: Training time in s; None for the time that the problem's steps need.
        tell: Function that receives progress messages.

    Raises:
        InputError: The problem cannot be solved as its settings say, or its error cannot be measured.
    """
    libraries, began = peak_memory_mb(), time.perf_counter()
    setup = prepare(problem, placement)
    if isinstance(setup.plan.method, Direct):
        return _direct(setup, seconds, tell, (time.perf_counter() - began, libraries))
    tell(0.0, 0, math.nan)
    _warm_up(setup)
    ready = time.perf_counter() - began
    tell(0.0, 0, math.nan)  # so that the parent does not take a long set-up for a step without end
    training, (method, calls) = setup.start(), counted(setup.plan.method)
    plan = dataclasses.replace(setup.plan, method=method, tolerance=None, checkpoint_every=math.inf)
    marks: list[Mark] = []
    next_mark, cpu, memory = 0.0, 0.0, 0.0
    stopped = ""
    last = [-math.inf, math.nan]
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
        if error is None:  # read before the evaluator of the error needs memory
            memory = peak_memory_mb()
            error = make_error(setup)
        tell(training.seconds, training.step, last[1])
        paused, last[1] = time.perf_counter(), error(training.theta)
        next_mark = training.seconds + max(SPACING * training.seconds, time.perf_counter() - paused)
        marks.append((training.seconds, training.step, _evaluations(calls, plan, training), last[1]))
    return Course.of(marks, stopped, ready, cpu, memory or peak_memory_mb(), libraries, _fluctuation(training, plan))


def make_error(setup: Setup) -> Callable[[Tensor], float]:
    """Return a function from parameters to the error: the true one if the solution is known, otherwise the estimate.

    The true error is the largest relative L² error of all unknowns. The estimate is relative to the norm of the flux; it is nan
    if it fails at the parameters.

    Raises:
        InputError: Neither is a solution known, nor is there an estimator for the problem.
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
        raise InputError("the error of this problem can be neither measured nor estimated; give [reference] exact or file")
    return lambda theta: math.nan if (estimate := estimator(theta)) is None else estimate.relative


def _largest(errors: dict[str, dict[str, float]]) -> float:
    return max(found["relative_l2"] for found in errors.values())


def _until(plan: Plan, training: Training, mark: float, seconds: float | None) -> Plan:
    """Return the plan for training until the next measurement.

    The number of steps in the whole budget is predicted from the speed so far, and the step size schedule is stretched to it. The
    warm-up is limited to `WARMUP` of the steps, since few slow steps would otherwise all be warm-up.
    """
    if seconds is None:
        return dataclasses.replace(plan, time_limit=mark)
    steps = math.ceil(seconds * training.step / training.seconds) if training.seconds else ENDLESS
    steps = max(steps, training.step + 1)
    schedule = dataclasses.replace(plan.schedule, steps=steps, warmup=min(plan.schedule.warmup, round(WARMUP * steps)))
    method = plan.method
    if isinstance(method, Langevin):  # the second half of its steps are the sampling chain
        method = dataclasses.replace(method, length=steps)
    return dataclasses.replace(plan, method=method, schedule=schedule, time_limit=min(mark, seconds))


def _ended(training: Training, seconds: float | None) -> str:
    """Return why a run has ended, "" if it continues."""
    if training.stopped == "converged" or (seconds is None and training.stopped == "steps"):
        return training.stopped
    return "time limit" if seconds is not None and training.seconds > seconds else ""


def _evaluations(calls: Sequence[int], plan: Plan, training: Training) -> float:
    """Return the number of point evaluations so far: calls times mean batch size, and the points of pilots."""
    history = training.history.table
    mean = np.average(history[:, COLUMNS.index("batch_size")], weights=steps_of(history))
    pilots = sum(sampler.pilot_size for sampler in plan.samplers if isinstance(sampler, Adaptive))
    return float(sum(calls) * mean + pilots * -(-len(calls) // PILOT_EVERY))


def _fluctuation(training: Training, plan: Plan) -> float:
    """Return the standard deviation of the loss about its trend, over its mean, from differences of successive steps.

    It is nan without mini-batches. Source: von Neumann et al. 1941.
    """
    if not plan.samplers:
        return math.nan
    loss = training.history.table[:, COLUMNS.index("loss")]
    tail = loss[-max(2, round(TAIL * len(loss))) :]
    return float(np.sqrt(0.5 * np.mean(np.diff(tail) ** 2)) / abs(tail.mean())) if len(tail) > 1 else math.nan


def _direct(setup: Setup, seconds: float | None, tell: Tell, before: tuple[float, float]) -> Course:
    """Return the course of a direct method, whose measurements are its stages; the stage that exceeds the time is not counted.

    Args:
        setup: The prepared problem.
        seconds: Training time in s, None for no limit.
        tell: Function that receives progress messages.
        before: Seconds of the set-up, and memory in MB before it.
    """
    rows: list[tuple[float, int, float, float]] = []
    used = time.process_time()
    known_by = "error" if setup.problem.exact or setup.problem.reference is not None else "estimate"

    def report(training: Training) -> None:
        error = training.history[-1][COLUMNS.index(known_by)]
        if not rows or training.step > rows[-1][1]:  # stages are also told before they begin
            rows.append((training.seconds, training.step, math.nan, error))
        tell(training.seconds, training.step, error)

    strategy = strategy_of(setup)
    state = strategy.start()
    finish = strategy.solve(state, Hooks(report, lambda *kept: None, Interrupt(), enough=seconds))
    cpu, memory = time.process_time() - used, peak_memory_mb()
    ready, libraries = before
    if seconds is not None and any(row[0] > seconds for row in rows):
        known = [row for row in rows if row[0] <= seconds]
        return Course.of(known, "time limit", ready, cpu, memory, libraries, math.nan)
    known = [row for row in rows if math.isfinite(row[3])]
    if not known:  # stages of features measure no error without an exact solution: assess the final one
        solution = finish().assessed()
        errors = {name: dict(found) for name, found in solution.errors.items()}
        known = [(*rows[-1][:3], _largest(errors) if errors else float(solution.error_estimate["relative_energy"]))]
    return Course.of(known, state.training.stopped, ready, cpu, memory, libraries, math.nan)
