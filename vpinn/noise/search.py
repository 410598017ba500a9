"""Item 15 on a problem: a population that needs no gradient beside a gradient method, at equal evaluations."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
from torch import Tensor

from vpinn.noise import rates
from vpinn.noise.finding import Curve, Finding
from vpinn.objective import Objective, candidate_values
from vpinn.optimization import Adam, Closure, Evolution

GRADIENT = 3
"""Evaluations of J that one gradient costs."""


def compare(objective: Objective, theta: Tensor, rate: float, evaluations: int, seed: int) -> tuple[list[Finding], Curve]:
    """Minimise J over all points by CMA-ES and by Adam with the same work.

    Args:
        objective: what is minimised.
        theta: where both start [size].
        rate: of Adam.
        evaluations: of J; a gradient counts as three.
        seed: of the population.

    Returns:
        findings, and J over evaluations, Adam's as the line.
    """
    evolution, place, spent, found = Evolution(seed), theta, [0], [objective.value(theta)]
    state = evolution.initial(theta)
    offspring = state["told"].shape[1]
    while spent[-1] < evaluations:
        closure = Closure(objective.gradient, candidates=partial(candidate_values, objective))
        place, state, value = evolution.step(place, state, closure, 1.0, True)
        found.append(min(found[-1], value, float(state["told"][-1].min())))
        spent.append(spent[-1] + closure.evaluations)
    method, place, state, line = Adam(), theta, Adam().initial(theta), [found[0]]
    for _ in range(spent[-1] // GRADIENT):
        place, state, _ = method.step(place, state, Closure(objective.gradient), rate, True)
        line.append(min(line[-1], objective.value(place)))
    at = np.minimum(np.array(spent) // GRADIENT, len(line) - 1)
    curve = Curve(np.array(spent, float), np.array(found), predicted={"Adam": np.array(line)[at]})
    parents = offspring // 2
    generator = np.random.default_rng(seed)
    c = rates.evolution_progress(parents, offspring, 1.0, generator.standard_normal((20_000, offspring))) + 0.5 / parents
    per_evaluation = 0.5 * parents * c**2 / (offspring * len(theta))
    gain, sphere = found[0] - found[-1], 1 - math.exp(-2 * per_evaluation * spent[-1])
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
