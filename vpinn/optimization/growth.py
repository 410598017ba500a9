"""Least squares that grows: more features, and test functions for them, until the tolerance holds or nothing is gained."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import torch

from vpinn.domain import Mesh, functions_per_cell
from vpinn.errors import InputError
from vpinn.objective import Objective, make_objective, quadrature_degree, variation
from vpinn.optimization.least_squares import PILOT, SHARES, Fit, Recipe, choose_features, pilot
from vpinn.optimization.stream import Stream
from vpinn.problem import Problem
from vpinn.sampling import Sampler
from vpinn.trial import Enriched, MeshField, Trial

WIDTHS = (50, 100, 200, 400, 800, 1600)
"""Features per component, stage by stage."""
MOST_COLUMNS = 2_400
"""Columns that a stage may have."""
ROWS = 2.0
"""Rows per column, at least: fewer tests than directions would leave directions unseen."""
TOLERANCE = 1e-9
"""Residual relative to that of zero features at which growth stops by default."""
GAIN = 1.5
"""Factor by which a stage of at least ``PATIENCE`` features must lower the residual for another to follow."""
PATIENCE = 400
MOST_TESTS = 12
"""Tests per feature beyond which functions with poles behind the boundary are not worth resolving."""
HIGHEST_TEST_DEGREE = 12


@dataclass(frozen=True)
class LeastSquares:
    """The method of a plan that solves without steps.

    Attributes:
        width: features per component, None to grow until the tolerance holds.
        tolerance: of the relative residual.
        seed: of the features.
        samplers: of drawn points, see ``Stream``; by default there are none, and all points are summed over.
    """

    width: int | None = None
    tolerance: float = TOLERANCE
    seed: int = 0
    samplers: Callable[[Objective], Sequence[Sampler]] = lambda objective: ()
    name = "least-squares"
    full = False
    curved = True
    blind = False
    double = True

    @property
    def widths(self) -> tuple[int, ...]:
        """Features of every stage."""
        return WIDTHS if self.width is None else (self.width,)

    @property
    def stream(self) -> Stream:
        """Where points come from."""
        return Stream(self.samplers, self.seed)


@dataclass(frozen=True)
class Stage:
    """One stage of growth.

    Attributes:
        trial: trial space with the stage's features as network.
        objective: with the stage's test space.
        fit: the best combination of the features.
        relative: residual over that of zero features, dimensionless.
        recipe: of the features.
        seconds: since growth began.
    """

    trial: Trial
    objective: Objective
    fit: Fit
    relative: float
    recipe: Recipe
    seconds: float


def least_squares_problem(problem: Problem) -> Problem:
    """Return the problem that least squares solves: an energy by its first variation, others as they are."""
    if problem.formulation != "energy":
        return problem
    return dataclasses.replace(problem, formulation="weak", form=variation(problem))


@dataclass
class Objectives:
    """Objectives of one problem by what tells them apart, so that stages share them.

    Attributes:
        problem: weak or strong.
        threads: parts of the points worked on at a time.
    """

    problem: Problem
    threads: int
    _made: dict[tuple[int, int, int], Objective] = field(default_factory=dict)

    def of(self, trial: Trial, width: int, degree: int = 0) -> Objective:
        """Return the objective on a trial space for ``width`` features, of a weak form with tests of a degree."""
        problem, domain = self.problem, self.problem.domain
        finest = problem.settings.quadrature.degree or 0
        points = min(30, max(finest, 2 * degree + 3)) if degree else quadrature_degree(problem, None)
        rim = max(points, boundary_degree(domain, width)) if isinstance(domain, Mesh) else points
        key = (trial.function.count(), degree, rim)
        if key not in self._made:
            inner, tests = (points, degree) if degree else (None, None)
            self._made[key] = make_objective(
                problem, trial, degree=inner, test_degree=tests, threads=self.threads, facet_degree=rim
            )
        return self._made[key]


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


def objective_for(objectives: Objectives, trial: Trial, width: int, share: float = 0.0) -> Objective:
    """Return the objective of a weak or strong problem with enough rows for ``width`` features per component.

    A ``share`` of them may have poles behind the boundary, which the coarsest cell has to see, too.

    Raises:
        InputError: there cannot be enough rows.
    """
    problem, columns = objectives.problem, width * trial.network.outputs
    if problem.formulation == "strong":
        objective = objectives.of(trial, width)
        if objective.size * len(problem.equations) < columns:
            raise InputError(f"{objective.size} quadrature points cannot fix {columns} features; raise quadrature.degree")
        return objective
    if not isinstance(problem.domain, Mesh):
        raise InputError("least squares on a weak form or an energy needs a mesh; state the problem in strong form, or use lbfgs")
    bubbles = problem.settings.test_space.kind == "bubbles"
    asked = problem.settings.test_space.degree or 1
    return objectives.of(
        trial,
        width,
        max(
            asked,
            least_degree(trial),
            local_degree(problem.domain, share * width),
            sufficient_degree(problem.domain, width, bubbles),
        ),
    )


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

    A discrete harmonic lift is orthogonal to all tests of its own space; they would call any such lift a solution.
    """
    degrees = [known.space.degree for known in trial.background.known.values() if isinstance(known, MeshField)]
    return max(degrees, default=-1) + 2


