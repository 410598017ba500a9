"""The training loop: draw a batch, take a step, record it, and decide whether to go on.

`train` runs every method that takes steps, on all points or on mini-batches, with warm-up, clipping, rollback after divergence,
checkpoints, signals and time limits, and keeps the best state. `planned.Plan` holds the settings of a run, `Training` its state.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from vpinn.errors import WorkerError
from vpinn.interrupt import Interrupt, Stopped
from vpinn.objective import Objective, candidate_values
from vpinn.optimization.batches import PILOT_EVERY, drawn, pilots
from vpinn.optimization.divergence import ANCHOR, began_at, diverged, harmless, roll_back
from vpinn.optimization.exchange import exchanging, gather_sent
from vpinn.optimization.method import Closure, Method, NonFiniteError, State
from vpinn.optimization.pilot import Gradient, bent_limit, measured_noise, measured_trace, stable_rate, warmup_steps
from vpinn.optimization.planned import Plan
from vpinn.optimization.projection import solved_anew
from vpinn.optimization.rules import Rules
from vpinn.optimization.settled import Settled
from vpinn.optimization.stagnation import stagnates
from vpinn.optimization.training import COLUMNS, Training
from vpinn.placement import HOST
from vpinn.sampling import Logarithmic, Sampler, best_batch
from vpinn.workers import Group

GROWN = 2.0
"""Factor by which a batch must grow before the largest stable step size is measured again."""
CONVERGED = 2
"""Number of consecutive steps without any change of the parameters after which the run ends."""
GRACE = 0.5
"""Seconds by which a step may exceed the time limit before it is aborted."""
MEMORY = 0.02
"""Weight of the newest loss in the moving average that selects the best state of a mini-batch run."""

Monitor = Callable[[Tensor], Mapping[str, float]]
"""Parameters [size] → values for the columns "error" and "estimate" of the history."""


def train(
    objective: Objective,
    training: Training,
    plan: Plan,
    monitor: Monitor | None = None,
    report: Callable[[Training], None] = lambda training: None,
    save: Callable[[Training], None] = lambda training: None,
    interrupt: Interrupt | None = None,
) -> Training:
    """Train until the steps are done, the tolerance is reached, nothing changes any more, time is up, or a signal arrives.

    Args:
        objective: what is minimised, on the first quadrature rule where the plan has finer ones.
        training: state to go on from; changed in place.
        plan: settings of the run.
        monitor: computes error and error estimate, where they are known.
        report: called after every step.
        save: called every ``plan.checkpoint_every`` seconds and at the end.
        interrupt: signals received; a step during which a signal arrives or the time limit is exceeded is undone. Several workers
            finish such a step, and all of them end after it.

    Returns:
        The state after the last step; ``stopped`` says why the run ended.

    Raises:
        DivergenceError: rollbacks with smaller steps did not help.
        WorkerError: another worker has ended; the state before the step is saved.
    """
    began = time.perf_counter() - training.seconds
    saved = time.perf_counter()
    interrupt, group = interrupt or Interrupt(), objective.placement.group
    assert isinstance(plan.method, Method)
    rules = plan.rules or Rules(objective)
    training.stopped = _reason(rules.at(training), training, plan, interrupt)  # a resumed run may have ended already
    put_back = training.remembered()
    while not training.stopped:
        try:
            with _undone(interrupt, training, plan) if group.size == 1 else contextlib.nullcontext():
                if not training.step:
                    rules.follow(training, plan.method)
                _one_step(rules.at(training), training, plan, monitor, began)
                rules.follow(training, plan.method)
        except Stopped:
            put_back()
            training.stopped = "time limit" if interrupt.signal is None else "signal"
            break
        except WorkerError:
            put_back()
            if not training.sent:  # what others have not sent yet is lost with them
                save(training)
            raise
        put_back = training.remembered()
        report(training)
        due = time.perf_counter() - saved > plan.checkpoint_every
        if group.largest([due])[0] if training.sent else due:
            gather_sent(training, group)
            save(training)
            saved = time.perf_counter()
        training.stopped = _reason(rules.at(training), training, plan, interrupt)
    gather_sent(training, group)
    save(training)
    return training


@contextlib.contextmanager
def _undone(interrupt: Interrupt, training: Training, plan: Plan) -> Iterator[None]:
    """End a step at once, by ``Stopped``, where a signal arrives or the time limit is exceeded."""
    with interrupt.limited(_left(training, plan)), interrupt.abandons():
        yield


def _left(training: Training, plan: Plan) -> float | None:
    """Return the seconds after which a step is aborted, None without a limit; the first step is never aborted."""
    if plan.time_limit is None or not training.step:
        return None
    return max(plan.time_limit - training.seconds, 0.0) + GRACE


def _reason(objective: Objective, training: Training, plan: Plan, interrupt: Interrupt) -> str:
    """Return why training ends after this step, "" where it goes on."""
    assert isinstance(plan.method, Method)
    estimate = training.history[-1][COLUMNS.index("estimate")] if training.history else math.nan
    signal, seconds, late = objective.placement.group.largest([interrupt.signal or 0, training.seconds, interrupt.late])
    if signal:
        interrupt.signal = int(signal)
        return "signal"
    if plan.tolerance is not None and estimate < plan.tolerance:
        return "tolerance"
    if training.idle >= CONVERGED or stagnates(training, plan.method, objective):
        return "converged"
    if training.step >= plan.schedule.steps:
        return "steps"
    if plan.time_limit is not None and seconds > plan.time_limit:
        return "time limit"
    return "time limit" if late else ""


def _one_step(objective: Objective, training: Training, plan: Plan, monitor: Monitor | None, began: float) -> None:
    assert isinstance(plan.method, Method)
    if training.settled is None:
        training.settled = _settled(objective, training, plan, plan.method)
    samplers, rate = _drawn_how(objective, training, plan, plan.method)
    closure, theta = _draw(objective, training, plan, samplers), training.theta
    closure, keep_sent = exchanging(closure, training, plan, objective.placement.group)
    try:
        new, state, value = _attempt(training, plan.method, closure, rate, bool(samplers))
    except NonFiniteError as error:
        roll_back(objective, training, plan.method, error)
        return
    _remember(training, bool(samplers), theta, value)
    if plan.project and ((training.step + 1) % plan.project == 0 or training.step + 1 == plan.schedule.steps):
        new = solved_anew(objective, new, training.generator)
    if training.step % ANCHOR == 0 and harmless(training, value):
        training.anchor = (theta, training.state)
    stays = torch.equal(new, theta) and "generator" not in state  # a rejected random step is no convergence
    training.idle = training.idle + 1 if stays else 0
    size = plan.points_of(samplers)
    noise = training.watch.after(closure, theta, rate, size, training.step, partial(plan.method.bath, state))
    training.theta, training.state = new, state
    keep_sent()
    if closure.gradient is not None and plan.clip == "auto":
        training.clipping = training.clipping.noted(closure.gradient)
    training.step += 1
    watched: Mapping[str, float] = {}
    if monitor is not None and (training.step % plan.monitor_every == 0 or training.step == plan.schedule.steps):
        watched = monitor(new)
    training.seconds = time.perf_counter() - began
    known = watched.get("error", math.nan), watched.get("estimate", math.nan), math.nan
    loss, points = value * objective.unit, size or objective.size
    taken = training.step, training.seconds, loss, closure.gradient_norm, rate, points, closure.clipped
    training.history.append((*taken, *known, *noise))


def _attempt(training: Training, method: Method, closure: Closure, rate: float, drawn: bool) -> tuple[Tensor, State, float]:
    """Return parameters, state and J of the next step, or raise NonFiniteError if they are not finite, or J is far too high."""
    same = not drawn and not math.isfinite(training.average)
    new, state, value = method.step(training.theta, training.state, closure, rate, same)
    if not math.isfinite(float(new.sum())):
        raise NonFiniteError("parameters")
    began_at(training, value, closure.gradient)
    if diverged(training, value, drawn):
        raise NonFiniteError("loss", value)
    return new, state, value


def _settled(objective: Objective, training: Training, plan: Plan, method: Method) -> Settled:
    """Return the quantities that the run measures before its first step."""
    theta = training.theta
    generator = training.generator
    batching = plan.batching
    found = Settled()

    def draw(samplers: Sequence[Sampler]) -> Gradient:
        return drawn(objective, samplers, plan.batches, generator, ()).evaluate if samplers else objective.gradient

    samplers = plan.samplers
    if batching is not None:
        size, policy = batching.first, batching.policy
        if size is None:
            found = replace(found, noise=measured_noise(lambda: draw(plan.samplers), theta))
            size = policy.bounded(best_batch(policy.least * found.noise))
        found = replace(found, first=size, batch=size)
        samplers = () if size >= policy.points else batching.samplers(size)
        if isinstance(policy, Logarithmic) and samplers:
            trace = (plan.points_of(samplers) or 0) * measured_trace(lambda: draw(samplers), theta)
            heat = 0.5 * batching.stretch * plan.schedule.learning_rate / len(theta)  # T = heat · tr Σ/b
            found = replace(found, trace=trace, heat=heat)
    if plan.warmup:
        rate, most = plan.schedule.learning_rate, plan.schedule.steps // 4
        stable = stable_rate(method, lambda: draw(samplers), draw(plan.probe), theta, generator)
        found = replace(found, stable=stable, warmup=warmup_steps(rate, stable, most))
    return found


def _drawn_how(objective: Objective, training: Training, plan: Plan, method: Method) -> tuple[tuple[Sampler, ...], float]:
    """Return the samplers of this step, () for all points, and its step size."""
    schedule, samplers, batching = plan.schedule, plan.samplers, plan.batching
    if plan.warmup and training.settled is not None:
        schedule = replace(schedule, warmup=int(training.settled.warmup))
    rate = schedule(training.step) * training.shrink
    if batching is not None:
        size = batching.size(training, plan.schedule.steps)
        samplers = () if size is None else batching.samplers(size)
        settled = training.settled
        if batching.scaled and settled is not None:
            if settled.batch >= GROWN * settled.seen_at:
                limit = _limit(objective, training, plan, method, samplers)
                training.settled = settled = replace(settled, limit=limit, seen_at=settled.batch)
            rate = batching.rate(rate, settled, bent_limit(method, training.watch.curvature))
    return samplers, rate


def _limit(objective: Objective, training: Training, plan: Plan, method: Method, samplers: tuple[Sampler, ...]) -> float:
    """Return the largest stable step size at the current parameters, for batches of given samplers, () for all points."""

    def draw(samplers: Sequence[Sampler]) -> Gradient:
        if not samplers:
            return objective.gradient
        return drawn(objective, samplers, plan.batches, training.generator, training.learned).evaluate

    probe = plan.probe if (plan.points_of(samplers) or math.inf) < (plan.points_of(plan.probe) or math.inf) else samplers
    known = method.squares(training.state)
    return stable_rate(method, lambda: draw(samplers), draw(probe), training.theta, training.generator, known)


def _draw(objective: Objective, training: Training, plan: Plan, samplers: tuple[Sampler, ...]) -> Closure:
    """Return J, ∇J, curvature and values of candidates over all points, or over batches drawn now.

    Workers divide the points, or the candidates of methods that use nothing else.
    """
    assert isinstance(plan.method, Method)
    if plan.method.blind and objective.placement.group.size > 1:
        closure = _draw(objective.alone, training, plan, samplers)
        return replace(closure, candidates=partial(_by_all, objective.placement.group, closure.candidates))
    clip = training.clipping.threshold if plan.clip == "auto" else plan.clip
    if not samplers:
        own = partial(objective.gradient, own=True)
        curved = partial((plan.rules or Rules(objective)).curvature, objective, training.generator)
        return Closure(objective.gradient, clip, curved, partial(candidate_values, objective), own=own)
    if training.step % PILOT_EVERY == 0:
        training.learned = pilots(objective, samplers, training.generator, training.theta, training.learned)
    return drawn(objective, samplers, plan.batches, training.generator, training.learned, clip)


def _by_all(group: Group, candidates: Callable[[Tensor], Tensor], thetas: Tensor) -> Tensor:
    """Return J of candidates [k], of which every worker evaluates some."""
    own = group.share(len(thetas))
    values = torch.zeros(len(thetas), dtype=torch.float64, device=HOST)
    if own.start < own.stop:
        values[own] = candidates(thetas[own])
    return group.sum(values)[0]


def _remember(training: Training, drawn: bool, theta: Tensor, value: float) -> None:
    """Keep the parameters with the lowest loss; on mini-batches, of its moving average after the first 1/``MEMORY`` steps."""
    if drawn:
        first = not math.isfinite(training.average)
        training.average = value if first else training.average + MEMORY * (value - training.average)
        value = training.average if training.step > 1 / MEMORY else math.inf
    elif math.isfinite(training.average):  # first loss over all points: not comparable with those of batches
        training.average, training.best = math.nan, (theta, math.inf)
    if value < training.best[1]:
        training.best = (theta, value)
