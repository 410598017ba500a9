"""Item 15 on a problem: a population search (CMA-ES), which needs no gradients, compared with Adam at equal cost."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import torch
from torch import Tensor

from vpinn.noise import rates
from vpinn.noise.finding import Curve, Finding
from vpinn.objective import Objective, candidate_values
from vpinn.optimization import Adam, Closure, Evolution
from vpinn.optimization.spectrum import difference_product, leading

GRADIENT = 3
"""Cost of one gradient in evaluations of J."""
SPHERE, PROBES, PRODUCTS = 2.0, 3, 4
"""Ratio of largest to mean curvature up to which J counts as a sphere; products with the Hessian for mean and for largest."""
FLOOR = 1e-6
"""Smallest J − J*, relative to that at the start, that is distinguished from zero."""


def compare(
    objective: Objective, theta: Tensor, rate: float, evaluations: int, seed: int, least: float
) -> tuple[list[Finding], Curve]:
    """Minimise J over all points with CMA-ES and with Adam at the same cost, and compare the decrease of J − J*.

    Args:
        objective: Objective J.
        theta: Initial parameters of both [size].
        rate: Learning rate of Adam.
        evaluations: Evaluations of J for each; a gradient counts as three.
        seed: Seed of the population.
        least: Lowest known value J* of J.

    Returns:
        Findings, and the curve of J − J* over evaluations: measured for CMA-ES, with Adam's as the line beside it.
    """
    evolution = Evolution(seed)
    place = theta
    spent = [0]
    found = [objective.value(theta)]
    state = evolution.initial(theta)
    offspring = state["told"].shape[1]
    while spent[-1] < evaluations:
        closure = Closure(objective.gradient, candidates=partial(candidate_values, objective))
        place, state, value = evolution.step(place, state, closure, 1.0, True)
        found.append(min(found[-1], value, float(state["told"][-1].min())))
        spent.append(spent[-1] + closure.evaluations)
    method = Adam()
    place = theta
    state = Adam().initial(theta)
    line = [found[0]]
    for _ in range(spent[-1] // GRADIENT):
        place, state, value = method.step(place, state, Closure(objective.gradient), rate, True)
        line.append(min(line[-1], value))
    line[-1] = min(line[-1], objective.value(place))
    at = np.minimum(np.array(spent) // GRADIENT, len(line) - 1)
    low = FLOOR * (found[0] - least)
    left, adam = (np.maximum(np.array(course) - least, low) for course in (found, line))
    curve = Curve(np.array(spent, float), left, predicted={"Adam": adam[at]})
    parents = offspring // 2
    generator = np.random.default_rng(seed)
    c = rates.evolution_progress(parents, offspring, 1.0, generator.standard_normal((20_000, offspring))) + 0.5 / parents
    per_evaluation = 0.5 * parents * c**2 / (offspring * len(theta))
    falls = [math.log((found[0] - least) / max(course[-1] - least, low)) for course in (found, line)]
    generations = -np.diff(np.log(left))
    spread = float(generations.std(ddof=1)) * math.sqrt(len(generations)) if len(generations) > 1 else math.nan
    mean, top = curvature_spread(objective, theta, generator)
    sphere = f"theory assumes equal curvatures (a sphere); here the largest is {top / abs(mean):.3g} times their mean"
    return [
        Finding(
            15,
            f"CMA-ES, {spent[-1]} evaluations: log of the factor by which J − J* fell, against that on a sphere",
            2 * per_evaluation * spent[-1],
            falls[0],
            spread,
            outside=sphere if top > SPHERE * abs(mean) else "",
        ),
        Finding(
            15,
            "this logarithm of CMA-ES over that of Adam, at equal evaluations",
            math.nan,
            falls[0] / falls[1] if falls[1] > 0 else math.nan,
            spread / falls[1] if falls[1] > 0 else math.nan,
            "no closed form: Adam's rate depends on the whole spectrum",
        ),
    ], curve


def curvature_spread(objective: Objective, theta: Tensor, generator: np.random.Generator) -> tuple[float, float]:
    """Return the mean curvature tr H/P at θ, estimated with random signs (Hutchinson 1990), and the largest in magnitude."""
    product, size = difference_product(objective.gradient, theta), len(theta)
    signs = torch.from_numpy(generator.choice([-1.0, 1.0], size=(PROBES, size)))
    mean = sum(float(row @ product(row)) for row in signs) / (PROBES * size)
    return mean, abs(float(leading(product, size, 1, generator, steps=min(size, PRODUCTS)).values[0]))
