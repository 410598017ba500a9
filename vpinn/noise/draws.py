"""Batches as training draws them: losses, gradients and times."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from vpinn.errors import InputError
from vpinn.objective import Batch, Objective
from vpinn.placement import host
from vpinn.sampling import NOTHING, Choice, Sampler, State, make_sampler, shared

Array = NDArray[np.float64]
Index = NDArray[np.int64]
Drawn = Sequence[tuple[Index, Array]]
"""Points drawn of every measure, with their inverse expected counts."""
Drawer = Callable[[], Drawn]
STEP, RIESZ = 100, 3000.0
"""Points through the network that a step takes as long as, however few it has, and entries of a dense matrix read meanwhile."""
RARE = "pairs of points that few draws meet make most of the variance by small batches"
"""Why the variance of products of two small batches is told too small by few draws, and its error with it."""
Sampled = Callable[[Tensor], tuple[float, Tensor]]


@dataclass(frozen=True)
class Draws:
    """Independent batches at one θ.

    Attributes:
        losses: estimates of J [n].
        gradients: estimates of ∇J [n, size].
    """

    losses: Array
    gradients: Array

def mean_and_error(samples: Array) -> tuple[float, float]:
    """Return the mean of independent samples [n] and its standard error."""
    return float(samples.mean()), float(samples.std(ddof=1) / math.sqrt(len(samples)))


def samplers_for(objective: Objective, name: str, size: int, choice: Choice | None = None) -> tuple[Sampler, ...]:
    """Return samplers of all measures for batches of ``size`` points of the domain, the boundary in proportion.

    Raises:
        InputError: a batch of one, which has no variance to tell, or one that the sampler cannot draw.
    """
    if size < 2:
        raise InputError(f"batch.size is {size}, and a batch of one point tells no variance; give 2 or more")
    domain = objective.measures[0].points.size
    shares = [min(m.points.size, max(2, math.ceil(size * m.points.size / domain))) for m in objective.measures]
    made = []
    for measure, share in zip(objective.measures, shares, strict=True):
        if choice is None or share < 4:  # too few points for strata that learn
            made.append(make_sampler(name, measure.points, share))
        else:
            count = None if choice.count is None else min(choice.count, share // 2)
            made.append(make_sampler(name, measure.points, share, replace(choice, count=count)))
    return tuple(made)


def drawer(
    samplers: Sequence[Sampler], generator: np.random.Generator, learned: Sequence[State] = ()
) -> Drawer:
    """Return a function that draws points of every measure by samplers that learned something, or nothing yet."""
    states = learned or [NOTHING] * len(samplers)
    parts = list(zip(shared(samplers, states), states, strict=True))
    return lambda: [sampler.draw(generator, state) for sampler, state in parts]


def step_cost(objective: Objective, points: float, batches: int = 1) -> float:
    """Return what a gradient by drawn points takes, in points through the network.

    Args:
        objective: what is integrated.
        points: drawn, of all batches.
        batches: whose residuals are multiplied by the inverse of the test space's Gram matrix.
    """
    tests = 0 if objective.test_space is None else objective.outputs * objective.test_space.space.size
    return STEP + points + batches * tests**2 / RIESZ


def batch_of(objective: Objective, drawn: Drawn) -> Batch:
    """Return drawn points ready to be integrated over."""
    return [(measure, measure.batch(*one)) for measure, one in zip(objective.measures, drawn, strict=True)]


def estimate(objective: Objective, draw: Drawer) -> Sampled:
    """Return J and ∇J as functions of θ over one batch, or over two where the estimator takes two."""
    first = batch_of(objective, draw())
    two = objective.test_space is not None and objective.estimator == "two-batch"
    second = batch_of(objective, draw()) if two else None
    return lambda theta: objective.sampled(theta, first, second)


def repeat(objective: Objective, draw: Drawer, theta: Tensor, count: int) -> Draws:
    """Return ``count`` ≥ 2 independent estimates at θ [size]."""
    losses, gradients = np.empty(count), np.empty((count, len(theta)))
    for k in range(count):
        losses[k], gradient = estimate(objective, draw)(theta)
        gradients[k] = host(gradient)
    return Draws(losses, gradients)


def seconds_per_step(
    objective: Objective, theta: Tensor, sizes: Sequence[int], generator: np.random.Generator, tries: int = 12
) -> Array:
    """Return the processor time of an estimate for batches of every size [n], the median of several tries.

    All sizes take turns, so that what else a machine does falls on all of them alike; the first turn warms caches up.
    """
    draws = [drawer(samplers_for(objective, "uniform", size), generator) for size in sizes]
    times = np.empty((tries + 1, len(sizes)))
    for turn in times:
        for k, draw in enumerate(draws):
            began = time.process_time()
            estimate(objective, draw)(theta)
            turn[k] = time.process_time() - began
    return np.asarray(np.median(times[1:], axis=0))


def cost_of(sizes: Sequence[int], seconds: Array) -> tuple[float, float]:
    """Return c₀ and c₁ of a step's time c₀ + c₁b, fitted with equal relative weight, both positive."""
    columns = np.stack([np.ones(len(sizes)), np.asarray(sizes, dtype=np.float64)], 1) / seconds[:, None]
    step, point = np.linalg.lstsq(columns, np.ones(len(sizes)), rcond=None)[0]
    return max(float(step), 1e-7), max(float(point), 1e-10)
