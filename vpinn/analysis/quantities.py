"""Integrals and further fields of a solution u, each with an error estimate: its change by the correction w.

Q(u + w) − Q(u) estimates the error of an integral Q, as w does that of u; see ``correction``. For a linear problem and a linear Q
it is the dual-weighted residual with the dual solution in the space of w (Becker & Rannacher, Acta Numerica 10 (2001), 1–102).
What a coarser quadrature rule gives instead is added, so that jumps and singularities of an integrand count.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import ufl
from numpy.typing import NDArray
from torch import Tensor

from vpinn.analysis.errors import SAMPLES, SEED, independent_points
from vpinn.domain import AFFORDABLE, REGIONS, Domain, FacingPoints, Inside, PointSet, Region, affordable_refine
from vpinn.forms import Graph, build, compile_tape, integrals
from vpinn.objective import quadrature_degree
from vpinn.objective.integrands import Integrands
from vpinn.problem import Case, Problem, by_interface
from vpinn.trial import Evaluator, Trial

Array = NDArray[np.float64]
FINER = 4
"""Degrees by which the finer of two rules is higher."""
LOW = 4
"""Degree of the finer rule on meshes of so many cells that more points are not affordable."""
Better = tuple[Trial, Tensor]
"""Trial space and parameters of a more accurate solution."""
CHUNK = 50_000
"""Points evaluated at a time."""
EPSILON = float(np.finfo(np.float64).eps)


def quantities_of(problem: Case, trial: Trial, theta: Tensor, better: Better | None) -> dict[str, dict[str, float | None]]:
    """Return the quantities that a problem file asks for, by name.

    Args:
        problem: steady, or at an instant.
        trial: trial space of the solution.
        theta: its parameters [size].
        better: trial space and parameters of a more accurate solution, such as u + w; None without one.

    Returns:
        name → "value", and "error": an estimate of its absolute error, None without a better solution; "exact", its value for the
        exact solution, where that is known; not on interfaces, where expressions may have two values.
    """
    forms = problem.answers.quantities
    if not forms:
        return {}
    degree, stated = _degree(problem, trial), list(forms.values())
    coarse, fine = (_integrated(problem, trial, theta, stated, degree, finer) for finer in (False, True))
    nearer = None if better is None else _integrated(problem, *better, stated, degree, True)
    found: dict[str, dict[str, float | None]] = {}
    for k, name in enumerate(forms):
        error = None
        if nearer is not None:
            error = float(abs(nearer[k] - fine[k]) + abs(fine[k] - coarse[k]) + EPSILON * abs(fine[k]))
        found[name] = {"value": float(fine[k]), "error": error}
    plain = {name: form for name, form in forms.items() if set(by_interface(form)) == {None}}
    if problem.exact.keys() >= {u.name for u in problem.unknowns} and plain:
        truths = {u.function: problem.exact[u.name] for u in problem.unknowns}
        exact = _integrated(problem, trial, theta, [ufl.replace(form, truths) for form in plain.values()], degree, True)
        for name, value in zip(plain, exact, strict=True):
            found[name]["exact"] = float(value)
    return found


def field_errors(problem: Case, trial: Trial, theta: Tensor, better: Better | None) -> dict[str, dict[str, float]]:
    """Return how accurate the further fields are that a problem file asks for, by name.

    Arguments are those of ``quantities_of``.

    Returns:
        name → "estimate", from the better solution, and "relative_l2", from the exact one, where these are known: errors in L²
        over the field's size, dimensionless (absolute for a field that is zero).
    """
    fields = problem.answers.fields
    found: dict[str, dict[str, float]] = {name: {} for name in fields}
    if not fields:
        return found
    points = independent_points(problem, min(30, _degree(problem, trial) + FINER))
    own = Evaluator.of(problem, trial, list(fields.values()))
    truths: dict[str, tuple[Trial, Tensor, Mapping[str, Any]]] = {"relative_l2": (trial, theta, problem.exact_fields)}
    if better is not None:
        truths["estimate"] = (*better, fields)
    rows = np.repeat(np.arange(len(fields)), [math.prod(stated.ufl_shape) for stated in fields.values()])
    for key, (space, parameters, stated) in truths.items():
        if not stated:
            continue
        truth, sums = Evaluator.of(problem, space, list(stated.values())), np.zeros((2, len(fields)))
        for part in points.chunks(CHUNK):
            taken = points.take(part)
            wanted = truth(parameters, taken)
            for row, values in zip(sums, (own(theta, taken) - wanted, wanted), strict=True):
                row += np.bincount(rows, values**2 @ taken.w, len(fields))
        for name, (gap, size) in zip(fields, np.maximum(sums, 0.0).T, strict=True):
            found[name][key] = math.sqrt(gap / (size or 1.0))
    return found


def _integrated(problem: Case, trial: Trial, theta: Tensor, forms: Sequence[ufl.Form], degree: int, finer: bool) -> Array:
    """Return the integrals of forms [k] of a solution, by a rule of a degree or a finer one."""
    known = {u.function: trial.unknowns[u.name] for u in problem.unknowns}
    known |= {u.far: trial.across.get(u.name, trial.unknowns[u.name]) for u in problem.unknowns if u.far is not None}
    total, split = np.zeros(len(forms)), [by_interface(form) for form in forms]
    for region in REGIONS:
        side = Integrands(Graph(frozenset({trial.function.count()})), region)
        nodes = [side.graph.add(list(_terms(problem, side, parts.get(None), known))) for parts in split]
        if side.tags:
            points = _points(problem, region.of(problem.domain, tuple(sorted(side.tags))), degree, finer)
            total += Evaluator(trial, compile_tape(side.graph, nodes)).integrate(theta, points)
    for pair in dict.fromkeys(pair for parts in split for pair in parts if pair is not None):
        side = Integrands(Graph(frozenset({trial.function.count()})), Inside)
        nodes = [side.graph.add(list(_terms(problem, side, parts.get(pair), known))) for parts in split]
        facets = FacingPoints(problem.domain.with_cells(), *pair, min(30, degree + FINER * finer))
        total += Evaluator(trial, compile_tape(side.graph, nodes)).integrate(theta, facets)
    return total


def _terms(problem: Problem, side: Integrands, form: ufl.Form | None, known: Mapping[Any, Any]) -> Any:
    """Yield the integrands of a form over one kind of region, zero outside of their tags; nothing without a form."""
    for part in integrals(form) if form is not None else ():
        if part.region is side.region:
            node = build(side.graph, part.integrand, known)
            yield side.masked(node, tuple(problem.tags[i] for i in part.tags))


def _degree(problem: Case, trial: Trial) -> int:
    """Return the degree of the coarser rule: that of training, or one that integrates products of the elements exactly."""
    own = trial.space or trial.beside
    return max(quadrature_degree(problem, problem.settings), 0 if own is None else 2 * own.degree)


def _points(problem: Case, region: Region, degree: int, finer: bool) -> PointSet:
    """Return the points of a rule, or of a finer one; on a hypercube those of one seed, or of another."""
    domain: Domain = problem.domain
    if domain.mesh is None:
        return region.points(1, SAMPLES, seed=SEED + finer)
    degree = min(30, degree + FINER * finer)
    if region.codimension == 0 and domain.n_cells * LOW**domain.dimension > AFFORDABLE:
        degree = LOW if finer else LOW // 2
    return region.on_cells(degree, refine=affordable_refine(domain.mesh, degree, problem.settings.quadrature.refine))
