"""Where a field is looked at, and how it is drawn there: the contract of `curves` and `planes`."""

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
    """Where a field is looked at, and how it is drawn there."""

    points: Points
    """What to evaluate the field at; n points that know their cells."""

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
            axes: one per panel.
            values: at ``points`` [n].
            colours: map and range.
            truth: exact values [n], drawn where lines are.

        Returns:
            what a colour bar belongs to, None for lines.
        """

    def draw_cells(self, axes: Sequence[Axes], values: Array, colours: Colours) -> Any:
        """Draw one value per cell of the problem's mesh [n_cells]; by default at the cells of the points."""
        found = values[np.maximum(self.points.cell, 0)]
        return self.draw(axes, np.where(self.points.cell >= 0, found, np.nan), colours)
