"""Mini-batches of one step: what adaptive samplers learn, what is drawn, and the estimates of J, ∇J and curvature from it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import Tensor

from vpinn.objective import Batch, Objective, candidate_values, curvature, signals
from vpinn.optimization.method import Closure
from vpinn.optimization.schedule import SCALINGS, Scaling
from vpinn.optimization.settled import Settled
from vpinn.optimization.split import with_noise
from vpinn.optimization.training import COLUMNS, Training
from vpinn.sampling import NOTHING, Adaptive, Policy, Sampler, State, shared

PILOT_EVERY = 50
"""Steps between pilots of adaptive samplers."""
DRAWS = 32
"""Batches that a bias is measured with."""
CHUNK = 65_536
"""Points of a pilot evaluated at a time."""
STABLE = 0.5
"""Share of the largest stable step size that a growing batch may raise the step size to."""
_RATIO = COLUMNS.index("signal_to_noise")


@dataclass(frozen=True)
class Batching:
    """How batches change over a run.

    Attributes:
        policy: their size.
        first: points of the first batch; None to measure the noise first, and to take as many as its scale.
        samplers: size → one sampler per measure.
        finish: share of the steps, at the end, that see all points, 0 to 1.
        scaling: how the step size follows the batch.
        barrier: depth in units of J > 0 that annealing goes on crossing; None: what the first batch crosses.
        stretch: T = stretch·ητ/(2b) of a step, with τ = tr Σ/P of single points: 1/(1 − μ) with momentum.
    """

    policy: Policy
    first: int | None
    samplers: Callable[[int], tuple[Sampler, ...]]
    finish: float = 0.0
    scaling: Scaling = SCALINGS["none"]
    barrier: float | None = None
    stretch: float = 1.0

    @property
    def scaled(self) -> bool:
        """Whether the step size follows the batch."""
        return self.scaling is not SCALINGS["none"]

    def rate(self, rate: float, settled: Settled, limit: float) -> float:
        """Return the step size of the batch that follows: the rule's, up to ``STABLE`` of what is stable; never raised above it.

        A step size that is above it without the rule stays as it is: it was asked for.

        Args:
            rate: step size at the first batch.
            settled: points of the first and this batch, and the limit of stability measured last.
            limit: of stability now, infinite where it is not known.
        """
        limit = min(limit, settled.limit)
        wanted = rate * self.scaling(settled.batch / settled.first, min(1.0, rate / limit))
        return min(wanted, max(rate, STABLE * limit))

    def size(self, training: Training, steps: int) -> int | None:
        """Return the points of a run's next batch by what it settled and saw; None for all points."""
        step, settled = training.step, training.settled or Settled()
        if step >= steps - round(self.finish * steps):
            return None
        ratio = training.history[-1][_RATIO] if training.history else math.nan
        noise = float(training.state["noise"]) if "noise" in training.state else 1.0 / ratio if ratio else math.inf
        first, watch = int(settled.first), training.watch
        if self.barrier is not None:
            trace = watch.trace / watch.pairs if watch.pairs else settled.trace
            noise = settled.heat * trace / self.barrier  # points at which T is the barrier
        size = self.policy.next(first, int(settled.batch), step, steps, noise)
        training.settled = replace(settled, batch=size)
        return None if size >= self.policy.points else size


def pilots(
    objective: Objective, samplers: Sequence[Sampler], generator: np.random.Generator, theta: Tensor, learned: Sequence[State]
) -> tuple[State, ...]:
    """Return what the samplers know after a pilot at parameters θ [size]; the first pilot starts from nothing.

    Args:
        objective: what is integrated.
        samplers: one per measure.
        generator: of the draws.
        theta: parameters.
        learned: what each sampler knew, or () before the first pilot.
    """
    found: list[State] = []
    for k, (measure, sampler) in enumerate(zip(objective.batched, samplers, strict=True)):
        state: State = learned[k] if learned else NOTHING
        if isinstance(sampler, Adaptive) and sampler.pilot_size:
            index, scale = sampler.pilot(generator, state)
            parts = [slice(start, start + CHUNK) for start in range(0, len(index), CHUNK)]
            batches = [measure.batch(index[part], scale[part], generator) for part in parts]
            seen = [signals(measure, theta, batch, sampler.signal) for batch in batches]
            state = sampler.learn(state, np.concatenate(seen))
        found.append(state)
    return with_noise(objective, samplers, generator, theta, found)


def drawn(
    objective: Objective,
    samplers: Sequence[Sampler],
    batches: int,
    generator: np.random.Generator,
    learned: Sequence[State],
    clip: float | None = None,
) -> Closure:
    """Return estimates of J, ∇J, curvature and candidates over one batch or two independent ones, drawn now; see ``pilots``.

    Args:
        objective: what is integrated.
        samplers: one per measure.
        batches: one, or two; the curvature is that of the first.
        generator: of the draws.
        learned: what each sampler knows, or ().
        clip: see ``Closure``.
    """
    states = learned or [NOTHING] * len(samplers)
    parts = list(zip(objective.batched, shared(samplers, states), states, strict=True))

    def batch() -> Batch:
        return [(measure, measure.batch(*sampler.draw(generator, state), generator)) for measure, sampler, state in parts]

    first = batch()
    second = batch() if batches == 2 else None
    return Closure(
        lambda theta: objective.sampled(theta, first, second),
        clip,
        lambda theta: curvature(objective, theta, first),
        lambda thetas: candidate_values(objective, thetas, first, second),
        lambda: drawn(objective, samplers, batches, generator, learned).evaluate,
    )


def estimator_found(
    objective: Objective, samplers: Sequence[Sampler], training: Training, theta: Tensor, value: float
) -> dict[str, Any] | None:
    """Return name and reason of the estimator, for plain squares with their bias; None where no batches are drawn.

    The bias is the mean excess over J of squares of single batches, with its standard error, at the parameters found.

    Args:
        objective: what is integrated.
        samplers: one per measure, () for all points.
        training: whose samplers' knowledge is used.
        theta: parameters found.
        value: J there over all points, in the objective's unit.
    """
    if not samplers:
        return None
    found: dict[str, Any] = {"name": objective.estimator, "why": objective.why}
    if objective.test_space is not None and objective.estimator == "plain":
        generator = np.random.default_rng(training.step)
        excess = [drawn(objective, samplers, 1, generator, training.learned)(theta)[0] - value for _ in range(DRAWS)]
        draws = objective.unit * np.array(excess)
        found["bias"] = {"loss": float(np.mean(draws)), "standard_error": float(np.std(draws, ddof=1) / math.sqrt(DRAWS))}
    return found
