"""The tables of a comparison (`as_tables`), and sentences on its result and on how it was measured (`notes`)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from rich.table import Table
from rich.text import Text

from vpinn.comparison.course import Course
from vpinn.comparison.figures import setting
from vpinn.comparison.record import Comparison
from vpinn.comparison.runs import Place
from vpinn.comparison.statistics import Summary, median, summarise, telling, thresholds
from vpinn.text import escaped

COLUMNS = 4
"""Number of thresholds whose times the table shows."""
BUSY = 1.3
"""Ratio of the highest to the lowest speed of a variant's runs above which other load on the machine is suspected."""


def summaries(comparison: Comparison, courses: Mapping[Place, Course]) -> tuple[list[float], list[tuple[str, Summary]]]:
    """Return the thresholds, and (label, summary) of every variant with a finished run."""
    levels = thresholds(list(courses.values()))
    found = []
    for k, variant in enumerate(comparison.variants):
        mine = [course for (number, _), course in courses.items() if number == k]
        if mine:
            found.append((variant.label, summarise(variant, mine, levels)))
    return levels, found


def as_tables(comparison: Comparison, courses: Mapping[Place, Course]) -> list[Table]:
    """Return two tables with one row per variant: times to given errors and best errors; steps, evaluations and memory."""
    levels, rows = summaries(comparison, courses)
    shown = telling(levels, [found.reached for _, found in rows], COLUMNS)
    accuracy = _table(*(f"s to {level:.0e}" for level in shown), "best error (median)", "best seed", "worst seed")
    effort = _table("updates", "epochs", "evaluations", "updates/s", "loss fluctuation", "peak MB")
    for label, found in rows:
        best = [_error(value) for value in (median(found.best), min(found.best), max(found.best))]
        accuracy.add_row(Text(escaped(label)), *(Text(_time(found.reached[level])) for level in shown), *map(Text, best))
        counts = [_count(value) for value in (found.updates, found.epochs, found.evaluations, median(found.speed))]
        fluctuation = "–" if math.isnan(found.fluctuation) else f"{found.fluctuation:.2g}"
        effort.add_row(Text(escaped(label)), *map(Text, counts), Text(fluctuation), Text(_count(found.memory)))
    return [accuracy, effort]


def _table(*headings: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    table.add_column("variant", no_wrap=True, style="bold")
    for heading in headings:
        table.add_column(heading, justify="right")
    return table


def notes(comparison: Comparison, courses: Mapping[Place, Course]) -> list[str]:
    """Return sentences on the ranking at equal time and at equal accuracy, on how numbers were measured, and on failed runs."""
    levels, rows = summaries(comparison, courses)
    runs = list(courses.values())
    budget = comparison.seconds or max((course.seconds[-1] for course in runs if course.seconds), default=0.0)
    said = [_at_equal_time(rows, budget), _at_equal_accuracy(rows, levels)] if len(rows) > 1 else []
    setups, libraries = [c.setup for c in runs if math.isfinite(c.setup)], [c.libraries for c in runs]
    span = f" (without set-up, {min(setups):.2g} to {max(setups):.2g} s, and without measuring errors)" if setups else ""
    said.append(
        f"Medians over {(n := len(comparison.seeds))} seed{'s' * (n > 1)} of the {comparison.error}; "
        f"seconds of training{span}; {setting(comparison)}; memory includes {median(libraries):,.0f} MB of libraries."
    )
    busy = [label for label, found in rows if found.speed and max(found.speed) > BUSY * min(found.speed)]
    if busy:
        said.append(f"The machine was busy: speeds of the runs of {'; '.join(busy)} differ by more than {BUSY - 1:.0%}.")
    bad = [
        f"{comparison.variants[number].label}, seed {seed}: {course.stopped}"
        for (number, seed), course in courses.items()
        if course.stopped == "diverged" or not course.error
    ]
    if bad:
        said.append(f"Runs without a result: {'; '.join(bad)}.")
    return said


def _at_equal_time(rows: Sequence[tuple[str, Summary]], budget: float) -> str:
    ranked = sorted(rows, key=lambda row: median(row[1].final))
    parts = "; ".join(f"{label} {_error(median(found.final))}" for label, found in ranked)
    return f"Error after {budget:.3g} s: {parts}."


def _at_equal_accuracy(rows: Sequence[tuple[str, Summary]], levels: Sequence[float]) -> str:
    """Rank the variants by the time to the lowest threshold that the median over the runs of every variant reached."""
    reached = [level for level in levels if all(math.isfinite(median(found.reached[level])) for _, found in rows)]
    if not reached:
        return "There is no error (power of ten) that all variants reached."
    level = reached[-1]
    ranked = sorted(rows, key=lambda row: median(row[1].reached[level]))
    parts = "; ".join(f"{label} {median(found.reached[level]):.3g} s" for label, found in ranked)
    return f"Time to an error of {level:.0e}, the lowest power of ten that all reached: {parts}."


def _time(seconds: Sequence[float]) -> str:
    """Return the median time of the runs and, if some never reached the error, how many did."""
    there = sum(map(math.isfinite, seconds))
    middle = median(seconds)
    if there == 0:
        return "–"
    text = f"{middle:.3g}" if math.isfinite(middle) else "–"
    return text if there == len(seconds) else f"{text} ({there}/{len(seconds)})"


def _error(value: float) -> str:
    return f"{value:.1e}" if math.isfinite(value) else "–"


def _count(value: float) -> str:
    """Return a number with at most three digits and a unit k, M or G."""
    if not math.isfinite(value):
        return "–"
    for factor, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if value >= factor:
            return f"{value / min(factor, 1e3 if unit == 'k' else factor):.3g} {unit}"
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"
