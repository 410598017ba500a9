"""Solve for the last layer with the layers before it held fixed: variable projection (Golub & Pereyra 1973).

The unknowns depend linearly on the last layer and on the coefficients of enrich functions, here called c. For a linear problem
one step c ← c − (G + λ diag G)⁻¹∇J with their own curvature G therefore minimises the objective over them, up to the damping λ;
a nonlinear problem takes several such Newton steps. The damping is relative to the diagonal, so that it does not depend on
units; it keeps the coefficients of nearly dependent functions small. Start with `projected`.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from vpinn.objective import Batch, Objective, Part, candidate_values, curvature, divided
from vpinn.sampling import NOTHING, make_sampler
from vpinn.trial import Enriched
from vpinn.trial.jacobian import last_layer_jacobian

ALL = 100_000
"""Number of quadrature points up to which the last layer is solved on all of them."""
FEW, PER_WEIGHT = 12, 8
"""Derivatives up to which a point counts as cheap, and fewest points per weight of the last layer where it is not."""
POINTS = 20_000
"""Number of points of the domain on which it is solved, about, where there are more."""
DAMPING = 1e-3
"""λ of a single solve, relative to the diagonal of the curvature."""
GENTLE = 0.1
"""λ of repeated solves while the other layers train; a smaller one lets coefficients grow to fit accidental features."""
NEWTON = 8
"""Most Newton steps."""
HALVINGS = 6
"""Most halvings of a Newton step that does not lower the objective."""
LINEAR = 1e-2
"""Difference between actual and predicted decrease, relative to the predicted one, below which the problem counts as linear."""
FLAT = 1e-24
"""Curvature along the bias of an output, relative to the largest along its weights, up to which it is rounding: the constant is
not determined, such as that of a pressure, and stays as it is."""
ENOUGH = 1e-3
"""Decrease in one step, relative to that in all steps so far, below which no further step is taken."""


def few_points(objective: Objective, generator: np.random.Generator, most: int = ALL, count: int = POINTS) -> Batch:
    """Return the quadrature points on which a last layer is solved: all points if they are few, else stratified samples.

    Args:
        objective: objective whose points they are.
        generator: random numbers of the draws.
        most: number of points up to which all are used.
        count: number of points of the domain that are drawn, about, where there are more.
    """
    most, count = affordable(objective, most), affordable(objective, count)
    if objective.size <= most:
        return list(objective.parts())
    share = count / objective.batched[0].points.size
    batch: list[Part] = []
    for measure in objective.batched:
        size = min(measure.points.size, max(count // 10, math.ceil(share * measure.points.size)))
        kind = "cells" if measure.points.random else "stratified"
        kind = "sobol" if measure.points.mesh is None else kind
        sampler = make_sampler(kind, measure.points, size)
        batch += divided(measure, measure.batch(*sampler.draw(generator, NOTHING), generator))
    return batch


def affordable(objective: Objective, points: int) -> int:
    """Return how many points cost as much as ``points`` do in few dimensions, but no fewer than the last layer needs."""
    first = objective.batched[0]
    fewer = points * FEW // max(FEW, len(first.derivatives))
    return max(fewer, min(points, PER_WEIGHT * first.network.outputs * first.network.layers[-2]))


def solved_anew(objective: Objective, theta: Tensor, generator: np.random.Generator) -> Tensor:
    """Return the parameters after a solve for the last layer, if that lowers J on points that the solve has not used.

    Otherwise the parameters are returned unchanged. There is no solve in float32, and none for a weak form with too many points
    to sum over, because the square of a residual over drawn points is biased by their noise. With few points, the solve uses all
    of them, and J is compared on the same points.

    Args:
        objective: what is trained.
        theta: parameters [size].
        generator: random numbers of the draws.
    """
    few = objective.size <= affordable(objective, ALL)
    if theta.dtype != torch.float64 or not (few or objective.test_space is None):
        return theta
    network = objective.measures[0].network
    assert isinstance(network, Enriched)
    moved, before, after = projected(objective, network, theta, few_points(objective, generator), GENTLE)
    if not few:
        before, after = candidate_values(objective, torch.stack([theta, moved]), few_points(objective, generator)).tolist()
    return moved if after < before else theta


def projected(
    objective: Objective, network: Enriched, theta: Tensor, parts: Batch, damping: float = DAMPING
) -> tuple[Tensor, float, float]:
    """Return the parameters after a solve for the last layer, and the objective before and after it.

    Args:
        objective: objective of any formulation, with derivatives of order two at most.
        network: network of its trial space.
        theta: parameters [size], float64.
        parts: quadrature points of every measure, with weights that say how many points each represents.
        damping: λ > 0, dimensionless.

    Returns:
        Parameters [size]; J over the points before; J after. If no step lowers J, the parameters are those given.

    Raises:
        InputError: the form has derivatives of order three or more.
    """
    last, objective = network.last, replace(objective, estimator="plain")
    first = float(candidate_values(objective, theta[None], parts)[0])
    value, reached = first, first
    for _ in range(NEWTON):
        change, predicted = _newton_step(objective, theta, last, parts, damping)
        for halving in range(HALVINGS):
            moved = theta.clone()
            moved[last] -= change / 2**halving
            reached = float(candidate_values(objective, moved[None], parts)[0])
            if reached < value:  # false where J is not finite
                break
        else:
            break
        gain = value - reached
        theta = moved
        value = reached
        if abs(gain - predicted) <= LINEAR * predicted or gain <= ENOUGH * (first - value):
            break
    return theta, first, value


def _newton_step(objective: Objective, theta: Tensor, last: slice, parts: Batch, damping: float) -> tuple[Tensor, float]:
    """Return the step (|G| + λ diag G)⁻¹∇J of the last layer, and the decrease of J that G predicts for it.

    Negative eigenvalues of the scaled G, which it does not have at a minimum, are replaced by their magnitudes.
    """
    found = curvature(objective, theta, parts, last_layer_jacobian)
    gradient = objective.sampled(theta, parts)[1][last] if found.slope is None else found.slope
    size = torch.where(_determined(objective, found.diagonal.abs()), found.diagonal.abs().sqrt(), math.inf)
    values, vectors = torch.linalg.eigh(found.gram / size / size[:, None])
    along = vectors.T @ (gradient / size)
    moved = along / (values.abs() + damping)
    change: Tensor = vectors @ moved / size
    return change, float(along @ moved - 0.5 * moved @ (values * moved))


def _determined(objective: Objective, diagonal: Tensor) -> Tensor:
    """Return for every parameter of the last layer whether J depends on it, from the curvature along each [k] as [k]."""
    network = objective.measures[0].network
    count = network.outputs * network.layers[-2]
    least = torch.zeros_like(diagonal)
    least[count : count + network.outputs] = FLAT * diagonal[:count].view(network.outputs, -1).amax(1)
    return diagonal > least
