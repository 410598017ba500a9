"""Item 7 on a problem: step sizes at which full gradients, batches, and batches with one hard point stop being stable."""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy.optimize import brentq
from torch import Tensor

from vpinn.noise import rates
from vpinn.noise.draws import Array, drawer, estimate, samplers_for
from vpinn.noise.finding import Finding
from vpinn.noise.gradients import point_gradients
from vpinn.noise.minimum import Minimum
from vpinn.objective import Objective
from vpinn.optimization.spectrum import difference_product, leading

TAIL = 10
"""Largest curvatures of batches that tell how far the largest of others may be."""


def stability(minimum: Minimum, steps: int = 6) -> Finding:
    """Find the step size above which full gradient steps near the minimum fly apart."""
    objective, theta, top = minimum.people.objective, minimum.people.theta, torch.from_numpy(minimum.vectors[:, 0].copy())
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
        "other directions are stiffer at some distance",
    )


def batch_limits(
    objective: Objective, theta: Tensor, size: int, draws: int, generator: np.random.Generator
) -> tuple[list[Finding], float]:
    """Compare limits of the step size that depend on the batch, along the stiffest direction at θ.

    Returns:
        findings, and the largest stable step size for batches of ``size`` points at θ.
    """
    spectrum = leading(difference_product(objective.gradient, theta), len(theta), 1, generator, steps=min(len(theta), 16))
    lam, top = abs(float(spectrum.values[0])), torch.from_numpy(spectrum.vectors[:, 0].copy())
    step = 1e-5 * float(theta.norm())
    bends = [np.zeros(m.points.size) for m in objective.measures]
    for sign in (1, -1):
        for k, start, part in point_gradients(objective, theta + sign * step * top):
            bends[k][start : start + len(part)] += sign / (2 * step) * (part @ top).numpy()
    made = samplers_for(objective, "uniform", size)
    two = 2 if objective.test_space is not None and objective.estimator == "two-batch" else 1
    spread = sum(s.variance(v) for s, v in zip(made, bends, strict=True)) / two
    draw, seen = drawer(made, generator), np.empty(draws)
    for k in range(draws):
        closure = estimate(objective, draw)
        seen[k] = float((closure(theta + step * top)[1] - closure(theta - step * top)[1]) @ top) / (2 * step)
    limit = float(rates.warmup_limit(1.0, lam, spread))
    first, second = seen.mean(), (seen**2).mean()
    influence = np.sign(first) * seen / second - abs(first) * seen**2 / second**2  # of a draw on |first|/second
    return [
        Finding(
            7,
            f"warm-up limit at the start, b = {size}: 2λ/(λ² + v/b)",
            limit,
            float(2 * abs(first) / second),
            2 * float(influence.std(ddof=1)) / math.sqrt(draws),
            "the product of two batches spreads more",
        ),
        hard_points(bends, lam, float(made[0].size), np.abs(seen)),
    ], limit


def hard_points(bends: list[Array], curvature: float, batch: float, seen: Array) -> Finding:
    """Hold the largest curvature of many batches against that of a batch with one hard point among typical ones.

    One batch beyond it refutes it. Of n batches below it the largest lies the further out the more there are; the ten largest
    tell by how much: under an exponential tail they exceed the eleventh by its scale τ on average, and the largest of n has the
    standard deviation πτ/√6.

    Args:
        bends: curvature that the weighted points of every measure add [N].
        curvature: λ of all points.
        batch: points b.
        seen: curvatures of batches [n].
    """
    total = sum(float(b.sum()) for b in bends)
    single = np.abs(len(bends[0]) * bends[0] - (total - curvature))  # influences on a square add up to twice its curvature
    high, low = float(single.max()), float(np.median(single))
    ordered = np.sort(seen)[::-1] / float(rates.heterogeneous(batch, high, low))
    spread = high / max(low, 1e-300)
    tail = float((ordered[:TAIL] - ordered[min(TAIL, len(ordered) - 1)]).mean())
    return Finding(
        7,
        f"largest curvature of {len(seen)} batches over (L_H + (b − 1)L_L)/b of one hard point, L_H/L_L = {spread:.0f}",
        1.0,
        float(ordered[0]),
        0.0 if ordered[0] > 1.0 else math.pi / math.sqrt(6.0) * tail,
        "several points of a batch are harder than the typical one",
        bound="at most",
    )
