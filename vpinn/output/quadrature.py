"""The figure of the quadrature points on the mesh, enlarged until single points can be distinguished."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from mpl_toolkits.mplot3d.art3d import Line3DCollection, Poly3DCollection
from numpy.typing import NDArray

from vpinn.domain import BoundaryPart, CellPoints, Domain, Inside, Mesh, Points, PointSet, Region, gauss
from vpinn.domain.quadrature import MAX_DEGREE
from vpinn.domain.reference import Integers, lagrange
from vpinn.objective import Measure
from vpinn.output.planes import label_plane, outline
from vpinn.output.style import ACCENT, FAINT, INK, TRUTH, figure

Array = NDArray[np.float64]
Sets: TypeAlias = Mapping[type[Region], PointSet]
"""Kind of region → its points."""
READABLE = 500
"""Number of points in an enlarged view that the eye can still distinguish."""
MOST, LEAST = 60, 6
"""Largest and smallest number of cells in the enlarged view of a plane mesh."""
SCATTERED = 4_000
"""Largest number of points drawn of a domain without cells."""
DRAWABLE = 50_000
"""Number of cells up to which the view of the whole mesh shows their edges; more would merge into a grey area."""
EDGE = 9
"""Points on the polyline that draws a curved edge."""
DOT = 7.0
"""Area of a point's dot [pt²]."""


def quadrature_figure(domain: Domain, measures: Sequence[Measure], used: int | None = None) -> Figure:
    """Return a figure of the mesh with the quadrature points of the solution: blue in the interior, red on the boundary.

    Args:
        domain: Mesh or hypercube.
        measures: Integrals of the objective of the problem's settings.
        used: Number of points that the solution was found with, if known. If the objective has another number, since the method
            chose its own, the points of the Gauss rule on cells that has this number are drawn, or none if there is no such rule.
    """
    sets: Sets = {measure.region: measure.points for measure in measures}
    title = "Quadrature: " + " and ".join(_counted(measure.region, measure.points) for measure in measures)
    mesh = domain.mesh
    if mesh is not None and used not in (None, sum(measure.points.size for measure in measures)):
        fitting = (k for k in range(1, MAX_DEGREE + 1) if mesh.n_cells * len(gauss(mesh.cell, k).weights) == used)
        degree = next(fitting, None)
        sets = {} if degree is None else {Inside: CellPoints(mesh, degree)}
        title = f"Quadrature: {_counted(Inside, sets[Inside])}" if sets else f"Mesh: {mesh.n_cells:,} cells"
    if mesh is None:
        return _of_box(domain.axes, sets, title)
    draw = {1: _of_interval, 2: _of_plane, 3: _of_solid}[domain.dimension]
    return draw(mesh, sets, title)


def _counted(region: type[Region], points: PointSet) -> str:
    """Return how many points an integral has, for the title."""
    many = f"{points.size:,} points {region.place}"
    return many if points.entities == 1 else f"{many} ({points.per_entity} per {region.entity})"


def _density(sets: Sets) -> int:
    """Return the number of points per cell."""
    return sets[Inside].per_entity if Inside in sets else 1


