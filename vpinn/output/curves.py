"""Scenes that draw fields as curves: over an interval (`Line`), and along each coordinate of a hypercube (`Sections`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from matplotlib.axes import Axes

from vpinn.domain import Domain, Points, located_points
from vpinn.output.canvas import Canvas
from vpinn.output.scene import Array, Colours, Scene
from vpinn.output.style import ACCENT, TRUTH

SECTIONS = 6
"""Largest number of coordinates that curves are drawn along."""
ALONG = 101
"""Points of each of these curves."""


@dataclass(frozen=True, eq=False)
class Line(Scene):
    """A field over an interval, drawn as one curve."""

    canvas: Canvas
    panels = 1
    size = (6.0, 3.4)

    @cached_property
    def points(self) -> Points:  # type: ignore[override]
        """The nodes of the canvas."""
        return self.canvas.points

    def draw(self, axes: Sequence[Axes], values: Array, colours: Colours, truth: Array | None = None) -> None:
        """Draw the field as a curve, and the exact field as a dashed one."""
        order = np.argsort(self.points.x[:, 0])
        _curve(axes[0], self.points.x[order, 0], values[order], None if truth is None else truth[order])
        axes[0].set_xlabel("x")

    def draw_cells(self, axes: Sequence[Axes], values: Array, colours: Colours) -> None:
        """Draw one bar per cell."""
        mesh = self.canvas.mesh
        ends = mesh.nodes[mesh.vertices][:, :, 0]  # [n_cells, 2]
        order = np.argsort(ends[:, 0])
        edges = np.append(ends[order, 0], ends[order[-1], 1])
        axes[0].stairs(values[self.canvas.parent[order]], edges, color=ACCENT, fill=True, alpha=0.8)
        axes[0].set_xlabel("x")


@dataclass(frozen=True, eq=False)
class Sections(Scene):
    """A field over a hypercube of more than three dimensions: curves along lines through its centre, one per coordinate."""

    domain: Domain
    size = (2.6, 2.3)

    @property
    def panels(self) -> int:
        """Number of panels: one per coordinate, at most six."""
        return min(self.domain.dimension, SECTIONS)

    @cached_property
    def points(self) -> Points:  # type: ignore[override]
        """101 points along each line [panels·101], with all other coordinates at the centre of the box."""
        lower, upper = self.domain.bounds
        x = np.tile((lower + upper) / 2.0, (self.panels, ALONG, 1))
        for k in range(self.panels):
            x[k, :, k] = np.linspace(lower[k], upper[k], ALONG)
        return located_points(self.domain, x.reshape(-1, self.domain.dimension))[0]

    def draw(self, axes: Sequence[Axes], values: Array, colours: Colours, truth: Array | None = None) -> None:
        """Draw one curve per coordinate, all with the same y axis."""
        names = self.domain.axes
        rows = values.reshape(self.panels, -1)
        exact = [None] * self.panels if truth is None else list(truth.reshape(self.panels, -1))
        for k, ax in enumerate(axes):
            _curve(ax, self.points.x.reshape(self.panels, ALONG, -1)[k, :, k], rows[k], exact[k])
            ax.set_xlabel(names[k])
            ax.sharey(axes[0])
            place = ax.get_subplotspec()
            ax.tick_params(labelleft=place is None or place.is_first_col())


def _curve(axes: Axes, x: Array, values: Array, truth: Array | None) -> None:
    axes.plot(x, values, color=ACCENT, label="network")
    if truth is not None:
        axes.plot(x, truth, color=TRUTH, linestyle=(0, (4, 3)), linewidth=1.3, label="exact")
    axes.grid(True)
