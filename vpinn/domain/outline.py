"""Exact outlines of domains, from which distances and lifts for exact boundary conditions are made."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vpinn.domain.reference import Floats


@dataclass(frozen=True)
class Box:
    """An axis-parallel interval, rectangle or box.

    Attributes:
        lower: d lower corner coordinates.
        upper: d upper corner coordinates, each above its lower one.
    """

    lower: tuple[float, ...]
    upper: tuple[float, ...]


@dataclass(frozen=True)
class Disk:
    """A disk in the plane, or a ball of any dimension.

    Attributes:
        center: its d coordinates.
        radius: positive, in units of the coordinates.
    """

    center: tuple[float, ...]
    radius: float


@dataclass(frozen=True, eq=False)
class Polygon:
    """Straight boundary segments in the plane, each with the domain on its left.

    Attributes:
        segments: start and end points [m, 2, 2].
    """

    segments: Floats

    def __post_init__(self) -> None:
        self.segments.setflags(write=False)


Outline = Box | Disk | Polygon


def closed_polygon(corners: list[tuple[float, float]]) -> Polygon:
    """Polygon through the corners in counter-clockwise order, closed by a segment back to the first."""
    points = np.array(corners, dtype=np.float64)
    return Polygon(np.stack([points, np.roll(points, -1, axis=0)], axis=1))