def affordable(problem: Problem, trial: Trial, width: int) -> bool:
    """Return whether a further trial space is worth the tests that see it."""
    mesh = problem.domain
    return not isinstance(mesh, Mesh) or mesh.n_cells * functions_per_cell(mesh, least_degree(trial)) <= MOST_TESTS * width


def resolves(problem: Problem, width: int, share: float) -> bool:
    """Return whether functions with poles behind the boundary are worth their tests: a strong form has enough points anyway."""
    mesh = problem.domain
    if not isinstance(mesh, Mesh) or mesh.dimension == 1:
        return False
    tests = mesh.n_cells * functions_per_cell(mesh, local_degree(mesh, share * width))
    return problem.formulation == "strong" or tests <= max(MOST_TESTS * width, 2 * mesh.n_cells)


def grow(
    objectives: Objectives,
    trials: Sequence[Trial],
    method: LeastSquares,
    report: Callable[[Stage], bool] = lambda stage: True,
) -> Stage:
    """Return the best stage.

    Args:
        objectives: of a weak or strong problem; see ``least_squares_problem``.
        trials: its trial spaces, of which the one with the smaller residual for few features is taken; the networks give box
            and components.
        method: how far to grow.
        report: told every stage; False ends the growth.

    Raises:
        InputError: the form cannot be solved by least squares.
    """
    began, best, problem = time.perf_counter(), None, objectives.problem
    trial, recipe = _choose(objectives, trials, method)
    for width in method.widths:
        columns = width * trial.network.outputs
        if best is not None and columns > MOST_COLUMNS:
            break
        fits = []
        for drawn in recipe.bolder() if best is not None else (recipe,):
            if drawn.share and not resolves(problem, width, drawn.share):
                continue
            objective = objective_for(objectives, trial, width, drawn.share)
            if best is not None and objective.test_space is not None and objective.test_space.size < columns:
                continue
            network = drawn.features(trial.network, width, problem.domain)
            theta = drawn.draw(network, torch.Generator().manual_seed(method.seed))
            fits.append((method.stream.fit(objective, network, theta), drawn, objective))
        if not fits:
            break
        found, recipe, objective = min(fits, key=lambda made: made[0].residual)
        stage = Stage(
            trial=replace(trial, network=found.network),
            objective=with_network(objective, found.network),
            fit=found,
            relative=found.residual / found.initial if found.initial else 0.0,
            recipe=recipe,
            seconds=time.perf_counter() - began,
        )
        better = best is None or stage.fit.residual < best.fit.residual
        gained = best is None or width < PATIENCE or stage.fit.residual * GAIN < best.fit.residual
        best = stage if better or best is None else best
        if not report(stage) or best.relative <= method.tolerance or not gained:
            break
    assert best is not None
    return best


def _choose(objectives: Objectives, trials: Sequence[Trial], method: LeastSquares) -> tuple[Trial, Recipe]:
    """Return trial space and recipe with the smallest residual of few features."""
    width, problem = min(PILOT, method.widths[-1]), objectives.problem
    shares = [share for share in SHARES if resolves(problem, width, share)]

    def score(trial: Trial, recipe: Recipe) -> float:
        objective = objective_for(objectives, trial, width, recipe.share)
        few = method.stream.few(objective, width)
        return pilot(objective, trial.network, width, method.seed, problem.domain, recipe, few)

    found = []
    first, *others = trials
    for trial in (first, *(other for other in others if affordable(problem, other, width))):
        recipe, residual = choose_features(partial(score, trial), shares)
        found.append((residual, trial, recipe))
    _, trial, recipe = min(found, key=lambda choice: choice[0])
    return trial, recipe


def with_network(objective: Objective, network: Enriched) -> Objective:
    """Return the objective on the same points with other features."""
    measures, controlled = (
        tuple(replace(measure, network=network) for measure in some) for some in (objective.measures, objective.controlled)
    )
    return replace(objective, measures=measures, controlled=controlled)
