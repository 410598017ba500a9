"""The field of a report as a part of the page: colours or curves to zoom, turn, probe and play, without any other file.

Values at the nodes of a canvas are written into the page as numbers of four bytes, and ``viewer.js`` draws them. Of a solid these
are the nodes of its surface and of three planes through its middle. Start from `viewer`.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray

from vpinn.domain import Domain, Points, located_points, rectangle
from vpinn.output.canvas import Canvas, joined, make_canvas, select
from vpinn.output.cells import surface, triangles
from vpinn.output.figures import components_of
from vpinn.output.planes import boundary_lines
from vpinn.output.style import colours
from vpinn.output.vectors import enlargement
from vpinn.solution import Solution
from vpinn.solution_in_time import SolutionInTime

Array = NDArray[np.float64]
Integers = NDArray[np.int64]
FRAMES = 31
"""Number of instants, from start to end."""
GRID = 41
"""Nodes along each side of a plane through a solid."""
ROUNDING = 1e-12
"""End of a range, over the other, up to which it is written as zero."""
MOST = 6
"""Largest number of components."""
BYTES = 2_400_000
"""Size of the numbers of a page, which take four thirds of it as text."""
_SHOWN = """<h2>The field</h2>
<div class="view">
<p><select id="view-name" aria-label="field"></select>
<button type="button" id="view-least">Minimum</button> <button type="button" id="view-most">Maximum</button>
<button type="button" id="view-closer">Zoom in</button> <button type="button" id="view-reset">Reset</button>
<label><input type="checkbox" id="view-bent"> <span id="view-bend"></span></label>
<label><input type="checkbox" id="view-within"> planes inside</label></p>
<canvas id="view-canvas" aria-label="the field"></canvas>
<p class="scale"><span id="view-low"></span><span id="view-bar"></span><span id="view-high"></span></p>
<p id="view-course"><button type="button" id="view-play">Play</button>
<input type="range" id="view-frame" min="0" aria-label="instant"> <output id="view-time"></output></p>
<p><output id="view-probe">Point at the field to read its values; drag, pinch or use the wheel to move and zoom.</output></p>
</div>
<script type="application/json" id="view-data">{data}</script>
<script>
{script}</script>"""


def viewer(solution: Solution) -> str:
    """Return the field as HTML; "" where a domain has more than three dimensions, or its surface too many nodes for a page.

    Args:
        solution: The solution, whose unknowns' and further fields' first ``MOST`` components are shown.
    """
    domain = solution.posed.domain if isinstance(solution, SolutionInTime) else solution.problem.domain
    if domain.dimension > 3:
        return ""
    times = np.linspace(solution.times[0], solution.times[-1], FRAMES) if isinstance(solution, SolutionInTime) else np.zeros(1)
    canvas = make_canvas(domain)
    components = min(MOST, len(_components(solution, select(canvas.points, np.arange(1)), times[0])))
    shape = _shape(domain, canvas, len(times) * components)
    if shape is None:
        return ""
    course = [_components(solution, shape.points, t) for t in times.tolist()]
    values = {name: np.stack([part[name] for part in course]) for name in list(course[0])[:MOST]}
    x = np.zeros((len(shape.points.x), 3))
    x[:, : domain.dimension] = shape.points.x
    data: dict[str, Any] = {
        "axes": domain.axes,
        "x": _packed(x, "<f4"),
        "cells": _packed(shape.cells, "<u4"),
        "within": _packed(shape.within, "<u4"),
        "lines": _packed(shape.lines, "<u4"),
        "times": times.tolist(),
        "fields": [_field(name, found, shape.shares) for name, found in values.items()],
        "moved": _moved(solution, values, np.ptp(shape.points.x, axis=0)),
    }
    text = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    return _SHOWN.format(data=text, script=files("vpinn.output").joinpath("viewer.js").read_text("utf-8"))


@dataclass(frozen=True, eq=False)
class _Shape:
    """What is drawn of a domain: points [n], triangles on the outside and inside of a solid [m, 3], and lines [k, 2]."""

    points: Points
    cells: Integers
    within: Integers
    lines: Integers

    @property
    def shares(self) -> Array:
        """Sizes of the parts of the domain that the points stand for, up to a factor [n]."""
        sizes: Array = np.nan_to_num(self.points.h, nan=1.0) ** self.points.x.shape[1]
        return sizes


def _shape(domain: Domain, canvas: Canvas, count: int) -> _Shape | None:
    """Return the interval, the plane domain or the surface of the solid; None where a surface has too many nodes.

    Args:
        domain: The domain, of at most three dimensions.
        canvas: Its canvas.
        count: Numbers that every node takes.
    """
    mesh, none = canvas.mesh, np.empty((0, 3), np.int64)
    most = BYTES // (4 * count + 40)
    if domain.dimension == 1:
        order = np.argsort(mesh.nodes[:, 0])
        return _Shape(canvas.points, none, none, np.column_stack([order[:-1], order[1:]]))
    if domain.dimension == 2:
        fits = len(mesh.nodes) <= most
        return _Shape(canvas.points, triangles(mesh)[0], none, _pairs(boundary_lines(mesh))) if fits else _grid(domain, most)
    points, cells = _planes(domain)
    shell, numbers = np.unique(surface(mesh), return_inverse=True)
    if len(shell) + len(points.x) > most:
        return None
    return _Shape(joined(select(canvas.points, shell), points), numbers.reshape(-1, 3), len(shell) + cells, none)


def _planes(domain: Domain) -> tuple[Points, Integers]:
    """Return the nodes of squares on three planes through the middle of a solid, and triangles between them."""
    lower, upper = domain.bounds
    flat, count = rectangle(cells=GRID - 1, cell="quadrilateral"), 0
    parts, cells = list[Points](), list[Integers]()
    for fixed in range(3):
        x = np.insert(flat.nodes, fixed, 0.5, axis=1)
        points, inside = located_points(domain, lower + x * (upper - lower))
        parts.append(select(points, inside))
        cells.append(count + _kept(triangles(flat)[0], inside))
        count += int(inside.sum())
    return joined(*parts), np.concatenate(cells)


def _kept(cells: Integers, inside: NDArray[np.bool_]) -> Integers:
    """Return the triangles of which all nodes are kept, in the numbers of those."""
    return (np.cumsum(inside) - 1)[cells[inside[cells].all(axis=1)]]


def _pairs(lines: Integers) -> Integers:
    """Return the parts of polylines [n, 2 or 3] as pairs of nodes [m, 2]."""
    return np.concatenate([lines[:, k : k + 2] for k in range(lines.shape[1] - 1)])


def _grid(domain: Domain, most: int) -> _Shape:
    """Return the squares of a grid of at most ``most`` nodes that lie in a plane domain, for meshes of more nodes."""
    lower, upper = domain.bounds
    sides = upper - lower
    across = max(2, int(np.sqrt(most * sides[0] / sides[1])))
    grid = rectangle(lower.tolist(), upper.tolist(), (across - 1, max(1, most // across - 1)), "quadrilateral")
    points, inside = located_points(domain, grid.nodes)
    none = np.empty((0, 3), np.int64)
    return _Shape(select(points, inside), _kept(triangles(grid)[0], inside), none, none)


def _components(solution: Solution, points: Points, t: float) -> dict[str, Array]:
    """Return every component of the unknowns and further fields at points [n], at an instant if the solution depends on time."""
    now = solution.snapshot(t) if isinstance(solution, SolutionInTime) else solution
    return components_of({**now.at(points), **now.derived(points)})


def _field(name: str, values: Array, shares: Array) -> dict[str, Any]:
    """Return the entry of a component, with its values [instants, n], range and colours, as ``viewer.js`` reads it."""
    tones, norm = colours(values.ravel(), np.tile(shares, len(values)))
    shades = (255.0 * mpl.colormaps[tones](np.linspace(0.0, 1.0, 256))[:, :3]).round()
    low, high = (
        0.0 if abs(end) <= ROUNDING * np.abs(values).max() else float(end) for end in (norm.vmin or 0.0, norm.vmax or 0.0)
    )
    return {"name": name, "low": low, "high": high, "tones": _packed(shades, "u1"), "values": _packed(values, "<f4")}


def _moved(solution: Solution, values: dict[str, Array], sides: Array) -> dict[str, Any] | None:
    """Return which components move the nodes of a deformed shape, and the enlargement; None where no displacement is known.

    A vector that is the only unknown is taken for a displacement.
    """
    unknowns, d = solution.problem.unknowns, len(sides)
    if len(unknowns) > 1 or unknowns[0].shape != (d,) or d == 1 or solution.problem.eigen is not None:
        return None
    sizes = np.linalg.norm(list(values.values())[:d], axis=0)
    return {"fields": list(range(d)), "scale": enlargement(sizes, sides)} if sizes.max() > 0.0 else None


def _packed(values: NDArray[Any], kind: str) -> str:
    """Return numbers of a numpy type as text."""
    return base64.b64encode(np.ascontiguousarray(values, dtype=kind).tobytes()).decode()
