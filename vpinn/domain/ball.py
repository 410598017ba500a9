"""Balls of any dimension, and all of space, as domains for random and Sobol points."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from vpinn.domain.meshless import Meshless, check_volume, finite, whole_dimension
from vpinn.domain.outline import Disk
from vpinn.domain.reference import Floats, Integers
from vpinn.errors import InputError

EDGE = 2.0**-32
"""Distance that uniform numbers keep from 0 and 1, where normal quantiles are infinite: below a step of Sobol's numbers."""
REACH = 3.0
"""Standard deviations to either side that ``Space.bounds`` shows."""
SLACK = 1e-12
"""Relative distance outside at which a point counts as on the boundary."""


@dataclass(frozen=True)
class Ball(Meshless):
    """The ball |x − center| < radius in d ≥ 1 dimensions. Its boundary has the one tag "boundary".

    Attributes:
        center: coordinates of its centre [d].
        radius: > 0, in units of length.
    """

    center: tuple[float, ...]
    radius: float
    kind: ClassVar[str] = "ball"

    @classmethod
    def of(cls, dimension: int | None = None, center: Sequence[float] | None = None, radius: float = 1.0) -> Ball:
        """Check the numbers and build the ball.

        Args:
            dimension: number of coordinates, 1 to 1,000; may be left out beside a centre.
            center: default the origin.
            radius: default 1.

        Raises:
            InputError: neither dimension nor centre is given, or they disagree, or the radius is not positive, or the volume is
                no number of double precision.
        """
        made = cls(_center(dimension, center, "ball"), _positive("radius", radius))
        check_volume(made._log_volume, made.dimension)
        return made

    @property
    def dimension(self) -> int:
        """Number of coordinates d."""
        return len(self.center)

    @property
    def volume(self) -> float:
        """π^{d/2} radius^d / Γ(d/2 + 1)."""
        return math.exp(self._log_volume)

    @property
    def _log_volume(self) -> float:
        d = self.dimension
        return 0.5 * d * math.log(math.pi) - math.lgamma(0.5 * d + 1.0) + d * math.log(self.radius)

    @property
    def diameter(self) -> float:
        """Twice the radius."""
        return 2.0 * self.radius

    @property
    def bounds(self) -> tuple[Floats, Floats]:
        """Lower and upper corner of the box around it, [d] each."""
        center = np.array(self.center)
        return center - self.radius, center + self.radius

    @property
    def shape(self) -> Disk:
        """The exact outline."""
        return Disk(self.center, self.radius)

    @property
    def facet_areas(self) -> Floats:
        """Area of the sphere, d·volume/radius [1]."""
        return np.array([self.dimension * self.volume / self.radius])

    @property
    def facet_tags(self) -> dict[str, Integers]:
        """The one boundary part."""
        return {"boundary": np.zeros(1, np.int64)}

    @property
    def numbers(self) -> int:
        """One uniform number for each coordinate of the direction, and one for the radius."""
        return self.dimension + 1

    def place(self, unit: Floats) -> Floats:
        """Return points evenly spread by volume: their distances from the centre are radius·U^{1/d}."""
        return self.at_distance(unit, self.radius * unit[:, -1] ** (1.0 / self.dimension))

    def scatter(self, unit: Floats) -> Floats:
        """Return points of which one half is spread by volume, the other evenly over distances from the centre.

        By volume, almost all points of many dimensions lie close to the sphere.
        """
        u, even = (2.0 * unit[:, -1]) % 1.0, unit[:, -1] < 0.5
        return self.at_distance(unit, self.radius * np.where(even, u, u ** (1.0 / self.dimension)))

    def at_distance(self, unit: Floats, distance: Floats) -> Floats:
        """Return points [n, d] at given distances [n] from the centre, in directions evenly spread on the sphere."""
        direction = normal(unit[:, : self.dimension])
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        return np.array(self.center) + distance[:, None] * direction

    def place_on(self, facet: Integers, unit: Floats) -> tuple[Floats, Floats]:
        """Return points of the sphere and their normals."""
        x = self.at_distance(unit, np.full(len(unit), self.radius))
        return x, (x - np.array(self.center)) / self.radius

    def holds(self, x: Floats) -> NDArray[np.bool_]:
        """Return which points lie in the ball."""
        return np.asarray(np.linalg.norm(x - np.array(self.center), axis=1) <= self.radius * (1.0 + SLACK))


@dataclass(frozen=True)
class Space(Meshless):
    """All of space in d ≥ 1 dimensions. Integrals over it are means over normal points; there is no boundary.

    Attributes:
        center: mean of the points [d].
        spread: their standard deviation in every coordinate, > 0, in units of length.
    """

    center: tuple[float, ...]
    spread: float
    kind: ClassVar[str] = "space"

    @classmethod
    def of(cls, dimension: int | None = None, center: Sequence[float] | None = None, spread: float = 1.0) -> Space:
        """Check the numbers and build the space; arguments as of ``Ball.of``, with the points' standard deviation.

        Raises:
            InputError: neither dimension nor centre is given, or they disagree, or the spread is not positive.
        """
        return cls(_center(dimension, center, "space"), _positive("spread", spread))

    @property
    def dimension(self) -> int:
        """Number of coordinates d."""
        return len(self.center)

    @property
    def volume(self) -> float:
        """One, since integrals are means."""
        return 1.0

    @property
    def diameter(self) -> float:
        """Six standard deviations."""
        return 2.0 * REACH * self.spread

    @property
    def bounds(self) -> tuple[Floats, Floats]:
        """Three standard deviations to either side of the centre, [d] each."""
        center = np.array(self.center)
        return center - REACH * self.spread, center + REACH * self.spread

    @property
    def shape(self) -> None:
        """There is no boundary."""
        return None

    @property
    def facet_areas(self) -> Floats:
        """None [0]."""
        return np.empty(0)

    @property
    def facet_tags(self) -> dict[str, Integers]:
        """None."""
        return {}

    @property
    def numbers(self) -> int:
        """One for each coordinate."""
        return self.dimension

    def place(self, unit: Floats) -> Floats:
        """Return normal points."""
        return np.array(self.center) + self.spread * normal(unit)

    def place_on(self, facet: Integers, unit: Floats) -> tuple[Floats, Floats]:
        """Refuse.

        Raises:
            InputError: always, as there is no boundary.
        """
        raise InputError("all of space has no boundary; leave out [[boundary]] and ds, or use a ball or a hypercube")

    def holds(self, x: Floats) -> NDArray[np.bool_]:
        """Return which points are finite."""
        return np.asarray(np.isfinite(x).all(axis=1))


def normal(unit: Floats) -> Floats:
    """Return standard normal numbers for uniform ones, of the same shape."""
    return np.asarray(ndtri(EDGE + (1.0 - 2.0 * EDGE) * unit))


def _center(dimension: int | None, center: Sequence[float] | None, what: str) -> tuple[float, ...]:
    if dimension is None and center is None:
        raise InputError(f"a {what} needs dimension, a whole number, or center, a list of that length")
    d = whole_dimension(len(center) if dimension is None and center is not None else dimension)
    return (0.0,) * d if center is None else finite("center", center, d)


def _positive(name: str, value: float) -> float:
    if not isinstance(value, int | float) or not 0.0 < value < math.inf:
        raise InputError(f"{name} must be a positive number, got {value!r}")
    return float(value)
