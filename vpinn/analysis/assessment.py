"""Assess a finished solution: its errors, the error estimate, whether points and tests were enough, and which checks fail.

``assess`` calls the other modules of this package one after another, and writes what they find into the metrics of the solution.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from vpinn.analysis import adequacy
from vpinn.analysis.carried import uncarried_values
from vpinn.analysis.cauchy import cauchy_sides, initial_values
from vpinn.analysis.clashes import clashing_values
from vpinn.analysis.data import unseen_data
from vpinn.analysis.definite import unbounded_energy, unique_by_signs
from vpinn.analysis.drawn import DrawnPoints, assessed_objective, drawn_cells
from vpinn.analysis.effectivity import distrust, relative_error
from vpinn.analysis.errors import TrueError, independent_points, reference_errors
from vpinn.analysis.estimate import Estimate, Estimator
from vpinn.analysis.finite_elements import compare_with_finite_elements
from vpinn.analysis.geometry import kink
from vpinn.analysis.missing import missing_conditions
from vpinn.analysis.pieces import loose_piece
from vpinn.analysis.quantities import field_errors, quantities_of
from vpinn.analysis.resonance import close_to_resonance
from vpinn.analysis.several import another_solution
from vpinn.analysis.uniqueness import free_functions
from vpinn.analysis.walks import walk_error
from vpinn.domain import CellPoints
from vpinn.errors import VpinnError
from vpinn.finite_elements import Level, rule_degree
from vpinn.forms import integrals
from vpinn.metrics import Accuracy, Metrics
from vpinn.objective import Objective, Resolution, make_objective, quadrature_degree
from vpinn.objective.variation import is_linear
from vpinn.problem import Case
from vpinn.solution import Solution
from vpinn.trial import Evaluator

UNRESOLVED = 0.1
"""Relative error estimate above which a check fails, even if points and tests were enough."""
CERTAIN, WALKED = 3.0, 10.0
"""Standard deviations that are taken off an error that walks measure, and factor over the estimate at which a check fails."""


def assess(
    solution: Solution,
    objective: Objective | None,
    estimator: Estimator | Estimate | None,
    loss: float | None = None,
    stated: Case | None = None,
    first: Solution | None = None,
    unique: bool = False,
) -> Solution:
    """Return the solution with its errors, its error estimate and the failed checks in ``metrics``.

    Args:
        solution: solution to assess.
        objective: objective of training, in its internal unit. None for finite elements, which minimise none; their estimate has
            finer points and richer tests of its own.
        estimator: error estimator, or the estimate that the strategy has made itself; None: there is none.
        loss: value of the objective over all points, in units of the problem file; None: there is no objective.
        stated: problem in the formulation that training solved; None: it is the solution's problem.
        first: solution on the mesh of the problem file, for the check of uniqueness; None: ``solution``. Give it if ``solution``
            is on a finer mesh.
        unique: whether it is known that no function can be added to a solution.
    """
    problem = solution.problem
    metrics: dict[str, Any] = {"quadrature": None, "tests": None}
    checks: list[str] = []
    rules = _rules(solution, objective)
    true = _compare(solution, rules, metrics, checks)
    estimate = estimator(solution.theta) if isinstance(estimator, Estimator) else estimator
    judge = estimator if isinstance(estimator, Estimator) else None
    metrics["error_estimate"] = None
    relative_true = 0.0 if not true or estimate is None else relative_error(true, estimate, metrics["errors"])
    if estimate is not None:
        metrics["error_estimate"] = {
            "relative_energy": estimate.relative,
            **({} if estimate.interval is None else {"interval": list(estimate.interval)}),
            "relative_l2": dict(estimate.l2),
            "kink": 0.0 if problem.domain.mesh is None else kink(problem.domain.mesh),
            "absolute": estimate.absolute,
            "unexplained": 0.0 if estimate.corrected is None else estimate.corrected.left,
            "true": true,
            "effectivity": estimate.absolute / true if true and relative_true > adequacy.ROUNDING else None,
        }
    metrics |= answers_of(solution, estimate)
    if fixed := Level.of(problem).told(rotations=solution.trial.space is not None):
        metrics["fixed"] = fixed
    metrics["energy"] = None if problem.formulation.squared else _energy(solution)
    if objective is not None and loss is not None:
        checks += _trained_enough(solution, stated or problem, objective, loss, judge, estimate, metrics)
    if (unseen := unseen_data(problem, rules, kinks=solution.trial.space is None)) is not None:
        checks.append(f"data: {unseen}")
    relative = np.nan if estimate is None else estimate.relative
    checks += _conditions(problem, relative)
    if estimate is not None and not estimate.relative <= UNRESOLVED:
        checks.append(f"error estimate: {estimate.relative:.0%} of the flux is unresolved; {_more(problem, estimate.relative)}")
    if true and estimate is not None and (why := distrust(solution, estimate, relative_true)):
        checks.append(f"error estimate: {why}")
    checks += _longer_than_walks_allow(metrics, estimate)
    checks += _alone(first or solution, loss, unique, relative)
    if not all(np.isfinite(v) for e in metrics["errors"].values() for k, v in e.items() if k != "interval"):
        checks.append("errors: not finite")
    if (cells := drawn_cells(problem)) is not None:
        metrics["assessed_cells"] = {"drawn": cells, "of": problem.domain.n_cells}
    assessed = dataclasses.replace(Metrics.of(solution.metrics), accuracy=Accuracy.of({**metrics, "checks": checks}))
    return dataclasses.replace(solution, metrics=assessed, cell_estimate=None if estimate is None else estimate.cells)


def _more(problem: Case, relative: float) -> str:
    """Return what to do about a large error estimate, relative to the flux."""
    if relative > 1.0 and not is_linear(problem):
        return "no solution was found, and there may be none; give more steps, refine the mesh, or try a smaller load"
    return "give more steps or features, or refine the mesh"


def answers_of(solution: Solution, estimate: Estimate | None = None) -> dict[str, Any]:
    """Return the quantities and the errors of the further fields that the problem file asks for, as entries of the metrics."""
    known = None if estimate is None or estimate.corrected is None else (estimate.corrected.trial, solution.theta)
    asked = (solution.problem, solution.trial, solution.theta, known)
    found = {"quantities": quantities_of(*asked), "fields": field_errors(*asked)}
    return {name: entries for name, entries in found.items() if entries}


def _rules(solution: Solution, objective: Objective | None) -> list[CellPoints | DrawnPoints]:
    """Return the quadrature rules inside the domain with which the solution was found."""
    if objective is not None:
        return [m.points for m in objective.measures if isinstance(m.points, CellPoints | DrawnPoints)]
    space = solution.trial.space
    return [] if space is None else [CellPoints(space.mesh, rule_degree(space.degree, space.mesh))]


def _compare(
    solution: Solution, rules: Sequence[CellPoints | DrawnPoints], metrics: dict[str, Any], checks: list[str]
) -> float | None:
    """Write the errors against exact and reference solutions into ``metrics``; return the true error of the flux, if known."""
    problem, true = solution.problem, None
    points = independent_points(
        problem, 2 + max((rule.degree for rule in rules), default=10), max((rule.refine for rule in rules), default=0)
    )
    metrics["errors"] = {}
    if problem.exact:
        every = set(problem.exact) == {u.name for u in problem.unknowns}
        metrics["errors"], true = TrueError(problem, solution.trial, points, every).with_flux(solution.theta)
    elif problem.reference is not None:
        metrics["errors"] = reference_errors(solution, problem.reference)
    if (asked := problem.settings.reference.fem) is not None:
        try:
            metrics["fem"] = compare_with_finite_elements(solution, asked)
            if not metrics["errors"]:
                metrics |= {"errors": metrics["fem"]["difference"], "errors_against": "elements"}
        except VpinnError as error:
            checks.append(f"reference.fem: {error}")
    if problem.settings.reference.walk is not None:
        metrics["walks"] = walk_error(problem, solution.trial, solution.theta)
    return true


def _trained_enough(
    solution: Solution,
    stated: Case,
    objective: Objective,
    loss: float,
    estimator: Estimator | None,
    estimate: Estimate | None,
    metrics: dict[str, Any],
) -> Iterator[str]:
    """Write into ``metrics`` whether training had enough points and tests, and yield a line for each check that fails."""
    problem = solution.problem
    found = metrics["quadrature"] = adequacy.quadrature(stated, solution, objective, estimate, loss)
    if not found["change"] <= found["limit"]:
        what = "the energy above that of the corrected solution" if found["limit"] == adequacy.EXCESS else "the loss"
        yield (
            f"quadrature: {what} is {found['seen']:.3e} on the points of training and {found['finer']:.3e} on "
            f"independent points; {adequacy.remedy(problem)}"
        )
    elif adequacy.promises_too_much(found):
        yield (
            f"quadrature: on the points of training one more step would lower the energy by {found['promised']:.1e}, but by "
            f"the estimate it is only {found['finer']:.1e} above its least value; {adequacy.remedy(problem)}"
        )
    seen = adequacy.tests(solution.theta, solution.trial.network, objective, estimator, estimate)
    metrics["tests"] = seen or None
    if seen and not seen["passes"]:
        yield (
            f"tests: the residual is {seen['seen']:.1e} on training's {seen['functions']:,} test functions and "
            f"{seen['richer']:.1e} on a richer space; raise test_space.degree, refine the mesh"
            + (' or use test_space.kind = "conforming"' if problem.settings.test_space.kind == "bubbles" else "")
        )


def _conditions(problem: Case, relative: float) -> list[str]:
    """Return a line for each check of boundary values that fails; ``relative`` is the error estimate."""
    looks = [clashing_values(problem), uncarried_values(problem, relative), cauchy_sides(problem)]
    if relative > UNRESOLVED:
        looks.append(initial_values(problem))
    return [f"boundary values: {told}" for told in looks if told]


def _alone(solution: Solution, loss: float | None, unique: bool, relative: float) -> list[str]:
    """Return a line for each check that fails of whether the solution is the only one, and the least value of an energy."""
    found = {"uniqueness": _others(solution, loss, unique, relative), "energy": unbounded_energy(solution)}
    return [f"{name}: {told}" for name, told in found.items() if told]


def _others(solution: Solution, loss: float | None, unique: bool, relative: float) -> str:
    """Return what can be added to a solution, or nearly so, or which other one there is; "" where it is the only one.

    Where obstacles, points or ties hold it, factors of elements have told. Free functions are not looked for where it is known,
    as ``unique``, that there are none. What could be added to a field that is no solution of a nonlinear problem, with an
    estimate of ``relative`` above 1, says nothing.
    """
    if solution.problem.bounds or solution.problem.supports or solution.problem.ties:
        return ""
    if told := loose_piece(solution.problem) or missing_conditions(solution.problem):
        return str(told)
    if unique_by_signs(solution.problem) or (relative > 1.0 and not is_linear(solution.problem)):
        return ""
    free = None if unique else free_functions(solution.problem, solution.trial, solution.theta, loss)
    return str(free) if free is not None else close_to_resonance(solution.problem) or another_solution(solution)


def _longer_than_walks_allow(metrics: dict[str, Any], estimate: Estimate | None) -> Iterator[str]:
    """Yield a line if walks measure an error of the values that is certainly far above the estimate."""
    if (walks := metrics.get("walks")) is None or estimate is None or not estimate.l2:
        return
    least, told = walks["relative"] - CERTAIN * walks["deviation"], max(estimate.l2.values())
    if least > WALKED * told and least > adequacy.SMALL:
        seen = walks["relative"]
        yield f"walks: they measure an error of {seen:.1e}, the estimate is {told:.1e} (relative, L²); trust the walks"


def _energy(solution: Solution) -> float:
    """Return the energy of the problem file, without penalty terms for conditions, on a rule of a degree higher by 4."""
    plain = dataclasses.replace(solution.trial, imposed=())
    degree = min(30, quadrature_degree(solution.problem, solution.problem.settings) + 4)
    found = make_objective(solution.problem, plain, resolution=Resolution(degree))
    return assessed_objective(solution.problem, found).value(solution.theta) + _energy_at_points(solution)


def _energy_at_points(solution: Solution) -> float:
    """Return the terms of the energy at points and along edges."""
    problem, mesh = solution.problem, solution.problem.domain.mesh
    total = 0.0
    for load in problem.loads:
        assert mesh is not None
        terms = [part.integrand for part in integrals(load.formulation.integrals)]
        points = load.points(mesh, 20)
        total += float(Evaluator.of(problem, solution.trial, terms).integrate(solution.theta, points).sum())
    return total
