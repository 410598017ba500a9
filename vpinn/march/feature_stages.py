"""Marches on orthonormal random features in stages of more and more features.

The difference of two consecutive stages estimates the error of the first, in space and in time, since the second has about 1.5
times as many features, finer quadrature and smaller steps. From the second stage on, features adapt to the solution: where its
gradient is large at any instant, there are more and steeper features.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from vpinn.domain import CellPoints, Mesh, Points
from vpinn.errors import InputError
from vpinn.features.orthonormal import GalerkinSystem, Mixture, OrthonormalSpace, homogeneous, make_lifts, make_space
from vpinn.march.feature_march import FeatureMarch
from vpinn.march.integrate import Collapse, Marched, march
from vpinn.march.measure import gap_between
from vpinn.march.staged import PATIENCE, SPENT, STAGNANT, StagedMarches
from vpinn.march.start import first_scale, start
from vpinn.objective import highest_order, weakened
from vpinn.problem import Case, Problem

Array = NDArray[np.float64]
WIDTHS = {1: (48, 80, 120, 180, 270, 400, 600), 2: (80, 120, 180, 270, 400, 600, 900), 3: (120, 180, 270, 400, 600)}
"""Dimension → features of the stages."""
PER_FEATURE = {1: 8, 2: 24, 3: 30}
"""Dimension → quadrature points per feature."""
RULES = (8, 12, 16, 20)
"""Degrees of the quadrature rule that are tried before cells are halved."""
LOOSE, TIGHT = 0.05, 1e-11
"""Relative tolerance of time steps: its ratio to the tolerance of the solution, and its lower bound."""
GROWTH = 3.0
"""Expected ratio of the seconds of a stage to those of the stage before."""
UNEVEN = 4.0
"""Ratio of the largest gradient to its mean above which features are steps instead of sines, which are steep everywhere."""
POOR = 0.05
"""Relative error estimate above which the ratio of two estimates does not measure the rate of convergence."""
LARGEST = 3e9
"""Largest memory of all functions at all points, in bytes."""
FOLLOWED = 21
"""Number of instants at which gradients are evaluated to place features."""


class FeatureMarches(StagedMarches[FeatureMarch]):
    """Marches of one problem on features."""

    def __init__(self, problem: Case, note: Callable[[int, float], bool] = lambda stage, t: True) -> None:
        super().__init__(weakened(problem), note)
        self._stated = problem
        refuse_strong(self.problem)
        self._base = homogeneous(self.problem)
        self._lifts = make_lifts(self.problem, self._base.background)
        self._scale = 0.0

    @property
    def widths(self) -> tuple[int, ...]:
        """Number of features of every stage."""
        asked = self.problem.settings.solver.features
        return WIDTHS[self.problem.domain.dimension] if asked is None else (asked, round(1.5 * asked))

    @property
    def most(self) -> int:
        """Largest number of stages, ≥ 1."""
        return len(self.widths)

    def run(self, told: Callable[[], None] = lambda: None) -> FeatureMarch | None:
        """Return the best stage that has an error estimate; None if ``note`` ended the marches before there was one.

        Args:
            told: called after every stage that has an error estimate.

        Raises:
            Collapse: the steps of a stage, and of one with more features, became too small.
            InputError: the problem cannot be marched.
        """
        widths = self.widths
        spent, slow = 0.0, 0
        stage = self._first(widths[0])
        for width in widths[1:]:
            try:
                following = None if stage is None else self._stage(width, stage)
            except Collapse:
                if self.best is None:
                    raise
                self.ended = "collapse"
                return self.best
            if following is None or stage is None:
                return self.best
            self.made.append(self._estimated(stage, following))
            told()
            reached = self.made[-1].relative
            if reached <= self.tolerance:
                self.ended = "tolerance"
                return self.best
            gained = len(self.made) < 2 or reached > POOR or reached <= STAGNANT * self.made[-2].relative
            slow = 0 if gained else slow + 1
            spent += counted(following)
            if slow >= PATIENCE or spent + GROWTH * counted(following) > SPENT:
                break
            stage = following
        self.ended = "grown"
        return self.best

    @property
    def _seed(self) -> int:
        return self.problem.settings.solver.seed

    def _first(self, width: int) -> FeatureMarch | None:
        try:
            return self._stage(width, None)
        except Collapse:
            return self._stage(2 * width, None)

    def _estimated(self, stage: FeatureMarch, following: FeatureMarch) -> FeatureMarch:
        points = following.points.take(range(following.points.size))
        names = [unknown.name for unknown in self.problem.unknowns]
        gap = gap_between(self.problem, stage.at(points), following.at(points), names, points.w, self.instants)
        return replace(stage, estimate=gap, following=following)

    def _stage(self, width: int, before: FeatureMarch | None) -> FeatureMarch | None:
        """Return a march; None if ``note`` ended it."""
        mesh = self.problem.domain.with_cells()
        every = self._points(mesh, width)
        points = every.take(range(every.size))
        slope = None if before is None else self._slope(before, points)
        uneven = slope is not None and _uneven(slope, points.w, mesh)
        mixture = Mixture("tanh" if uneven else "sin", width, self._seed)
        trial, theta = mixture.draw(self._base, mesh, points, slope)
        space = make_space(self.problem, trial, theta, every)
        d = mesh.dimension
        if 8.0 * every.size * space.size * (1 + d) > LARGEST:
            raise InputError(
                f"{space.size:,} functions at {every.size:,} points do not fit into {LARGEST / 1e9:.0f} GB; lower "
                "solver.features, quadrature.degree or the number of cells"
            )
        system = GalerkinSystem(self.problem, space, self._lifts, every.degree, every.refine)
        state = start(self.problem, system, points)
        self._scale = max(self._scale, first_scale(system, state, self.instants))
        number, self.count = self.count, self.count + 1
        tolerance, note = self._step_tolerance(before), lambda t: self._note(number, t)
        try:
            marched = self.journal.marched(
                number,
                self.instants[-1],
                lambda: march(system, state, self.instants, tolerance, self._scale, note, 1 + number % 2),
            )
        except Collapse as collapse:
            collapse.place = points.x[np.abs(_rates(system, collapse, points)).argmax()]
            if collapse.course is not None:
                self.collapsed = self._made(mixture, space, Marched(collapse.course, 0, False), every)
            raise
        if marched.course.end < self.instants[-1]:
            return None
        largest = np.linalg.norm(marched.course.values[..., : system.size], axis=-1).max()
        self._scale = max(float(largest), 1e-300)
        return self._made(mixture, space, marched, every)

    def _made(self, mixture: Mixture, space: OrthonormalSpace, marched: Marched, points: CellPoints) -> FeatureMarch:
        return FeatureMarch(self._stated, marched, points, mixture=mixture, space=space, lifts=self._lifts)

    def _step_tolerance(self, before: FeatureMarch | None) -> float:
        """Return the tolerance of time steps: well below the last error estimate, at last in proportion to the tolerance."""
        least = max(TIGHT, LOOSE * self.tolerance)
        known = [stage.relative for stage in self.made]
        if not known:
            return max(least, 1e-4 if before is None else 1e-5)
        return float(np.clip(0.003 * known[-1], least, 1e-5))

    def _points(self, mesh: Mesh, width: int) -> CellPoints:
        """Return enough quadrature points for a number of features, or those that the settings give if these are more."""
        wanted, asked = PER_FEATURE[mesh.dimension] * width, self.problem.settings.quadrature
        for refine in range(asked.refine, 21):
            for degree in RULES if asked.degree is None else (asked.degree,):
                found = CellPoints(mesh, degree, refine=refine)
                if found.size >= wanted:
                    return found
        return found

    def _slope(self, stage: FeatureMarch, points: Points) -> Array:
        """Return the largest gradient over time at n points, relative to the range of values of the component [n]."""
        field, clock = stage.at(points), self.problem.time
        slopes = None
        low = np.inf
        high = -np.inf
        for t in np.linspace(clock.start, clock.end, FOLLOWED):
            jets = field(float(t))
            found = np.linalg.norm(jets[:, 1:], axis=1)
            slopes = found if slopes is None else np.maximum(slopes, found)
            low, high = np.minimum(low, jets[:, 0].min(1)), np.maximum(high, jets[:, 0].max(1))
        assert slopes is not None
        return np.asarray((slopes / np.maximum(high - low, 1e-300)[:, None]).max(0)) + 1e-300


def _rates(system: GalerkinSystem, collapse: Collapse, points: Points) -> Array:
    """Return the rate of the fastest component at points, at the instant when a march collapsed [n]."""
    with np.errstate(all="ignore"):
        top = np.nan_to_num(system.highest(collapse.t, collapse.state), posinf=0.0, neginf=0.0)
    functions = system.space.jets(points, [()])
    changes = [np.abs(f[()] @ top[own]) for f, own in zip(functions, system.slices, strict=True)]
    return np.asarray(np.max(changes, axis=0))


def _uneven(slope: Array, w: Array, mesh: Mesh) -> bool:
    """Return whether the gradient, relative to the range of values, is large somewhere and much larger than its mean."""
    lower, upper = mesh.bounds
    return bool(slope.max() > max(UNEVEN * (slope @ w) / w.sum(), UNEVEN / (upper - lower).max()))


def counted(stage: FeatureMarch) -> float:
    """Return the predicted seconds of a march: factorisations, and sums over points if it is not exact in time."""
    n, steps = stage.space.size, stage.marched.steps
    if stage.marched.exact:
        return 2e-9 * n**3 + 1e-9 * stage.points.size * n**2
    return steps * (4e-9 * n**3 + 2e-8 * stage.points.size * n)


def refuse_strong(problem: Problem) -> None:
    """Refuse equations with second derivatives of an unknown that is free on a part of the boundary.

    Raises:
        InputError: names the unknown.
    """
    if not problem.formulation.pointwise or highest_order(problem) < 2:
        return
    for unknown in problem.unknowns:
        held = [tag for c in problem.boundary if c.unknown == unknown.name for tag in c.on]
        if not held or len(problem.domain.facets(tuple(held))) < len(problem.domain.facets("all")):
            raise InputError(
                f"{unknown.name} is free on a part of the boundary, where equations of second order need a condition; write the "
                "weak form, whose ds terms say what holds there",
                problem.where("form", "strong"),
            )
