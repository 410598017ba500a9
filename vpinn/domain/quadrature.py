"""Gauss-type quadrature rules on reference cells and on their facets, from basix, with positive weights only."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import basix
import numpy as np

from vpinn.domain.reference import FACET_CELL, Floats, reference_cell
from vpinn.errors import InputError

MAX_DEGREE = 30


@dataclass(frozen=True, eq=False)
class Rule:
    """A quadrature rule on a reference cell.

    Attributes:
        points: reference coordinates [q, d].
        weights: positive, summing to the reference volume [q].
    """

    points: Floats
    weights: Floats

    def __post_init__(self) -> None:
        self.points.setflags(write=False)
        self.weights.setflags(write=False)


def gauss(cell: str, degree: int) -> Rule:
    """Return a Gauss rule that is exact for polynomials up to `degree` (in each variable on quadrilaterals and hexahedra).

    Rules with negative weights (in basix those on tetrahedra of degrees 3, 7 and 8) are replaced by the next degree without any.

    Args:
        cell: one of the five cell types, or "point".
        degree: polynomial degree, 0 … 30.

    Raises:
        InputError: the cell type is unknown or the degree is out of range.
    """
    if isinstance(degree, bool) or not isinstance(degree, (int, np.integer)) or not 0 <= degree <= MAX_DEGREE:
        raise InputError(
            f"the quadrature degree must be a whole number from 0 to {MAX_DEGREE}, got {degree!r}; "
            "use more cells where that is too coarse"
        )
    return _gauss(cell, int(degree))


@lru_cache
def _gauss(cell: str, degree: int) -> Rule:
    """Return the rule, which is made once."""
    if cell == "point":
        return Rule(np.empty((1, 0)), np.ones(1))
    reference_cell(cell)
    points, weights = map(np.array, basix.make_quadrature(getattr(basix.CellType, cell), degree))
    return Rule(points, weights) if weights.min() > 0.0 else _gauss(cell, degree + 1)


def facet_gauss(cell: str, degree: int) -> Rule:
    """Gauss rule on the reference facet of a cell type: points [q, d-1] in the facet's own coordinates.

    Raises:
        InputError: unknown cell type or degree out of range.
    """
    reference_cell(cell)
    return gauss(FACET_CELL[cell], degree)
