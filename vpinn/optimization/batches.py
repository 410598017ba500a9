"""Draw the mini-batches of one step, and estimate J, ∇J and its curvature from them.

`pilots` lets adaptive samplers measure the integrand first; `drawn` then draws the batches of a step; `Batching` says how their
size, and with it the step size, changes over the run.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vpinn.objective import Batch, Objective, candidate_values, curvature, signals
from vpinn.optimization.method import Closure
from vpinn.optimization.schedule import SCALINGS, Scaling
from vpinn.optimization.settled import Settled
from vpinn.optimization.split import with_noise
from vpinn.optimization.training import COLUMNS, Training
from vpinn.placement import host
from vpinn.sampling import NOTHING, Adaptive, Policy, Sampler, State, shared

PILOT_EVERY = 50
"""Steps between two pilot batches of adaptive samplers."""
DRAWS = 32
"""Number of batches from which the bias of a plain squared residual is measured."""
CHUNK = 65_536
"""Points of a pilot batch that are evaluated at a time, which bounds the memory."""
STABLE = 0.5
"""Share of the largest stable step size up to which a growing batch may raise the step size."""
_RATIO = COLUMNS.index("signal_to_noise")


@dataclass(frozen=True)
class Batching:
    """How the size of the batches, and with it the step size, changes over a run.

    Attributes:
        policy: rule for the size of the next batch.
        first: points of the first batch; None: the noise is measured first, and the batch is ``sampling.best_batch`` of it.
        samplers: size of a batch → one sampler per measure.
        finish: share of the steps, at the end, that use all points, 0 to 1.
        scaling: rule by which the step size follows the size of the batch, one of ``SCALINGS``.
        barrier: depth of the barriers that annealing shall go on crossing, > 0, in the objective's unit; None: the temperature
            of the first batch.
        stretch: factor of the temperature stretch·η tr Σ/(2bP) of a step with P weights; 1/(1 − μ) with momentum μ, else 1.
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
        """Whether the step size follows the size of the batch."""
        return self.scaling is not SCALINGS["none"]

    def rate(self, rate: float, settled: Settled, limit: float) -> float:
        """Return the step size for the current batch: that of the scaling rule, up to ``STABLE`` times the limit of stability.

        The bound never lowers the step size below that of the first batch, which the user may have asked for.

        Args:
            rate: step size at the first batch, > 0.
            settled: points of the first and of the current batch, and the limit of stability measured last.
            limit: limit of stability estimated by this step, infinite where it is not known.
        """
        limit = min(limit, settled.limit)
        wanted = rate * self.scaling(settled.batch / settled.first, min(1.0, rate / limit))
        return min(wanted, max(rate, STABLE * limit))

    def size(self, training: Training, steps: int) -> int | None:
        """Return the points of the run's next batch, None for all points; ``training.settled`` remembers it."""
        step, settled = training.step, training.settled or Settled()
        if step >= steps - round(self.finish * steps):
            return None
        noise = _noise(training)
        first, watch = int(settled.first), training.watch
        if self.barrier is not None:
            trace = watch.trace / watch.pairs if watch.pairs else settled.trace
            noise = settled.heat * trace / self.barrier  # points at which the temperature equals the barrier
        size = self.policy.next(first, int(settled.batch), step, steps, noise)
        training.settled = replace(settled, batch=size)
        return None if size >= self.policy.points else size


def _noise(training: Training) -> float:
    """Return the noise over the signal of the last batch: what the method says of it, or nan before the first."""
    if "noise" in training.state:
        return float(training.state["noise"])
    ratio = training.history[-1][_RATIO] if training.history else math.nan
    return 1.0 / ratio if ratio else math.inf


def pilots(
    objective: Objective, samplers: Sequence[Sampler], generator: np.random.Generator, theta: Tensor, learned: Sequence[State]
) -> tuple[State, ...]:
    """Return the samplers' states after one pilot batch of each adaptive sampler at parameters θ [size].

    Args:
        objective: what is integrated.
        samplers: one per measure.
        generator: random numbers of the draws.
        theta: parameters [size].
        learned: state of each sampler before, or () before the first pilot.
    """
    found: list[State] = []
    for k, (measure, sampler) in enumerate(zip(objective.batched, samplers, strict=True)):
        state: State = learned[k] if learned else NOTHING
        if isinstance(sampler, Adaptive) and sampler.pilot_size:
            index, scale = sampler.pilot(generator, state)
            parts = [slice(start, start + CHUNK) for start in range(0, len(index), CHUNK)]
            batches = [measure.batch(index[part], scale[part], generator) for part in parts]
            own = [signals(measure, theta, batch, sampler.signal) for batch in batches]
            seen = [host(measure.placement.group.joined(torch.from_numpy(rows))) for rows in own]
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
    """Draw one batch, or two independent ones, and return estimates of J, ∇J, curvature and values of candidates from them.

    Args:
        objective: what is integrated.
        samplers: one per measure.
        batches: number of independent batches, 1 or 2; the curvature is that of the first.
        generator: random numbers of the draws.
        learned: state of each sampler, or ().
        clip: longest gradient norm, see ``Closure``.
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
        lambda theta: objective.sampled(theta, first, second, own=True),
    )


def estimator_found(
    objective: Objective, samplers: Sequence[Sampler], training: Training, theta: Tensor, value: float
) -> dict[str, Any] | None:
    """Return name and reason of the estimator of squared residuals, and for plain squares their bias; None without batches.

    The bias is the mean excess over J of the squares of ``DRAWS`` single batches at the parameters found; it comes with its
    standard error.

    Args:
        objective: what is integrated.
        samplers: one per measure, () for all points.
        training: state at the end, with the samplers' states.
        theta: parameters found [size].
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
