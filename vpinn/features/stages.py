"""One stage of growth: the best fit among features drawn by a recipe and by bolder variants of it.

`Stages.make` makes a stage.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch

from vpinn.domain import functions_per_cell
from vpinn.features.least_squares import Fit, Step, tests_degree
from vpinn.features.patches import windows
from vpinn.features.recipes import Recipe
from vpinn.features.resolution import HIGHEST_TEST_DEGREE, Objectives, objective_for, resolves
from vpinn.features.stream import Stream
from vpinn.finite_elements import Level
from vpinn.objective import Objective
from vpinn.objective.measure import Measure
from vpinn.objective.variation import is_linear
from vpinn.placement import HOST
from vpinn.trial import Enriched, Features, Trial

LOCAL = 0.75
"""Share of the features that get a window where the residual is concentrated."""
STALLED = 0.02
"""Ratio of the residuals of two successive stages above which windows are tried."""
LOCAL_TESTS = 5
"""Tests per feature if some features have windows, which lie close together."""


@dataclass(frozen=True)
class Stage:
    """One stage of growth.

    Attributes:
        trial: trial space with the stage's features as network.
        objective: objective with the stage's test functions.
        fit: best combination of the features.
        relative: residual over that of zero features, dimensionless, ≥ 0.
        recipe: recipe of the features.
        width: features per component, without corner functions.
        seconds: seconds since growth began.
        converged: whether growth ended with this stage because the solution is good enough.
    """

    trial: Trial
    objective: Objective
    fit: Fit
    relative: float
    recipe: Recipe
    width: int
    seconds: float
    converged: bool = False


@dataclass(frozen=True)
class Judgement:
    """Error estimate of a stage, computed in a space richer than its tests.

    Attributes:
        relative: relative error estimate, dimensionless.
        absolute: error estimate in the units of the flux.
        adequate: whether the stage's tests see most of the residual that richer ones see.
    """

    relative: float
    absolute: float
    adequate: bool


class Stages:
    """Makes the stages of one problem.

    Args:
        objectives: objectives of a weak or strong problem.
        stream: source of points and of the seed of the features.
        tolerance: residual relative to that of zero features below which no bolder features are tried, dimensionless.

    Attributes:
        linear: whether the problem is linear, so that one step solves it.
    """

    def __init__(self, objectives: Objectives, stream: Stream, tolerance: float) -> None:
        self.linear = is_linear(objectives.problem)
        self._objectives = objectives
        self._stream = stream
        self._tolerance = tolerance
        self._problem = objectives.problem
        self._level = Level.of(objectives.problem)
        self._began = time.perf_counter()

    def make(
        self, trial: Trial, recipe: Recipe, leap: float, width: int, before: Stage | None, least: int, known: Step | None = None
    ) -> Stage | None:
        """Return the best fit among features of a recipe and bolder ones; None if there cannot be enough tests for so many.

        Args:
            trial: trial space, whose network gives box and components.
            recipe: recipe of the features.
            leap: ratio of the number of features to the number for which the recipe was found.
            width: features per component.
            before: stage before; None for the first.
            least: lowest degree of the tests.
            known: first step of the recipe with this number of features, where it has been computed.
        """
        tried: list[tuple[Step, torch.Tensor, Recipe, Objective]] = []

        def recipes() -> Iterator[Recipe]:
            """Yield the recipe and bolder ones, then one with windows if all of these have lowered the residual too little."""
            yield from recipe.bolder(leap, trial.network.dimension)
            if before is not None and tried and min(made[0].predicted for made in tried) > STALLED * before.fit.residual:
                yield from self._local(trial, recipe, width, before, least)

        for bold in recipes():
            new = before is None and bold.share != recipe.share  # the first stage keeps the share that the pilot chose
            if new or (bold.share and not resolves(self._problem, width, bold.share)):
                continue
            finest = self._finer(width, least) if bold.patches else least
            objective = objective_for(self._objectives, trial, width, bold.share, finest)
            tests = objective.test_space
            if before is not None and tests is not None and tests.size < width * trial.network.outputs:
                continue
            network = bold.features(trial.network, width, self._problem.domain, tests_degree(objective))
            theta = bold.draw(network, self._problem.domain, torch.Generator().manual_seed(self._stream.seed))
            at = None if before is None or self.linear else (before.fit.network, before.fit.theta)
            made = known if known is not None and bold is recipe else self._stream.step(objective, network, theta, at)
            tried.append((made, theta, bold, objective))
            if self.linear and tried[-1][0].predicted <= self._tolerance * tried[-1][0].before:
                break
        if not tried:
            return None
        first, theta, recipe, objective = min(tried, key=lambda made: made[0].predicted)
        found = self._stream.fit(objective, first.network, theta, first, self.linear)
        space = replace(trial, network=found.network)
        found = replace(found, theta=self._level(space, found.theta))
        unsolved = first.before if self.linear or before is None else self._unsolved(objective, first.network)
        return Stage(
            trial=space,
            objective=with_network(objective, found.network),
            fit=found,
            relative=found.residual / unsolved if unsolved else 0.0,
            recipe=recipe,
            width=width,
            seconds=time.perf_counter() - self._began,
        )

    def _local(self, trial: Trial, recipe: Recipe, width: int, before: Stage, least: int) -> tuple[Recipe, ...]:
        """Return the recipe with windows where the last residual is concentrated; () if it is spread, or points are drawn."""
        objective = objective_for(self._objectives, trial, width, recipe.share, self._finer(width, least))
        if self._stream.samplers(objective):
            return ()
        count = round(LOCAL * (1.0 - recipe.share) * width) - len(recipe.patches)
        network, theta = before.fit.network, before.fit.theta
        generator = np.random.default_rng((self._stream.seed, width))
        found = windows(with_network(objective, network), network, theta, count, generator) if count > 1 else ()
        return (replace(recipe, patches=(*recipe.patches, *found)),) if found else ()

    def _finer(self, width: int, least: int) -> int:
        """Return the lowest degree of tests, from ``least`` on, with ``LOCAL_TESTS`` of them per feature."""
        mesh = self._problem.domain.mesh
        if mesh is None or self._problem.formulation.pointwise:
            return least
        degrees = range(least, HIGHEST_TEST_DEGREE)
        enough = (p for p in degrees if mesh.n_cells * functions_per_cell(mesh, p) >= LOCAL_TESTS * width)
        return next(enough, HIGHEST_TEST_DEGREE)

    def _unsolved(self, objective: Objective, fitted: Features) -> float:
        """Return the residual of zero features, on the points used for the features ``fitted``."""
        none = Recipe("sin", 1.0).features(fitted, 1, self._problem.domain)
        return self._stream.residual(objective, none, torch.zeros(none.size, dtype=torch.float64, device=HOST), fitted)


def with_network(objective: Objective, network: Enriched) -> Objective:
    """Return the objective on the same points with another network, and with all second derivatives."""

    def seen(measure: Measure) -> Measure:
        directions = measure.directions if type(network) is Enriched else None
        directions = None if directions is None else replace(directions, network=network, count=directions.most)
        return replace(measure, network=network, directions=directions)

    both = objective.measures, objective.controlled
    measures, controlled = (tuple(map(seen, some)) for some in both)
    return replace(objective, measures=measures, controlled=controlled)
