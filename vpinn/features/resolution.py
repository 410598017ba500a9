"""Choose quadrature and test functions fine enough for a number of features, so that a small residual means a good fit.

`objective_for` makes the objective with enough rows; `widest` says how many features rows and columns allow.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from vpinn.domain import Mesh, functions_per_cell, gauss
from vpinn.domain.quadrature import MAX_DEGREE
from vpinn.errors import InputError
from vpinn.objective import Objective, Resolution, highest_order, make_objective, quadrature_degree, quadrature_rule
from vpinn.placement import Placement
from vpinn.problem import Case, Problem
from vpinn.trial import MeshField, Trial

ROWS = 2.0
"""Fewest rows per column; with fewer tests than columns, some combinations of features would have no residual."""
MOST_COLUMNS = 2_400
"""Most columns of least squares."""
MOST_TESTS = 12
"""Tests per feature above which a trial space, or functions with poles behind the boundary, cost more than they gain."""
DEAR = 2.0
"""Ratio of the points of two Gauss rules of consecutive degrees from which the lower one is taken."""
HIGHEST_TEST_DEGREE = 12
"""Highest degree of test functions."""


@dataclass
class Objectives:
    """Objectives of one problem, cached by trial space, degrees and quadrature, so that stages share them.

    Attributes:
        problem: problem in weak or strong form.
        placement: where the work is done, on the host.
    """

    problem: Case
    placement: Placement
    _made: dict[tuple[int, ...], Objective] = field(default_factory=dict)

    def of(self, trial: Trial, width: int, degree: int = 0) -> Objective:
        """Return the objective on a trial space for ``width`` features, in a weak form with test functions of a degree.

        Args:
            trial: trial space.
            width: features per component.
            degree: degree of the test functions, ≥ 1; 0: strong form.
        """
        problem, domain = self.problem, self.problem.domain
        finest = problem.settings.quadrature.degree or 0
        points, refine = max(finest, tested_rule(domain.mesh, degree)), problem.settings.quadrature.refine
        if not degree:
            points, refine = sufficient_rule(problem, width * trial.network.outputs)
        rim = points if domain.mesh is None else max(points, boundary_degree(domain.mesh, width))
        key = (trial.function.count(), degree, points, rim, refine)
        if key not in self._made:
            resolution = Resolution(points, rim, refine, degree or None)
            self._made[key] = make_objective(problem, trial, self.placement, resolution)
        return self._made[key]


def objective_for(objectives: Objectives, trial: Trial, width: int, share: float = 0.0, least: int = 1) -> Objective:
    """Return the objective of a weak or strong problem with enough rows for ``width`` features per component.

    Args:
        objectives: objectives of the problem.
        trial: trial space.
        width: features per component.
        share: share of functions with poles behind the boundary, 0 to 1, for which the largest cell needs enough tests, too.
        least: lowest degree of the tests.

    Raises:
        InputError: there cannot be enough rows.
    """
    problem, columns = objectives.problem, width * trial.network.outputs
    if problem.formulation.pointwise:
        objective = objectives.of(trial, width)
        if most_features(objectives, trial) < width:
            raise InputError(f"{objective.size} quadrature points cannot determine {columns} features; raise quadrature.degree")
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

    Functions with poles behind the boundary vary between the points of coarser rules, and conditions there would not see it.
    """
    d, vertices = mesh.dimension, mesh.nodes[mesh.facet_vertices(mesh.facets("all"))]
    if d == 1:
        return 1
    extent = np.ptp(vertices, axis=1).max(axis=1) ** (d - 1)
    points = 1.0 + ROWS * width * float(extent.max() / extent.sum())
    return min(30, math.ceil(2 * math.pow(points, 1 / (d - 1))) - 1)


def tested_rule(mesh: Mesh | None, degree: int) -> int:
    """Return the degree of a Gauss rule for features and tests of a degree: 2·degree + 3, one less where that halves the points.

    On tetrahedra, the rule of degree 7 has 57 points and that of degree 6 has 24.
    """
    most = min(MAX_DEGREE, 2 * degree + 3)
    if mesh is None:
        return most
    full, fewer = (len(gauss(mesh.cell, each).weights) for each in (most, most - 1))
    return most if full < DEAR * fewer else most - 1


def quadrature_is_free(problem: Case) -> bool:
    """Return whether the number of quadrature points may be chosen: a Gauss rule without a given degree, on all points."""
    quadrature = problem.settings.quadrature
    free = quadrature_rule(problem, problem.settings)[0] == "gauss" and quadrature.degree is None
    return free and problem.settings.batch.size == "full"


