"""Short training runs by Adam (`descend`, `best_rate`), and descent to a minimum by L-BFGS (`polish`).

The noise report measures at the places that these runs pass.
"""

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
"""Learning rates that are tried, 1e-3 to 6.4e-2, in ascending order."""


@dataclass(frozen=True)
class RateTrial:
    """A short run of Adam with one learning rate.

    Attributes:
        rate: Learning rate.
        loss: J over all points at the end; inf if the run diverged.
        places: Parameters after the steps asked for, [size] each.
        norms: Norm of the batch gradient of every step.
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
    """Train by Adam with mini-batches and a cosine schedule; with all points if a batch would have as many.

    Args:
        objective: Objective that is minimised.
        theta: Initial parameters [size].
        size: Points of the domain per batch.
        rate: Learning rate > 0.
        steps: Number of steps.
        seed: Seed of the batches.
        at: Steps after which parameters are recorded.
        warmup: Steps over which the learning rate rises to its full value.
        samplers: Samplers, one per measure, that learn from pilots as in training; by default, draws are uniform.
    """
    whole = size >= objective.measures[0].points.size
    made, generator = samplers or samplers_for(objective, "uniform", size), np.random.default_rng(seed)
    learned: tuple[State, ...] = ()
    method, schedule = Adam(), Schedule(rate, warmup, steps, "cosine")
    state = method.initial(theta)
    places = []
    norms = []
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
    """Return short runs with the learning rates ``RATES``, in order, until the final loss has risen twice in a row."""
    trials: list[RateTrial] = []
    for rate in RATES:
        trials.append(descend(objective, theta, size, rate, steps, seed, warmup=steps // 10, samplers=samplers))
        if len(trials) > 2 and trials[-1].loss > trials[-2].loss > trials[-3].loss:
            break
    return trials


def polish(objective: Objective, theta: Tensor, steps: int) -> Tensor:
    """Return parameters near a minimum: those of lowest J that L-BFGS on all points finds from θ [size] in at most 60 s."""
    method = Lbfgs()
    training = train(objective, Training.start(theta, method, 0), Plan(method, Schedule(1.0, 0, steps), time_limit=60.0))
    return training.best[0]
