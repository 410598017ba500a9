"""The interface `Scene`: at which points a scalar field is evaluated for a figure, and how it is drawn.

`curves`, `planes` and `raster` implement it for domains of different dimension and size; `figures` uses it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from numpy.typing import NDArray

from vpinn.domain import Points

Array = NDArray[np.float64]
Colours = tuple[str, Normalize]


class Scene(ABC):
    """A way to draw scalar fields over one domain."""

    points: Points
    """The n points at which a field is to be evaluated, with the cells that they lie in."""

    @property
    def shares(self) -> Array:
        """Sizes of the parts of the domain that the points stand for, up to a factor [n]."""
        return np.ones(len(self.points.x))

    @property
    @abstractmethod
    def panels(self) -> int:
        """Number of axes that one scalar field takes."""

    @property
    @abstractmethod
    def size(self) -> tuple[float, float]:
        """Width and height of one panel [inches]."""

    @abstractmethod
    def draw(self, axes: Sequence[Axes], values: Array, colours: Colours, truth: Array | None = None) -> Any:
        """Draw a scalar field.

        Args:
            axes: Axes of the panels, one per panel.
            values: Values at ``points`` [n].
            colours: Name of the colour map, and range of values.
            truth: Exact values [n], which only scenes of curves draw.

        Returns:
            The matplotlib object that a colour bar describes; None if the field is drawn as curves.
        """

    def draw_cells(self, axes: Sequence[Axes], values: Array, colours: Colours) -> Any:
        """Draw one value per cell of the problem's mesh [n_cells]; by default, every point takes the value of its cell."""
        found = values[np.maximum(self.points.cell, 0)]
        return self.draw(axes, np.where(self.points.cell >= 0, found, np.nan), colours)
