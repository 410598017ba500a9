"""Least squares that grows: more features, and test functions for them, until the tolerance holds or nothing is gained."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from vpinn.domain import Mesh, cell_points, functions_per_cell
from vpinn.finite_elements import Level
from vpinn.objective import Objective, variation
from vpinn.objective.variation import is_linear
from vpinn.optimization.least_squares import PILOT, Fit, Step, tests_degree
from vpinn.optimization.patches import windows
from vpinn.optimization.recipes import Recipe
from vpinn.optimization.resolution import HIGHEST_TEST_DEGREE, Objectives, objective_for, resolves, widest
from vpinn.optimization.stream import Stream
from vpinn.optimization.trial_spaces import CLOSE, Candidate, compare_spaces
from vpinn.problem import Problem
from vpinn.sampling import Sampler
from vpinn.trial import Enriched, Evaluator, Features, Trial

WIDTHS = (60, 120, 200, 280, 400, 560, 800, 1120, 1600)
"""Features per component that a stage may have."""
LEAP = 4.0
"""Largest ratio of the features of two stages."""
MARGIN = 0.3
"""Share of the tolerance that the next stage aims at."""
TOLERANCE = 1e-9
"""Residual relative to that of zero features at which growth stops by default."""
SLACK = 10.0
"""Factor by which the error estimate may exceed the default tolerance; one that was asked for holds as it is."""
RICHER = 2
"""Degrees by which tests rise where the error estimate, on richer ones, contradicts a residual below the tolerance."""
LOCAL = 0.75
"""Share of the features that get a window where the residual is concentrated."""
STALLED = 0.1
"""Ratio of the residuals of two stages above which windows are tried."""
LOCAL_TESTS = 5
"""Tests per feature of which some are among windows that lie close together."""
GAIN = 1.5
"""Factor by which a stage of at least ``PATIENCE`` features must lower the residual for another to follow."""
PATIENCE = 400
ROUNDING = 1e-13
"""Residual that is rounding, in units of that of the lift's size in one feature."""


