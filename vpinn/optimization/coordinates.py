"""Choose how many second derivatives each point of a mini-batch takes, from the variances of points and of directions.

With b points and k of d second derivatives each, the gradient has the variance V_p/b + V_d(k)/b. A step costs as much as
c + b(1 + k/2) points, since a second derivative takes about half the time of value and gradient where points are many
(0.3 to 0.6, ``tests/benchmarks/directions.py --points 512``). The best k minimises (‖g‖² + (V_p + V_d(k))/b)(c + b(1 + k/2)): the
number of steps times their cost, as for ``sampling.best_batch``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vpinn.objective import Objective
from vpinn.placement import host
from vpinn.sampling import NOTHING, Sampler
from vpinn.sampling.policy import STEP

SECOND = 0.5
"""Cost of a second derivative over that of value and gradient."""
GROUPS = 12
"""Batches from whose gradients the variance of the points is measured."""
POINTS = 32
"""Most points of each of them in the domain: with all second derivatives, they are expensive in many dimensions."""


@dataclass(frozen=True)
class Found:
    """Numbers behind a choice of second derivatives.

    Attributes:
        count: second derivatives k that each point takes.
        most: number d of all of them.
        points: variance of the gradient of a batch because of its points, in the objective's unit.
        directions: that because of the drawn second derivatives.
    """

    count: int
    most: int
    points: float
    directions: float


def directions_found(
    objective: Objective, theta: Tensor, samplers: tuple[Sampler, ...], generator: np.random.Generator, count: int | None = None
) -> Found:
    """Return how many second derivatives each point should take, and the variances for them.

    Args:
        objective: what is minimised; it draws second derivatives.
        theta: parameters [size].
        samplers: one per measure, of the batch of a step.
        generator: random numbers of the draws.
        count: prescribed number of second derivatives; None: the best.
    """
    directions = objective.directions
    assert directions is not None
    size = samplers[0].size
    share = min(1.0, POINTS / size)
    gradients = np.empty((GROUPS, len(theta)))
    parts = np.zeros(2)
    seeds = torch.Generator().manual_seed(int(generator.integers(2**63)))
    for row in gradients:
        drawn = [sampler.draw(generator, NOTHING) for sampler in samplers]
        batch = []
        for measure, (index, scale) in zip(objective.measures, drawn, strict=True):
            some = generator.permutation(len(index))[: math.ceil(share * len(index))]
            batch.append((measure, measure.batch(index[some], scale[some] * len(index) / len(some))))
        row[:] = host(objective.sampled(theta, batch)[1])
        for measure, points in batch:
            if measure.directions is not None:
                parts += measure.directions.variances(theta, points.x, points.w, points.fixed, seeds, 2)
    parts = host(objective.placement.group.sum(torch.from_numpy(parts))[0])  # each worker has seen its share of the points
    noise = float(gradients.var(axis=0, ddof=1).sum())
    signal = max(0.0, float((gradients.mean(axis=0) ** 2).sum()) - noise / GROUPS)
    parts *= share / GROUPS  # a part of the points has 1/share times the variance of all
    every = np.arange(2, directions.most + 1)
    spread = np.array([directions.variance_of((parts[0], parts[1]), int(k)) for k in every])
    effort = (signal + share * noise + spread) * (STEP + size * (1.0 + SECOND * every))
    best = int(np.argmin(effort)) if count is None else count - 2
    return Found(int(every[best]), directions.most, share * noise, float(spread[best]))
