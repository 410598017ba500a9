"""Problem and trial space → test functions of the weak form: conforming finite elements, or bubbles inside every cell."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vpinn.domain import BoundaryPart, Inside, LagrangeSpace, Mesh, functions_per_cell
from vpinn.errors import InputError
from vpinn.forms import integrals
from vpinn.objective.test_space import Stabilised, TestSpace
from vpinn.placement import Placement
from vpinn.problem import Problem, Settings
from vpinn.trial import Trial

NITSCHE = 20.0
"""Factor γ of Nitsche's stabilisation β = γ/h, dimensionless."""
ENOUGH = 1_000
"""Smallest number of test functions per component at which the default degree stops rising."""
HIGHEST_DEFAULT = 8
"""Largest default degree of the test functions."""


def make_test_space(problem: Problem, trial: Trial, placement: Placement, degree: int | None, settings: Settings) -> TestSpace:
    """Return the test space of a weak form, without test functions that are not zero where the unknown is prescribed.

    Args:
        problem: problem in weak form.
        trial: its trial space, which says how conditions are imposed.
        placement: device, precision and threads of the computation.
        degree: degree of the elements; None for that of the settings.
        settings: settings of the test space.

    Raises:
        InputError: there is no mesh, no test function is left, or bubbles do not test a term or a condition of the problem.
    """
    no_tests = "a weak form needs a mesh for its test functions; use an energy or a strong form on a hypercube"
    mesh = problem.domain.with_cells(no_tests)
    bubbles = settings.test_space.kind == "bubbles"
    least = 0 if trial.beside is None else trial.beside.degree + 1  # they leave nothing that tests of their own degree see
    degree = degree or settings.test_space.degree or max(default_test_degree(mesh, bubbles), least)
    space = LagrangeSpace(mesh, degree)
    if bubbles:
        _check_bubbles(problem, trial, mesh)
    shared = np.setdiff1d(np.arange(space.size), interior_functions(space)) if bubbles else np.empty(0, np.int64)
    essential: list[NDArray[np.int64]] = []
    stabilised: list[tuple[Stabilised, ...]] = []
    for unknown in problem.unknowns:
        for component in range(unknown.components):
            here = [i for i in trial.imposed if i.condition.unknown == unknown.name and i.component == component]
            left_out = [BoundaryPart.of(mesh, i.condition.on).functions(space) for i in here if i.how != "nitsche"]
            essential.append(np.unique(np.concatenate([shared, *left_out])))
            weak = [(mesh.facets(i.condition.on), i.condition.weight or NITSCHE) for i in here if i.how == "nitsche"]
            stabilised.append(tuple(Stabilised(facets, weight) for facets, weight in weak))
    if any(len(left_out) == space.size for left_out in essential):
        where = problem.source.place("test_space") if settings.test_space.model_fields_set else ""
        raise InputError(
            f"the test space of degree {degree} has no function left inside the essential boundary; "
            "raise test_space.degree or refine the mesh",
            where,
        )
    return TestSpace(space, tuple(essential), placement, tuple(stabilised))


def interior_functions(space: LagrangeSpace) -> NDArray[np.int64]:
    """Return the basis functions that vanish on the boundary of every cell, in ascending order."""
    inner = np.array(space.element.entity_dofs[space.mesh.dimension][0], dtype=np.int64)
    return np.sort(space.dofs[:, inner].ravel())


def default_test_degree(mesh: Mesh, bubbles: bool = False) -> int:
    """Return the lowest degree with at least ``ENOUGH`` test functions per component, at most ``HIGHEST_DEFAULT``."""
    degrees = range(1, HIGHEST_DEFAULT)
    return next((p for p in degrees if mesh.n_cells * functions_per_cell(mesh, p, bubbles) >= ENOUGH), HIGHEST_DEFAULT)


def _check_bubbles(problem: Problem, trial: Trial, mesh: Mesh) -> None:
    """Refuse problems with boundary terms or natural conditions, which bubbles do not test because they vanish on all facets."""
    instead = 'use test_space.kind = "conforming"'
    if any(part.region is not Inside for part in integrals(problem.formulation.integrals)):
        raise InputError(f"bubbles vanish on the boundary and do not see the ds terms of the form; {instead}")
    for unknown in problem.unknowns:
        for component in range(unknown.components):
            held = [i for i in trial.imposed if i.condition.unknown == unknown.name and i.component == component]
            if any(i.how == "nitsche" for i in held):
                raise InputError(f"bubbles vanish on the boundary and do not see Nitsche's terms; {instead}")
            tags = tuple(tag for i in held for tag in i.condition.on)
            if not tags or len(mesh.facets(tags)) < len(mesh.boundary):
                raise InputError(
                    f"bubbles vanish on the boundary and do not see that {unknown.name} is free on a part of it; {instead}"
                )
