"""Growth of least squares: more features, and tests for them, until the tolerance is reached or nothing is gained; see `grow`."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from vpinn.domain import Inside
from vpinn.errors import InputError
from vpinn.features.cost import stage_seconds
from vpinn.features.course import Growing
from vpinn.features.direct import LeastSquares
from vpinn.features.guide import Guide
from vpinn.features.journal import Journal, Note, candidates_of, note_of_candidates, note_of_stage, stage_of
from vpinn.features.least_squares import PILOT, Step, tests_degree
from vpinn.features.resolution import HIGHEST_TEST_DEGREE, Objectives, widest
from vpinn.features.stages import Judgement, Stage, Stages
from vpinn.features.trial_spaces import CLOSE, TriedSpace, compare_spaces
from vpinn.placement import HOST
from vpinn.trial import Evaluator, Trial

LEAP = 4.0
"""Largest ratio of the numbers of features of two successive stages."""
MARGIN = 0.3
"""Share of the tolerance at which the next stage aims."""
CHEAP = 2.0
"""Seconds that a further stage may take beyond the default tolerance, or without a judgement of the stage before."""
STAGNANT = 0.5
"""Ratio of the error estimates of two stages above which a further one is not worth its time."""
RICHER = 2
"""Rise of the degree of the test functions where the error estimate, whose tests are richer, shows that they are too few."""
GAIN = 1.5
"""Factor by which a stage of ``PATIENCE`` features or more must lower the residual, per doubling, for another to follow."""
PATIENCE = 400
"""Number of features per component from which ``GAIN`` is required."""
ROUNDING = 1e-13
"""Residual that is a rounding error, relative to that of one feature with a coefficient of the size of the lift."""


def grow(
    objectives: Objectives,
    trials: Sequence[Trial],
    method: LeastSquares,
    guide: Guide | None = None,
    journal: Journal | None = None,
) -> Stage:
    """Return the best stage.

    Growth ends when residual and error estimate are below the tolerance, or when nothing is gained. Where the error estimate,
    with richer test functions, shows that those of a stage are too few, the next stage has richer ones, too, and the stage with
    the smallest estimate is best. Where a trial space gains no more, one that was nearly as good with few features is tried.

    Args:
        objectives: objectives of a weak or strong problem; see ``least_squares_problem``.
        trials: its trial spaces, tried in ascending order of their residual for few features.
        method: settings, with tolerance and numbers of features.
        guide: callbacks; by default nothing is reported.
        journal: record of the findings, from which an interrupted growth is resumed.

    Raises:
        InputError: the form cannot be solved by least squares.
    """
    growth, found = Growth(objectives, method, guide or Guide(), journal or Journal()), list[Stage]()
    for candidate in growth.candidates(trials):
        found.append(growth.run(candidate, found[-1] if found else None))
        if growth.ended or found[-1].converged:
            return found[-1]
    near = [stage for stage in found if stage.relative <= CLOSE * min(other.relative for other in found)]
    if not near:
        raise InputError("least squares: no features leave a finite residual; the form is not finite near where it starts")
    return near[0] if len(near) == 1 else min(near, key=growth.error)


class Growth:
    """Growth for one problem; for the arguments see ``grow``.

    Attributes:
        ended: whether the guide ended it.
    """

    def __init__(self, objectives: Objectives, method: LeastSquares, guide: Guide, journal: Journal) -> None:
        self.objectives, self.method = objectives, method
        self.ended = False
        self._problem = objectives.problem
        self._guide, self._journal = guide, journal
        self._last: float | None = None  # estimate of the stage judged last on the way
        self._judged: list[tuple[float, Stage]] = []  # stages of a trial space with their absolute estimates
        self._pace: tuple[float, Stage] | None = None  # seconds of the last stage per second as counted
        self._stages = Stages(objectives, method.stream, method.aim)

    def candidates(self, trials: Sequence[Trial], hasty: bool = True) -> list[TriedSpace]:
        """Return the trial spaces in ascending order of their residual for few features, found now or read from the journal.

        If ``hasty``, the search for a recipe ends at one that is good enough.
        """

        def find() -> Note:
            width = min(PILOT, self.method.widths[-1])
            enough = self._good if hasty else lambda step: False
            found.extend(compare_spaces(self.objectives, trials, self.method.stream, width, enough))
            return note_of_candidates(found, trials)

        found: list[TriedSpace] = []
        note = self._journal.noted(find)
        return found or candidates_of(note, trials, self._problem.domain)

    def _made(self, course: Growing) -> Stage | None:
        """Return the next stage, made now or read from the journal; its duration is predicted from that of the stage before."""
        if self._pace is not None and not self._journal.reads:
            per_second, last = self._pace
            self._guide.ahead(stage_seconds(last, course.width) * per_second)

        def find() -> Note:
            best, least, first = course.best, course.least, course.first
            found.append(self._stages.make(course.trial, course.recipe, course.leap, course.width, best, least, first))
            return note_of_stage(found[0])

        found: list[Stage | None] = []
        began = time.perf_counter()
        note = self._journal.noted(find)
        stage = found[0] if found else stage_of(note, self.objectives, course.trial)
        if stage is not None:
            self._pace = (time.perf_counter() - began) / stage_seconds(stage, stage.width), stage
        return stage

    def _judge(self, stage: Stage) -> Judgement | None:
        """Return the judgement of a stage, made now or read from the journal; None where there is none."""

        def find() -> Note:
            verdict = self._guide.judge(stage)
            return {"verdict": None if verdict is None else list(dataclasses.astuple(verdict))}

        if (found := self._journal.noted(find)["verdict"]) is None:
            return None
        verdict = Judgement(*found)
        self._guide.told(stage, verdict)
        if all(other.fit is not stage.fit for _, other in self._judged):
            self._judged.append((verdict.absolute, stage))
        return verdict

    def _good(self, pilot: Step) -> bool:
        """Return whether few features suffice for a linear problem; never if the problem file gives their number."""
        enough = MARGIN * self.method.aim * pilot.before
        return self._stages.linear and self.method.width is None and pilot.predicted <= enough

    def error(self, stage: Stage) -> float:
        """Return the estimated relative error of a stage, or its relative residual where there is no estimate."""
        verdict = self._judge(stage)
        return stage.relative if verdict is None else verdict.relative

    def run(self, candidate: TriedSpace, other: Stage | None = None) -> Stage:
        """Return the best stage of a trial space; after ``other`` growth starts with its width, and ends where it is worse."""
        self._judged = []
        rounding = ROUNDING * candidate.step.steepness * self._lift(candidate.trial)
        course, bound = self._begun(candidate, other, rounding), math.inf if other is None else other.relative
        while course.width and (stage := self._made(course)) is not None:
            limit = course.limit
            course = self._with(course, stage)
            best = course.stage
            self.ended = not self._guide.report(stage, best)
            if self.ended or stage.relative > bound:
                break
            if course.limit <= rounding:
                return replace(best, converged=True)
            if candidate.hasty and not self._converged(best):
                return self.run(self.candidates([candidate.trial], hasty=False)[0], other)
            gained = stage.width < PATIENCE or stage.fit.residual * GAIN ** math.log2(course.leap) < limit
            course = self._following(course, stage, gained)
        if course.done:
            return replace(course.stage, converged=True)
        return min(self._judged, key=lambda pair: pair[0])[1] if self._judged and not self.ended else course.stage

    def _begun(self, candidate: TriedSpace, other: Stage | None, rounding: float) -> Growing:
        """Return the state at the start of growth in a trial space."""
        trial = candidate.trial
        pilot = candidate.step
        widths = self.method.widths
        known = candidate.width, pilot.predicted / pilot.before if pilot.before > rounding else 1.0
        seen = candidate.whole and candidate.width <= widest(self.objectives, trial, widths)
        if other is not None:
            width = other.width
        elif seen and self._good(pilot):
            width = candidate.width
        else:
            small = not self._stages.linear or pilot.before <= rounding
            width = widths[0] if small else self._next(0, (0, 1.0), known, trial)
        first = pilot if candidate.whole and width == candidate.width else None
        return Growing(trial, candidate.recipe, known, width, (candidate.recipe, known), first=first)

    def _with(self, course: Growing, stage: Stage) -> Growing:
        """Return the state after a stage, which becomes the best one if it is better than the best so far."""
        best, limit = course.best, course.limit
        residual = stage.fit.residual
        if residual < limit and (best is None or limit == math.inf or self._better(stage, best)):
            origin = course.recipe, course.known
            return replace(course, best=stage, limit=residual, recipe=stage.recipe, origin=origin, first=None)
        return replace(course, first=None)

    def _following(self, course: Growing, stage: Stage, gained: bool) -> Growing:
        """Return the state after a stage, with the number of features of the next one, 0 where growth ends."""
        best, width = course.stage, course.width
        before, known = course.known if course.known[0] < width else (0, 1.0), (width, best.relative)
        following = self._next(width, before, known, course.trial) if gained else 0
        dear = bool(following) and stage_seconds(stage, following) > CHEAP
        if dear and (self._will_do(best) or self._beaten(best)):
            return replace(course, width=0, done=not self.ended)
        if best.relative > self.method.aim and following and not (dear and self._stagnates(best)):
            return replace(course, width=following, known=known)
        if self._converged(best):
            return replace(course, width=0, done=True)
        return self._judged_course(course, stage, before, known)

    def _judged_course(self, course: Growing, stage: Stage, before: tuple[int, float], known: tuple[int, float]) -> Growing:
        """Return the state after a stage whose own tests show no further gain; with richer tests if the estimate contradicts."""
        best = course.stage
        verdict, degree = self._judge(best), tests_degree(best.objective)
        if verdict is None:
            return replace(course, width=0)
        rises = 0 < degree < HIGHEST_TEST_DEGREE and verdict.absolute <= min(self._judged, key=lambda pair: pair[0])[0]
        richer = replace(course, least=degree + RICHER, limit=math.inf)
        if best.relative <= self.method.aim:
            known = course.width, verdict.relative / self.method.slack
            width = self._next(course.width, before, known, course.trial) or (course.width if rises else 0)
            if width and stage_seconds(stage, width) > CHEAP and (self._will_do(best) or self._beaten(best)):
                return replace(course, width=0, done=not self.ended)
            return replace(richer, known=known, width=width)
        if verdict.adequate or not rises:
            return replace(course, width=0)
        recipe, known = course.origin
        return replace(richer, recipe=recipe, known=known, width=best.width)

    def _better(self, stage: Stage, best: Stage) -> bool:
        """Return whether a stage is better than the best so far on points to which neither was fitted.

        A residual on the fitted points can be misleadingly small, because features may take large values between these points.
        """
        return bool(self._journal.noted(lambda: {"better": self._guide.unseen(stage) < self._guide.unseen(best)})["better"])

    def _converged(self, stage: Stage) -> bool:
        """Return whether residual and error estimate have reached the target."""
        return self._within(stage, self.method.aim, self.method.slack * self.method.aim)

    def _will_do(self, stage: Stage) -> bool:
        """Return whether residual and error estimate are below the tolerance."""
        return self._within(stage, self.method.tolerance, self.method.tolerance)

    def _within(self, stage: Stage, residual: float, estimate: float) -> bool:
        """Return whether residual and error estimate are within bounds; a stage whose residual is not gets no estimate."""
        if stage.relative > residual:
            return False
        verdict = self._judge(stage)
        return verdict is None or verdict.relative <= estimate

    def _beaten(self, stage: Stage) -> bool:
        """Return whether another method is better than a stage already, which ends growth."""
        verdict = self._judge(stage)
        if verdict is None:
            return False
        self.ended = bool(self._journal.noted(lambda: {"beaten": self._guide.beaten(verdict)})["beaten"])
        return self.ended

    def _stagnates(self, stage: Stage) -> bool:
        """Return whether the error estimate has hardly decreased since a stage was last judged here."""
        verdict, last = self._judge(stage), self._last
        self._last = None if verdict is None else verdict.absolute
        return verdict is not None and last is not None and verdict.absolute > STAGNANT * last

    def _next(self, width: int, before: tuple[int, float], known: tuple[int, float], trial: Trial) -> int:
        """Return the number of features after ``width``, 0 where there are no more.

        The error is assumed to decrease exponentially in the number of features per dimension, as for smooth solutions (Dong & Li
        2021), at a rate given by two numbers of features with their relative errors.
        """
        d = self._problem.domain.dimension
        tolerance = self.method.aim
        widths = self.method.widths
        (few, larger), (many, smaller) = before, known
        rate = math.log(larger / smaller) / (many ** (1 / d) - few ** (1 / d)) if 0.0 < smaller < larger and few < many else 0.0
        steps = math.log(smaller / (MARGIN * tolerance)) / rate if rate > 0.0 else math.inf
        needed = max(0.0, many ** (1 / d) + steps) ** d
        most = widest(self.objectives, trial, widths)
        more = [w for w in widths if width < w <= most]
        allowed = [w for w in more if w <= LEAP * many] or more[:1]
        return next((w for w in allowed if w >= needed), allowed[-1] if allowed else 0)

    def _lift(self, trial: Trial) -> float:
        """Return the largest absolute value of the unknowns without features."""
        points = Inside(self._problem.domain).points(2, 256)
        unknowns = Evaluator.of(self._problem, trial, [u.function for u in self._problem.unknowns])
        nothing = torch.zeros(trial.network.size, dtype=torch.float64, device=HOST)
        return float(np.abs(unknowns(nothing, points.take(range(points.size)))).max())