def _of_interval(mesh: Mesh, sets: Sets, title: str) -> Figure:
    """Return a figure of weights over positions, with the ends of the cells marked on the axis."""
    left = np.argsort(mesh.nodes[mesh.vertices].mean(axis=1)[:, 0])[: max(1, READABLE // 4 // _density(sets))]
    shown = figure(7.5, 3.2, title)
    axes = shown.subplots()
    if Inside in sets:
        inside = _taken(sets[Inside], left)
        axes.vlines(inside.x[:, 0], 0.0, inside.w, color=FAINT, linewidth=0.6)
        axes.scatter(inside.x[:, 0], inside.w, color=ACCENT, zorder=3, s=12)
    ends = np.unique(mesh.nodes[mesh.vertices[left]])
    axes.plot(ends, np.zeros_like(ends), "|", color=INK, ms=12)
    part = "" if len(left) == mesh.n_cells else f"   (the first {len(left)} of {mesh.n_cells} cells)"
    axes.set(xlabel=f"x{part}", ylabel="weight")
    return shown


def _of_plane(mesh: Mesh, sets: Sets, title: str) -> Figure:
    """Return a figure of the mesh with its points; of a large mesh, the whole mesh beside an enlarged window with points."""
    low, high = mesh.bounds
    extent = high - low
    few = int(np.clip(READABLE // _density(sets), LEAST, MOST))
    whole = mesh.n_cells <= few
    width = 5.6 if whole else 4.6
    height = width * float(np.clip(extent[1] / extent[0], 0.35, 1.6))
    shown = figure(width + 0.8 if whole else 2 * width + 1.0, max(height, 0.0 if whole else 3.6) + 1.0, title, "constrained")
    if whole:
        axes = shown.subplots()
        window = None
    else:
        over, axes = shown.subplots(1, 2)
        corner, side = _window(mesh, few)
        if mesh.n_cells <= DRAWABLE:
            _edges(over, mesh, np.arange(mesh.n_cells), 0.3)
        else:
            over.add_collection(LineCollection(list(outline(mesh)), colors=INK, linewidths=0.6))
            over.autoscale_view()
        over.add_patch(Rectangle(tuple(corner), side, side, fill=False, edgecolor=TRUTH, linewidth=1.6, zorder=4))
        label_plane(over, ("x", "y"))
        window = corner, side
    cells = np.arange(mesh.n_cells) if window is None else _near(mesh.nodes[mesh.vertices], *window)
    _edges(axes, mesh, cells, 0.8)
    for region, colour in ((Inside, ACCENT), (BoundaryPart, TRUTH)):
        if region in sets:
            axes.scatter(*_xy(_taken(sets[region], cells)), color=colour, zorder=3, s=DOT, linewidths=0.0)
    label_plane(axes, ("x", "y"))
    if window is not None:
        axes.set(xlim=(window[0][0], window[0][0] + window[1]), ylim=(window[0][1], window[0][1] + window[1]))
        for side_of in axes.spines.values():
            side_of.set(visible=True, color=TRUTH, linewidth=1.6)
    return shown


def _of_solid(mesh: Mesh, sets: Sets, title: str) -> Figure:
    """Return a figure of the boundary of a solid mesh, beside two of its cells enlarged with their points."""
    shown = figure(9.5, 4.6, title)
    over, axes = (shown.add_subplot(1, 2, k + 1, projection="3d") for k in range(2))
    middle = mesh.nodes[mesh.vertices].mean(axis=1)
    cells = np.argsort(((middle - middle[mesh.boundary[0, 0]]) ** 2).sum(axis=1))[:2]
    ring = [0, 1, 2] if mesh.reference.facet_cell == "triangle" else [0, 1, 3, 2]
    faces = mesh.nodes[mesh.facet_vertices(np.arange(len(mesh.boundary)))[:, ring]]
    over.add_collection3d(Poly3DCollection(faces, facecolors="#eef1f4", edgecolors=FAINT, linewidths=0.3))
    for ax, width in ((over, 1.2), (axes, 1.0)):
        _edges(ax, mesh, cells, width, TRUTH if ax is over else INK)
        ax.set(xlabel="x", ylabel="y", zlabel="z")
        ax.set_box_aspect(None if ax is axes else np.ptp(mesh.nodes, axis=0), zoom=0.85)
        ax.locator_params(nbins=4)
    if Inside in sets:
        inside = _taken(sets[Inside], cells)
        axes.scatter(*inside.x.T, color=ACCENT, s=120.0 * np.abs(inside.w) / np.abs(inside.w).max(), depthshade=False)
    if BoundaryPart in sets:
        axes.scatter(*_taken(sets[BoundaryPart], cells).x.T, color=TRUTH, s=12.0, depthshade=False)
    axes.set_title(f"{len(cells)} cells" + ", dots by weight" * (Inside in sets))
    return shown


def _of_box(names: Sequence[str], sets: Sets, title: str) -> Figure:
    """Return a figure of the points of a domain without cells, projected on the first two coordinates."""
    shown = figure(6.2, 5.6, title)
    axes = shown.subplots()
    for region, points in sets.items():
        step = max(1, points.size // SCATTERED)
        x = points.take(np.arange(0, points.size, step)[:SCATTERED]).x
        flat = x[:, :2] if len(names) > 1 else np.column_stack([x, np.zeros(len(x))])
        axes.scatter(flat[:, 0], flat[:, 1], color=ACCENT if region is Inside else TRUTH, s=3.0, linewidths=0.0)
    axes.set_xlabel(names[0])
    if len(names) > 1:
        label_plane(axes, names[:2])
    return shown


def _taken(points: PointSet, cells: Integers) -> Points:
    """Return all points in the given cells, or on their facets."""
    q = points.per_entity
    return points.take((points.entities_in(cells)[:, None] * q + np.arange(q)).ravel())


def _xy(points: Points) -> tuple[Array, Array]:
    return points.x[:, 0], points.x[:, 1]


def _window(mesh: Mesh, few: int) -> tuple[Array, float]:
    """Return the lower left corner and the side of a square window with about ``few`` cells, at the leftmost boundary vertex."""
    corners = mesh.nodes[mesh.facet_vertices(np.arange(len(mesh.boundary)))].reshape(-1, 2)
    start = corners[np.lexsort(corners.T[::-1])[0]]
    distance = np.sort(np.abs(mesh.nodes[mesh.vertices].mean(axis=1) - start).max(axis=1))
    side = float(distance[min(few // 2, len(distance)) - 1])
    low, high = mesh.bounds
    margin = 0.08 * side
    return np.clip(start - 0.5 * side, low - margin, np.maximum(low - margin, high - side - margin)), side + 2.0 * margin


def _near(corners: Array, corner: Array, side: float) -> Integers:
    """Return the cells, given by their vertices [n, n_v, 2], whose bounding boxes overlap a square with this corner and side."""
    return np.flatnonzero(((corners.max(axis=1) >= corner) & (corners.min(axis=1) <= corner + side)).all(axis=1))


def _edges(axes: Axes, mesh: Mesh, cells: Integers, width: float, colour: str = INK) -> None:
    """Draw the edges of cells, as curves on a curved mesh."""
    element = lagrange(mesh.cell, 1)
    ends: Sequence[Sequence[int]] = element.entity_closure_dofs[1]
    t = np.linspace(0.0, 1.0, 2 if mesh.order == 1 else EDGE)[:, None]
    corners = mesh.reference.vertices
    along = np.array([corners[a] + t * (corners[b] - corners[a]) for a, b in ends])  # [n_edges, p, d]
    lines = mesh.frames(cells, along.reshape(-1, mesh.dimension)).x.reshape(-1, len(t), mesh.dimension)
    if mesh.dimension == 3:
        axes.add_collection3d(Line3DCollection(lines, colors=colour, linewidths=width, alpha=0.7))  # type: ignore[attr-defined]
    else:
        axes.add_collection(LineCollection(list(lines), colors=colour, linewidths=width, alpha=0.7))
        axes.autoscale_view()
