"""A problem solved with finite elements: refinement, assembly, Newton's method."""

from __future__ import annotations

import math
import time

import numpy as np
from numpy.typing import NDArray

from vpinn.domain import CellPoints, FacetPoints, LagrangeSpace, Mesh, refine
from vpinn.errors import InputError
from vpinn.finite_elements.assembly import Discrete, assemble
from vpinn.finite_elements.essential import bulge, extended, prescribed
from vpinn.finite_elements.form import integrands
from vpinn.finite_elements.level import Level
from vpinn.finite_elements.newton import newton
from vpinn.finite_elements.solution import FiniteElementSolution
from vpinn.forms import Background
from vpinn.problem import Problem
from vpinn.process import settle_process

Array = NDArray[np.float64]
MAX_DEGREE = 10
MAX_REFINEMENTS = 8
UNBALANCED = 0.05
"""Share of the sources that may be left over by coarse quadrature where the form leaves a constant open."""
LARGEST = {1: 3_000_000, 2: 1_000_000, 3: 150_000}
"""Degrees of freedom, by dimension, above which the factors would take more than about 4 GB."""


def solve_fem(problem: Problem, degree: int = 2, refinements: int = 0) -> FiniteElementSolution:
    """Solve a problem with continuous Lagrange elements instead of a network.

    The form is that of the problem file: a weak form as it stands, an energy by its first variation. Essential conditions
    hold at the nodes of the boundary, however the problem imposes them on a network.

    Args:
        problem: with a mesh, and an energy or a weak form.
        degree: polynomial degree of the elements, 1 to 10, the same for all unknowns.
        refinements: how often the mesh is refined first, each cell into 2^d, 0 to 8.

    Raises:
        InputError: the problem has no mesh, no weak form, or one with second derivatives; there would be too many degrees
            of freedom; or the system is singular.
        DivergenceError: Newton's method does not converge.
    """
    began = time.perf_counter()
    settle_process()
    meshes = [check(problem, degree, refinements)]
    for _ in range(refinements):
        meshes.append(refine(meshes[-1]))
    mesh, parts = meshes[-1], integrands(problem)
    ready = time.perf_counter()
    space, background = LagrangeSpace(mesh, degree), Background(mesh)
    rule = rule_degree(degree, mesh)
    assemblers = [
        Discrete.of(
            part,
            space,
            sum(u.components for u in problem.unknowns),
            FacetPoints(mesh, mesh.facets(part.tags), rule) if part.facet else CellPoints(mesh, rule),
            background,
        )
        for part in parts
    ]
    values, given = prescribed(problem, space, background)
    opened, free = list(Level.of(problem).opened), ~given
    if opened:
        everything = np.arange(values.size).reshape(values.shape)
        sources = assemble(assemblers, values, everything, False)[0].reshape(values.shape)
    free[opened, 0] = False  # one value instead of the mean, which is subtracted afterwards
    numbering = np.where(free, np.cumsum(free).reshape(free.shape) - 1, -1)
    linear = all(part.linear for part in parts)
    if not linear:
        values = extended(space, values, given)

    def system(u: Array, matrix: bool) -> tuple[Array, object]:
        full = values.copy()
        full[free] = u
        return assemble(assemblers, full, numbering, matrix)

    try:
        found = newton(system, values[free])
    except InputError:
        if linear:
            raise
        # a form such as div(|∇u|² ∇u) has no derivative where u is constant: start from a field that is nowhere
        found = newton(system, (values + bulge(space, given))[free])
    values[free] = found.values
    if opened:
        left = assemble(assemblers, values, everything, False)[0].reshape(values.shape)
        if (np.abs(left[opened, 0]) > UNBALANCED * np.abs(sources[opened]).sum(axis=1)).any():
            raise InputError(
                "finite elements: the system is singular: the form leaves a constant open, and no constant balances its data; "
                "sources and what crosses the boundary must cancel, or give a [[boundary]] value",
                problem.where("form", problem.formulation),
            )
        weights = np.asarray(space.mass().sum(axis=1)).ravel()
        values[opened] -= (values[opened] @ weights / weights.sum())[:, None]
    seconds = {"setup": ready - began, "solve": time.perf_counter() - ready}
    return FiniteElementSolution(problem, tuple(meshes), space, values, found.steps, seconds)


def rule_degree(degree: int, mesh: Mesh) -> int:
    """Return the degree of the quadrature that elements of a degree are assembled with."""
    return min(30, 2 * degree + (2 if mesh.affine else 4))


def check(problem: Problem, degree: int, refinements: int) -> Mesh:
    """Return the mesh of a problem that finite elements can solve.

    Raises:
        InputError: they cannot; says why and what to do.
    """
    mesh, where = problem.domain, problem.where("reference", "fem")
    if not isinstance(mesh, Mesh):
        raise InputError("finite elements need a mesh; a hypercube has no cells, use a rectangle or box, or a mesh file", where)
    if problem.formulation == "strong":
        raise InputError("finite elements need a weak form or an energy; a strong form holds second derivatives", where)
    if not (1 <= degree <= MAX_DEGREE and 0 <= refinements <= MAX_REFINEMENTS):
        raise InputError(
            f"finite elements take degrees 1 to {MAX_DEGREE} and 0 to {MAX_REFINEMENTS} refinements, "
            f"got {degree} and {refinements}",
            where,
        )
    integrands(problem)
    d = mesh.dimension
    per_cell = degree**d / (math.factorial(d) if mesh.reference.simplex else 1)
    dofs = mesh.n_cells * 2 ** (d * refinements) * per_cell * sum(u.components for u in problem.unknowns)
    if dofs > LARGEST[d]:
        raise InputError(
            f"finite elements of degree {degree} after {refinements} refinements have about {dofs:,.0f} unknowns, over "
            f"{LARGEST[d]:,} in {d} dimensions; lower refine or degree",
            where,
        )
    return mesh
