"""Boxes of any dimension without a mesh, as domains for Monte Carlo and Sobol points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import dist, isfinite, prod
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from vpinn.domain.mesh import AXES, FINAL, INITIAL
from vpinn.domain.meshless import MAX_DIMENSION, Meshless, check_volume, finite, whole_dimension
from vpinn.domain.outline import Box
from vpinn.domain.reference import Floats, Integers
from vpinn.errors import InputError

FACET_NAMES = (("left", "right"), ("bottom", "top"), ("back", "front"))  # lower and upper facet of x, y, z
SLACK = 1e-12
"""Distance outside, relative to the side, at which a point counts as on the boundary."""


@dataclass(frozen=True)
class Hypercube(Meshless):
    """The box lower < x < upper in d dimensions, a domain without a `Mesh`.

    Its boundary facets are numbered 2k (x_k at its lower end) and 2k + 1 (upper end).

    Attributes:
        lower: smallest coordinates [d].
        upper: largest coordinates [d], each above the smallest one.
        timed: whether the last coordinate is time.
    """

    lower: tuple[float, ...]
    upper: tuple[float, ...]
    timed: bool = False
    kind: ClassVar[str] = "box"

    @classmethod
    def between(
        cls,
        lower: float | Sequence[float] | None = None,
        upper: float | Sequence[float] | None = None,
        dimension: int | None = None,
    ) -> Hypercube:
        """Check the corners and build the hypercube.

        Args:
            lower: smallest coordinates, or one number for all of them; default zeros.
            upper: largest coordinates, or one number for all of them; default ones.
            dimension: number of coordinates; may be left out beside a list.

        Raises:
            InputError: neither dimension nor a list is given, or they disagree, or the corners are not finite, or lower is not
                below upper, or the volume is no number of double precision.
        """
        given = next((len(c) for c in (lower, upper) if isinstance(c, Sequence | np.ndarray)), None)
        if dimension is None and given is None:
            raise InputError("a hypercube needs dimension, a whole number, or lower or upper as a list of that length")
        if dimension is None and not 1 <= (given or 0) <= MAX_DIMENSION:
            raise InputError(f"lower must be a list of 1 to {MAX_DIMENSION} numbers, got {lower!r}")
        d = whole_dimension(given if dimension is None else dimension)
        low, high = (default if end is None else end for end, default in ((lower, 0.0), (upper, 1.0)))
        ends = [[end] * d if isinstance(end, int | float) else end for end in (low, high)]
        made = cls(*corners(ends[0], ends[1], d))
        check_volume(float(np.log(made.sides).sum()), d)
        return made

    @property
    def dimension(self) -> int:
        """Number of coordinates d."""
        return len(self.lower)

    @property
    def axes(self) -> tuple[str, ...]:
        """Names of the coordinates: x, y, z, or x0, x1, … of more than three of space; t for the last one if it is time."""
        d = self.dimension - self.timed
        return (*(AXES[:d] if d <= len(AXES) else (f"x{k}" for k in range(d))), *("t",) * self.timed)

    @property
    def sides(self) -> Floats:
        """Side lengths [d]."""
        sides: Floats = np.subtract(self.upper, self.lower)
        return sides

    @property
    def volume(self) -> float:
        """Product of the side lengths."""
        return float(prod(self.sides.tolist()))

    @property
    def diameter(self) -> float:
        """Length of the diagonal."""
        return dist(self.lower, self.upper)

    @property
    def bounds(self) -> tuple[Floats, Floats]:
        """Lower and upper corner, [d] each."""
        return np.array(self.lower), np.array(self.upper)

    @property
    def shape(self) -> Box:
        """The exact outline."""
        return Box(self.lower, self.upper)

    @property
    def facet_areas(self) -> Floats:
        """Measure of each boundary facet [2 d]; one in one dimension."""
        others = [float(prod(np.delete(self.sides, k).tolist())) for k in range(self.dimension)]
        return np.repeat(others, 2)

    @property
    def facet_tags(self) -> dict[str, Integers]:
        """Name → facet: left/right, bottom/top, back/front, then lower3/upper3, lower4/upper4, …; initial/final of time."""
        d = self.dimension - self.timed
        names = [*FACET_NAMES, *((f"lower{k}", f"upper{k}") for k in range(3, d))][:d] + [(INITIAL, FINAL)] * self.timed
        return {name: np.array([2 * k + end]) for k, pair in enumerate(names) for end, name in enumerate(pair)}

    @property
    def numbers(self) -> int:
        """One for each coordinate."""
        return self.dimension

    def place(self, unit: Floats) -> Floats:
        """Return points of the box; 0 and 1 become exactly its lower and upper coordinates."""
        lower, upper = self.bounds
        return np.where(unit == 1.0, upper, lower + unit * (upper - lower))

    def place_on(self, facet: Integers, unit: Floats) -> tuple[Floats, Floats]:
        """Return points of facets and their normals; ``unit`` gets the coordinate 0 or 1 of the facet, in place."""
        axis, upper = facet // 2, facet % 2
        rank = np.arange(len(facet))
        unit[rank, axis] = upper
        outward = np.zeros_like(unit)
        outward[rank, axis] = 2.0 * upper - 1.0
        return self.place(unit), outward

    def holds(self, x: Floats) -> NDArray[np.bool_]:
        """Return which points lie in the box."""
        lower, upper = self.bounds
        slack = SLACK * (upper - lower)
        return np.asarray(((x >= lower - slack) & (x <= upper + slack)).all(axis=1))


def corners(lower: Sequence[float], upper: Sequence[float], dimension: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Both corners as tuples of floats, checked.

    Raises:
        InputError: not `dimension` finite numbers each, or lower not below upper.
    """
    low, high = finite("lower", lower, dimension), finite("upper", upper, dimension)
    for k, (a, b) in enumerate(zip(low, high, strict=True)):
        if not a < b or not isfinite(b - a):
            raise InputError(f"lower must be below upper in every coordinate, got {a!r} and {b!r} for coordinate {k}")
    return low, high
