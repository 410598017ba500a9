"""Add to a Langevin ensemble the deviation of fields along the directions of weights that the chain holds fixed, in closed form.

Along curved valleys weights move far while the field hardly bends. J therefore follows the quadratic model of the field
linearised in the weights, u(c) + ∂u/∂θ δ, much farther than the quadratic model of the weights. With the curvature G of J at
the center c (see ``objective.curvature``), exp(−J/T) for the linearised field is δ ~ N(0, TG⁺), which is exact where J is
quadratic in the field (Immer et al. 2021, arXiv 2008.08400). The chain in span W covers the part T W(WᵀGW)⁻¹Wᵀ of that
covariance. The rest belongs to directions conjugate to W and is independent of the chain; its samples are the tangents
t = δ − W(WᵀGW)⁻¹WᵀGδ at c.

Directions whose curvature is a rounding error are left out. They add nothing where the field depends continuously on the
quantities in J. Where J does not bound the field along them, the deviation is infinite; the share of the variance along the
directions with the least curvature above rounding reveals that.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from vpinn.errors import InputError
from vpinn.objective import Objective, curvature
from vpinn.optimization.method import State, number
from vpinn.optimization.projection import few_points
from vpinn.placement import HOST, wide
from vpinn.problem import Problem
from vpinn.trial import Evaluator, Trial

MOST = 5_000
"""Number of weights up to which G is formed."""
LEAST = 1e4
"""Least curvature above rounding, relative to the largest, in units of the machine precision."""
LAST = 100.0
"""Factor of that least curvature below which a direction counts towards the entry "open"."""
SEEN = 256
"""Most points at which the variance of the field is computed."""
STEP = 1e-5
"""Length of the finite difference along a tangent, relative to the weights."""


def with_tangents(problem: Problem, trial: Trial, objective: Objective, state: State) -> State:
    """Return the state of a Langevin chain with samples for the directions held fixed; other states unchanged.

    Three entries are added: "tangents" [n, size], one per sample of the chain; "held", the share of the field's variance due to
    them; "open", the share due to the directions with the least curvature above rounding. Shares are means over points, and the
    largest over the components, 0 to 1. They are nan, and the tangents zero, where G cannot be formed or has no positive
    eigenvalue.

    Args:
        problem: problem with the unknowns.
        trial: trial space of the chain.
        objective: what was trained.
        state: state of the method.
    """
    if "basis" not in state:
        return state
    center, basis = wide(state["center"]), wide(state["basis"])
    count = int(state["taken"])
    nothing = {"tangents": center.new_zeros(count, len(center)), "held": number(math.nan), "open": number(math.nan)}
    if len(center) > MOST:
        return {**state, **nothing}
    generator = torch.Generator()
    generator.set_state(state["generator"])
    points = few_points(objective, np.random.default_rng(int(torch.randint(2**31, (1,), generator=generator, device=HOST))))
    try:
        gram = wide(curvature(objective, state["center"], points).gram)
    except InputError:  # the form has derivatives of third order
        return {**state, **nothing}
    values, vectors = torch.linalg.eigh(gram)
    rounding = LEAST * torch.finfo(objective.placement.dtype).eps
    least = rounding * max(float(values[-1]), 0.0)
    kept = values > least
    if not kept.any():
        return {**state, **nothing}
    values, vectors = values[kept], vectors[:, kept]
    law = vectors * (float(state["temperature"]) / values).sqrt()  # δ = law ξ
    inside = torch.linalg.pinv(basis.T @ gram @ basis, rtol=rounding, hermitian=True)
    rest = law - basis @ (inside @ (basis.T @ (gram @ law)))
    draws = torch.randn(count, len(values), generator=generator, dtype=torch.float64, device=HOST)
    measure = objective.measures[0].points
    seen = measure.take(np.unique(np.linspace(0, measure.size - 1, min(SEEN, measure.size)).astype(np.int64)))
    field = Evaluator.of(problem, trial, [unknown.function for unknown in problem.unknowns])
    whole, added = (moved_along(field, center, part.T, seen) ** 2 for part in (law, rest))
    variance = whole.sum((0, 2)).clamp(min=torch.finfo(torch.float64).tiny)
    held = float((added.sum((0, 2)) / variance).max())
    last = float((whole[values <= LAST * least].sum((0, 2)) / variance).max())
    return {**state, "tangents": draws @ rest.T, "held": number(held), "open": number(last)}


def moved_along(field: Evaluator, center: Tensor, tangents: Tensor, points: object) -> Tensor:
    """Return the derivatives [k, components, n] of fields at points along tangents, by central differences at the center.

    Args:
        field: evaluates the fields.
        center: parameters c [size], float64.
        tangents: directions of the weights [k, size], of any length.
        points: n points.
    """
    moved = []
    for tangent in tangents:
        step = STEP * (float(center.norm()) or 1.0) / max(float(tangent.norm()), torch.finfo(torch.float64).tiny)
        ahead, behind = (field(center + sign * step * tangent, points) for sign in (1.0, -1.0))  # type: ignore[arg-type]
        moved.append(torch.from_numpy((ahead - behind) / (2.0 * step)))
    return torch.stack(moved)