@dataclass(frozen=True)
class LeastSquares:
    """The method of a plan that solves without steps.

    Attributes:
        width: features per component, None to grow until the tolerance holds.
        tolerance: of the relative residual.
        seed: of the features.
        samplers: of drawn points, see ``Stream``; by default there are none, and all points are summed over.
        slack: factor by which the error estimate may exceed the tolerance, ≥ 1.
    """

    width: int | None = None
    tolerance: float = TOLERANCE
    seed: int = 0
    samplers: Callable[[Objective], Sequence[Sampler]] = lambda objective: ()
    slack: float = SLACK
    name = "least-squares"
    full = False
    curved = True
    judged = False
    blind = False
    double = True

    @property
    def widths(self) -> tuple[int, ...]:
        """Features that stages may have."""
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
        converged: whether growth ended here because the solution is good enough.
    """

    trial: Trial
    objective: Objective
    fit: Fit
    relative: float
    recipe: Recipe
    seconds: float
    converged: bool = False


def least_squares_problem(problem: Problem) -> Problem:
    """Return the problem that least squares solves: an energy by its first variation, others as they are."""
    if problem.formulation != "energy":
        return problem
    return dataclasses.replace(problem, formulation="weak", form=variation(problem))


def grow(
    objectives: Objectives,
    trials: Sequence[Trial],
    method: LeastSquares,
    report: Callable[[Stage], bool] = lambda stage: True,
    estimate: Callable[[Stage], float | None] = lambda stage: None,
) -> Stage:
    """Return the best stage.

    Growth ends where residual and error estimate are below the tolerance: the tests of a stage cannot see what they leave
    out, those of the estimate are richer. Where the estimate contradicts, the next stage has richer ones, too. Where a trial
    space gains no more, as one whose lift bends at the edges of cells may, one nearly as good at first is tried.

    Args:
        objectives: of a weak or strong problem; see ``least_squares_problem``.
        trials: its trial spaces, tried in the order of their residual for few features; the networks give box and components.
        method: how far to grow.
        report: told every stage; False ends the growth.
        estimate: relative error of a stage, estimated on a richer space; None where there is no estimate.

    Raises:
        InputError: the form cannot be solved by least squares.
    """
    growth, found = Growth(objectives, method, report, estimate), list[Stage]()
    for candidate in growth.candidates(trials):
        found.append(growth.run(candidate, found[-1] if found else None))
        if growth.ended or found[-1].converged:
            return found[-1]
    near = [stage for stage in found if stage.relative <= CLOSE * min(other.relative for other in found)]
    return near[0] if len(near) == 1 else min(near, key=lambda stage: estimate(stage) or stage.relative)


class Growth:
    """Growth of one problem; arguments as for ``grow``.

    Attributes:
        ended: whether ``report`` ended it.
    """

    def __init__(
        self,
        objectives: Objectives,
        method: LeastSquares,
        report: Callable[[Stage], bool],
        estimate: Callable[[Stage], float | None],
    ) -> None:
        self.objectives, self.method, self.ended = objectives, method, False
        self._report, self._estimate, self._began = report, estimate, time.perf_counter()
        self._problem, self._linear = objectives.problem, is_linear(objectives.problem)
        self._level = Level.of(objectives.problem)

    def candidates(self, trials: Sequence[Trial]) -> list[Candidate]:
        """Return the trial spaces in the order of their residual for few features."""
        return compare_spaces(self.objectives, trials, self.method.stream, min(PILOT, self.method.widths[-1]))

    def run(self, candidate: Candidate, other: Stage | None = None) -> Stage:
        """Return the best stage of a trial space; after ``other`` it starts with as many features, and ends where it is worse."""
        trial, recipe, method, pilot, least, limit = candidate.trial, candidate.recipe, self.method, candidate.step, 1, math.inf
        rounding = ROUNDING * pilot.steepness * self._lift(trial)
        known, best = (candidate.width, pilot.predicted / pilot.before if pilot.before > rounding else 1.0), None
        width, bound = (0, math.inf) if other is None else (other.trial.network.layers[1], other.relative)
        if not width:
            small = not self._linear or pilot.before <= rounding
            width = method.widths[0] if small else self._next(0, (0, 1.0), known, trial)
        while width and (stage := self._stage(trial, recipe, width / known[0], width, best, least)) is not None:
            gained = width < PATIENCE or stage.fit.residual * GAIN ** math.log2(width / known[0]) < limit
            if stage.fit.residual < limit:
                best, limit, recipe = stage, stage.fit.residual, stage.recipe
            assert best is not None
            self.ended = not self._report(stage)
            if self.ended:
                break
            error, unseen = best.relative, False
            if limit <= rounding:
                return replace(best, converged=True)
            if error <= method.tolerance:
                error = max(error, (self._estimate(best) or 0.0) / method.slack)
                if error <= method.tolerance:
                    return replace(best, converged=True)
                unseen = 0 < tests_degree(best.objective) < HIGHEST_TEST_DEGREE
                least, limit, gained = tests_degree(best.objective) + RICHER, math.inf, True
            if not gained or stage.relative > bound:
                break
            before, known = known if known[0] < width else (0, 1.0), (width, error)
            width = self._next(width, before, known, trial) or (width if unseen else 0)
        assert best is not None
        return best

    def _stage(self, trial: Trial, recipe: Recipe, leap: float, width: int, before: Stage | None, least: int) -> Stage | None:
        """Return the best of the features that a recipe and bolder ones draw; None where nothing can see so many."""
        tried: list[tuple[Step, torch.Tensor, Recipe, Objective]] = []

        def recipes() -> Iterator[Recipe]:
            yield from recipe.bolder(leap, trial.network.layers[0])
            if before is not None and tried and min(made[0].predicted for made in tried) > STALLED * before.fit.residual:
                yield from self._local(trial, recipe, width, before, least)

        for bold in recipes():
            new = before is None and bold.share != recipe.share  # the pilot was against these, and nothing was learnt since
            if new or (bold.share and not resolves(self._problem, width, bold.share)):
                continue
            finest = self._finer(width, least) if bold.patches else least
            objective = objective_for(self.objectives, trial, width, bold.share, finest)
            tests = objective.test_space
            if before is not None and tests is not None and tests.size < width * trial.network.outputs:
                continue
            network = bold.features(trial.network, width, self._problem.domain, tests_degree(objective))
            theta = bold.draw(network, torch.Generator().manual_seed(self.method.seed))
            at = None if before is None or self._linear else (before.fit.network, before.fit.theta)
            tried.append((self.method.stream.step(objective, network, theta, at), theta, bold, objective))
            if self._linear and tried[-1][0].predicted <= self.method.tolerance * tried[-1][0].before:
                break
        if not tried:
            return None
        first, theta, recipe, objective = min(tried, key=lambda made: made[0].predicted)
        found = self.method.stream.fit(objective, first.network, theta, first, self._linear)
        space = replace(trial, network=found.network)
        found = replace(found, theta=self._level(space, found.theta))
        unsolved = first.before if self._linear or before is None else self._unsolved(objective, first.network)
        return Stage(
            trial=space,
            objective=with_network(objective, found.network),
            fit=found,
            relative=found.residual / unsolved if unsolved else 0.0,
            recipe=recipe,
            seconds=time.perf_counter() - self._began,
        )

    def _local(self, trial: Trial, recipe: Recipe, width: int, before: Stage, least: int) -> tuple[Recipe, ...]:
        """Return a recipe with windows where the residual of a stage sits; none where it is spread or points are drawn."""
        objective = objective_for(self.objectives, trial, width, recipe.share, self._finer(width, least))
        if self.method.samplers(objective):
            return ()
        count = round(LOCAL * (1.0 - recipe.share) * width) - len(recipe.patches)
        network, theta = before.fit.network, before.fit.theta
        generator = np.random.default_rng((self.method.seed, width))
        found = windows(with_network(objective, network), network, theta, count, generator) if count > 1 else ()
        return (replace(recipe, patches=(*recipe.patches, *found)),) if found else ()

    def _finer(self, width: int, least: int) -> int:
        """Return a degree of tests of which there are ``LOCAL_TESTS`` per feature."""
        mesh = self._problem.domain
        if not isinstance(mesh, Mesh) or self._problem.formulation == "strong":
            return least
        degrees = range(least, HIGHEST_TEST_DEGREE)
        enough = (p for p in degrees if mesh.n_cells * functions_per_cell(mesh, p) >= LOCAL_TESTS * width)
        return next(enough, HIGHEST_TEST_DEGREE)

    def _next(self, width: int, before: tuple[int, float], known: tuple[int, float], trial: Trial) -> int:
        """Return how many features come after ``width``, 0 where there are no more.

        The error is taken to fall exponentially in the number of features per dimension, as it does for smooth solutions
        (Dong & Li 2021); two numbers of features with their relative errors tell how fast.
        """
        d, tolerance, widths = self._problem.domain.dimension, self.method.tolerance, self.method.widths
        (few, larger), (many, smaller) = before, known
        rate = math.log(larger / smaller) / (many ** (1 / d) - few ** (1 / d)) if 0.0 < smaller < larger and few < many else 0.0
        steps = math.log(smaller / (MARGIN * tolerance)) / rate if rate > 0.0 else math.inf
        needed = max(0.0, many ** (1 / d) + steps) ** d
        most = widest(self.objectives, trial, widths)
        more = [w for w in widths if width < w <= most]
        allowed = [w for w in more if w <= LEAP * many] or more[:1]
        return next((w for w in allowed if w >= needed), allowed[-1] if allowed else 0)

    def _lift(self, trial: Trial) -> float:
        """Return the size of the unknowns without features."""
        domain = self._problem.domain
        points = cell_points(domain, "gauss" if isinstance(domain, Mesh) else "sobol", 2, 256, 0)
        unknowns = Evaluator.of(self._problem, trial, [u.function for u in self._problem.unknowns])
        nothing = torch.zeros(trial.network.size, dtype=torch.float64)
        return float(np.abs(unknowns(nothing, points.take(range(points.size)))).max())

    def _unsolved(self, objective: Objective, fitted: Features) -> float:
        """Return the residual of no features, on the points of those fitted."""
        none = Recipe("sin", 1.0).features(fitted, 1, self._problem.domain)
        return self.method.stream.residual(objective, none, torch.zeros(none.size, dtype=torch.float64), fitted)


def with_network(objective: Objective, network: Enriched) -> Objective:
    """Return the objective on the same points with other features."""
    both = objective.measures, objective.controlled
    measures, controlled = (tuple(replace(measure, network=network) for measure in some) for some in both)
    return replace(objective, measures=measures, controlled=controlled)
