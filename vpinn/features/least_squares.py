"""Least squares for the last layer: the linear combination of random features that minimises the residual.

``recipes`` says how the features are drawn. A linear problem takes one `step`, a nonlinear one several Newton steps (`fit`).
Source: Dong & Li 2021 (local extreme learning machines, arXiv 2012.02895).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vpinn.domain import Domain
from vpinn.features.rank_revealing import rank_revealing_solution
from vpinn.features.recipes import Recipe
from vpinn.objective import Objective, Part
from vpinn.objective.linearisation import everything, linearise, residual_norm
from vpinn.placement import host
from vpinn.trial import Enriched, Features

Array = NDArray[np.float64]
RCOND = 1e-14
"""Reciprocal condition number of the columns that are kept; nearly dependent ones beyond it are left out."""
PILOT = 120
"""Features per component with which recipes are compared."""
PILOT_ROWS = 12
"""Points per feature with which they are compared in a strong form."""
NEWTON = 20
"""Most Newton steps."""
NEARLY = 1e-3
"""Relative difference to the residual predicted by a Newton step, or relative gain, below which no further step is taken."""


Points: TypeAlias = Callable[[], Iterable[Part] | None]
"""Returns the points over which sums are taken, None for all."""


def all_points() -> None:
    """Return None, which stands for all points."""


@dataclass(frozen=True)
class Fit:
    """Features with their best combination.

    Attributes:
        network: network with one hidden layer of features.
        theta: its parameters [network.size].
        residual: ‖ρ‖, the square root of twice the objective.
        initial: ‖ρ‖ before the first step.
        steps: number of Newton steps; 1 for a linear problem.
        points: number of drawn points to which it was fitted; None: all points.
    """

    network: Features
    theta: Tensor
    residual: float
    initial: float
    steps: int
    points: int | None = None


@dataclass(frozen=True)
class Step:
    """Last layer that solves the equations linearised at given fields.

    Attributes:
        network: network with one hidden layer of features.
        theta: its parameters [network.size].
        before: ‖ρ‖ of the given fields.
        predicted: ‖ρ‖ of the linearised equations at ``theta``.
        steepness: ‖ρ‖ due to a single feature with coefficient one, the median over all features.
    """

    network: Features
    theta: Tensor
    before: float
    predicted: float
    steepness: float


def step(
    objective: Objective,
    network: Features,
    theta: Tensor,
    points: Iterable[Part] | None = None,
    at: tuple[Enriched, Tensor] | None = None,
) -> Step:
    """Solve the linearised equations for the last layer.

    The unknown is the layer itself and not its change, because parts that no column sees would otherwise accumulate over steps.

    Args:
        objective: objective of a weak or strong form.
        network: network of the features.
        theta: its parameters [network.size]; the last layer is used only where ``at`` is None.
        points: points over which sums are taken; None: all.
        at: network and parameters of the fields at which to linearise; None: ``network`` and ``theta``.
    """
    rows = linearise(objective, network, theta, points, at)
    layer = solve_columns(rows.columns, -rows.constant)
    return Step(
        network,
        add_to_last_layer(network, theta, layer - last_layer(network, theta)),
        float(np.linalg.norm(rows.residual)),
        float(np.linalg.norm(rows.constant + rows.columns @ layer)),
        float(np.median(np.linalg.norm(rows.columns, axis=0))),
    )


def fit(
    objective: Objective,
    network: Features,
    theta: Tensor,
    points: Points = all_points,
    first: Step | None = None,
    linear: bool = False,
) -> Fit:
    """Minimise the residual over the last layer: Gauss–Newton with step halving, or one step for a linear problem.

    Args:
        objective: objective of a weak or strong form.
        network: network of the features.
        theta: parameters to start from [network.size].
        points: returns the points over which sums are taken, the same at every call.
        first: first step, from ``theta`` or from other fields, where it has been computed; it is rejected if its residual is
            not below that of the fields.
        linear: whether the problem is linear.
    """
    first = first or step(objective, network, theta, points())
    found = first.theta
    predicted = first.predicted
    steps = 1
    norm = predicted if linear else residual_norm(objective, network, found, points())
    if not linear and not norm < first.before:
        found = theta
        norm = residual_norm(objective, network, theta, points())
        predicted = 0.0
        steps = 0
    while not linear and steps < NEWTON and not norm <= predicted * (1 + NEARLY) + 1e-13:
        made = step(objective, network, found, points())
        change = last_layer(network, made.theta) - last_layer(network, found)
        for halving in range(10):
            moved = add_to_last_layer(network, found, change / 2**halving)
            reached = residual_norm(objective, network, moved, points())
            if reached < norm:
                break
        else:
            break
        gain = norm - reached
        found = moved
        norm = reached
        predicted = made.predicted
        steps += 1
        if gain <= NEARLY * norm:
            break
    return Fit(network, found, norm, first.before, steps)


def tests_degree(objective: Objective) -> int:
    """Return the degree of the test functions, 0 where there are none."""
    return objective.test_space.space.degree if objective.test_space is not None else 0


def solve_columns(columns: Array, right: Array) -> Array:
    """Return the least-squares solution [k] for columns [rows, k] scaled to length one, by a rank-revealing factorisation."""
    size = np.linalg.norm(columns, axis=0)
    size[size == 0] = 1.0
    found: Array = rank_revealing_solution(columns / size, right, RCOND) / size
    return found


def last_layer(network: Enriched, theta: Tensor) -> Array:
    """Return the parameters on which the unknowns depend linearly [network.linear].

    They are the last layer, component by component with each bias after its weights; then the coefficients that all components
    share; then those of the enrich functions.
    """
    (weight, bias), h = network.unpack(theta)[-1], network.shared
    layer = torch.cat([weight[:, :h], bias[:, None]], 1).reshape(-1)
    flat: Array = host(torch.cat([layer, weight[0, h : h + network.tied], network.coefficients(theta)]))
    return flat


def add_to_last_layer(network: Enriched, theta: Tensor, change: Array) -> Tensor:
    """Return the parameters with ``change`` [network.linear] added to the last layer."""
    moved = theta.clone()
    weight, bias = network.unpack(moved)[-1]
    h = network.shared
    tied = network.tied
    layer, common, extra = np.split(change, np.cumsum([network.outputs * (h + 1), tied]))
    block = torch.from_numpy(layer).view(network.outputs, -1)
    weight[:, :h] += block[:, :-1]
    bias += block[:, -1]
    for component in range(network.outputs if tied else 0):
        weight[component, h + component * tied :][:tied] += torch.from_numpy(common)
    network.coefficients(moved).add_(torch.from_numpy(extra))
    return moved


def pilot(
    objective: Objective, base: Enriched, width: int, seed: int, domain: Domain, recipe: Recipe, points: Points = all_points
) -> Step:
    """Return the step with few features for the linearised equations, on few points where the form is strong.

    Args:
        objective: objective of a weak or strong form.
        base: network of the trial space.
        width: features per component.
        seed: seed of the features.
        domain: domain of the problem.
        recipe: recipe of the features.
        points: returns drawn points; where it returns None, all points are used, or in a strong form equally spaced ones.
    """
    stride = max(1, objective.size // (PILOT_ROWS * width * base.outputs)) if objective.test_space is None else 1
    network = recipe.features(base, width, domain, tests_degree(objective))
    few = points() or everything(objective, network, stride)
    return step(objective, network, recipe.draw(network, domain, torch.Generator().manual_seed(seed)), few)
