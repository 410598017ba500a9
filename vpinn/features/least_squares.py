"""Last-layer least squares: random features, whose linear combination makes the residual smallest.

How the features are drawn is told by ``recipes``. Nonlinear problems take Newton steps on top. Source: Dong & Li 2021 (local
extreme learning machines, arXiv 2012.02895); ``methods`` of vpinn's theory.
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
from vpinn.trial import Enriched, Features

Array = NDArray[np.float64]
RCOND = 1e-14
"""Singular values below this share of the largest are left out."""
PILOT = 120
"""Features per component with which kind and scale are chosen."""
PILOT_ROWS = 12
"""Points per feature with which they are chosen in a strong form."""
NEWTON = 20
"""Most Newton steps."""
NEARLY = 1e-3
"""Relative difference to what a Newton step predicts, or gain by it, below which there is no further one."""


Points: TypeAlias = Callable[[], Iterable[Part] | None]
"""Gives the points that are summed over, None for all."""


def all_points() -> None:
    """Return None: all points."""


@dataclass(frozen=True)
class Fit:
    """Features with their best combination.

    Attributes:
        network: one hidden layer of features.
        theta: its parameters [network.size].
        residual: ‖ρ‖, the square root of twice the objective.
        initial: the same before the first step.
        steps: Newton steps taken; one for a linear problem.
        points: drawn points that it was fitted to; None: all.
    """

    network: Features
    theta: Tensor
    residual: float
    initial: float
    steps: int
    points: int | None = None


@dataclass(frozen=True)
class Step:
    """The last layer that solves the equations linearised at some fields.

    Attributes:
        network: one hidden layer of features.
        theta: its parameters [network.size].
        before: ‖ρ‖ of those fields.
        predicted: ‖ρ‖ of the linearised equations at ``theta``.
        steepness: ‖ρ‖ that one feature alone adds, the median of all.
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
    """Solve the linearised equations for the whole last layer, not for its change, which would pile up what no column sees.

    Args:
        objective: weak or strong.
        network: the features.
        theta: their parameters [network.size]; those of the last layer matter where ``at`` is None.
        points: that are summed over; None for all.
        at: network and parameters of the fields to linearise at; None for ``network`` and ``theta``.
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
    """Minimise the residual over the last layer: Gauss–Newton with step halving, one step for a linear problem.

    Args:
        objective: weak or strong.
        network: the features.
        theta: parameters to start from [network.size].
        points: gives the points that are summed over, the same every time.
        first: the first step, where it is known already, from ``theta`` or from other fields; one that leads farther away
            than they were is not taken.
        linear: whether the first step is known to be the last.
    """
    first = first or step(objective, network, theta, points())
    found, predicted, steps = first.theta, first.predicted, 1
    norm = predicted if linear else residual_norm(objective, network, found, points())
    if not linear and not norm < first.before:
        found, norm, predicted, steps = theta, residual_norm(objective, network, theta, points()), 0.0, 0
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
        found, norm, predicted, steps = moved, reached, made.predicted, steps + 1
        if gain <= NEARLY * norm:
            break
    return Fit(network, found, norm, first.before, steps)


def tests_degree(objective: Objective) -> int:
    """Return the degree of the tests, 0 without any."""
    return objective.test_space.space.degree if objective.test_space is not None else 0


def solve_columns(columns: Array, right: Array) -> Array:
    """Return the least-squares solution [k] by a rank-revealing factorisation of the scaled columns [rows, k]."""
    size = np.linalg.norm(columns, axis=0)
    size[size == 0] = 1.0
    found: Array = rank_revealing_solution(columns / size, right, RCOND) / size
    return found


def last_layer(network: Enriched, theta: Tensor) -> Array:
    """Return what the unknowns depend on linearly [network.linear].

    That is the last layer, component by component, each bias after its weights; coefficients that all components have in
    common; those of the enrich functions.
    """
    (weight, bias), h = network.unpack(theta)[-1], network.shared
    layer = torch.cat([weight[:, :h], bias[:, None]], 1).reshape(-1)
    flat: Array = torch.cat([layer, weight[0, h : h + network.tied], network.coefficients(theta)]).numpy()
    return flat


def add_to_last_layer(network: Enriched, theta: Tensor, change: Array) -> Tensor:
    """Return parameters whose last layer has moved by ``change`` [network.linear]."""
    moved = theta.clone()
    (weight, bias), h, tied = network.unpack(moved)[-1], network.shared, network.tied
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
    """Return what few features make of the linearised equations, with few points where the form is strong.

    Args:
        objective: weak or strong.
        base: network of the trial space.
        width: features per component.
        seed: of the features.
        domain: where the problem is posed.
        recipe: of the features.
        points: gives drawn points; all, or every so manyth of a strong form, where it gives None.
    """
    stride = max(1, objective.size // (PILOT_ROWS * width * base.outputs)) if objective.test_space is None else 1
    network = recipe.features(base, width, domain, tests_degree(objective))
    few = points() or everything(objective, network, stride)
    return step(objective, network, recipe.draw(network, domain, torch.Generator().manual_seed(seed)), few)
