"""A short training run that shows what the noise does over its course, and where it ends."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from vpinn.noise.draws import drawer, estimate, samplers_for
from vpinn.objective import Objective
from vpinn.optimization import Adam, Closure, Lbfgs, NonFiniteError, Plan, Schedule, Training, train
from vpinn.optimization.batches import PILOT_EVERY, pilots
from vpinn.sampling import Sampler, State

RATES = tuple(1e-3 * 2**k for k in range(7))
"""Learning rates that are tried, 1e-3 to 6.4e-2."""


@dataclass(frozen=True)
class RateTrial:
    """Adam for some steps at one learning rate.

    Attributes:
        rate: learning rate.
        loss: J over all points at the end; infinite where it diverged.
        places: parameters [size] at the steps asked for.
        norms: gradient norm of every step's batch.
    """

    rate: float
    loss: float
    places: list[Tensor]
    norms: list[float]


def descend(  # noqa: PLR0913 (settings of a run)
    objective: Objective,
    theta: Tensor,
    size: int,
    rate: float,
    steps: int,
    seed: int,
    at: Sequence[int] = (),
    warmup: int = 0,
    samplers: Sequence[Sampler] = (),
) -> RateTrial:
    """Train by Adam with batches of a sampler, or all points where a batch is as large, and a cosine course.

    Args:
        objective: what is minimised.
        theta: where to start [size].
        size: points of the domain per batch of uniform draws.
        rate: learning rate.
        steps: how many.
        seed: of the batches.
        at: steps after which parameters are kept.
        warmup: steps over which the rate rises.
        samplers: instead of uniform draws, one per measure; they learn from pilots as in training.
    """
    whole = size >= objective.measures[0].points.size
    made, generator = samplers or samplers_for(objective, "uniform", size), np.random.default_rng(seed)
    learned: tuple[State, ...] = ()
    method, schedule = Adam(), Schedule(rate, warmup, steps, "cosine")
    state, places, norms = method.initial(theta), [], []
    try:
        for step in range(steps):
            if not whole and step % PILOT_EVERY == 0:
                learned = pilots(objective, made, generator, theta, learned)
            closure = Closure(objective.gradient if whole else estimate(objective, drawer(made, generator, learned)))
            theta, state, _ = method.step(theta, state, closure, schedule(step), False)
            norms.append(closure.gradient_norm)
            if step + 1 in at:
                places.append(theta)
        loss = objective.value(theta)
    except NonFiniteError:
        loss = math.inf
    return RateTrial(rate, loss if math.isfinite(loss) else math.inf, places, norms)


def best_rate(
    objective: Objective, theta: Tensor, size: int, steps: int, seed: int, samplers: Sequence[Sampler] = ()
) -> list[RateTrial]:
    """Return a short trial at every one of ``RATES``, stopping once the loss gets worse twice in a row."""
    trials: list[RateTrial] = []
    for rate in RATES:
        trials.append(descend(objective, theta, size, rate, steps, seed, warmup=steps // 10, samplers=samplers))
        if len(trials) > 2 and trials[-1].loss > trials[-2].loss > trials[-3].loss:
            break
    return trials


def polish(objective: Objective, theta: Tensor, steps: int) -> Tensor:
    """Return parameters near a minimum: those that L-BFGS on all points finds from θ [size]."""
    method = Lbfgs()
    training = train(objective, Training.start(theta, method, 0), Plan(method, Schedule(1.0, 0, steps), time_limit=60.0))
    return training.best[0]
