"""Courses of several seeds → what is said of a variant: times to accuracy, best errors, bands."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vpinn.comparison.course import Course
from vpinn.comparison.variants import Variant

Array = NDArray[np.float64]
GRID = 200
"""Points of a band."""


@dataclass(frozen=True)
class Summary:
    """A variant over its seeds; medians unless said.

    Attributes:
        runs: how many there are.
        reached: threshold → seconds of every run until its error was there, inf where it never was.
        best: smallest error of every run.
        final: error of every run at its end, inf after divergence.
        updates: steps.
        epochs: evaluations over quadrature points.
        evaluations: points at which the integrands were evaluated.
        fluctuation: of the loss.
        memory: largest peak in MB.
        setup: seconds before the first step.
        speed: updates per second of every run.
        diverged: runs that did not end well.
    """

    runs: int
    reached: dict[float, list[float]]
    best: list[float]
    final: list[float]
    updates: float
    epochs: float
    evaluations: float
    fluctuation: float
    memory: float
    setup: float
    speed: list[float]
    diverged: int


@dataclass(frozen=True, eq=False)
class Band:
    """Errors over seeds: median, least and largest [m], at abscissae [m]."""

    x: Array
    low: Array
    middle: Array
    high: Array


def thresholds(courses: Sequence[Course]) -> list[float]:
    """Return the powers of ten between the first error of the worst run, or one, and the best error of all, falling.

    An error of one is that of zero: to reach it is no merit.
    """
    errors = [_finite(course.error) for course in courses]
    errors = [found for found in errors if len(found)]
    if not errors:
        return []
    highest = math.ceil(math.log10(max(max(found[0], 1e-300) for found in errors))) - 1
    lowest = math.ceil(math.log10(max(min(found.min() for found in errors), 1e-300)))
    return [10.0**k for k in range(min(highest, -1), lowest - 1, -1)]


def telling(levels: Sequence[float], reached: Sequence[Mapping[float, Sequence[float]]], most: int) -> list[float]:
    """Return the thresholds that tell variants apart: the lowest that each reached, then the lowest others, shared ones first.

    Args:
        levels: all of them, falling.
        reached: threshold → seconds of every run, by variant.
        most: how many are wanted, unless more are reached as the lowest.
    """
    arrived = [[level for level in levels if any(map(math.isfinite, found[level]))] for found in reached]
    chosen = {found[-1] for found in arrived if found}
    shared = [level for level in levels if sum(level in found for found in arrived) > 1]
    alone = [level for level in levels if sum(level in found for found in arrived) == 1]
    for level in (*reversed(shared), *reversed(alone)):
        if len(chosen) < most:
            chosen.add(level)
    return sorted(chosen, reverse=True)


def time_to(course: Course, threshold: float) -> float:
    """Return the seconds after which the error was first measured at or below a threshold, inf where it never was."""
    return next((t for t, error in zip(course.seconds, course.error, strict=True) if error <= threshold), math.inf)


def summarise(variant: Variant, courses: Sequence[Course], levels: Sequence[float]) -> Summary:
    """Return a variant's summary over at least one run."""
    failed = [course.stopped == "diverged" or not course.error for course in courses]
    final = [math.inf if bad else course.error[-1] for bad, course in zip(failed, courses, strict=True)]
    evaluations = median([course.evaluations[-1] if course.evaluations else math.nan for course in courses])
    return Summary(
        runs=len(courses),
        reached={level: [time_to(course, level) for course in courses] for level in levels},
        best=[float(min(_finite(course.error), default=math.inf)) for course in courses],
        final=final,
        updates=median([course.updates[-1] if course.updates else math.nan for course in courses]),
        epochs=evaluations / variant.points,
        evaluations=evaluations,
        fluctuation=median([course.fluctuation for course in courses]),
        memory=max((course.memory for course in courses if math.isfinite(course.memory)), default=math.nan),
        setup=median([course.setup for course in courses]),
        speed=[course.updates[-1] / course.seconds[-1] for course in courses if course.seconds],
        diverged=sum(failed),
    )


def median(values: Sequence[float]) -> float:
    """Return the median of the values that are numbers, inf among them; nan if there are none."""
    known = [value for value in values if not math.isnan(value)]
    if not known:
        return math.nan
    with np.errstate(invalid="ignore"):  # between inf and inf
        middle = float(np.median(known))
    return math.inf if math.isnan(middle) else middle


def band(courses: Sequence[Course], against: str) -> Band | None:
    """Return the band of errors against "seconds" or "evaluations"; None where none was ever measured.

    Between measurements errors are interpolated linearly in logarithms; a run that is over keeps its error.
    """
    curves = []
    for course in courses:
        x, error = np.array(getattr(course, against), dtype=np.float64), np.array(course.error, dtype=np.float64)
        good = np.isfinite(error) & (error > 0.0) & (x > 0.0)
        if good.any():
            curves.append((np.log(x[good]), np.log(error[good])))
    if not curves:
        return None
    grid = np.linspace(min(x[0] for x, _ in curves), max(x[-1] for x, _ in curves), GRID)
    rows = np.exp([np.interp(grid, x, error) for x, error in curves])
    return Band(np.exp(grid), rows.min(axis=0), np.median(rows, axis=0), rows.max(axis=0))


def _finite(errors: Sequence[float]) -> Array:
    values = np.array(errors, dtype=np.float64)
    return values[np.isfinite(values)]
