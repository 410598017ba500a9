"""A march on elements of a given degree on a refined mesh, as the reference that a solution is compared with."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from vpinn.domain import CellPoints, located_points, refine
from vpinn.finite_elements import rule_degree
from vpinn.march.element_march import ElementMarch
from vpinn.march.element_steps import Stepping, march_elements
from vpinn.march.elements import ElementEquations
from vpinn.march.measure import as_metrics, exact_field, gap_between
from vpinn.march.stage import MarchStage
from vpinn.objective import weakened
from vpinn.problem import Case

STEPS = 1e-9
"""Relative tolerance of time steps: their errors are below those of the elements."""


def march_fem(problem: Case, degree: int, refinements: int) -> ElementMarch:
    """Return the march of a problem in time on continuous elements.

    Args:
        problem: problem in time on a mesh.
        degree: degree of the elements, ≥ 1; multipliers, such as a pressure, have one less.
        refinements: number of refinements of the mesh, each of which divides every cell into 2^d, ≥ 0.

    Raises:
        InputError: the form has second derivatives, or does not determine the unknowns.
        Collapse: the steps became too small.
    """
    mesh = problem.domain.with_cells()
    for _ in range(refinements):
        mesh = refine(mesh)
    moved = replace(problem, domain=mesh)
    equations = ElementEquations(weakened(moved), degree)
    found = march_elements(equations, Stepping(STEPS, lambda t: True))
    points = CellPoints(mesh, rule_degree(degree, mesh))
    opened = tuple(motion.components[0] for motion in equations.opened)
    return ElementMarch(moved, found, points, mixed=equations.mixed, opened=opened)


def beside_elements(stage: MarchStage, degree: int, refinements: int, instants: Sequence[float]) -> dict[str, Any]:
    """Return the entry "fem" of metrics.json: the distance of a march from one on elements, over space and time.

    Args:
        stage: the march.
        degree: degree of the elements.
        refinements: number of refinements of the mesh.
        instants: rising instants from the start to the end.

    Raises:
        InputError, Collapse: as `march_fem`.
    """
    began = time.perf_counter()
    fem = march_fem(stage.problem, degree, refinements)
    seconds, problem = time.perf_counter() - began, fem.problem
    points = fem.points.take(range(fem.points.size))
    here, _ = located_points(stage.problem.domain, points.x)
    names = [unknown.name for unknown in problem.unknowns]
    difference = gap_between(problem, stage.at(here), fem.at(points), names, points.w, instants)
    errors = {}
    if problem.exact:
        known = [name for name in names if name in problem.exact]
        errors = as_metrics(
            gap_between(problem, fem.at(points), exact_field(problem, points, fem.opened), known, points.w, instants)
        )
    return {
        "degree": degree,
        "refine": refinements,
        "dofs": fem.size,
        "steps": fem.marched.steps,
        "seconds": seconds,
        "errors": errors,
        "difference": as_metrics(difference),
    }
