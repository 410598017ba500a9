"""Statistics → figures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from vpinn.comparison.course import Course
from vpinn.comparison.record import Comparison
from vpinn.comparison.runs import Place
from vpinn.comparison.statistics import band
from vpinn.optimization import write_atomic
from vpinn.output import Ribbon, png, ribbons_figure, styled

AXES = {"seconds": "training time in s", "evaluations": "point evaluations"}
"""What errors are drawn against."""


def draw(comparison: Comparison, courses: Mapping[Place, Course], directory: Path) -> list[Path]:
    """Draw the figures of a comparison, as png.

    Args:
        comparison: what is compared.
        courses: the runs so far.
        directory: folder of the figures, made if need be.

    Returns:
        the files written; none where no variant was measured twice.
    """
    panels = [(label, _ribbons(comparison, courses, against)) for against, label in AXES.items()]
    if not all(ribbons for _, ribbons in panels):
        return []
    seeds = len({seed for _, seed in courses})
    note = f"lines: median of {seeds} seeds, bands: least to largest" if seeds > 1 else "one seed"
    name = comparison.error[0].upper() + comparison.error[1:]
    with styled():
        content = png(ribbons_figure(comparison.problem.title or name, panels, comparison.error, note))
    write_atomic(directory / "error.png", content)
    return [directory / "error.png"]


def _ribbons(comparison: Comparison, courses: Mapping[Place, Course], against: str) -> list[Ribbon]:
    found = []
    for k, variant in enumerate(comparison.variants):
        spread = band([course for (number, _), course in courses.items() if number == k], against)
        if spread is not None:
            found.append(Ribbon(k, variant.label, spread.x, spread.low, spread.middle, spread.high))
    return found
