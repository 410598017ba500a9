from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from vpinn.comparison.course import Course
from vpinn.comparison.runs import order
from vpinn.comparison.statistics import band, median, summarise, telling, thresholds, time_to
from vpinn.comparison.variants import Variant

VARIANT = Variant("full", "", {}, Path("x.toml"), {}, "adam", 50, None, 10)


def course(error: list[float], stopped: str = "time limit", pace: float = 1.0) -> Course:
    """Return a course with errors measured every ``pace`` seconds, after 10 more steps on 50 points."""
    marks = [(pace * (k + 1), 10 * (k + 1), 500.0 * (k + 1), value) for k, value in enumerate(error)]
    return Course.of(marks, stopped, 0.5, 2.0, 300.0, 200.0, 0.1)


def test_time_to_accuracy_is_when_it_was_first_measured() -> None:
    bumpy = course([0.9, 0.09, 0.5, 0.01])
    assert time_to(bumpy, 0.1) == 2.0
    assert time_to(bumpy, 0.01) == 4.0
    assert time_to(bumpy, 0.001) == math.inf


def test_thresholds_lie_between_first_and_best() -> None:
    assert thresholds([course([3.0, 0.02]), course([0.8, 0.004])]) == [0.1, 0.01]
    assert thresholds([course([0.2, 0.15])]) == []
    assert thresholds([course([])]) == []


def test_thresholds_shown_tell_variants_apart() -> None:
    """One variant gets far, two get to 1e-2: not only the far thresholds are of interest."""
    levels = [10.0**-k for k in range(1, 10)]
    reached = [{level: [1.0 if level >= least else math.inf] for level in levels} for least in (1e-9, 1e-2, 1e-2, 1e-1, 1.0)]
    assert telling(levels, reached, 4) == [1e-1, 1e-2, 1e-8, 1e-9]
    assert telling(levels, reached[:1], 2) == [1e-8, 1e-9]
    assert telling(levels, [reached[0], reached[0]], 3) == [1e-7, 1e-8, 1e-9]


def test_summary_over_seeds() -> None:
    runs = [course([0.9, 0.09, 0.05]), course([0.9, 0.5, 0.2]), course([0.9, 0.8, 0.07], "diverged")]
    found = summarise(VARIANT, runs, [0.1])
    assert found.reached == {0.1: [2.0, math.inf, 3.0]}
    assert median(found.reached[0.1]) == 3.0
    assert found.best == [0.05, 0.2, 0.07]
    assert found.final == [0.05, 0.2, math.inf]
    assert (found.updates, found.evaluations, found.epochs, found.diverged) == (30, 1500, 30, 1)
    assert found.speed == [10.0, 10.0, 10.0]


def test_a_run_that_was_never_measured() -> None:
    found = summarise(VARIANT, [course([], "diverged")], [0.1])
    assert found.reached == {0.1: [math.inf]}
    assert found.best == found.final == [math.inf]


def test_medians_of_runs_that_never_arrived() -> None:
    assert median([1.0, math.inf, math.inf]) == math.inf
    assert median([math.inf, math.inf]) == math.inf
    assert median([1.0, math.nan, 3.0]) == 2.0
    assert math.isnan(median([math.nan]))


def test_bands_of_powers_are_exact() -> None:
    """t⁻¹ and 5t⁻² are lines in logarithms, so the band is known everywhere."""
    t = np.arange(1.0, 9.0)
    found = band([course(list(1.0 / t)), course(list(3.0 / t)), course(list(5.0 / t**2))], "seconds")
    assert found is not None
    assert found.x[[0, -1]] == pytest.approx([1.0, 8.0])
    curves = np.stack([1.0 / found.x, 3.0 / found.x, 5.0 / found.x**2])
    np.testing.assert_allclose([found.low, found.high], [curves.min(0), curves.max(0)], rtol=1e-12)
    np.testing.assert_allclose(found.middle, np.median(curves, axis=0), rtol=1e-12)


def test_a_run_that_is_over_keeps_its_error() -> None:
    found = band([course([0.4, 0.1]), course([0.9, 0.8, 0.2, 0.2])], "seconds")
    assert found is not None
    assert (found.low[-1], found.high[-1]) == pytest.approx((0.1, 0.2))
    assert band([course([])], "seconds") is None
    alone, beside = band([course([0.9, 0.1])], "seconds"), band([course([0.9, 0.1]), course([])], "seconds")
    assert alone is not None
    assert beside is not None
    np.testing.assert_array_equal(beside.middle, alone.middle)


def test_seeds_take_turns_from_another_variant_each() -> None:
    assert list(order(3, [5, 6])) == [(0, 5), (1, 5), (2, 5), (1, 6), (2, 6), (0, 6)]
