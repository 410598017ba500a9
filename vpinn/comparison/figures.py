"""The figures of a comparison: errors against time and evaluations, and fluctuation of the loss against batch size."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from vpinn.comparison.course import Course
from vpinn.comparison.record import Comparison
from vpinn.comparison.runs import Place
from vpinn.comparison.statistics import band
from vpinn.output import Ribbon, ribbons_figure, scaling_figure, styled, write_figures

AXES = {"seconds": "training time in s", "evaluations": "point evaluations"}
"""Attribute of `Course` that is an x axis of the error figure → label of the axis."""
LOSS = "fluctuation of the loss, relative"


def draw(comparison: Comparison, courses: Mapping[Place, Course], directory: Path) -> list[Path]:
    """Draw the figures of a comparison as png files.

    Args:
        comparison: The comparison.
        courses: Finished runs, by (number of variant, seed).
        directory: Folder of the figures; created if it does not exist.

    Returns:
        Paths of the files written: error.png if errors were measured against both axes, fluctuation.png if several batch sizes
        were run.
    """
    seeds = len({seed for _, seed in courses})
    note = f"{setting(comparison)}; " + (f"median of {seeds} seeds, from least to largest" if seeds > 1 else "one seed")
    title = comparison.problem.title or "Comparison"
    panels = [(label, _errors(comparison, courses, against)) for against, label in AXES.items()]
    with styled():
        drawn = {
            "error": ribbons_figure(title, panels, comparison.error, note) if all(found for _, found in panels) else None,
            "fluctuation": scaling_figure(title, found, LOSS, note) if (found := _fluctuations(comparison, courses)) else None,
        }
        return write_figures(drawn, directory)


def setting(comparison: Comparison) -> str:
    """Return what all variants have in common, in one line: method, weights, points, precision, threads."""
    methods, sizes, points = ({getattr(v, name) for v in comparison.variants} for name in ("method", "parameters", "points"))
    said = [*methods] if len(methods) == 1 else []
    said += [f"{size:,} weights" for size in sizes] if len(sizes) == 1 else []
    said += [f"{count:,} quadrature points" for count in points] if len(points) == 1 else []
    count = comparison.placement.threads
    threads = f"{count} thread{'s' * (count > 1)}"
    return ", ".join([*said, comparison.problem.settings.solver.precision, threads])


def _of(courses: Mapping[Place, Course], number: int) -> list[Course]:
    """Return the finished runs of one variant."""
    return [course for (k, _), course in courses.items() if k == number]


def _errors(comparison: Comparison, courses: Mapping[Place, Course], against: str) -> list[Ribbon]:
    """Return the error curve of every variant against "seconds" or "evaluations"."""
    found = []
    for k, variant in enumerate(comparison.variants):
        runs = _of(courses, k)
        spread = band(runs, against)
        if spread is not None:
            measured = sum(bool(run.error) for run in runs)
            label = variant.label if measured == len(runs) else f"{variant.label} ({measured} of {len(runs)} seeds)"
            found.append(Ribbon(k, label, spread.x, spread.low, spread.middle, spread.high))
    return found


def _fluctuations(comparison: Comparison, courses: Mapping[Place, Course]) -> list[Ribbon]:
    """Return the fluctuation of the loss over batch size: one curve per group of variants that differ in batch size only."""
    groups: dict[str, list[tuple[int, list[float]]]] = {}
    for k, variant in enumerate(comparison.variants):
        values = [course.fluctuation for course in _of(courses, k) if course.fluctuation > 0.0]
        if variant.batch is not None and values:
            groups.setdefault(variant.kind, []).append((variant.batch, values))
    ribbons: list[Ribbon] = []
    for kind, members in groups.items():
        members.sort()
        if len(members) > 1:
            x = np.array([batch for batch, _ in members], dtype=np.float64)
            rows = [np.array([of(values) for _, values in members]) for of in (min, np.median, max)]
            ribbons.append(Ribbon(len(ribbons) + 1, kind or "measured", x, *rows))
    return ribbons
