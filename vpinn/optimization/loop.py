"""The one training loop: draw, step, watch, remember.

Whatever trains goes through ``train``: full sums and mini-batches, first order and quasi-Newton, with warm-up,
clipping, rollback on non-finite values, tracking of the best state, checkpoints and signals.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import torch
from torch import Tensor

from vpinn.errors import DivergenceError
from vpinn.objective import Objective, curvature
from vpinn.optimization.batches import PILOT_EVERY, drawn, pilots
from vpinn.optimization.growth import LeastSquares
from vpinn.optimization.interrupt import Interrupt
from vpinn.optimization.method import Closure, Method, NonFiniteError
from vpinn.optimization.schedule import Schedule
from vpinn.optimization.training import COLUMNS, Training
from vpinn.optimization.watch import WATCHED, observe, watches_all
from vpinn.sampling import Sampler

ANCHOR = 100
"""Steps between states that a rollback can return to."""
TRIES = 3
"""Rollbacks before giving up."""
SHRINK = 0.1
"""Factor of the step size at a rollback."""
MEMORY = 0.02
"""Weight of the newest loss in the moving average that picks the best state of a mini-batch run."""

Monitor = Callable[[Tensor], Mapping[str, float]]
"""Parameters → values for the columns "error" and "estimate"."""


@dataclass(frozen=True)
class Plan:
    """How a run trains.

    Attributes:
        method: the optimiser.
        schedule: step sizes; its ``steps`` is the length of the run.
        samplers: one per measure, or () for all points in every step.
        batches: independent batches of a step, 1 or 2.
        clip: longest gradient norm, None for no clipping.
        tolerance: stop when the monitor's estimate is below; None: never.
        time_limit: seconds after which the run stops, None: never.
        monitor_every: steps between calls of the monitor.
        checkpoint_every: seconds between checkpoints.
    """

    method: Method | LeastSquares
    schedule: Schedule
    samplers: tuple[Sampler, ...] = ()
    batches: int = 1
    clip: float | None = None
    tolerance: float | None = None
    time_limit: float | None = None
    monitor_every: int = 100
    checkpoint_every: float = 60.0

    @cached_property
    def batch_size(self) -> int | None:
        """Points of all measures per step, None for all points."""
        return self.batches * sum(s.size for s in self.samplers) or None


def train(
    objective: Objective,
    training: Training,
    plan: Plan,
    monitor: Monitor | None = None,
    report: Callable[[Training], None] = lambda training: None,
    save: Callable[[Training], None] = lambda training: None,
    interrupt: Interrupt | None = None,
) -> Training:
    """Train until the steps are done, the tolerance holds, time is up, or a signal arrives.

    Args:
        objective: what is minimised.
        training: the state to go on from; changed in place.
        plan: how.
        monitor: error and error estimate of parameters, where known.
        report: called after every step.
        save: called every ``plan.checkpoint_every`` seconds and at the end.
        interrupt: signals received.

    Returns:
        the state after the last step; ``stopped`` says why it was the last.

    Raises:
        DivergenceError: three rollbacks with smaller steps did not help.
    """
    began = time.perf_counter() - training.seconds
    saved = time.perf_counter()
    training.stopped = _reason(training, plan, interrupt)  # a run that is resumed may have been at its end
    while not training.stopped:
        _one_step(objective, training, plan, monitor, began)
        report(training)
        if time.perf_counter() - saved > plan.checkpoint_every:
            save(training)
            saved = time.perf_counter()
        training.stopped = _reason(training, plan, interrupt)
    save(training)
    return training


def _reason(training: Training, plan: Plan, interrupt: Interrupt | None) -> str:
    """Return why training ends here, "" where it goes on."""
    estimate = training.history[-1][COLUMNS.index("estimate")] if training.history else math.nan
    if interrupt is not None and interrupt.signal is not None:
        return "signal"
    if plan.tolerance is not None and estimate < plan.tolerance:
        return "tolerance"
    if training.idle >= 2:
        return "converged"
    if training.step >= plan.schedule.steps:
        return "steps"
    if plan.time_limit is not None and training.seconds > plan.time_limit:
        return "time limit"
    return ""


def _one_step(objective: Objective, training: Training, plan: Plan, monitor: Monitor | None, began: float) -> None:
    assert isinstance(plan.method, Method)
    rate = plan.schedule(training.step) * training.shrink
    closure = _draw(objective, training, plan)
    theta = training.theta
    try:
        new, state, value = plan.method.step(theta, training.state, closure, rate, same=not plan.samplers)
        if not math.isfinite(float(new.sum())):
            raise NonFiniteError("parameters")
    except NonFiniteError as error:
        _roll_back(objective, training, str(error))
        return
    _remember(training, plan, theta, value)
    if training.step % ANCHOR == 0:
        training.anchor = (theta, training.state)
    training.idle = training.idle + 1 if torch.equal(new, theta) else 0
    training.theta, training.state = new, state
    noise = (math.nan,) * len(WATCHED)
    if closure.gradient is not None and (plan.samplers or watches_all(training.step)):
        size, again = (plan.batch_size, closure.evaluate) if plan.samplers else (None, None)
        seen = (theta, closure.gradient, closure.clipped, rate, size, again, training.step)
        training.watch, noise = observe(training.watch, *seen)
    training.step += 1
    watched: Mapping[str, float] = {}
    if monitor is not None and (training.step % plan.monitor_every == 0 or training.step == plan.schedule.steps):
        watched = monitor(new)
    training.seconds = time.perf_counter() - began
    training.history.append(
        (
            training.step,
            training.seconds,
            value,
            closure.gradient_norm,
            rate,
            plan.batch_size or objective.size,
            closure.clipped,
            watched.get("error", math.nan),
            watched.get("estimate", math.nan),
            *noise,
        )
    )


def _draw(objective: Objective, training: Training, plan: Plan) -> Closure:
    """Return J, ∇J and curvature over all points, or over batches drawn now."""
    if not plan.samplers:
        return Closure(objective.gradient, plan.clip, partial(curvature, objective))
    if training.step % PILOT_EVERY == 0:
        training.learned = pilots(objective, plan.samplers, training.generator, training.theta, training.learned)
    return drawn(objective, plan.samplers, plan.batches, training.generator, training.learned, plan.clip)


def _remember(training: Training, plan: Plan, theta: Tensor, value: float) -> None:
    """Keep the parameters with the lowest loss; with mini-batches that of the moving average, once it means something."""
    if plan.samplers:
        first = not math.isfinite(training.average)
        training.average = value if first else training.average + MEMORY * (value - training.average)
        value = training.average if training.step > 1 / MEMORY else math.inf
    if value < training.best[1]:
        training.best = (theta, value)


def _roll_back(objective: Objective, training: Training, what: str) -> None:
    """Return to the anchor with smaller steps, or give up."""
    training.rollbacks += 1
    if training.rollbacks > TRIES:
        where = objective.non_finite(training.theta) if what != "parameters" else ""
        raise DivergenceError(
            f"training diverged at step {training.step + 1}: the {what} is not finite{where}, after {TRIES} rollbacks with "
            "smaller steps; lower solver.learning_rate, raise solver.warmup or set solver.clip"
        )
    training.theta, training.state = training.anchor
    training.shrink *= SHRINK


def final_parameters(objective: Objective, training: Training) -> tuple[Tensor, float]:
    """Return the better of the last and the best parameters by J over all points, and that J.

    Raises:
        DivergenceError: both have none.
    """
    candidates: Sequence[Tensor] = (training.theta, training.best[0])
    scored = [(value, k) for k, theta in enumerate(candidates) if math.isfinite(value := objective.value(theta))]
    if not scored:
        raise DivergenceError(
            f"after step {training.step} the loss over all points is not finite{objective.non_finite(training.theta)}; "
            "lower solver.learning_rate or set solver.clip"
        )
    value, k = min(scored)
    return candidates[k], value
