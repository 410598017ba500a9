"""Item 7 on a problem: the largest stable step size of gradient descent, with full gradients and with mini-batches."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from scipy.optimize import brentq
from torch import Tensor

from vpinn.noise import rates
from vpinn.noise.draws import Array, Drawn, Index, drawer, estimate, samplers_for, step_cost
from vpinn.noise.finding import Finding
from vpinn.noise.gradients import point_gradients
from vpinn.noise.minimum import Minimum
from vpinn.noise.questions import OpenSamples, Question
from vpinn.objective import Objective
from vpinn.optimization.spectrum import difference_product, leading
from vpinn.placement import host

PROBED = 64
"""Initial number of batches whose curvature is measured through the network."""


def stability(minimum: Minimum, steps: int = 4) -> Finding:
    """Compare the step size above which full-gradient descent near the minimum diverges with 2/λ_max.

    Args:
        minimum: The minimum, with its stiff directions.
        steps: Number of steps in which a small displacement has to grow or shrink.
    """
    objective = minimum.people.objective
    theta = minimum.people.theta
    top = torch.from_numpy(minimum.vectors[:, 0].copy())
    limit = rates.stability(float(minimum.curvatures[0]))
    kick = 1e-4 * float(theta.norm())
    rest = objective.gradient(theta)[1]

    def growth(rate: float) -> float:
        place = theta + kick * top
        for _ in range(steps):
            place = place - rate * (objective.gradient(place)[1] - rest)
        return math.log(max(abs(float((place - theta) @ top)), 1e-300) / kick)

    low, high = 0.7 * limit, 1.4 * limit
    while growth(high) <= 0.0 and high < 10.0 * limit:
        high *= 1.5
    found = brentq(growth, low, high, xtol=0.01 * limit) if growth(low) < 0.0 < growth(high) else math.nan
    return Finding(
        7,
        "largest stable step size of gradient descent: 2/λ_max",
        limit,
        found,
        limit * 0.01,
        "curvature is larger at some distance from the minimum",
    )


def batch_limits(objective: Objective, theta: Tensor, size: int, generator: np.random.Generator) -> tuple[Question, float]:
    """Compare the largest stable step size with mini-batches with theory, along the stiffest direction at θ.

    Args:
        objective: Objective that is minimised.
        theta: Parameters, usually at the start of training, where the limit bounds the warm-up [size].
        size: Points per batch.
        generator: Generator of the draws.

    Returns:
        A question, and the predicted largest stable step size for batches of ``size`` points.
    """
    spectrum = leading(difference_product(objective.gradient, theta), len(theta), 1, generator, steps=min(len(theta), 16))
    lam, top = abs(float(spectrum.values[0])), torch.from_numpy(spectrum.vectors[:, 0].copy())
    step = 1e-5 * float(theta.norm())
    bends = [np.zeros(m.points.size) for m in objective.measures]
    for sign in (1, -1):
        for k, start, part in point_gradients(objective, theta + sign * step * top):
            bends[k][start : start + len(part)] += sign / (2 * step) * host(part @ top)
    made = samplers_for(objective, "uniform", size)
    two = 2 if objective.test_space is not None and objective.estimator == "two-batch" else 1
    spread = sum(s.variance(v) for s, v in zip(made, bends, strict=True)) / two
    draw, indices = drawer(made, generator), list[Index]()
    limit = float(rates.warmup_limit(1.0, lam, spread))

    def noted() -> Drawn:
        drawn = draw()
        indices.append(drawn[0][0])
        return drawn

    def bent(count: int) -> Array:
        seen = np.empty((count, 1))
        for k in range(count):
            closure = estimate(objective, noted)
            seen[k] = float((closure(theta + step * top)[1] - closure(theta - step * top)[1]) @ top) / (2 * step)
        return seen

    samples = OpenSamples(bent, 2.0 * step_cost(objective, two * sum(sampler.size for sampler in made), two), PROBED)

    def rows() -> list[Finding]:
        seen = samples.values[:, 0]
        first, second = seen.mean(), (seen**2).mean()
        influence = np.sign(first) * seen / second - abs(first) * seen**2 / second**2  # of every sample on |first|/second
        return [
            Finding(
                7,
                f"largest stable step size at the start, b = {size}: 2λ/(λ² + v/b)",
                limit,
                float(2 * abs(first) / second),
                2 * float(influence.std(ddof=1)) / math.sqrt(len(seen)),
                "the curvature of a product of two batches varies more",
            ),
            hard_points(bends, lam, made[0].size, seen, indices[::two], two == 2),
        ]

    return Question((samples,), rows), limit


def hard_points(bends: list[Array], curvature: float, batch: int, seen: Array, drawn: Sequence[Index], products: bool) -> Finding:
    """Compare the largest curvature of batches with at most one hard point with the bound (L_H + (b − 1)L_L)/b.

    A point is hard if its curvature exceeds L_L, which one of b points does on average; L_H is the largest curvature of a point.
    Other measures, such as the boundary, are drawn by themselves; the largest curvature of a point of each is added to the bound.

    Args:
        bends: For every measure, contributions of its weighted points to the curvature [N].
        curvature: Curvature λ of J over all points.
        batch: Points per batch b ≥ 2, drawn from the first measure.
        seen: Curvatures of n batches [n].
        drawn: Points of each of these batches, from the first measure.
        products: Whether J is estimated by products of two batches, for which the bound is not derived.
    """
    total, points = sum(float(b.sum()) for b in bends), len(bends[0])
    single = np.abs(points * bends[0] - (total - curvature))  # influences on a square sum to twice its curvature
    high, low = float(single.max()), float(np.quantile(single, 1.0 - 1.0 / batch, method="higher"))
    few = np.array([int((single[index] > low).sum()) <= 1 for index in drawn])
    others = sum(len(more) * float(np.abs(more).max()) for more in bends[1:])
    ratio = np.abs(seen) / (float(rates.heterogeneous(float(batch), high, low)) + others)
    rest = f"; {ratio[~few].max():.2f} among the other {len(seen) - few.sum()}" if not few.all() else ""
    return Finding(
        7,
        f"largest curvature of {few.sum()} batches with one hard point at most over (L_H + (b − 1)L_L)/b"
        f"{' and the largest of other measures' if len(bends) > 1 else ''}, "
        f"L_H/L_L = {high / max(low, 1e-300):.2g}{rest}",
        1.0,
        float(ratio[few].max()) if few.any() else math.nan,
        reason="a batch's curvature exceeds the mean of its points' curvatures" if few.any() else "every batch has more of them",
        bound="at most",
        outside="theory is for the mean over one batch; this loss is a product of two" if products else "",
    )