def sufficient_rule(problem: Case, columns: int) -> tuple[int, int]:
    """Return degree and halvings of a Gauss rule with ``ROWS`` points per column of a strong form, or the given ones if fixed."""
    degree = quadrature_degree(problem, problem.settings)
    refine = problem.settings.quadrature.refine
    mesh = problem.domain.mesh
    if mesh is None or not quadrature_is_free(problem):
        return degree, refine
    wanted = ROWS * columns / (mesh.n_cells * max(1, len(problem.formulation.equations)))
    while len(gauss(mesh.cell, degree).weights) * 2 ** (mesh.dimension * refine) < wanted:
        degree, refine = (degree + 1, refine) if degree < MAX_DEGREE else (degree, refine + 1)
    return degree, refine


def most_features(objectives: Objectives, trial: Trial) -> float:
    """Return the most features per component for which a strong form has a row each, or a weak form ``ROWS`` tests each."""
    problem = objectives.problem
    if problem.formulation.pointwise:
        equations = len(problem.formulation.equations)
        return math.inf if quadrature_is_free(problem) else objectives.of(trial, 1).size * equations / trial.network.outputs
    bubbles, mesh = problem.settings.test_space.kind == "bubbles", problem.domain.mesh
    return math.inf if mesh is None else mesh.n_cells * functions_per_cell(mesh, HIGHEST_TEST_DEGREE, bubbles) / ROWS


def widest(objectives: Objectives, trial: Trial, widths: Sequence[int]) -> int:
    """Return the largest of the ascending ``widths`` that columns and rows allow, at least the first."""
    most = min(MOST_COLUMNS / trial.network.outputs, most_features(objectives, trial))
    return max((width for width in widths if width <= most), default=widths[0])


def sufficient_degree(mesh: Mesh, width: int, bubbles: bool = False) -> int:
    """Return the lowest degree whose elements, without functions on the boundary, are ``ROWS`` times ``width`` or more."""
    d, simplex = mesh.dimension, mesh.reference.simplex
    for degree in range(1, HIGHEST_TEST_DEGREE):
        edge = 2 * d * degree ** (d - 1) * mesh.n_cells ** ((d - 1) / d) / (math.factorial(d) if simplex else 1)
        count = mesh.n_cells * functions_per_cell(mesh, degree, bubbles) - (0 if bubbles else edge)
        if count >= ROWS * width:
            return degree
    return HIGHEST_TEST_DEGREE


def local_degree(mesh: Mesh, width: float) -> int:
    """Return the lowest degree at which the largest cell has a test for each of its share of ``width`` features."""
    part = mesh.h.max() ** mesh.dimension / (mesh.h**mesh.dimension).sum()
    degrees = range(1, HIGHEST_TEST_DEGREE)
    return next((p for p in degrees if functions_per_cell(mesh, p) >= width * part), HIGHEST_TEST_DEGREE)


def least_degree(trial: Trial) -> int:
    """Return the lowest degree of tests that see a trial space: two more than that of the mesh functions in it, 1 without any.

    A discrete harmonic lift is orthogonal to all tests of its own space, so that any such lift would pass as a solution. A
    distance is only a factor of the features; its degree is ignored where tests of degree one suffice for ``MOST_COLUMNS``
    columns, because the error due to the distance is then smaller than that of the features.
    """
    own = set(map(id, trial.elements))
    fields = [known for known in trial.background.known.values() if isinstance(known, MeshField) and id(known) not in own]
    fine = bool(fields) and all(f.space.mesh.n_cells * functions_per_cell(f.space.mesh, 1) >= ROWS * MOST_COLUMNS for f in fields)
    degrees = [known.space.degree for known in fields if known.lift or not fine]
    return max(degrees, default=-1) + 2


def affordable(problem: Case, trial: Trial, width: int) -> bool:
    """Return whether the tests for a further trial space are few, or no more than the features need in any case."""
    mesh, least = problem.domain.mesh, least_degree(trial)
    if mesh is None or least <= sufficient_degree(mesh, width, problem.settings.test_space.kind == "bubbles"):
        return True
    return mesh.n_cells * functions_per_cell(mesh, least) <= MOST_TESTS * width


def resolves(problem: Problem, width: int, share: float) -> bool:
    """Return whether functions with poles behind the boundary are worth their tests; a strong form has enough points in any case.

    They are not used for derivatives beyond second order.
    """
    mesh = problem.domain.mesh
    if mesh is None or mesh.dimension == 1 or highest_order(problem) > 2:
        return False
    tests = mesh.n_cells * functions_per_cell(mesh, local_degree(mesh, share * width))
    return problem.formulation.pointwise or tests <= max(MOST_TESTS * width, 2 * mesh.n_cells)
