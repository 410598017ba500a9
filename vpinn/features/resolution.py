"""How fine points and test functions must be for given features: a fit that sees too little is no fit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from vpinn.domain import Mesh, functions_per_cell, gauss
from vpinn.domain.quadrature import MAX_DEGREE
from vpinn.errors import InputError
from vpinn.objective import Objective, highest_order, make_objective, quadrature_degree, quadrature_rule
from vpinn.placement import Placement
from vpinn.problem import Problem
from vpinn.trial import MeshField, Trial

ROWS = 2.0
"""Rows per column, at least: fewer tests than directions would leave directions unseen."""
MOST_COLUMNS = 2_400
"""Columns that least squares may have."""
MOST_TESTS = 12
"""Tests per feature beyond which a trial space, or functions with poles behind the boundary, are not worth resolving."""
HIGHEST_TEST_DEGREE = 12


@dataclass
class Objectives:
    """Objectives of one problem by what tells them apart, so that stages share them.

    Attributes:
        problem: weak or strong.
        placement: where the work is done; on the host.
    """

    problem: Problem
    placement: Placement
    _made: dict[tuple[int, ...], Objective] = field(default_factory=dict)

    def of(self, trial: Trial, width: int, degree: int = 0) -> Objective:
        """Return the objective on a trial space for ``width`` features, of a weak form with tests of a degree."""
        problem, domain = self.problem, self.problem.domain
        finest = problem.settings.quadrature.degree or 0
        points, refine = min(MAX_DEGREE, max(finest, 2 * degree + 3)), problem.settings.quadrature.refine
        if not degree:
            points, refine = sufficient_rule(problem, width * trial.network.outputs)
        rim = points if domain.mesh is None else max(points, boundary_degree(domain.mesh, width))
        key = (trial.function.count(), degree, points, rim, refine)
        if key not in self._made:
            self._made[key] = make_objective(
                problem, trial, self.placement, degree=points, test_degree=degree or None, facet_degree=rim, refine=refine
            )
        return self._made[key]


def objective_for(objectives: Objectives, trial: Trial, width: int, share: float = 0.0, least: int = 1) -> Objective:
    """Return the objective of a weak or strong problem with enough rows for ``width`` features per component.

    A ``share`` of them may have poles behind the boundary, which the coarsest cell has to see, too. Tests are of degree
    ``least``, at least.

    Raises:
        InputError: there cannot be enough rows.
    """
    problem, columns = objectives.problem, width * trial.network.outputs
    if problem.formulation.pointwise:
        objective = objectives.of(trial, width)
        if most_features(objectives, trial) < width:
            raise InputError(f"{objective.size} quadrature points cannot fix {columns} features; raise quadrature.degree")
        return objective
    no_tests = "least squares on a weak form or an energy needs a mesh; state the problem in strong form, or use lbfgs"
    mesh = problem.domain.with_cells(no_tests)
    bubbles = problem.settings.test_space.kind == "bubbles"
    asked = problem.settings.test_space.degree or 1
    return objectives.of(
        trial,
        width,
        max(
            asked,
            min(least, HIGHEST_TEST_DEGREE),
            least_degree(trial),
            local_degree(mesh, share * width),
            sufficient_degree(mesh, width, bubbles),
        ),
    )


def boundary_degree(mesh: Mesh, width: int) -> int:
    """Return the degree at which the longest facet has ``ROWS`` points for each of its share of ``width`` features.

    Functions with poles behind the boundary vary between its points; conditions have to see that.
    """
    d, vertices = mesh.dimension, mesh.nodes[mesh.facet_vertices(mesh.facets("all"))]
    if d == 1:
        return 1
    extent = np.ptp(vertices, axis=1).max(axis=1) ** (d - 1)
    points = 1.0 + ROWS * width * float(extent.max() / extent.sum())
    return min(30, math.ceil(2 * math.pow(points, 1 / (d - 1))) - 1)


def ours(problem: Problem) -> bool:
    """Return whether the number of quadrature points is ours to choose: a Gauss rule of no stated degree, on all points."""
    quadrature = problem.settings.quadrature
    free = quadrature_rule(problem)[0] == "gauss" and quadrature.degree is None
    return free and problem.settings.batch.size == "full"


def sufficient_rule(problem: Problem, columns: int) -> tuple[int, int]:
    """Return degree and halvings of a rule with ``ROWS`` points per column of a strong form, where they are ours to choose."""
    degree, refine, mesh = quadrature_degree(problem, None), problem.settings.quadrature.refine, problem.domain.mesh
    if mesh is None or not ours(problem):
        return degree, refine
    wanted = ROWS * columns / (mesh.n_cells * max(1, len(problem.formulation.equations)))
    while len(gauss(mesh.cell, degree).weights) * 2 ** (mesh.dimension * refine) < wanted:
        degree, refine = (degree + 1, refine) if degree < MAX_DEGREE else (degree, refine + 1)
    return degree, refine


def most_features(objectives: Objectives, trial: Trial) -> float:
    """Return how many features per component have a row each in a strong form, or ``ROWS`` tests in a weak one, at most."""
    problem = objectives.problem
    if problem.formulation.pointwise:
        equations = len(problem.formulation.equations)
        return math.inf if ours(problem) else objectives.of(trial, 1).size * equations / trial.network.outputs
    bubbles, mesh = problem.settings.test_space.kind == "bubbles", problem.domain.mesh
    return math.inf if mesh is None else mesh.n_cells * functions_per_cell(mesh, HIGHEST_TEST_DEGREE, bubbles) / ROWS


def widest(objectives: Objectives, trial: Trial, widths: Sequence[int]) -> int:
    """Return the most features per component that columns and rows allow, of ascending ``widths``; the first in any case."""
    most = min(MOST_COLUMNS / trial.network.outputs, most_features(objectives, trial))
    return max((width for width in widths if width <= most), default=widths[0])


def sufficient_degree(mesh: Mesh, width: int, bubbles: bool = False) -> int:
    """Return the lowest degree whose elements, boundary functions left out, give ``ROWS`` times ``width`` functions."""
    d, simplex = mesh.dimension, mesh.reference.simplex
    for degree in range(1, HIGHEST_TEST_DEGREE):
        edge = 2 * d * degree ** (d - 1) * mesh.n_cells ** ((d - 1) / d) / (math.factorial(d) if simplex else 1)
        count = mesh.n_cells * functions_per_cell(mesh, degree, bubbles) - (0 if bubbles else edge)
        if count >= ROWS * width:
            return degree
    return HIGHEST_TEST_DEGREE


def local_degree(mesh: Mesh, width: float) -> int:
    """Return the lowest degree at which the largest cell has a function for each of its share of ``width`` features."""
    part = mesh.h.max() ** mesh.dimension / (mesh.h**mesh.dimension).sum()
    degrees = range(1, HIGHEST_TEST_DEGREE)
    return next((p for p in degrees if functions_per_cell(mesh, p) >= width * part), HIGHEST_TEST_DEGREE)


def least_degree(trial: Trial) -> int:
    """Return the lowest degree of tests that see a trial space: more than that of mesh functions in it.

    A discrete harmonic lift is orthogonal to all tests of its own space; they would call any such lift a solution. A distance
    is a factor of the features. Where every column has tests of degree one enough, the mesh is finer than whatever features
    resolve, and what is wrong with the distance is less than what is wrong with them: on a gear of 14,192 cells tests of degree
    one find with 1,120 features what those of degree two find, 2e-4 from finite elements, at half the price.
    """
    own = set(map(id, trial.elements))
    fields = [known for known in trial.background.known.values() if isinstance(known, MeshField) and id(known) not in own]
    fine = bool(fields) and all(f.space.mesh.n_cells * functions_per_cell(f.space.mesh, 1) >= ROWS * MOST_COLUMNS for f in fields)
    degrees = [known.space.degree for known in fields if known.lift or not fine]
    return max(degrees, default=-1) + 2


def affordable(problem: Problem, trial: Trial, width: int) -> bool:
    """Return whether a further trial space is worth the tests that see it: few, or no more than features need anyway."""
    mesh, least = problem.domain.mesh, least_degree(trial)
    if mesh is None or least <= sufficient_degree(mesh, width, problem.settings.test_space.kind == "bubbles"):
        return True
    return mesh.n_cells * functions_per_cell(mesh, least) <= MOST_TESTS * width


def resolves(problem: Problem, width: int, share: float) -> bool:
    """Return whether functions with poles behind the boundary are worth their tests: a strong form has enough points anyway.

    Equations beyond the second order take features of the box alone.
    """
    mesh = problem.domain.mesh
    if mesh is None or mesh.dimension == 1 or highest_order(problem) > 2:
        return False
    tests = mesh.n_cells * functions_per_cell(mesh, local_degree(mesh, share * width))
    return problem.formulation.pointwise or tests <= max(MOST_TESTS * width, 2 * mesh.n_cells)
