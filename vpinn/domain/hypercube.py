"""Boxes of any dimension without a mesh, as domains for Monte Carlo and Sobol points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import dist, isfinite, prod
from typing import ClassVar, NoReturn

import numpy as np

from vpinn.domain.mesh import AXES, FINAL, INITIAL
from vpinn.domain.outline import Box
from vpinn.domain.reference import Floats, Integers
from vpinn.errors import InputError

FACET_NAMES = (("left", "right"), ("bottom", "top"), ("back", "front"))  # lower and upper facet of x, y, z
MAX_DIMENSION = 1000
NO_CELLS = "this takes the cells of a mesh, and a hypercube has none; use a rectangle, a box or a mesh file"


@dataclass(frozen=True)
class Hypercube:
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
    rule: ClassVar[str] = "sobol"
    """Quadrature where none is asked for."""
    mesh: ClassVar[None] = None
    """There are no cells, and no test functions."""
    n_cells: ClassVar[int] = 0
    cell_tags: ClassVar[Mapping[str, Integers]] = {}

    def with_cells(self, why: str = NO_CELLS, where: str = "") -> NoReturn:
        """Refuse what takes the cells of a mesh.

        Args:
            why: what to say.
            where: place in the problem file.

        Raises:
            InputError: always.
        """
        raise InputError(why, where)

    @classmethod
    def between(cls, lower: Sequence[float], upper: Sequence[float]) -> Hypercube:
        """Check the corners and build the hypercube.

        Raises:
            InputError: the corners differ in length, are not finite, or lower is not below upper.
        """
        if not isinstance(lower, Sequence | np.ndarray) or not 1 <= len(lower) <= MAX_DIMENSION:
            raise InputError(f"lower must be a list of 1 to {MAX_DIMENSION} numbers, got {lower!r}")
        return cls(*corners(lower, upper, len(lower)))

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
    def h(self) -> Floats:
        """Diameter of the box, the only cell that there is [1]."""
        return np.array([self.diameter])

    @property
    def aspect(self) -> Floats:
        """Ones [d]: without cells all directions are alike."""
        return np.ones(self.dimension)

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
    def tags(self) -> tuple[str, ...]:
        """Names of the boundary parts, "all" last."""
        return (*self.facet_tags, "all")

    def facets(self, tags: str | Sequence[str]) -> Integers:
        """Numbers of the facets that carry one of the tags, ascending.

        Raises:
            InputError: there is no such tag; the message lists the tags.
        """
        names = (tags,) if isinstance(tags, str) else tuple(tags)
        if "all" in names:
            return np.arange(2 * self.dimension)
        known = self.facet_tags
        for name in names:
            if name not in known:
                raise InputError(f"the boundary tag {name!r} does not exist; available tags: {', '.join(self.tags)}")
        return np.array(sorted({int(known[name][0]) for name in names}), dtype=np.int64)


def corners(lower: Sequence[float], upper: Sequence[float], dimension: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Both corners as tuples of floats, checked.

    Raises:
        InputError: not `dimension` finite numbers each, or lower not below upper.
    """
    checked = []
    for name, values in (("lower", lower), ("upper", upper)):
        try:
            numbers = tuple(float(value) for value in values)
        except (TypeError, ValueError):
            numbers = ()
        if len(numbers) != dimension or not all(map(isfinite, numbers)):
            raise InputError(f"{name} must be a list of {dimension} finite number{'s' * (dimension > 1)}, got {values!r}")
        checked.append(numbers)
    low, high = checked
    for k, (a, b) in enumerate(zip(low, high, strict=True)):
        if not a < b or not isfinite(b - a):
            raise InputError(f"lower must be below upper in every coordinate, got {a!r} and {b!r} for coordinate {k}")
    return low, high
