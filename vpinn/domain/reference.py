"""The five reference cells with their facets, and Lagrange elements tabulated by basix.

Reference cells, vertex order and facet order are those of basix: simplices have vertices 0, e₁, …, e_d; quadrilaterals and
hexahedra are [0, 1]^d with vertices in tensor order (first coordinate fastest).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import basix
import numpy as np
from numpy.typing import NDArray

from vpinn.errors import InputError

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

FACET_CELL = {
    "interval": "point",
    "triangle": "interval",
    "quadrilateral": "interval",
    "tetrahedron": "triangle",
    "hexahedron": "quadrilateral",
}
CELLS = tuple(FACET_CELL)
SIMPLICES = ("interval", "triangle", "tetrahedron")


@dataclass(frozen=True, eq=False)
class ReferenceCell:
    """One reference cell.

    Attributes:
        name: one of `CELLS`.
        dimension: d.
        vertices: [n_v, d].
        facets: local vertices of each facet [n_f, n_fv].
        facet_cell: name of the facets' own reference cell ("point" for an interval).
        facet_origin: first vertex of each facet [n_f, d].
        facet_axes: columns span the facet [n_f, d, d-1]; a facet point s is facet_origin + facet_axes s.
        facet_normals: outward unit normals times the measure of facet_axes [n_f, d] (Nanson's N dS).
        volume: reference volume, dimensionless.
    """

    name: str
    dimension: int
    vertices: Floats
    facets: Integers
    facet_cell: str
    facet_origin: Floats
    facet_axes: Floats
    facet_normals: Floats
    volume: float

    @cached_property
    def simplex(self) -> bool:
        """Whether first-order maps of this cell are affine."""
        return self.name in SIMPLICES

    def facet_points(self, points: Floats) -> Floats:
        """Return points [q, d-1] of the facet's reference cell on every facet [n_f, q, d]."""
        placed: Floats = self.facet_origin[:, None] + np.einsum("fij,qj->fqi", self.facet_axes, points)
        return placed


@lru_cache
def reference_cell(name: str) -> ReferenceCell:
    """Return the reference cell called `name`.

    Raises:
        InputError: the name is not one of the five cell types.
    """
    if name not in FACET_CELL:
        raise InputError(f"there is no cell type {name!r}; choose one of {', '.join(CELLS)}")
    kind = getattr(basix.CellType, name)
    vertices = np.array(basix.geometry(kind), dtype=np.float64)
    dimension = vertices.shape[1]
    facets = np.array(basix.topology(kind)[dimension - 1], dtype=np.int64)
    corners = vertices[facets]  # [n_f, n_fv, d]
    axes = np.swapaxes(corners[:, 1:dimension] - corners[:, :1], 1, 2)
    measure = np.sqrt(np.linalg.det(np.swapaxes(axes, 1, 2) @ axes))
    return ReferenceCell(
        name=name,
        dimension=dimension,
        vertices=vertices,
        facets=facets,
        facet_cell=FACET_CELL[name],
        facet_origin=corners[:, 0],
        facet_axes=axes,
        facet_normals=np.array(basix.cell.facet_outward_normals(kind)).reshape(len(facets), dimension) * measure[:, None],
        volume=float(basix.cell.volume(kind)),
    )


@lru_cache
def lagrange(cell: str, degree: int, equispaced: bool = False) -> Any:
    """Return basix's continuous Lagrange element of a cell type.

    Args:
        cell: one of the five cell types.
        degree: polynomial degree, 1 … 30.
        equispaced: whether the nodes are equispaced; otherwise they are (warped) Gauss–Lobatto–Legendre points.

    Raises:
        InputError: the degree is outside 1 … 30.
    """
    reference_cell(cell)
    if not 1 <= degree <= 30:
        raise InputError(f"Lagrange elements need a degree from 1 to 30, got {degree}")
    variant = basix.LagrangeVariant.equispaced if equispaced else basix.LagrangeVariant.gll_warped
    return basix.create_element(basix.ElementFamily.P, getattr(basix.CellType, cell), degree, variant)


def tabulate(element: Any, points: Floats) -> tuple[Floats, Floats]:
    """Return values and reference gradients of all basis functions.

    Args:
        element: element that `lagrange` returned, with n_local functions.
        points: reference points [..., d].

    Returns:
        values [..., n_local] and gradients [..., d, n_local].
    """
    flat = np.ascontiguousarray(points.reshape(-1, points.shape[-1]))
    table = element.tabulate(1, flat)[..., 0]  # [1 + d, q, n_local]
    shape = (*points.shape[:-1], table.shape[2])
    gradients = np.ascontiguousarray(np.moveaxis(table[1:], 0, 1)).reshape(*points.shape, shape[-1])
    return np.ascontiguousarray(table[0]).reshape(shape), gradients


def geometry_table(cell: str, order: int, points: Floats) -> tuple[Floats, Floats]:
    """Return the Lagrange functions of the geometry map, and their gradients, evaluated by their formula.

    Unlike a matrix product, the formula gives the same bits however many points are evaluated at once. A function is a product of
    R_m(λ) = Π_{s < m} (r λ - s)/(s + 1) over barycentric coordinates λ, where r is the order and m/r the coordinate of its node
    (Silvester 1969, "High-order polynomial triangular finite elements for potential problems"). On quadrilaterals and hexahedra,
    λ are 1 - x and x in each direction.

    Args:
        cell: one of the five cell types.
        order: geometric order r, 1 or 2.
        points: reference points [..., d].

    Returns:
        values [..., n_local] and gradients [..., d, n_local].
    """
    place, slopes = _barycentric(cell, points)  # n arrays [...], [n, d]
    nodes = np.stack(_barycentric(cell, np.array(lagrange(cell, order).points))[0], axis=1)
    factors, steep = [[np.ones_like(x) for x in place]], [[np.zeros_like(x) for x in place]]  # R_m and its derivative
    for s in range(order):
        ahead = [order * x - s for x in place]
        steep.append([(order * f + x * g) / (s + 1) for f, x, g in zip(factors[s], ahead, steep[s], strict=True)])
        factors.append([f * x / (s + 1) for f, x in zip(factors[s], ahead, strict=True)])
    values = np.empty((*points.shape[:-1], len(nodes)))
    gradients = np.zeros((*points.shape, len(nodes)))
    for k, multiple in enumerate(np.rint(order * nodes).astype(int)):
        present = [(i, m) for i, m in enumerate(multiple) if m]
        values[..., k] = math.prod(factors[m][i] for i, m in present)
        for i, m in present:
            change = math.prod((factors[n][j] for j, n in present if j != i), start=steep[m][i])
            for j in np.flatnonzero(slopes[i]):
                gradients[..., j, k] += slopes[i, j] * change
    return values, gradients


def _barycentric(cell: str, points: Floats) -> tuple[list[Floats], Floats]:
    """Return n barycentric coordinates λ of points [..., d], [...] each, and ∂λ/∂x [n, d]; n is d + 1 on a simplex, else 2 d."""
    unit, x = np.eye(points.shape[-1]), [np.ascontiguousarray(points[..., k]) for k in range(points.shape[-1])]
    if cell not in SIMPLICES:
        return [*(1.0 - x_k for x_k in x), *x], np.concatenate([-unit, unit])
    first = np.ones(points.shape[:-1])
    for x_k in x:
        first = first - x_k
    return [first, *x], np.concatenate([-np.ones((1, len(unit))), unit])


@lru_cache
def reflection(cell: str, order: int) -> Integers:
    """Return the permutation of a Lagrange cell's nodes [n_local] that reverses its orientation, by a reflection."""
    points = lagrange(cell, order).points
    mirrored = 1.0 - points if cell == "interval" else points[:, [1, 0, *range(2, points.shape[1])]]
    return match_points(points, mirrored)


def match_points(points: Floats, wanted: Floats) -> Integers:
    """Return the index of each wanted point [m, d] among points [n, d]; -1 if none is within 1e-9."""
    distance = np.abs(wanted[:, None] - points[None]).max(axis=2)
    return np.where(distance.min(axis=1) < 1e-9, distance.argmin(axis=1), -1)
