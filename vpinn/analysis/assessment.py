"""The closing assessment of a run: errors, estimate, quadrature adequacy, and which checks fail."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from vpinn.analysis.errors import TrueError, independent_points, reference_errors
from vpinn.analysis.estimate import Estimator
from vpinn.analysis.finite_elements import compare_with_finite_elements
from vpinn.analysis.flux import flux_gap
from vpinn.domain import PointSet
from vpinn.errors import VpinnError
from vpinn.objective import Objective, make_objective, quadrature_degree
from vpinn.problem import Problem
from vpinn.solution import Solution

ADEQUATE = 0.1
"""Largest change of the objective on a finer rule, relative to its size, that passes as integrated."""


ROUNDING = 1e-12
"""Objectives below this are rounding, whose change on another rule means nothing."""


def assess(
    solution: Solution, objective: Objective, estimator: Estimator | None, loss: float, stated: Problem | None = None
) -> Solution:
    """Return the solution with what can be said of its accuracy in ``metrics``.

    Args:
        solution: parameters to assess.
        objective: what training minimised.
        estimator: of the error, None where there is none.
        loss: objective over all points.
        stated: the problem whose objective that is, where it is another formulation than the solution's.
    """
    problem = solution.problem
    metrics: dict[str, Any] = dict(solution.metrics)
    checks: list[str] = []
    points = independent_points(
        problem, 2 + max(m.points.degree if hasattr(m.points, "degree") else 10 for m in objective.measures)
    )
    if problem.exact:
        metrics["errors"] = TrueError(problem, solution.trial, points)(solution.theta)
    elif problem.reference_file is not None:
        metrics["errors"] = reference_errors(solution, problem.reference_file)
    else:
        metrics["errors"] = {}
    if (asked := problem.settings.reference.fem) is not None:
        try:
            metrics["fem"] = compare_with_finite_elements(solution, asked)
            metrics["errors"] = metrics["errors"] or metrics["fem"]["difference"]
        except VpinnError as error:
            checks.append(f"reference.fem: {error}")
    shares, metrics["error_estimate"] = None, None
    if estimator is not None:
        estimate = estimator(solution.theta)
        shares = estimate.cells
        true = _true_error(solution, points) if set(problem.exact) == {u.name for u in problem.unknowns} else None
        metrics["error_estimate"] = {
            "relative_energy": estimate.relative,
            "relative_l2": dict(estimate.l2),
            "absolute": estimate.absolute,
            "true": true,
            "effectivity": estimate.absolute / true if true else None,
        }
    metrics["energy"] = _energy(solution) if problem.formulation == "energy" else None
    metrics["quadrature"] = _adequacy(stated or problem, solution, objective, loss)
    if metrics["quadrature"]["change"] > ADEQUATE and max(abs(loss), abs(metrics["quadrature"]["finer"])) > ROUNDING:
        checks.append(
            f"quadrature: the loss is {loss:.3e} on the training points and {metrics['quadrature']['finer']:.3e} on independent "
            "ones; raise quadrature.degree or refine the mesh"
        )
    if not all(np.isfinite(v) for e in metrics["errors"].values() for v in e.values()):
        checks.append("errors: not finite")
    metrics["checks"] = checks
    return dataclasses.replace(solution, metrics=metrics, cell_estimate=shares)


def _true_error(solution: Solution, points: PointSet) -> float:
    """Return ‖B(u) − B(u_exact)‖, the error in the norm that is estimated."""
    problem, trial = solution.problem, solution.trial
    gap = flux_gap(problem, trial, trial.unknowns, problem.exact).integrate(solution.theta, points)[0]
    return math.sqrt(max(0.0, float(gap)))


def _adequacy(problem: Problem, solution: Solution, objective: Objective, loss: float) -> dict[str, float]:
    """Return the objective on a finer rule, and its change relative to the size of the objective's terms.

    An energy may pass through zero, so its change is measured against the energy's own fall below the zero function's;
    sums of squares are compared with themselves.
    """
    degree = max((m.points.degree for m in objective.measures if hasattr(m.points, "degree")), default=0)
    if degree:
        space = objective.test_space
        fine = make_objective(
            problem, solution.trial, solution.theta.dtype, min(30, degree + 4), space.space.degree if space else None
        )
    else:
        moved = problem.settings.solver.model_copy(update={"seed": (problem.settings.solver.seed + 1) % 2**32})
        settings = problem.settings.model_copy(update={"solver": moved})
        fine = make_objective(dataclasses.replace(problem, settings=settings), solution.trial, solution.theta.dtype)
    finer = fine.value(solution.theta)
    return {"finer": finer, "change": abs(finer - loss) / max(abs(finer), abs(loss), 1e-300)}


def _energy(solution: Solution) -> float:
    """Return the energy of the problem file, without penalty terms, on a finer rule."""
    plain = dataclasses.replace(solution.trial, imposed=())
    degree = min(30, quadrature_degree(solution.problem, None) + 4)
    return make_objective(solution.problem, plain, degree=degree).value(solution.theta)
