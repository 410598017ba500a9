"""Mini-batches as training draws them: estimates of loss and gradient, their cost in points, and their time in seconds."""

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
"""One batch: for every measure, the numbers of the drawn points and their scales (inverse expected counts)."""
Drawer = Callable[[], Drawn]
STEP, RIESZ = 100, 3000.0
"""Costs by experience, in points through the network: a step costs 100 whatever its batch, 3,000 entries of G⁻¹ cost one."""
RARE = "rare pairs of points make most of the variance of small batches"
"""Why few draws underestimate the variance of products of two small batches, and its standard error."""
Sampled = Callable[[Tensor], tuple[float, Tensor]]


@dataclass(frozen=True)
class Draws:
    """Estimates from n independent batches at one θ.

    Attributes:
        losses: Estimates of J [n].
        gradients: Estimates of ∇J [n, size].
    """

    losses: Array
    gradients: Array


def mean_and_error(samples: Array) -> tuple[float, float]:
    """Return the mean of independent samples [n] and its standard error."""
    return float(samples.mean()), float(samples.std(ddof=1) / math.sqrt(len(samples)))


def samplers_for(objective: Objective, name: str, size: int, choice: Choice | None = None) -> tuple[Sampler, ...]:
    """Return one sampler per measure for batches of ``size`` points of the domain, with points of the boundary in proportion.

    Raises:
        InputError: The size is below 2, so that there is no variance within a batch, or the sampler cannot draw such a batch.
    """
    if size < 2:
        raise InputError(f"batch.size is {size}, and a batch of one point has no variance; give 2 or more")
    domain = objective.measures[0].points.size
    shares = [min(m.points.size, max(2, math.ceil(size * m.points.size / domain))) for m in objective.measures]
    made = []
    for measure, share in zip(objective.measures, shares, strict=True):
        if choice is None or share < 4:  # too few points for adaptive strata
            made.append(make_sampler(name, measure.points, share))
        else:
            count = None if choice.count is None else min(choice.count, share // 2)
            made.append(make_sampler(name, measure.points, share, replace(choice, count=count)))
    return tuple(made)


def drawer(samplers: Sequence[Sampler], generator: np.random.Generator, learned: Sequence[State] = ()) -> Drawer:
    """Return a function that draws a batch; ``learned`` are the states of adaptive samplers after pilots, by default none."""
    states = learned or [NOTHING] * len(samplers)
    parts = list(zip(shared(samplers, states), states, strict=True))
    return lambda: [sampler.draw(generator, state) for sampler, state in parts]


def step_cost(objective: Objective, points: float, batches: int = 1) -> float:
    """Return the cost of a gradient from drawn points, in points through the network.

    Args:
        objective: Objective whose gradient is estimated.
        points: Number of points in all batches of the step.
        batches: Number of residuals that are multiplied by the inverse of the Gram matrix of the test functions.
    """
    tests = 0 if objective.test_space is None else objective.outputs * objective.test_space.space.size
    return STEP + points + batches * tests**2 / RIESZ


def batch_of(objective: Objective, drawn: Drawn) -> Batch:
    """Return a drawn batch as the measures and points that the objective integrates over."""
    return [(measure, measure.batch(*one)) for measure, one in zip(objective.measures, drawn, strict=True)]


def estimate(objective: Objective, draw: Drawer) -> Sampled:
    """Draw one batch, or two if the estimator needs two, and return the function from θ to the estimates of J and ∇J."""
    first = batch_of(objective, draw())
    two = objective.test_space is not None and objective.estimator == "two-batch"
    second = batch_of(objective, draw()) if two else None
    return lambda theta: objective.sampled(theta, first, second)


def repeat(objective: Objective, draw: Drawer, theta: Tensor, count: int) -> Draws:
    """Return the estimates of J and ∇J at θ [size] from ``count`` ≥ 2 independent batches, through the network."""
    losses, gradients = np.empty(count), np.empty((count, len(theta)))
    for k in range(count):
        losses[k], gradient = estimate(objective, draw)(theta)
        gradients[k] = host(gradient)
    return Draws(losses, gradients)


def seconds_per_step(
    objective: Objective, theta: Tensor, sizes: Sequence[int], generator: np.random.Generator, tries: int = 12
) -> Array:
    """Return the processor seconds of an estimate for batches of every size [n], as the median of several tries.

    The sizes are timed in turn, so that other load on the machine affects all of them alike. The first turn is discarded, since
    caches are still cold.
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
    """Return c₀ > 0 and c₁ > 0 of the seconds c₀ + c₁b of a step, fitted to measured seconds with equal relative weights."""
    columns = np.stack([np.ones(len(sizes)), np.asarray(sizes, dtype=np.float64)], 1) / seconds[:, None]
    step, point = np.linalg.lstsq(columns, np.ones(len(sizes)), rcond=None)[0]
    return max(float(step), 1e-7), max(float(point), 1e-10)
