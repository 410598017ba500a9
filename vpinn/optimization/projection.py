"""The last layer solved for, the layers before it held: variable projection (Golub & Pereyra 1973).

The last layer and the coefficients of enrich functions enter the unknowns linearly. One step with their own curvature G,
c ← c − (G + λ diag G)⁻¹∇J, therefore minimises the objective of a linear problem over them, up to the damping λ; a nonlinear
one takes several such Newton steps. Damping is relative to the diagonal, so that a step does not depend on units; it keeps
coefficients of nearly dependent functions small.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from vpinn.objective import Batch, Objective, candidate_values, curvature
from vpinn.sampling import NOTHING, make_sampler
from vpinn.trial import Enriched
from vpinn.trial.jacobian import last_layer_jacobian

ALL = 100_000
"""Points up to which the last layer is solved on all of them."""
POINTS = 20_000
"""Points of the domain that it is solved on, about, where there are more."""
DAMPING = 1e-3
"""λ of a single solve, relative to the diagonal of the curvature."""
GENTLE = 0.1
"""λ of solves again and again while the other layers train: with less, coefficients grow to what these layers offer by chance."""
NEWTON = 8
"""Most Newton steps."""
HALVINGS = 6
"""Times that a Newton step is halved until it lowers the objective."""
LINEAR = 1e-2
"""Difference between decrease and prediction, relative to the latter, below which the problem counts as linear."""
ENOUGH = 1e-3
"""Decrease, relative to that of all steps so far, below which there is no further one."""


def last_layer(network: Enriched) -> slice:
    """Return where the last layer and the coefficients of the enrich functions stand in the parameters."""
    return slice(network.size - network.outputs * (network.layers[-2] + 1) - network.extra, network.size)


def few_points(objective: Objective, generator: np.random.Generator, most: int = ALL, count: int = POINTS) -> Batch:
    """Return points that a last layer is solved on, drawn by strata; all points, where they are few.

    Args:
        objective: whose points they are.
        generator: of the draws.
        most: points up to which all are taken.
        count: points of the domain that are drawn, about, where there are more.
    """
    if objective.size <= most:
        return list(objective.parts())
    share, batch = count / objective.batched[0].points.size, []
    for measure in objective.batched:
        size = min(measure.points.size, max(count // 10, math.ceil(share * measure.points.size)))
        kind = "sobol" if measure.points.mesh is None else "cells" if measure.points.random else "stratified"
        sampler = make_sampler(kind, measure.points, size)
        batch.append((measure, measure.batch(*sampler.draw(generator, NOTHING), generator)))
    return batch


def solved_anew(objective: Objective, theta: Tensor, generator: np.random.Generator) -> Tensor:
    """Return the parameters with the last layer solved for where that lowers J at points which the solve has not seen.

    A weak form with too many points to sum over is left as it is: the square of its residual over drawn points holds their noise.

    Args:
        objective: what is trained.
        theta: parameters [size].
        generator: of the draws.
    """
    few = objective.size <= ALL
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
    """Return the parameters with the last layer solved for, and the objective before and after.

    Args:
        objective: of any formulation, with derivatives of order two at most.
        network: that of its trial space.
        theta: parameters [size], float64.
        parts: points of every measure, whose weights say how many each stands for.
        damping: λ > 0, dimensionless.

    Returns:
        parameters [size]; J over the points before; J after. Where nothing lowers it, the parameters are those given.

    Raises:
        InputError: the form takes derivatives of order three or more.
    """
    last, objective = last_layer(network), replace(objective, estimator="plain")
    first = float(candidate_values(objective, theta[None], parts)[0])
    value, reached = first, first
    for _ in range(NEWTON):
        change, predicted = _newton_step(objective, theta, last, parts, damping)
        for halving in range(HALVINGS):
            moved = theta.clone()
            moved[last] -= change / 2**halving
            reached = float(candidate_values(objective, moved[None], parts)[0])
            if reached < value:  # false where it is not finite
                break
        else:
            break
        gain, theta, value = value - reached, moved, reached
        if abs(gain - predicted) <= LINEAR * predicted or gain <= ENOUGH * (first - value):
            break
    return theta, first, value


def _newton_step(objective: Objective, theta: Tensor, last: slice, parts: Batch, damping: float) -> tuple[Tensor, float]:
    """Return (|G| + λ diag G)⁻¹∇J of the last layer, and the decrease of J that G predicts of that step.

    Negative directions of G, which a minimum lacks, count as positive.
    """
    found = curvature(objective, theta, parts, last_layer_jacobian)
    gradient = objective.sampled(theta, parts)[1][last] if found.slope is None else found.slope
    size = found.diagonal.abs().sqrt()
    size = torch.where(size > 0, size, 1.0)
    values, vectors = torch.linalg.eigh(found.gram / size / size[:, None])
    along = vectors.T @ (gradient / size)
    moved = along / (values.abs() + damping)
    change: Tensor = vectors @ moved / size
    return change, float(along @ moved - 0.5 * moved @ (values * moved))
