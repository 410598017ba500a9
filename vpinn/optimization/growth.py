"""Least squares that grows: more features, and test functions for them, until the tolerance holds or nothing is gained."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch

from vpinn.domain import Mesh
from vpinn.errors import InputError
from vpinn.objective import Objective, make_objective, variation
from vpinn.objective.test_functions import functions_per_cell
from vpinn.optimization.least_squares import PILOT, Fit, choose_features, draw_features, fit
from vpinn.problem import Problem
from vpinn.trial import Enriched, Trial

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
SCALING = (1.0, math.sqrt(2.0))
"""Factors of the scale R that a wider stage tries."""
HIGHEST_TEST_DEGREE = 12


@dataclass(frozen=True)
class LeastSquares:
    """The method of a plan that solves without steps.

    Attributes:
        width: features per component, None to grow until the tolerance holds.
        tolerance: of the relative residual.
        seed: of the features.
    """

    width: int | None = None
    tolerance: float = TOLERANCE
    seed: int = 0
    name = "least-squares"

    @property
    def widths(self) -> tuple[int, ...]:
        """Features of every stage."""
        return WIDTHS if self.width is None else (self.width,)


@dataclass(frozen=True)
class Stage:
    """One stage of growth.

    Attributes:
        trial: trial space with the stage's features as network.
        objective: with the stage's test space.
        fit: the best combination of the features.
        relative: residual over that of zero features, dimensionless.
        scale: R of the features.
        seconds: since growth began.
    """

    trial: Trial
    objective: Objective
    fit: Fit
    relative: float
    scale: float
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
    _made: dict[tuple[int, int], Objective] = field(default_factory=dict)

    def of(self, trial: Trial, degree: int = 0) -> Objective:
        """Return the objective on a trial space, for a weak form with tests of a degree."""
        key = (trial.function.count(), degree)
        if key not in self._made:
            finest = self.problem.settings.quadrature.degree or 0
            points = min(30, max(finest, 2 * degree + 3)) if degree else None
            made = make_objective(self.problem, trial, degree=points, test_degree=degree or None, threads=self.threads)
            self._made[key] = made
        return self._made[key]


def objective_for(objectives: Objectives, trial: Trial, width: int) -> Objective:
    """Return the objective of a weak or strong problem with enough rows for ``width`` features per component.

    Raises:
        InputError: there cannot be enough rows.
    """
    problem, columns = objectives.problem, width * trial.network.outputs
    if problem.formulation == "strong":
        objective = objectives.of(trial)
        if objective.size * len(problem.equations) < columns:
            raise InputError(f"{objective.size} quadrature points cannot fix {columns} features; raise quadrature.degree")
        return objective
    if not isinstance(problem.domain, Mesh):
        raise InputError("least squares on a weak form or an energy needs a mesh; state the problem in strong form, or use lbfgs")
    bubbles = problem.settings.test_space.kind == "bubbles"
    asked = problem.settings.test_space.degree or 1
    return objectives.of(trial, max(asked, sufficient_degree(problem.domain, width, bubbles)))


def sufficient_degree(mesh: Mesh, width: int, bubbles: bool = False) -> int:
    """Return the lowest degree whose elements, boundary functions left out, give ``ROWS`` times ``width`` functions."""
    d, simplex = mesh.dimension, mesh.reference.simplex
    for degree in range(1, HIGHEST_TEST_DEGREE):
        edge = 2 * d * degree ** (d - 1) * mesh.n_cells ** ((d - 1) / d) / (math.factorial(d) if simplex else 1)
        count = mesh.n_cells * functions_per_cell(mesh, degree, bubbles) - (0 if bubbles else edge)
        if count >= ROWS * width:
            return degree
    return HIGHEST_TEST_DEGREE


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
    began, best = time.perf_counter(), None
    trial, kind, scale = _choose(objectives, trials, method)
    for width in method.widths:
        columns = width * trial.network.outputs
        if best is not None and columns > MOST_COLUMNS:
            break
        objective = objective_for(objectives, trial, width)
        if best is not None and objective.test_space is not None and objective.test_space.size < columns:
            break
        base = trial.network
        network = replace(base, layers=(base.layers[0], width, base.outputs), activation=kind)
        fits = []
        for factor in SCALING if best is not None else SCALING[:1]:
            theta = draw_features(network, scale * factor, torch.Generator().manual_seed(method.seed))
            fits.append((fit(objective, network, theta), scale * factor))
        found, scale = min(fits, key=lambda pair: pair[0].residual)
        stage = Stage(
            trial=replace(trial, network=network),
            objective=with_network(objective, network),
            fit=found,
            relative=found.residual / found.initial if found.initial else 0.0,
            scale=scale,
            seconds=time.perf_counter() - began,
        )
        better = best is None or stage.fit.residual < best.fit.residual
        gained = best is None or width < PATIENCE or stage.fit.residual * GAIN < best.fit.residual
        best = stage if better or best is None else best
        if not report(stage) or best.relative <= method.tolerance or not gained:
            break
    assert best is not None
    return best


def _choose(objectives: Objectives, trials: Sequence[Trial], method: LeastSquares) -> tuple[Trial, str, float]:
    """Return trial space, kind of feature and scale with the smallest residual of few features."""
    width = min(PILOT, method.widths[-1])
    found = []
    for trial in trials:
        objective = objective_for(objectives, trial, width)
        kind, scale, residual = choose_features(objective, trial.network, width, method.seed)
        found.append((residual, trial, kind, scale))
    _, trial, kind, scale = min(found, key=lambda choice: choice[0])
    return trial, kind, scale


def with_network(objective: Objective, network: Enriched) -> Objective:
    """Return the objective on the same points with other features."""
    measures = tuple(replace(measure, network=network) for measure in objective.measures)
    return replace(objective, measures=measures)
