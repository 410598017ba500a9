"""Scenes that draw fields as colours: over a plane domain (`Plane`), and on three planes through a solid (`Slices`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.tri import Triangulation
from numpy.typing import NDArray

from vpinn.domain import Domain, Mesh, Points, located_points
from vpinn.domain.reference import lagrange
from vpinn.output.canvas import Canvas, select
from vpinn.output.cells import triangles
from vpinn.output.scene import Array, Colours, Scene
from vpinn.output.style import FAINT, INK, levels

PIXELS = 181
"""Pixels along each side of a plane through a solid."""


@dataclass(frozen=True, eq=False)
class Plane(Scene):
    """A field over a plane domain, drawn with smooth colours, thin level lines and the outline of the domain."""

    canvas: Canvas
    panels = 1

    @cached_property
    def points(self) -> Points:  # type: ignore[override]
        """The nodes of the canvas."""
        return self.canvas.points

    @property
    def shares(self) -> Array:
        """Sizes of the parts of the domain that the nodes stand for, up to a factor [n]."""
        return self.canvas.shares

    @cached_property
    def _cut(self) -> tuple[Triangulation, NDArray[np.int64]]:
        """Triangles of the canvas, and the cell of the canvas that each of them lies in."""
        mesh = self.canvas.mesh
        corners, cell = triangles(mesh)
        return Triangulation(mesh.nodes[:, 0], mesh.nodes[:, 1], corners), cell

    @property
    def size(self) -> tuple[float, float]:
        """Width and height of the panel [inches], in the proportions of the domain."""
        return panel_size(np.ptp(self.canvas.mesh.nodes, axis=0))

    def draw(self, axes: Sequence[Axes], values: Array, colours: Colours, truth: Array | None = None) -> Any:
        """Draw colours and level lines."""
        triangulation, _ = self._cut
        finite = np.isfinite(values)
        triangulation.set_mask(~finite[triangulation.triangles].all(axis=1) if not finite.all() else None)
        painted = axes[0].tripcolor(triangulation, values, cmap=colours[0], norm=colours[1], shading="gouraud", rasterized=True)
        if np.ptp(values[finite]) > 0.0:
            lines = axes[0].tricontour(triangulation, values, levels=levels(colours[1]), colors=INK, linewidths=0.4, alpha=0.45)
            lines.set(linestyle="solid")
        self._frame(axes[0])
        return painted

    def draw_cells(self, axes: Sequence[Axes], values: Array, colours: Colours) -> Any:
        """Draw every cell of the problem's mesh in one colour."""
        triangulation, cell = self._cut
        triangulation.set_mask(None)
        shown = values[self.canvas.parent[cell]]
        painted = axes[0].tripcolor(triangulation, facecolors=shown, cmap=colours[0], norm=colours[1], rasterized=True)
        self._frame(axes[0])
        return painted

    def _frame(self, axes: Axes) -> None:
        axes.add_collection(LineCollection(list(outline(self.canvas.mesh)), colors=INK, linewidths=0.9))
        label_plane(axes, ("x", "y"))


