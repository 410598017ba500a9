"""The figure of a solution along a straight line: one panel per component, with the exact solution if it is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from vpinn.output.figures import components_of, png
from vpinn.output.series import fields_along
from vpinn.output.style import INK, TRUTH, figure, styled
from vpinn.run_files import check_target
from vpinn.solution import Solution
from vpinn.storage import write_atomic


def draw_profile(solution: Solution, points: NDArray[np.float64], path: Path) -> None:
    """Draw all unknowns and further fields along a line as a png file.

    Args:
        solution: The solution to draw.
        points: Points on the line, from one end to the other [n, k]; t last if the solution depends on time.
        path: The file.

    Raises:
        InputError: A run needs the file that is there.
        StorageError: The file could not be written.
    """
    check_target(path)
    with styled():
        write_atomic(path, png(_figure(solution, points)))


def _figure(solution: Solution, points: NDArray[np.float64]) -> Figure:
    values = fields_along(solution, points).values
    names = [u.name for u in solution.problem.unknowns] + list(solution.problem.answers.fields)
    found = components_of({name: values[name] for name in names})
    exact = components_of({name: values[f"{name}_exact"] for name in names if f"{name}_exact" in values})
    along = np.linalg.norm(points - points[0], axis=1)
    ends = " to ".join(f"({', '.join(f'{c:.4g}' for c in end)})" for end in (points[0], points[-1]))
    shown = figure(6.5, 2.4 * len(found) + 0.4, f"From {ends}")
    for (name, row), axes in zip(found.items(), shown.subplots(len(found), squeeze=False)[:, 0], strict=True):
        axes.plot(along, row, color=INK, label=name)
        if name in exact:
            axes.plot(along, exact[name], color=TRUTH, linestyle="--", label="exact")
            axes.legend(loc="best")
        axes.set(xlabel="distance along the line", ylabel=name)
        axes.grid(True)
    return shown
