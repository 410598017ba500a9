"""Finite element functions as known fields: distances and lifts of u = lift + distance · network on meshes of any shape.

The distance D solves −ΔD = 1 with D = 0 where u is prescribed (torsion function). Near smooth parts of the boundary it behaves
like the distance to them, and at corners like a solution of the problem. The lift is the discrete harmonic extension of the
boundary values.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from vpinn.domain import LagrangeSpace, Points
from vpinn.factors import SparseFactors
from vpinn.forms import Field

Array = NDArray[np.float64]


@dataclass(frozen=True)
class MeshField:
    """A scalar finite element function.

    Attributes:
        space: continuous Lagrange space on the mesh.
        given: its degrees of freedom [space.size], or a function that computes them when they are first needed; ``vpinn check``
            never needs them.
        lift: whether the function is added to the trained functions, so that training cannot remove its error.
    """

    space: LagrangeSpace
    given: Array | Callable[[], Array]
    lift: bool = False

    @cached_property
    def values(self) -> Array:
        """Degrees of freedom [space.size]."""
        return self.given() if callable(self.given) else self.given

    def jets(self, points: Points, order: int) -> dict[tuple[int, ...], Array]:
        """Return the value under () and, for order ≥ 1, the first derivatives under (i,), [n] each.

        Args:
            points: n points with cells and reference coordinates.
            order: highest order of the derivatives; those above 1 are left out.
        """
        jets = np.ascontiguousarray(self.space.jets(self.values[None], points.cell, points.reference, min(order, 1))[0].T)
        return {(): jets[0]} | {(i,): row for i, row in enumerate(jets[1:])}


@dataclass(frozen=True)
class Across:
    """A finite element function as seen from the far side of an interface.

    Attributes:
        field: the function.
    """

    field: Field

    def jets(self, points: Points, order: int) -> dict[tuple[int, ...], Array]:
        """Return what ``MeshField.jets`` does, in the cells on the far side of points of an interface."""
        assert points.far is not None
        return self.field.jets(points.far, order)


@dataclass(frozen=True)
class Beside:
    """Finite element functions that are added to a trained network, one for every component.

    Attributes:
        fields: functions of the same space, one per component.
        why: reason for adding elements, for the report.
    """

    fields: tuple[MeshField, ...]
    why: str

    @property
    def space(self) -> LagrangeSpace:
        """Space of the elements."""
        return self.fields[0].space

    @property
    def degree(self) -> int:
        """Degree of the elements."""
        return self.space.degree


def torsion(space: LagrangeSpace, facets: NDArray[np.int64]) -> MeshField:
    """Return the torsion function D of a mesh: −ΔD = 1 inside, D = 0 on some facets, then scaled to a maximum of one.

    Args:
        space: finite element space of D.
        facets: boundary facets where D = 0, as rows of the mesh's boundary.
    """

    def find() -> Array:
        load = space.mass() @ np.ones(space.size)
        values = _solve(space, space.boundary_dofs(facets), np.zeros(space.size), load)
        return np.asarray(values / values.max())

    return MeshField(space, find)


def harmonic(space: LagrangeSpace, fixed: NDArray[np.int64], boundary: Array) -> MeshField:
    """Return the discrete harmonic function L with given values at some degrees of freedom.

    Args:
        space: finite element space of L.
        fixed: degrees of freedom with given values.
        boundary: values of all degrees of freedom [space.size], of which those of ``fixed`` are used.
    """
    return MeshField(space, lambda: _solve(space, fixed, boundary, np.zeros(space.size)), lift=True)


def _solve(space: LagrangeSpace, fixed: NDArray[np.int64], boundary: Array, load: Array) -> Array:
    stiffness = space.stiffness().tocsc()
    free = np.setdiff1d(np.arange(space.size), fixed)
    values = np.zeros(space.size)
    values[fixed] = boundary[fixed]
    right = load[free] - stiffness[free][:, fixed] @ values[fixed]
    block = stiffness[free][:, free]
    values[free] = SparseFactors(block).solve(right)
    return values
