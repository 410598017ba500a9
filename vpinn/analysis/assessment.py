"""The closing assessment of a run: errors, estimate, quadrature adequacy, and which checks fail."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from vpinn.analysis import adequacy
from vpinn.analysis.clashes import clashing_values
from vpinn.analysis.data import unseen_data
from vpinn.analysis.drawn import DrawnPoints, assessed_objective, drawn_cells
from vpinn.analysis.errors import TrueError, independent_points, reference_errors
from vpinn.analysis.estimate import Estimate, Estimator
from vpinn.analysis.finite_elements import compare_with_finite_elements
from vpinn.analysis.geometry import kink
from vpinn.analysis.resonance import close_to_resonance
from vpinn.analysis.uniqueness import free_functions
from vpinn.domain import CellPoints, Domain, Mesh, carried_points
from vpinn.errors import VpinnError
from vpinn.finite_elements import rule_degree
from vpinn.forms import integrals
from vpinn.objective import Objective, make_objective, quadrature_degree
from vpinn.problem import Problem
from vpinn.solution import Solution
from vpinn.trial import Evaluator

UNRESOLVED = 0.1
"""Relative error estimate above which a solution is told to be none, whatever the points and the tests say."""
EFFECTIVITY = (0.2, 5.0)
"""Ratios of the error estimate to the error, where that is known, within which the estimate can be believed."""
PENALISED = 1e-3
"""Relative error up to which the stated solution may be one without the form's penalties, which no estimate sees."""


def assess(
    solution: Solution,
    objective: Objective | None,
    estimator: Estimator | None,
    loss: float | None = None,
    stated: Problem | None = None,
    first: Solution | None = None,
) -> Solution:
    """Return the solution with what can be said of its accuracy in ``metrics``.

    Args:
        solution: parameters to assess.
        objective: what training minimised, in its own unit; None where nothing was, as with elements, whose estimate has finer
            points and richer tests than they were found with.
        estimator: of the error, None where there is none.
        loss: objective over all points, in units of the problem file; None without one.
        stated: the problem whose objective that is, where it is another formulation than the solution's.
        first: a solution on the mesh of the problem file, where this one is on a finer one: it tells whether there are others.
    """
    problem = solution.problem
    metrics: dict[str, Any] = {**solution.metrics, "quadrature": None, "tests": None}
    checks: list[str] = []
    rules = _rules(solution, objective)
    true = _compare(solution, rules, metrics, checks)
    estimate = None if estimator is None else estimator(solution.theta)
    metrics["error_estimate"] = None
    if estimate is not None:
        metrics["error_estimate"] = {
            "relative_energy": estimate.relative,
            **({} if estimate.interval is None else {"interval": list(estimate.interval)}),
            "relative_l2": dict(estimate.l2),
            "absolute": estimate.absolute,
            "unexplained": 0.0 if estimate.corrected is None else estimate.corrected.left,
            "true": true,
            "effectivity": estimate.absolute / true if true and not _rounding(true, estimate) else None,
        }
    metrics["energy"] = None if problem.formulation.squared else _energy(solution)
    if objective is not None and loss is not None:
        checks += _trained_enough(solution, stated or problem, objective, loss, estimator, estimate, metrics)
    if (unseen := unseen_data(problem, rules, kinks=solution.trial.space is None)) is not None:
        checks.append(f"data: {unseen}")
    if (clash := clashing_values(problem)) is not None:
        checks.append(f"boundary values: {clash}")
    if estimate is not None and not estimate.relative <= UNRESOLVED:
        checks.append(
            f"error estimate: {estimate.relative:.0%} of the flux is unresolved; give more steps or features, or refine the mesh"
        )
    if true and estimate is not None and not _rounding(true, estimate) and not _believed(true, estimate, problem.domain):
        checks.append(
            f"error estimate: it is {estimate.absolute / true:.2g} times the error, {estimate.relative:.1e} of the flux; do not "
            "trust it on problems like this, refine the mesh"
        )
    if others := _others(first or solution, loss):
        checks.append(f"uniqueness: {others}")
    if not all(np.isfinite(v) for e in metrics["errors"].values() for k, v in e.items() if k != "interval"):
        checks.append("errors: not finite")
    if (cells := drawn_cells(problem)) is not None and isinstance(problem.domain, Mesh):
        metrics["assessed_cells"] = {"drawn": cells, "of": problem.domain.n_cells}
    metrics["checks"] = checks
    return dataclasses.replace(solution, metrics=metrics, cell_estimate=None if estimate is None else estimate.cells)


