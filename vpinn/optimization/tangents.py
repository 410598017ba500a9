"""What the directions that a Langevin walk holds add to the deviation of fields, in closed form.

Along curved valleys weights move far and the field hardly bends: J follows the quadratic model of the field made linear in the
weights, u(c) + ∂u/∂θ δ, much farther than that of the weights. With J's curvature G at the center c (see
``objective.curvature``) the linearised field has the law δ ~ N(0, TG⁺) of exp(−J/T), exact where J is quadratic in the field
(Immer et al. 2021, arXiv 2008.08400). The walk in span W has the part T W(WᵀGW)⁻¹Wᵀ of that covariance; the rest belongs to
directions conjugate to W, independent of it, and its draws are tangents t = δ − W(WᵀGW)⁻¹WᵀGδ at c.

Directions whose curvature is rounding are left out. Where the field depends continuously on what J sees they add nothing; where J
does not bound the field along them its deviation has no end, which what the last directions add tells.
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
"""Weights up to which G is formed."""
LEAST = 1e4
"""Least curvature that is not rounding, relative to the largest, in units of the precision."""
LAST = 100.0
"""Factor above the least curvature up to which directions are the last ones."""
SEEN = 256
"""Points at most that the variance of the field is looked at."""
STEP = 1e-5
"""Length of a difference along a tangent, relative to the weights."""


def with_tangents(problem: Problem, trial: Trial, objective: Objective, state: State) -> State:
    """Return the state of a Langevin walk with what the held directions add; other states as they are.

    Added are "tangents" [n, size], one per sample; "held", the share of the field's variance that they bring; and "open", the
    share of the directions with the least curvature that is not rounding. Both shares are means over points, the largest of
    all components; nan where G cannot be formed or curves upwards nowhere, with tangents of zero.

    Args:
        problem: with the unknowns.
        trial: trial space of the walk.
        objective: what was trained, with few enough points to sum over.
        state: of the method.
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
    except InputError:  # derivatives of third order
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
    """Return the derivatives [k, components, n] of fields at points along tangents [k, size] at the center, by differences.

    Args:
        field: evaluates fields.
        center: parameters c [size], float64.
        tangents: directions of the weights, of any length.
        points: n points.
    """
    moved = []
    for tangent in tangents:
        step = STEP * (float(center.norm()) or 1.0) / max(float(tangent.norm()), torch.finfo(torch.float64).tiny)
        ahead, behind = (field(center + sign * step * tangent, points) for sign in (1.0, -1.0))  # type: ignore[arg-type]
        moved.append(torch.from_numpy((ahead - behind) / (2.0 * step)))
    return torch.stack(moved)