@dataclass(frozen=True, eq=False)
class Slices(Scene):
    """A field over a solid, drawn on three planes through the centre of its bounding box."""

    domain: Domain
    panels = 3

    @cached_property
    def _grids(self) -> tuple[list[tuple[int, int, Array, Array]], Array]:
        """For each plane its two coordinate directions and the pixels along them; coordinates of all pixels [3·PIXELS², 3]."""
        lower, upper = self.domain.bounds
        middle = (lower + upper) / 2.0
        planes, x = [], []
        for fixed in (2, 1, 0):
            i, j = (k for k in range(3) if k != fixed)
            s, t = (np.linspace(lower[k], upper[k], PIXELS) for k in (i, j))
            planes.append((i, j, s, t))
            coordinates = np.empty((PIXELS, PIXELS, 3))
            coordinates[..., fixed] = middle[fixed]
            coordinates[..., i] = s[None]
            coordinates[..., j] = t[:, None]
            x.append(coordinates.reshape(-1, 3))
        return planes, np.concatenate(x)

    @cached_property
    def _located(self) -> tuple[Points, NDArray[np.bool_]]:
        points, inside = located_points(self.domain, self._grids[1])
        return select(points, inside), inside

    @cached_property
    def points(self) -> Points:  # type: ignore[override]
        """The pixels that lie inside the domain."""
        return self._located[0]

    @property
    def size(self) -> tuple[float, float]:
        """Width and height of a panel [inches], in the proportions of the largest plane and scaled by 0.75 to fit three."""
        lower, upper = self.domain.bounds
        width, height = panel_size(np.sort(upper - lower)[::-1][:2])
        return 0.75 * width, 0.75 * height

    def draw(self, axes: Sequence[Axes], values: Array, colours: Colours, truth: Array | None = None) -> Any:
        """Draw the field on the planes z, y and x = middle, with the outline of the solid on each."""
        planes, x = self._grids
        pixels = np.full(len(x), np.nan)
        pixels[self._located[1]] = values
        names = self.domain.axes
        painted = None
        parts = zip(axes, planes, pixels.reshape(3, PIXELS, PIXELS), self._located[1].reshape(3, PIXELS, PIXELS), strict=True)
        for k, (ax, (i, j, s, t), picture, inside) in enumerate(parts):
            extent = (float(s[0]), float(s[-1]), float(t[0]), float(t[-1]))
            painted = ax.imshow(picture, cmap=colours[0], norm=colours[1], origin="lower", extent=extent, interpolation="nearest")
            draw_levels(ax, s, t, picture, colours)
            if not inside.all():
                ax.contour(s, t, inside.astype(float), levels=[0.5], colors=INK, linewidths=0.9)
            label_plane(ax, (names[i], names[j]))
            fixed = 2 - k
            ax.annotate(
                f"{names[fixed]} = {x[k * PIXELS**2, fixed]:.3g}", (0.5, 1.02), xycoords="axes fraction", ha="center", color=FAINT
            )
        return painted


def outline(mesh: Mesh, nodes: Array | None = None) -> Array:
    """Return the boundary of a plane mesh as polylines [n_facets, 2 or 3, 2]; those of curved facets pass the middle node.

    Args:
        mesh: the mesh.
        nodes: where its nodes are instead [n_nodes, 2].
    """
    lines: Array = (mesh.nodes if nodes is None else nodes)[boundary_lines(mesh)]
    return lines


def boundary_lines(mesh: Mesh) -> NDArray[np.int64]:
    """Return the nodes of the boundary's facets of a plane mesh, in order along each [n_facets, 2 or 3]."""
    element = lagrange(mesh.cell, mesh.order)
    closures = np.array(element.entity_closure_dofs[1])[:, [0, 1] if mesh.order == 1 else [0, 2, 1]]
    cell, local = mesh.boundary.T
    lines: NDArray[np.int64] = mesh.cells[cell[:, None], closures[local]]
    return lines


def draw_levels(axes: Axes, s: Array, t: Array, picture: Array, colours: Colours) -> None:
    """Draw level lines of pixels [t, s], nan outside the domain, unless they are constant."""
    if np.isfinite(picture).any() and np.nanmin(picture) < np.nanmax(picture):
        lines = axes.contour(s, t, picture, levels=levels(colours[1]), colors=INK, linewidths=0.4, alpha=0.45)
        lines.set(linestyle="solid")


def label_plane(axes: Axes, names: Sequence[str]) -> None:
    """Give the axes of a plane equal scales and labels, and remove their frame, since the outline of the domain is drawn."""
    axes.set_aspect("equal")
    axes.set_xlabel(names[0])
    axes.set_ylabel(names[1], rotation=0, labelpad=10)
    for side in axes.spines.values():
        side.set_visible(False)
    axes.tick_params(length=3, width=0.6)
    axes.locator_params(nbins=5)
    axes.use_sticky_edges = False
    axes.margins(0.03)


def panel_size(extent: Array) -> tuple[float, float]:
    """Return width and height [inches] of a panel for a plane domain of this extent [2]; extreme proportions are limited."""
    ratio = float(np.clip(extent[1] / extent[0], 0.2, 1.8))
    width = 4.2 if ratio < 1.0 else 4.2 / ratio**0.5
    return width + 0.9, width * ratio + 0.7