def _rules(solution: Solution, objective: Objective | None) -> list[CellPoints | DrawnPoints]:
    """Return the rules in cells that the solution was found with."""
    if objective is not None:
        return [m.points for m in objective.measures if isinstance(m.points, CellPoints | DrawnPoints)]
    space = solution.trial.space
    return [] if space is None else [CellPoints(space.mesh, rule_degree(space.degree, space.mesh))]


def _compare(
    solution: Solution, rules: Sequence[CellPoints | DrawnPoints], metrics: dict[str, Any], checks: list[str]
) -> float | None:
    """Note the errors against what is known, and return that of the flux where the exact solution is."""
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
    return true


def _trained_enough(
    solution: Solution,
    stated: Problem,
    objective: Objective,
    loss: float,
    estimator: Estimator | None,
    estimate: Estimate | None,
    metrics: dict[str, Any],
) -> Iterator[str]:
    """Note whether points and tests of training were enough, and yield the checks that fail."""
    problem = solution.problem
    found = metrics["quadrature"] = adequacy.quadrature(stated, solution, objective, estimate, loss)
    if not found["change"] <= found["limit"]:
        what = "the energy above that of the corrected solution" if found["limit"] == adequacy.EXCESS else "the loss"
        yield (
            f"quadrature: {what} is {found['seen']:.3e} on the points trained with and {found['finer']:.3e} on "
            f"independent ones; {adequacy.remedy(problem)}"
        )
    elif adequacy.promises_too_much(found):
        yield (
            f"quadrature: the points promise that one more step lowers the energy by {found['promised']:.1e}, where all that is "
            f"left is {found['finer']:.1e}; {adequacy.remedy(problem)}"
        )
    seen = adequacy.tests(solution.theta, solution.trial.network, objective, estimator, estimate)
    metrics["tests"] = seen or None
    if seen and not seen["passes"]:
        yield (
            f"tests: the residual is {seen['seen']:.1e} on the {seen['functions']:,} test functions trained with and "
            f"{seen['richer']:.1e} on a richer space; raise test_space.degree, refine the mesh"
            + (' or use test_space.kind = "conforming"' if problem.settings.test_space.kind == "bubbles" else "")
        )


def _others(solution: Solution, loss: float | None) -> str:
    """Return what can be added to a solution, or nearly so; "" where nothing can, or where factors of elements have told."""
    if solution.problem.bounds or solution.problem.supports:
        return ""
    free = free_functions(solution.problem, solution.trial, solution.theta, loss)
    return close_to_resonance(solution.problem) if free is None else str(free)


def _rounding(true: float, estimate: Estimate) -> bool:
    """Return whether a true error is rounding of the flux ‖B(u)‖ = absolute/relative, of which nothing is left to estimate."""
    return true * estimate.relative <= adequacy.ROUNDING * estimate.absolute


def _believed(true: float, estimate: Estimate, domain: Domain) -> bool:
    """Return whether an estimate is near the true error of the flux, or both are so small that it does not matter.

    Where facets stand for a curve, as much of an error as they are off its tangents is that of the mesh, which no estimate sees.
    """
    least, most = EFFECTIVITY
    relative = true * estimate.relative / estimate.absolute if estimate.absolute else 0.0
    bent = kink(domain) if isinstance(domain, Mesh) else 0.0
    if relative <= PENALISED and (estimate.relative <= adequacy.SMALL or estimate.relative <= relative <= bent):
        return True
    return least * true <= estimate.absolute <= most * true


def _energy(solution: Solution) -> float:
    """Return the energy of the problem file, without penalty terms, on a finer rule."""
    plain = dataclasses.replace(solution.trial, imposed=())
    degree = min(30, quadrature_degree(solution.problem, None) + 4)
    found = make_objective(solution.problem, plain, degree=degree)
    return assessed_objective(solution.problem, found).value(solution.theta) + _energy_at_points(solution)


def _energy_at_points(solution: Solution) -> float:
    """Return the terms of the energy at points and along edges."""
    problem, mesh, total = solution.problem, solution.problem.domain, 0.0
    for load in problem.loads:
        assert isinstance(mesh, Mesh)
        terms = [part.integrand for part in integrals(load.formulation.integrals)]
        points = carried_points(mesh, load.carriers, 20)
        total += float(Evaluator.of(problem, solution.trial, terms).integrate(solution.theta, points).sum())
    return total
