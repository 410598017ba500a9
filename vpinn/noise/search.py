"""Item 15 on a problem: a population that needs no gradient beside a gradient method, at equal evaluations."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from vpinn.noise import rates
from vpinn.noise.finding import Curve, Finding
from vpinn.objective import Objective
from vpinn.optimization import Adam, Closure

GRADIENT = 3
"""Evaluations of J that one gradient costs."""


def compare(objective: Objective, theta: Tensor, rate: float, evaluations: int, seed: int) -> tuple[list[Finding], Curve | None]:
    """Minimise J over all points by CMA-ES and by Adam with the same work.

    Args:
        objective: what is minimised.
        theta: where both start [size].
        rate: of Adam.
        evaluations: of J; a gradient counts as three.
        seed: of the population.

    Returns:
        findings, and J over evaluations, Adam's as the line; None without the package cma.
    """
    try:
        import cma
    except ImportError:
        reason = 'the package cma is not installed: pip install "vpinn[evolution]"'
        return [Finding(15, "evolution beside gradients", math.nan, math.nan, reason=reason)], None
    generator = np.random.default_rng(seed)
    options = {
        "verbose": -9,
        "seed": math.nan,
        "randn": lambda *shape: generator.standard_normal(shape),
        "CMA_diagonal": len(theta) > 100,
    }
    search = cma.CMAEvolutionStrategy(theta.numpy(), 0.1, options)
    spent, found, best = [0], [objective.value(theta)], objective.value(theta)
    while spent[-1] < evaluations:
        asked = search.ask()
        values = [objective.value(torch.from_numpy(x)) for x in asked]
        search.tell(asked, [v if math.isfinite(v) else 1e300 for v in values])
        best = min(best, *values)
        spent.append(spent[-1] + len(asked))
        found.append(best)
    method, place, state, line = Adam(), theta, Adam().initial(theta), [found[0]]
    for _ in range(spent[-1] // GRADIENT):
        place, state, _ = method.step(place, state, Closure(objective.gradient), rate, True)
        line.append(min(line[-1], objective.value(place)))
    at = np.minimum(np.array(spent) // GRADIENT, len(line) - 1)
    curve = Curve(np.array(spent, float), np.array(found), predicted={"Adam": np.array(line)[at]})
    parents, offspring = search.sp.weights.mu, search.sp.popsize
    c = rates.evolution_progress(parents, offspring, 1.0, generator.standard_normal((20_000, offspring))) + 0.5 / parents
    per_evaluation = 0.5 * parents * c**2 / (offspring * len(theta))
    gain, sphere = found[0] - best, 1 - math.exp(-2 * per_evaluation * spent[-1])
    reachable = found[0] - line[-1]
    reason = "the loss is no sphere: it falls along few of its directions first"
    return [
        Finding(
            15,
            f"CMA-ES, {spent[-1]} evaluations: share of Adam's decrease of J, against the rate on a sphere",
            sphere,
            gain / reachable if reachable > 0 else math.nan,
            0.0,
            reason,
        ),
    ], curve
