"""Find boundary values and fluxes that quadrature points on the boundary miss, as ``data`` does inside the domain."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ufl.algorithms import replace
from ufl.core.expr import Expr

from vpinn.analysis.flux import measured
from vpinn.domain import BoundaryPart, CellPoints, FacetPoints
from vpinn.errors import InputError
from vpinn.finite_elements import coefficients
from vpinn.forms import Background, Graph, Node, build, compile_tape, components
from vpinn.objective.integrands import Integrands
from vpinn.problem import Problem

Array = NDArray[np.float64]
MOST = 100_000
"""Largest number of points of the finer rule."""
HALVINGS, MORE = 9, 4
"""Largest number of halvings of facets for the finer rule, and difference between the degrees of the two rules."""
ROUNDING = 1e-12
"""Size of data, relative to the largest of their kind, up to which they are rounding."""
CHUNK = 50_000
"""Points evaluated at a time."""


def boundary_shares(problem: Problem, rule: CellPoints, fields: dict[str, Expr]) -> Array:
    """Return what a rule misses of boundary fluxes and of boundary values at every cell, relative to ∫|·| of each [2, n_cells].

    Args:
        problem: the problem.
        rule: quadrature points in its cells; those on facets have the same degree.
        fields: smooth fields in place of the unknowns.
    """
    mesh = rule.mesh
    found = np.zeros((2, mesh.n_cells))
    for row, make in zip(found, (_fluxes, _values), strict=True):
        with contextlib.suppress(InputError):  # derivatives above the first, or functions that are not known
            _missed(row, make(problem, Graph(), fields), FacetPoints(mesh, mesh.facets("all"), rule.degree, refine=rule.refine))
    return found


def _missed(row: Array, nodes: tuple[Graph, list[Node]], given: FacetPoints) -> None:
    """Raise ``row`` [n_cells] to the largest share of a node's integral that a rule misses on a facet of the cell."""
    graph, every = nodes
    varying = [node for node in every if graph.slots([node])]  # any rule sees numbers
    if not varying or given.size > MOST:
        return
    coarse, _, cell = _by_facet(graph, varying, given)
    fine, sizes, _ = _by_facet(graph, varying, _finer(given))
    kept = sizes > ROUNDING * sizes.max()
    if kept.any():
        np.maximum.at(row, cell, (np.abs(coarse - fine)[kept] / sizes[kept, None]).max(axis=0))


def _fluxes(problem: Problem, graph: Graph, fields: dict[str, Expr]) -> tuple[Graph, list[Node]]:
    """Return what is integrated over the boundary with values and derivatives of the test functions."""
    return graph, list(coefficients(measured(problem), fields, Integrands(graph, BoundaryPart)).values())


def _values(problem: Problem, graph: Graph, fields: dict[str, Expr]) -> tuple[Graph, list[Node]]:
    """Return the values that conditions give, and their residuals for smooth fields."""
    side, known = Integrands(graph, BoundaryPart), {u.function: fields[u.name] for u in problem.unknowns}
    found = list[Node]()
    for condition in problem.boundary:
        given = condition.value if condition.residual is None else replace(condition.residual, known)
        assert given is not None
        found += [side.masked(build(graph, part), condition.on) for part in components(given)]
    return graph, found


def _finer(given: FacetPoints) -> FacetPoints:
    """Return a finer rule on all facets."""
    mesh, halvings = given.mesh, given.refine
    facets, degree = mesh.facets("all"), min(30, given.degree + MORE)
    each = FacetPoints(mesh, facets, degree).size
    while halvings < given.refine + HALVINGS and each * 2 ** ((mesh.dimension - 1) * (halvings + 1)) <= MOST:
        halvings += 1
    return FacetPoints(mesh, facets, degree, refine=halvings)


def _by_facet(graph: Graph, nodes: list[Node], points: FacetPoints) -> tuple[Array, Array, NDArray[np.int64]]:
    """Return weighted integrals of k nodes over every facet [k, f], of their moduli over all [k], and the cells of facets [f]."""
    tape, background = compile_tape(graph, nodes), Background(points.mesh)
    count = len(points.mesh.boundary)
    found, sizes, cell = np.zeros((len(nodes), count)), np.zeros(len(nodes)), np.zeros(count, dtype=np.int64)
    for part in map(points.take, points.chunks(CHUNK)):
        weights = part.w * (1.0 + part.reference @ (1.0 / np.arange(1, 1 + part.reference.shape[1])))
        cell[part.entity] = part.cell
        values: list[Any] = list(tape.moving(tape.fixed(background.values(tape.fixed_slots, part))))
        for at, value in enumerate(values):
            entry = np.broadcast_to(np.asarray(value), len(part.w))
            found[at] += np.bincount(part.entity, weights * entry, count)
            sizes[at] += weights @ np.abs(entry)
    return found, sizes, cell
