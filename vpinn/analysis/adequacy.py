"""Whether the points and the test functions of a run were enough: what training saw beside what finer ones see.

| what was minimised | measure | adequate |
|---|---|---|
| an energy | its excess over the corrected solution (½|e|² for a quadratic one) on both rules | it changes by less than itself |
| an energy, by Gauss–Newton | the decrease that the points promise of one more step | not above the excess, but for a factor |
| an energy without an estimate | itself on both rules | it changes by less than a tenth |
| squares of residuals | their sum on both rules | it changes by less than half |
| a residual's dual norm | on the test space trained with and on the richer one of the estimate | less than three times larger, |
|  |  | or two thirds of the digits that it fell by are real |

An energy itself says little: its error on a rule is mostly a constant, which moves no minimum, and its least value is known
to nobody. A network that dives into the gaps of a rule makes the excess negative there. One that stands before a gap, with steps
that lead nowhere else, does not: 501 weights on 625 points stayed at an H¹ error of 7e-3, where 1,600 points lead to 2e-6, and
both rules agreed on the excess, 5e-4. The step that its points asked for promised a thousand times as much.

Digits, as a residual falls by factors: 20,000 steps of Adam on 121 tests came from 4.4 to 2.5e-3, of which richer tests see
1.1e-2 (an H¹ error of 2.4e-3, estimated to a per cent); four cells of 36 bubbles lead to a twentieth, of which nothing is real.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vpinn.analysis.drawn import DrawnPoints, assessed_objective
from vpinn.analysis.estimate import Estimate, Estimator
from vpinn.domain import CellPoints, FacetPoints, Hypercube
from vpinn.domain.quadrature import MAX_DEGREE
from vpinn.objective import Objective, make_objective, quadrature_rule
from vpinn.optimization import GaussNewton, promised_decrease
from vpinn.problem import Problem
from vpinn.solution import Solution
from vpinn.trial import Enriched, Features, Trial

EXCESS = 1.0
"""Largest change of an energy's excess on a finer rule, relative to that excess."""
SQUARES = 0.5
"""Largest change of a sum of squares on a finer rule, relative to the larger."""
UNESTIMATED = 0.1
"""Largest change of an energy where no estimate tells its excess, relative to the energy."""
RICHER = 3.0
"""Largest residual on the richer test space, relative to that on the space trained with."""
DIGITS = 1 / 3
"""Largest share of the digits by which the residual fell on the space trained with that richer tests do not see."""
PROMISED = 2.0
"""Largest decrease that a step promises, relative to the excess of the energy, all that there is to gain."""
DAMPING = 1e-6
"""λ of that step."""
SMALL = 1e-5
"""Relative error estimate, taken on finer points and tests of its own, below which it does not matter what training saw: five
digits are more than is read off a solution."""
ROUNDING = 1e-12
"""What is below this share of its natural size is rounding, whose change means nothing."""
FINER = 4
"""Degrees by which the finer rule is finer."""


def quadrature(
    stated: Problem, solution: Solution, objective: Objective, estimate: Estimate | None, loss: float
) -> dict[str, float]:
    """Return what training's rule and a finer one, or other random points, make of the solution.

    Args:
        stated: the problem in the formulation that was solved.
        solution: its solution.
        objective: what training minimised, in its own unit.
        estimate: of the error, None without one.
        loss: objective over all points, in units of the problem file.

    Returns:
        seen and finer: the excess of an energy, or the sum of squares; change: relative, dimensionless; limit: of change; and
        promised: the decrease of the energy that a Gauss–Newton step promises, where such steps on all points trained it.
        Where the estimate, whose own rule is finer, is below ``SMALL``, no other rule is asked, and nothing counts as changed.
    """
    theta, trial = solution.theta, solution.trial
    double = objective.placement.dtype == torch.float64
    seen = loss if double else _objective(stated, trial, objective, 0).value(theta)
    if estimate is not None and estimate.relative <= SMALL:
        return {"seen": seen, "change": 0.0, "limit": SQUARES if stated.formulation.squared else EXCESS}
    fine = _objective(stated, trial, objective, FINER)
    finer = fine.value(theta)
    natural, limit = abs(finer), EXCESS
    if stated.formulation.squared:
        limit = SQUARES
    elif estimate is not None and estimate.corrected is not None:
        trial = estimate.corrected.trial
        seen, finer = (v - _objective(stated, trial, objective, m).value(theta) for v, m in ((seen, 0), (finer, FINER)))
    elif estimate is None:
        limit = UNESTIMATED
    else:
        seen, finer = 0.5 * estimate.absolute**2 + seen - finer, 0.5 * estimate.absolute**2
    size = max(finer, 0.0) if limit == EXCESS else max(abs(seen), abs(finer))
    change = abs(finer - seen) / max(size, 1e-300)
    if limit == SQUARES and change > limit:  # it may be rounding of what the squares fell from
        at_start = fine.value(torch.zeros_like(theta))
        natural = at_start * ROUNDING if math.isfinite(at_start) else 0.0
    if abs(finer - seen) <= ROUNDING * natural:
        change = 0.0
    found = {"seen": seen, "finer": finer, "change": change, "limit": limit}
    stepped = solution.metrics.get("method") == GaussNewton.name and solution.metrics.get("batch_size") == "full"
    if stepped and limit == EXCESS and (step := promised_decrease(objective, theta, DAMPING)) is not None:
        found["promised"] = step * objective.unit
    return found


