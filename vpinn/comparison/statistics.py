"""Statistics over the runs (courses) of a variant with several seeds: times to given errors, best errors, bands for figures."""

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
"""Number of abscissae of a band."""


@dataclass(frozen=True)
class Summary:
    """Statistics of a variant over its runs; single numbers are medians over the runs unless said otherwise.

    Attributes:
        runs: Number of finished runs.
        reached: Threshold → seconds that each run needed until its error was at or below it; inf if it never was.
        best: Smallest error of each run, dimensionless.
        final: Error of each run at its end, dimensionless; inf if it diverged or was never measured.
        updates: Number of steps.
        epochs: Number of point evaluations over the number of quadrature points.
        evaluations: Number of point evaluations (integrands with gradients).
        fluctuation: Relative fluctuation of the loss, see `Course`; dimensionless.
        memory: Largest peak memory of all runs in MB.
        setup: Seconds before the first step.
        speed: Updates per second of each run.
        diverged: Number of runs that diverged or have no measured error.
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
    """Smallest error, median and largest error over the seeds [m] each, at abscissae ``x`` [m] (seconds or evaluations)."""

    x: Array
    low: Array
    middle: Array
    high: Array


def thresholds(courses: Sequence[Course]) -> list[float]:
    """Return powers of ten, falling, as errors to which times are compared.

    They lie between the largest first error of a run and the smallest error of all runs. They are at most 0.1, because the zero
    function already has a relative error of 1.
    """
    errors = [_finite(course.error) for course in courses]
    errors = [found for found in errors if len(found)]
    if not errors:
        return []
    highest = math.ceil(math.log10(max(max(found[0], 1e-300) for found in errors))) - 1
    lowest = math.ceil(math.log10(max(min(found.min() for found in errors), 1e-300)))
    return [10.0**k for k in range(min(highest, -1), lowest - 1, -1)]


def telling(levels: Sequence[float], reached: Sequence[Mapping[float, Sequence[float]]], most: int) -> list[float]:
    """Return the thresholds that show most about the differences between variants, falling.

    First the lowest threshold that each variant reached is taken, then, while fewer than ``most`` are taken, the lowest of those
    that several variants reached, then the lowest of those that one variant reached.

    Args:
        levels: All thresholds, falling.
        reached: For every variant, threshold → seconds of its runs.
        most: Number of thresholds wanted; it is exceeded if the variants' lowest thresholds are more.
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
    """Return the seconds after which the error was first measured at or below a threshold; inf if it never was."""
    return next((t for t, error in zip(course.seconds, course.error, strict=True) if error <= threshold), math.inf)


def summarise(variant: Variant, courses: Sequence[Course], levels: Sequence[float]) -> Summary:
    """Return the statistics of a variant over its runs.

    Args:
        variant: The variant.
        courses: Its finished runs, at least one.
        levels: Errors to which times are measured.
    """
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
    """Return the median of the values that are not nan; inf counts as a number. Without any, the result is nan."""
    known = [value for value in values if not math.isnan(value)]
    if not known:
        return math.nan
    with np.errstate(invalid="ignore"):  # between inf and inf
        middle = float(np.median(known))
    return math.inf if math.isnan(middle) else middle


def band(courses: Sequence[Course], against: str) -> Band | None:
    """Return the band of errors of several runs against "seconds" or "evaluations"; None if no error was measured.

    Between measurements, the logarithm of the error is interpolated linearly in the logarithm of the abscissa. A run that has
    ended keeps its last error.
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
