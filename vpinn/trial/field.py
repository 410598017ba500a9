"""Finite element functions as known fields: distances and lifts on meshes of any shape.

The distance solves −ΔD = 1 with D = 0 where u is prescribed (the torsion function: like the distance near smooth
parts, and with the corner behaviour of a solution at corners); the lift is the discrete harmonic extension.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import splu

from vpinn.domain import LagrangeSpace, Points
from vpinn.interrupt import apart

Array = NDArray[np.float64]


@dataclass(frozen=True)
class MeshField:
    """A scalar finite element function.

    Attributes:
        space: continuous Lagrange space on the mesh.
        given: its degrees of freedom [space.size], or what finds them when they are first asked for: ``vpinn check`` never does.
        lift: whether it is added to what training searches, which then cannot take its error away.
    """

    space: LagrangeSpace
    given: Array | Callable[[], Array]
    lift: bool = False

    @cached_property
    def values(self) -> Array:
        """Its degrees of freedom [space.size]."""
        return self.given() if callable(self.given) else self.given

    def jets(self, points: Points, order: int) -> dict[tuple[int, ...], Array]:
        """Return value () and, for order ≥ 1, first derivatives (i,), [n] each, at points that name cell and reference."""
        jets = np.ascontiguousarray(self.space.jets(self.values[None], points.cell, points.reference, min(order, 1))[0].T)
        return {(): jets[0]} | {(i,): row for i, row in enumerate(jets[1:])}


@dataclass(frozen=True)
class Beside:
    """Finite element functions that are added to a trained network's part of every component.

    Attributes:
        fields: one per component, of one space.
        why: the network does not stand alone.
    """

    fields: tuple[MeshField, ...]
    why: str

    @property
    def degree(self) -> int:
        """Degree of the elements."""
        return self.fields[0].space.degree


def torsion(space: LagrangeSpace, facets: NDArray[np.int64]) -> MeshField:
    """Return D with −ΔD = 1 inside, D = 0 on the given boundary facets, scaled to a maximum of one."""

    def find() -> Array:
        load = space.mass() @ np.ones(space.size)
        values = _solve(space, space.boundary_dofs(facets), np.zeros(space.size), load)
        return np.asarray(values / values.max())

    return MeshField(space, find)


def harmonic(space: LagrangeSpace, fixed: NDArray[np.int64], boundary: Array) -> MeshField:
    """Return L with ΔL = 0 inside and given values at the degrees of freedom ``fixed`` of ``boundary`` [space.size]."""
    return MeshField(space, lambda: _solve(space, fixed, boundary, np.zeros(space.size)), lift=True)


def _solve(space: LagrangeSpace, fixed: NDArray[np.int64], boundary: Array, load: Array) -> Array:
    stiffness = space.stiffness().tocsc()
    free = np.setdiff1d(np.arange(space.size), fixed)
    values = np.zeros(space.size)
    values[fixed] = boundary[fixed]
    right = load[free] - stiffness[free][:, fixed] @ values[fixed]
    block = stiffness[free][:, free]
    values[free] = apart(lambda: splu(block)).solve(right)
    return values