def unseen_loss(stated: Problem, trial: Trial, objective: Objective, theta: Tensor) -> float:
    """Return the loss of some parameters on an independent, finer rule, in units of the problem file."""
    return _objective(stated, trial, objective, FINER).value(theta)


def promises_too_much(found: dict[str, float]) -> bool:
    """Return whether the points promise more than there is to gain; ``found`` as ``quadrature`` returns it."""
    return "promised" in found and found["promised"] > PROMISED * max(found["finer"], 0.0)


def tests(
    theta: Tensor, network: Enriched, objective: Objective, estimator: Estimator | None, estimate: Estimate | None
) -> dict[str, Any]:
    """Return the residual's dual norm on the space trained with, ``seen``, and on the richer one; empty without tests.

    The number of test functions stands beside that of weights, the directions that they would have to see at most.
    """
    space = objective.test_space
    if space is None or estimator is None or estimator.residual is None or estimate is None:
        return {}
    residual = objective.residual(objective.placement.put(theta))
    seen = float(np.linalg.norm(space.whiten(residual[:, :, None]))) * math.sqrt(objective.unit)
    richer, _ = estimator.residual.dual_norm(theta, estimate.corrected.residual if estimate.corrected else None)
    passes = richer <= RICHER * seen or estimate.relative <= SMALL
    if not passes:
        start, _ = estimator.residual.dual_norm(torch.zeros_like(theta))
        passes = richer <= seen ** (1 - DIGITS) * start**DIGITS
    directions = network.linear if isinstance(network, Features) else network.size
    return {"functions": space.size, "directions": directions, "seen": seen, "richer": richer, "passes": passes}


def remedy(problem: Problem) -> str:
    """Return which setting makes the quadrature finer."""
    rule, _ = quadrature_rule(problem)
    if isinstance(problem.domain, Hypercube):
        return "raise quadrature.points"
    return "raise quadrature.degree or refine the mesh" if rule == "gauss" else 'use quadrature.rule = "gauss"'


def _objective(problem: Problem, trial: Trial, objective: Objective, more: int) -> Objective:
    """Return the objective in float64 on the rule trained with, or on an independent one finer by ``more`` degrees."""
    settings, rules = problem.settings, {m.facet: m.points for m in objective.measures}
    points = rules.get(False, rules.get(True))
    tested = objective.test_space.space.degree if objective.test_space else None
    degrees: dict[bool, int] = {}
    if isinstance(points, CellPoints | DrawnPoints | FacetPoints):
        halved = points.degree + more > MAX_DEGREE  # no rule has a higher degree, so cells are halved instead
        least = {facet: found.degree + (0 if halved else more) for facet, found in rules.items()}  # type: ignore[attr-defined]
        degrees = {facet: min(MAX_DEGREE, degree) for facet, degree in least.items()}
        quadrature = {"degree": degrees.get(False, degrees.get(True)), "refine": points.refine + halved}
        settings = settings.model_copy(update={"quadrature": settings.quadrature.model_copy(update=quadrature)})
    elif points is not None:
        quadrature, solver = {"points": points.size}, {"seed": (settings.solver.seed + (more > 0)) % 2**32}
        changed = {"quadrature": settings.quadrature.model_copy(update=quadrature)}
        settings = settings.model_copy(update={**changed, "solver": settings.solver.model_copy(update=solver)})
    found = make_objective(problem, trial, test_degree=tested, facet_degree=degrees.get(True), settings=settings)
    return assessed_objective(problem, found)
