"""The one training loop: draw, step, watch, remember.

Whatever trains goes through ``train``: full sums and mini-batches, first order and quasi-Newton, with warm-up,
clipping, rollback on non-finite values, tracking of the best state, checkpoints and signals.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vpinn.errors import DivergenceError
from vpinn.objective import Objective
from vpinn.optimization.batches import PILOT_EVERY, drawn, pilots
from vpinn.optimization.growth import LeastSquares
from vpinn.optimization.interrupt import Interrupt
from vpinn.optimization.method import Closure, Method, NonFiniteError, State
from vpinn.optimization.schedule import Schedule
from vpinn.sampling import Sampler, State as Learned

COLUMNS = ("step", "seconds", "loss", "gradient_norm", "learning_rate", "batch_size", "clipped", "error", "estimate")
"""Columns of the history."""
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
        clip: longest gradient norm, None for no clipping.
        tolerance: stop when the monitor's estimate is below; None: never.
        time_limit: seconds after which the run stops, None: never.
        monitor_every: steps between calls of the monitor.
        checkpoint_every: seconds between checkpoints.
    """

    method: Method | LeastSquares
    schedule: Schedule
    samplers: tuple[Sampler, ...] = ()
    clip: float | None = None
    tolerance: float | None = None
    time_limit: float | None = None
    monitor_every: int = 100
    checkpoint_every: float = 60.0

    @cached_property
    def batch_size(self) -> int | None:
        """Points of all measures per step, None for all points."""
        return self.batches * sum(s.size for s in self.samplers) or None


@dataclass
class Training:
    """The state of a run: the only object that training changes.

    Attributes:
        theta: parameters [size].
        state: of the method.
        generator: of the samplers.
        learned: what each adaptive sampler knows.
        step: steps taken.
        seconds: spent so far, over all sessions.
        average: moving average of the loss.
        best: parameters with the lowest loss (its moving average with mini-batches), and that loss.
        anchor: parameters, state and step that a rollback returns to.
        shrink: factor of the step size from rollbacks.
        rollbacks: how many there were.
        idle: steps in a row that left the parameters as they were.
        history: one row of ``COLUMNS`` per step.
        stopped: why the run ended, "" while it has not.
    """

    theta: Tensor
    state: State
    generator: np.random.Generator
    learned: tuple[Learned, ...] = ()
    step: int = 0
    seconds: float = 0.0
    average: float = math.nan
    best: tuple[Tensor, float] = field(default=(torch.empty(0), math.inf))
    anchor: tuple[Tensor, State] = field(default=(torch.empty(0), {}))
    shrink: float = 1.0
    rollbacks: int = 0
    idle: int = 0
    history: list[tuple[float, ...]] = field(default_factory=list)
    stopped: str = ""

    @classmethod
    def start(cls, theta: Tensor, method: Method | LeastSquares, seed: int) -> Training:
        """Return the state before the first step."""
        state = method.initial(theta) if isinstance(method, Method) else {}
        return cls(theta, state, np.random.default_rng(seed), best=(theta, math.inf), anchor=(theta, state))

    def arrays(self) -> tuple[dict[str, np.ndarray[Any, Any]], dict[str, Any]]:
        """Return everything as arrays and JSON-compatible values, for a checkpoint."""
        arrays = {"theta": self.theta, "best": self.best[0], "anchor": self.anchor[0]}
        arrays |= {f"state.{k}": v for k, v in self.state.items()} | {f"anchor.{k}": v for k, v in self.anchor[1].items()}
        known = {f"learned.{k}.{name}": array for k, state in enumerate(self.learned) for name, array in state.items()}
        history = np.array(self.history, dtype=np.float64).reshape(-1, len(COLUMNS))
        numbers = {"step": self.step, "seconds": self.seconds, "average": self.average, "best_loss": self.best[1]}
        numbers |= {"shrink": self.shrink, "rollbacks": self.rollbacks, "idle": self.idle}
        meta = {"numbers": numbers, "generator": self.generator.bit_generator.state, "stopped": self.stopped}
        meta["learned"] = len(self.learned)
        return {name: tensor.detach().numpy() for name, tensor in arrays.items()} | known | {"history": history}, meta

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray[Any, Any]], meta: Mapping[str, Any]) -> Training:
        """Return the state that ``arrays`` described, equal to the last bit."""
        tensors = {name: torch.from_numpy(np.array(array)) for name, array in arrays.items() if name[:7] not in ("history", "learned")}
        states = {
            prefix: {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
            for prefix in ("state.", "anchor.")
        }
        generator = np.random.default_rng()
        generator.bit_generator.state = meta["generator"]
        numbers = meta["numbers"]
        return cls(
            theta=tensors["theta"],
            state=states["state."],
            generator=generator,
            learned=tuple(
                {n.split(".", 2)[2]: a for n, a in arrays.items() if n.startswith(f"learned.{k}.")} for k in range(meta["learned"])
            ),
            step=numbers["step"],
            seconds=numbers["seconds"],
            average=numbers["average"],
            best=(tensors["best"], numbers["best_loss"]),
            anchor=(tensors["anchor"], states["anchor."]),
            shrink=numbers["shrink"],
            rollbacks=numbers["rollbacks"],
            idle=numbers["idle"],
            history=[tuple(row) for row in arrays["history"].tolist()],
        )


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
    closure = Closure(_draw(objective, training, plan), plan.clip)
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
        )
    )


def _draw(objective: Objective, training: Training, plan: Plan) -> Callable[[Tensor], tuple[float, Tensor]]:
    """Return J and ∇J over all points, or over batches drawn now."""
    if not plan.samplers:
        return objective.gradient
    if training.step % PILOT_EVERY == 0:
        training.learned = pilots(objective, plan.samplers, training.generator, training.theta, training.learned)
    return drawn(objective, plan.samplers, training.generator, training.learned)


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
