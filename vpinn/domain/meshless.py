"""Domains without a mesh, of any dimension: what a box, a ball and all of space have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, log
from typing import ClassVar, NoReturn

import numpy as np
from numpy.typing import NDArray

from vpinn.domain.mesh import AXES
from vpinn.domain.outline import Outline
from vpinn.domain.reference import Floats, Integers
from vpinn.errors import InputError

MAX_DIMENSION = 1000
LARGEST_LOGARITHM = 600.0
"""Largest size of the natural logarithm of a volume; numbers of double precision end at 709."""
NO_CELLS = "this takes the cells of a mesh, and this domain has none; use a rectangle, a box or a mesh file"


@dataclass(frozen=True)
class Meshless(ABC):
    """A domain without a `Mesh`, whose points are images of points of a unit cube, computed when they are drawn.

    Boundary parts are numbered; a tag names one of them, and "all" names all.
    """

    rule: ClassVar[str] = "sobol"
    """Quadrature where none is asked for."""
    mesh: ClassVar[None] = None
    """There are no cells, and no test functions."""
    n_cells: ClassVar[int] = 0
    cell_tags: ClassVar[Mapping[str, Integers]] = {}
    kind: ClassVar[str]
    """What the domain is, for messages and tables."""

    def with_cells(self, why: str = NO_CELLS, where: str = "") -> NoReturn:
        """Refuse what takes the cells of a mesh.

        Args:
            why: what to say.
            where: place in the problem file.

        Raises:
            InputError: always.
        """
        raise InputError(why, where)

    @property
    @abstractmethod
    def dimension(self) -> int:
        """Number of coordinates d."""

    @property
    def axes(self) -> tuple[str, ...]:
        """Names of the coordinates: x, y, z, or x0, x1, … of more than three."""
        d = self.dimension
        return AXES[:d] if d <= len(AXES) else tuple(f"x{k}" for k in range(d))

    @property
    @abstractmethod
    def volume(self) -> float:
        """Measure of the domain, that of all integrals over dx."""

    @property
    @abstractmethod
    def diameter(self) -> float:
        """Largest distance of two points."""

    @property
    @abstractmethod
    def bounds(self) -> tuple[Floats, Floats]:
        """Smallest and largest coordinates, [d] each."""

    @property
    @abstractmethod
    def shape(self) -> Outline | None:
        """The exact outline; None where there is no boundary."""

    @property
    @abstractmethod
    def facet_areas(self) -> Floats:
        """Measure of each boundary part [facets]."""

    @property
    @abstractmethod
    def facet_tags(self) -> dict[str, Integers]:
        """Name of a boundary part → its number [1]."""

    @property
    @abstractmethod
    def numbers(self) -> int:
        """Uniform random numbers that one point takes."""

    @abstractmethod
    def place(self, unit: Floats) -> Floats:
        """Return the points [n, d] of the domain for points of the unit cube [n, numbers], evenly spread by volume."""

    def scatter(self, unit: Floats) -> Floats:
        """Return points for least squares [n, d], spread so that no part of the domain is neglected; default as ``place``."""
        return self.place(unit)

    @abstractmethod
    def place_on(self, facet: Integers, unit: Floats) -> tuple[Floats, Floats]:
        """Return points of boundary parts and their outward unit normals, [n, d] each, evenly spread by area.

        Args:
            facet: number of each point's boundary part [n].
            unit: points of the unit cube [n, numbers].
        """

    @abstractmethod
    def holds(self, x: Floats) -> NDArray[np.bool_]:
        """Return which points [n, d] lie in the domain or, within rounding, on its boundary [n]."""

    @property
    def h(self) -> Floats:
        """Diameter of the domain, the only cell that there is [1]."""
        return np.array([self.diameter])

    @property
    def aspect(self) -> Floats:
        """Ones [d]: without cells all directions are alike."""
        return np.ones(self.dimension)

    @property
    def tags(self) -> tuple[str, ...]:
        """Names of the boundary parts, "all" last."""
        return (*self.facet_tags, "all")

    def facets(self, tags: str | Sequence[str]) -> Integers:
        """Numbers of the facets that carry one of the tags, ascending.

        Raises:
            InputError: there is no such tag; the message lists the tags.
        """
        names = (tags,) if isinstance(tags, str) else tuple(tags)
        known = self.facet_tags
        if "all" in names:
            return np.arange(len(known))
        for name in names:
            if name not in known:
                raise InputError(f"the boundary tag {name!r} does not exist; available tags: {', '.join(self.tags)}")
        return np.array(sorted({int(known[name][0]) for name in names}), dtype=np.int64)


def finite(name: str, values: Sequence[float], dimension: int) -> tuple[float, ...]:
    """Return as many finite numbers as a domain has coordinates, as floats.

    Raises:
        InputError: they are not.
    """
    try:
        numbers = tuple(float(value) for value in values)
    except (TypeError, ValueError):
        numbers = ()
    if len(numbers) != dimension or not all(map(isfinite, numbers)):
        raise InputError(f"{name} must be a list of {dimension} finite number{'s' * (dimension > 1)}, got {values!r}")
    return numbers


def whole_dimension(dimension: object) -> int:
    """Return a number of coordinates.

    Raises:
        InputError: it is not a whole number from 1 to ``MAX_DIMENSION``.
    """
    if isinstance(dimension, bool) or not isinstance(dimension, int) or not 1 <= dimension <= MAX_DIMENSION:
        raise InputError(f"dimension must be a whole number from 1 to {MAX_DIMENSION}, got {dimension!r}")
    return dimension


def check_volume(logarithm: float, dimension: int) -> None:
    """Refuse a domain whose volume, or the area of whose boundary, is too large or too small for double precision.

    Args:
        logarithm: natural logarithm of the volume.
        dimension: number of coordinates.

    Raises:
        InputError: it is.
    """
    if not abs(logarithm) <= LARGEST_LOGARITHM:
        told = f"in {dimension} dimensions this domain has a volume of 10^{logarithm / log(10.0):.0f}"
        raise InputError(f"{told}, beyond the range of numbers; change its size or take fewer dimensions")
