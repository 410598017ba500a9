"""Where a solution is smallest and largest: the extreme values of every component at the nodes of the output mesh."""

from __future__ import annotations

import numpy as np

from vpinn.domain import Inside, Points
from vpinn.output.canvas import make_canvas
from vpinn.output.fields import SAMPLES
from vpinn.output.formats import component_names
from vpinn.output.tables import Rows
from vpinn.solution import Solution

ROUNDING = 1e-12
"""Coordinate over the size of the domain, or value over the largest one, up to which it is written as zero."""


def extreme_rows(solution: Solution) -> Rows:
    """Return one row per component of an unknown or further field: its range, with the places of both ends.

    In time they are those of the last instant. Values are those at nodes of the output mesh, or at Sobol points of a hypercube.
    """
    points = _points(solution)
    lower, upper = solution.problem.domain.bounds
    x = np.where(np.abs(points.x) <= ROUNDING * (upper - lower).max(), 0.0, points.x)
    rows: Rows = []
    for name, values in {**solution.at(points), **solution.derived(points)}.items():
        columns = values.reshape(len(values), -1).T
        for component, column in zip(component_names(name, values.shape[1:]), columns, strict=True):
            if np.isfinite(column).any():
                low, high = int(np.nanargmin(column)), int(np.nanargmax(column))
                column = np.where(np.abs(column) <= ROUNDING * np.nanmax(np.abs(column)), 0.0, column)
                ends = (f"{column[k]:.6g} at ({', '.join(f'{c:.4g}' for c in x[k])})" for k in (low, high))
                rows.append((component, " to ".join(ends)))
    return rows


def _points(solution: Solution) -> Points:
    domain = solution.problem.domain
    if domain.dimension > 3:
        return Inside(domain).points(0, SAMPLES).take(range(SAMPLES))
    return make_canvas(domain).points
