"""Compare an error estimate with the true error, where the exact solution is known: one far from it is not to be trusted.

Answers that are right to five digits, or to the tolerance asked for, do not fail, whatever their estimate. And the exact solution
may solve the problem on its mesh with an error of its own, if the form has penalty terms, or straight facets stand for a curve.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch
import ufl

from vpinn.analysis import adequacy
from vpinn.analysis.estimate import Estimate, make_estimator
from vpinn.analysis.geometry import kink
from vpinn.finite_elements import Level
from vpinn.forms import components
from vpinn.placement import HOST
from vpinn.problem import Case
from vpinn.solution import Solution

EFFECTIVITY = (0.2, 5.0)
"""Smallest and largest ratio of the error estimate to the true error at which the estimate is trusted."""
OWN = 1e-3
"""Relative error up to which penalty terms, or straight facets along a curve, are excused as its cause."""


def is_near(estimate: float, true: float, own: float = 0.0) -> bool:
    """Return whether an estimate is near the true error, of which ``own`` may be the exact solution's own."""
    least, most = EFFECTIVITY
    return least * true <= estimate + own and estimate <= most * true


def is_right(estimate: float, true: float, problem: Case) -> bool:
    """Return whether an answer is right to five digits or to the tolerance asked for, by its relative error and estimate."""
    return max(estimate, true) <= max(adequacy.SMALL, problem.settings.solver.tolerance or 0.0)


def relative_error(true: float, estimate: Estimate, errors: Mapping[str, Mapping[str, Any]]) -> float:
    """Return the true error of the flux relative to the flux; where the estimate is zero, that of the unknowns in H¹."""
    if estimate.absolute > 0.0:
        return true * estimate.relative / estimate.absolute
    return max((float(found["relative_h1"]) for found in errors.values()), default=0.0)


def distrust(solution: Solution, estimate: Estimate, true: float) -> str:
    """Return why an estimate is not to be trusted, by the true error of the flux relative to the flux; "" if it is.

    Straight facets along a curve cause a relative error as large as their angle to its tangents. No estimate on the mesh sees it.
    """
    problem = solution.problem
    told = estimate.relative
    if true <= adequacy.ROUNDING or is_near(told, true) or is_right(told, true, problem):
        return ""
    bent = 0.0 if problem.domain.mesh is None else kink(problem.domain.mesh)
    if told <= true <= min(OWN, bent):
        return ""
    said = f"it is {told / true:.2g} times the error, {told:.1e} of the flux"
    own = own_error(solution) if told < true else 0.0
    if not own or not is_near(told, true, own):
        return f"{said}; do not trust it on problems like this, refine the mesh"
    if true <= OWN:
        return ""
    return f"{said}; the exact solution itself is {own:.1e} off the solution of this problem, correct it or the form"


def own_error(solution: Solution) -> float:
    """Return the estimated error, relative to the flux, with which the exact solution solves the problem; 0 if there is none."""
    problem, trial = solution.problem, solution.trial
    if trial.across or len(problem.exact) < len(problem.unknowns):
        return 0.0
    exact = Level.of(problem).exact
    raw = components(trial.function)
    unknowns = {}
    for unknown in problem.unknowns:
        own, raw = raw[: unknown.components], raw[unknown.components :]
        unknowns[unknown.name] = exact[unknown.name] + (ufl.as_vector(own) if unknown.shape else own[0])
    stated = dataclasses.replace(trial, unknowns=unknowns, elements=(), beside=None)
    estimator = make_estimator(problem, stated)
    found = None if estimator is None else estimator(torch.zeros(trial.network.size, dtype=torch.float64, device=HOST))
    return 0.0 if found is None else found.relative
