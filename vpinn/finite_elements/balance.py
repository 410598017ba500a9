"""Data that balance: where a form leaves a constant open, its sources and fluxes must cancel, or nothing solves it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vpinn.domain import CellPoints, FacetPoints, LagrangeSpace, Mesh
from vpinn.errors import InputError
from vpinn.finite_elements.assembly import Discrete, assemble
from vpinn.finite_elements.essential import prescribed
from vpinn.finite_elements.form import Integrand, integrands
from vpinn.finite_elements.level import KERNEL, Level
from vpinn.forms import Background
from vpinn.problem import Problem

Array = NDArray[np.float64]
DEGREES = (2, 4)
"""Degrees of the elements that data are integrated with; their difference tells how well."""
FINE = 20_000
"""Cells above which elements of degree 1 and 2 will do."""
GAP = 1e-3
"""Share of the data that may be left over; what is smaller is told by the error estimate."""
MARGIN = 10.0
"""Factor by which the gap exceeds what the two degrees differ by."""


def check_balance(problem: Problem) -> None:
    """Check that the data of a linear weak form or energy balance where it leaves constants open.

    With a constant c that neither the form nor its transpose sees, F(u; c) is the same for all u: it must be zero.

    Raises:
        InputError: they do not; says by how much.
    """
    mesh, level = problem.domain, Level.of(problem)
    if not level.opened or not isinstance(mesh, Mesh) or problem.formulation == "strong":
        return
    parts = integrands(problem)
    if not all(part.linear for part in parts):
        return
    degrees = DEGREES if mesh.n_cells <= FINE else (1, 2)
    coarse, fine = (_sums(problem, mesh, parts, level.opened, degree) for degree in degrees)
    names = [(unknown, k) for unknown in problem.unknowns for k in range(unknown.components)]
    for (sum_, _, _), (total, size, seen), component in zip(coarse, fine, level.opened, strict=True):
        if seen or abs(total) <= max(GAP * size, MARGIN * abs(total - sum_)):
            continue
        (unknown, k), gap = names[component], f"do not balance by {abs(total):.3g}"
        what = f"no solution: {unknown.name} is open up to a constant, and source and flux {gap}"
        if unknown.shape and unknown.components == mesh.dimension:
            along = f"along {'xyz'[k]}"
            what = f"no supports hold {unknown.name}: the body is free to move {along}, and its loads {along} {gap}"
        raise InputError(f"{what}; give a [[boundary]] value, or data that cancel", problem.where("form", problem.formulation))


def _sums(
    problem: Problem, mesh: Mesh, parts: Sequence[Integrand], opened: Sequence[int], degree: int
) -> list[tuple[float, float, bool]]:
    """Return F(u; c), the sum of its parts' sizes, and whether it depends on u, for constants c of some components."""
    space, background, rule = LagrangeSpace(mesh, degree), Background(mesh), min(30, 2 * degree + 4)
    values, given = prescribed(problem, space, background)
    assemblers = [
        Discrete.of(
            part,
            space,
            len(values),
            FacetPoints(mesh, mesh.facets(part.tags), rule) if part.facet else CellPoints(mesh, rule),
            background,
        )
        for part in parts
    ]
    everything = np.arange(values.size).reshape(values.shape)
    residual, matrix = assemble(assemblers, values, everything)
    largest, found = np.abs(matrix).max(), []
    for component in opened:
        rows = residual[everything[component]]
        slopes = np.asarray(matrix[everything[component]].sum(axis=0)).ravel()[~given.ravel()]
        found.append((float(rows.sum()), float(np.abs(rows).sum()), bool(np.abs(slopes).max(initial=0.0) > KERNEL * largest)))
    return found
