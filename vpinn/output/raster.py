"""A scene that draws fields over large plane meshes as pixels, so that the cost depends on the picture and not on the mesh."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from numpy.typing import NDArray

from vpinn.domain import Mesh, Points, located_points
from vpinn.output.canvas import select
from vpinn.output.planes import draw_levels, label_plane, outline, panel_size
from vpinn.output.scene import Array, Colours, Scene
from vpinn.output.style import INK

PIXELS = 70_000
"""Number of pixels in the bounding box of the domain; a saved panel does not have more."""
MANY = 150_000
"""Number of cells of a plane mesh above which a field is drawn as pixels instead of triangles."""


class Raster(Scene):
    """A field over a plane domain, evaluated at the centres of pixels.

    Args:
        mesh: Mesh of the domain.
    """

    panels = 1

    def __init__(self, mesh: Mesh) -> None:
        self.mesh = mesh

    @cached_property
    def _grid(self) -> tuple[Array, Array]:
        """Abscissae of the pixel columns and ordinates of the pixel rows."""
        lower, upper = self.mesh.bounds
        width, height = upper - lower
        across = max(2, round(float(np.sqrt(PIXELS * width / height))))
        s = lower[0] + (np.arange(across) + 0.5) * (width / across)
        down = max(2, PIXELS // across)
        return s, lower[1] + (np.arange(down) + 0.5) * (height / down)

    @cached_property
    def _located(self) -> tuple[Points, NDArray[np.bool_]]:
        s, t = self._grid
        x = np.stack([np.tile(s, len(t)), np.repeat(t, len(s))], axis=1)
        points, inside = located_points(self.mesh, x)
        return select(points, inside), inside

    @cached_property
    def points(self) -> Points:  # type: ignore[override]
        """The pixel centres that lie inside the domain."""
        return self._located[0]

    @property
    def size(self) -> tuple[float, float]:
        """Width and height of the panel [inches], in the proportions of the domain."""
        return panel_size(np.ptp(self.mesh.nodes, axis=0))

    def draw(self, axes: Sequence[Axes], values: Array, colours: Colours, truth: Array | None = None) -> Any:
        """Draw colours, level lines and the outline of the domain."""
        s, t = self._grid
        pixels = np.full(len(s) * len(t), np.nan)
        pixels[self._located[1]] = values
        picture, (lower, upper) = pixels.reshape(len(t), len(s)), self.mesh.bounds
        extent = (float(lower[0]), float(upper[0]), float(lower[1]), float(upper[1]))
        placed: dict[str, Any] = {"origin": "lower", "extent": extent, "interpolation": "nearest"}
        painted = axes[0].imshow(picture, cmap=colours[0], norm=colours[1], **placed)
        draw_levels(axes[0], s, t, picture, colours)
        axes[0].add_collection(LineCollection(list(outline(self.mesh)), colors=INK, linewidths=0.9))
        label_plane(axes[0], ("x", "y"))
        return painted
