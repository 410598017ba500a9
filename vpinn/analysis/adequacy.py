"""Check whether a run had enough quadrature points and test functions, by evaluating its solution on finer ones.

| what was minimised | what is compared | enough if |
|---|---|---|
| energy | its excess over the energy of the corrected solution (½‖e‖² for a quadratic energy), | it changes by less than |
|  | on training's quadrature rule and on a finer one | itself |
| energy, by Gauss–Newton | decrease that training's points predict for one more step, and the excess | at most twice the excess |
| energy, no error estimate | the energy on both rules | it changes by less than 10 % |
| sum of squared residuals | the sum on both rules | it changes by less than half |
| residual's dual norm | the norm on training's test space and on the richer one of the estimate | less than 3 times larger, or |
|  |  | two thirds of the digits gained |

The energy itself says little: most of its quadrature error is a constant, which moves no minimum, and its least value is not
known. Hence the excess. If the network has used gaps between the points, the excess on training's rule is negative. If training
has stopped at such a gap, both rules may agree; but then one more step predicts a decrease that is far above the excess.

A residual that is several times larger on richer tests may still be small there. It passes if it has fallen there, since the
start, by two thirds of the digits by which it has fallen on training's tests.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vpinn.analysis.drawn import DrawnPoints, assessed_objective
from vpinn.analysis.estimate import Estimate, Estimator
from vpinn.domain import BoundaryPart, CellPoints, FacetPoints, Inside, Region
from vpinn.domain.quadrature import MAX_DEGREE
from vpinn.objective import Objective, Resolution, make_objective, quadrature_rule
from vpinn.optimization import GaussNewton, promised_decrease
from vpinn.problem import Case
from vpinn.solution import Solution
from vpinn.trial import Enriched, Features, Trial

EXCESS = 1.0
"""Largest admissible change of an energy's excess from training's rule to the finer one, relative to the latter."""
SQUARES = 0.5
"""Largest admissible change of a sum of squares from training's rule to the finer one, relative to the larger of both."""
UNESTIMATED = 0.1
"""Largest admissible change of an energy if its excess is not known, relative to the larger of both."""
RICHER = 3.0
"""Largest admissible dual norm of the residual on the richer test space, relative to that on training's test space."""
DIGITS = 1 / 3
"""Of the digits by which the residual fell on training's test space, largest share that richer tests may not see."""
PROMISED = 2.0
"""Largest admissible decrease predicted for one more step, relative to the excess of the energy, all there is to gain."""
DAMPING = 1e-6
"""Damping λ of that step, relative to the diagonal of the Gauss–Newton matrix."""
SMALL = 1e-5
"""Relative error estimate up to which points and tests count as enough. The estimate has finer points and richer tests of its
own, and five digits are more than are read off a solution."""
ROUNDING = 1e-12
"""Change, relative to the natural size of a quantity, up to which it is rounding and is ignored."""
FINER = 4
"""Difference between the degrees of the finer rule and of training's."""


def quadrature(
    stated: Case, solution: Solution, objective: Objective, estimate: Estimate | None, loss: float
) -> dict[str, float]:
    """Compare the solution's energy or loss on training's quadrature rule with that on a finer rule, or on other random points.

    Args:
        stated: problem in the formulation that training solved.
        solution: solution of the problem.
        objective: objective of training, in its internal unit.
        estimate: error estimate; None: there is none.
        loss: value of the objective over all of training's points, in units of the problem file.

    Returns:
        "seen" and "finer": excess of the energy (without an estimate the energy itself), or sum of squares, on training's
        rule and on the finer one; "change": their relative difference, dimensionless; "limit": largest admissible change;
        "promised", only after Gauss–Newton steps on all points: decrease of the energy that one more step predicts.
        If the estimate is at most ``SMALL``, no finer rule is evaluated: "finer" and "promised" are missing, "change" is 0.
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
    if limit == SQUARES and change > limit:  # the change may be rounding, compared with the sum at zero parameters
        at_start = fine.value(torch.zeros_like(theta))
        natural = at_start * ROUNDING if math.isfinite(at_start) else 0.0
    if abs(finer - seen) <= ROUNDING * natural:
        change = 0.0
    found = {"seen": seen, "finer": finer, "change": change, "limit": limit}
    stepped = solution.metrics.get("method") == GaussNewton.name and solution.metrics.get("batch_size") == "full"
    if stepped and limit == EXCESS and (step := promised_decrease(objective, theta, DAMPING)) is not None:
        found["promised"] = step * objective.unit
    return found


def unseen_loss(stated: Case, trial: Trial, objective: Objective, theta: Tensor) -> float:
    """Return the loss of parameters θ [size] on an independent, finer rule, in units of the problem file."""
    return _objective(stated, trial, objective, FINER).value(theta)


def promises_too_much(found: dict[str, float]) -> bool:
    """Return whether the predicted decrease of the energy exceeds what there is to gain; ``quadrature`` returns ``found``."""
    return "promised" in found and found["promised"] > PROMISED * max(found["finer"], 0.0)


def tests(
    theta: Tensor, network: Enriched, objective: Objective, estimator: Estimator | None, estimate: Estimate | None
) -> dict[str, Any]:
    """Compare the residual's dual norm on training's test space with that on the richer one of the estimate.

    Args:
        theta: parameters of the solution [size].
        network: network of its trial space.
        objective: objective of training, in its internal unit.
        estimator: error estimator; None: there is none.
        estimate: error estimate of ``theta``; None: there is none.

    Returns:
        "functions": number of test functions; "directions": number of parameters that training can change, which the tests have
        to determine; "seen" and "richer": dual norms on training's space and on the richer one, in units of the problem file;
        "passes": whether the tests were enough. Empty if the form is not tested, or nothing is estimated.
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


def remedy(problem: Case) -> str:
    """Return what the user can do to make the quadrature finer."""
    rule, _ = quadrature_rule(problem, problem.settings)
    if problem.domain.mesh is None:
        return "raise quadrature.points"
    return "raise quadrature.degree or refine the mesh" if rule == "gauss" else 'use quadrature.rule = "gauss"'


def _objective(problem: Case, trial: Trial, objective: Objective, more: int) -> Objective:
    """Return the objective in float64 on training's rule, or on one of a degree higher by ``more``, or on other random points."""
    settings, rules = problem.settings, {m.region: m.points for m in objective.measures}
    points = rules.get(Inside, rules.get(BoundaryPart))
    tested = objective.test_space.space.degree if objective.test_space else None
    degrees: dict[type[Region], int] = {}
    if isinstance(points, CellPoints | DrawnPoints | FacetPoints):
        halved = points.degree + more > MAX_DEGREE  # no rule has a higher degree, so cells are halved instead
        least = {region: found.degree + (0 if halved else more) for region, found in rules.items()}  # type: ignore[attr-defined]
        degrees = {region: min(MAX_DEGREE, degree) for region, degree in least.items()}
        quadrature = {"degree": degrees.get(Inside, degrees.get(BoundaryPart)), "refine": points.refine + halved}
        settings = settings.model_copy(update={"quadrature": settings.quadrature.model_copy(update=quadrature)})
    elif points is not None:
        quadrature, solver = {"points": points.size}, {"seed": (settings.solver.seed + (more > 0)) % 2**32}
        changed = {"quadrature": settings.quadrature.model_copy(update=quadrature)}
        settings = settings.model_copy(update={**changed, "solver": settings.solver.model_copy(update=solver)})
    resolution = Resolution(facets=degrees.get(BoundaryPart), tests=tested)
    found = make_objective(problem, trial, resolution=resolution, settings=settings)
    return assessed_objective(problem, found)
