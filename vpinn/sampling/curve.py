"""Arrange a data set along a curve of length one, on which every point has a length equal to its share of the measure.

Neighbouring cells are next to each other (Morton order), and so are the points of a cell's rule. A number u, uniform on [0, 1),
then draws point i with probability pᵢ, which is proportional to its weight on affine cells. Samplers differ only in how they
choose these numbers. The memory is that of the mesh, because points are found by two binary searches.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vpinn.domain import PointSet
from vpinn.errors import InputError

Index = NDArray[np.int64]
Array = NDArray[np.float64]
ASIDE = 0.25
"""Shift of the grid along whose cells points are ordered, in its cells: points of regular meshes lie on the edges of an unshifted
grid, where rounding would decide between two cells, and with it the unit of length."""


@dataclass(frozen=True)
class SpaceCurve:
    """Arrangement of the points of a data set on [0, 1): entities (cells or facets), then copies of the rule, then its points.

    Attributes:
        order: numbers of the entities along the curve, neighbours together [n].
        edges: where each entity begins, and the end of the last [n + 1], 0 to 1.
        local: numbers of the points of a rule along the curve, neighbours together [q].
        inner: where each of them begins inside its rule, and the end of the last [q + 1], 0 to 1.
        copies: number of copies of the rule in each entity, ≥ 1.
        dimension: dimension of the entities, ≥ 1.
    """

    order: Index
    edges: Array
    local: Index
    inner: Array
    copies: int
    dimension: int

    @classmethod
    def through(cls, points: PointSet, group: Index | None = None) -> SpaceCurve:
        """Return the curve through a data set; the entities of one group, where groups [n] are given, are next to each other."""
        measure, centers = points.entity_volumes, points.centers
        order = np.arange(points.entities) if centers is None else cell_order(centers)
        if group is not None:
            order = order[np.argsort(group[order], kind="stable")]
        placed = points.rule_points
        local = np.arange(len(points.rule_weights)) if placed is None else cell_order(placed)
        copies = points.per_entity // len(local)
        dimension = 1 if placed is None else max(1, placed.shape[1])
        return cls(order, cumulated(measure[order]), local, cumulated(points.rule_weights[local]), copies, dimension)

    def at(self, u: Array) -> tuple[Index, Array]:
        """Return indices and probabilities of the points at positions u [b] of [0, 1)."""
        block, rest, mass = self.block_at(u)
        j = _interval(self.inner, rest)
        return block * len(self.local) + self.local[j], mass * (self.inner[j + 1] - self.inner[j])

    def block_at(self, u: Array) -> tuple[Index, Array, Array]:
        """Return, for positions u [b], the number of the rule (entity · copies + copy), the place in it, and its probability."""
        k = _interval(self.edges, u)
        mass = self.edges[k + 1] - self.edges[k]
        inside = np.clip((u - self.edges[k]) / mass, 0.0, 1.0) * self.copies
        copy = np.minimum(inside.astype(np.int64), self.copies - 1)
        return self.order[k] * self.copies + copy, inside - copy, mass / self.copies

    @property
    def layout(self) -> tuple[Index, Array]:
        """Points in their order along the curve [N], and where they begin and the last one ends [N + 1]; stores all points."""
        copies = np.arange(self.copies)[:, None]
        index = (self.order[:, None, None] * self.copies + copies) * len(self.local) + self.local
        starts = ((copies + self.inner[:-1]) / self.copies).ravel()
        return index.ravel(), np.append((self.edges[:-1, None] + np.diff(self.edges)[:, None] * starts).ravel(), 1.0)

    def pieces(self, edges: Array) -> tuple[Index, Array, Index]:
        """Divide all points at the edges of strata; stores all points.

        Args:
            edges: ascending positions [K + 1], from 0 to 1.

        Returns:
            Point, length and stratum of every piece.
        """
        cuts = np.union1d(self.layout[1], edges)
        middle = 0.5 * (cuts[1:] + cuts[:-1])
        return self.at(middle)[0], np.diff(cuts), _interval(edges, middle)


def cumulated(measure: Array) -> Array:
    """Return where consecutive shares of a whole begin, and the end of the last [n + 1], scaled to 0 … 1.

    Raises:
        InputError: a share is not finite, or not positive.
    """
    if not (np.isfinite(measure).all() and (measure > 0.0).all()):
        bad = int(np.flatnonzero(~(np.isfinite(measure) & (measure > 0.0)))[0])
        raise InputError(
            f"a sampling weight must be positive and finite, got {measure[bad]:g} for number {bad}; choose another sampler"
        )
    ends = np.cumsum(measure)
    return np.concatenate([[0.0], ends[:-1] / ends[-1], [1.0]])


def cell_order(centers: Array) -> Index:
    """Return the order [n] of points [n, d] along a Morton curve, on which neighbours are close together."""
    n, d = centers.shape
    if not d:
        return np.arange(n)
    bits = min(20, 62 // d)
    low = centers.min(axis=0)
    extent = np.maximum(centers.max(axis=0) - low, 1e-300)
    place = (centers - low) / extent * 2**bits + ASIDE
    grid = np.minimum(place, 2**bits - 1).astype(np.int64)
    code = np.zeros(n, np.int64)
    for bit in range(bits):
        for axis in range(d):
            code |= ((grid[:, axis] >> bit) & 1) << (bit * d + axis)
    return np.argsort(code, kind="stable")


def _interval(edges: Array, u: Array) -> Index:
    """Return the number of the interval between ascending edges [n + 1] that contains each u."""
    return np.clip(np.searchsorted(edges, u, side="right") - 1, 0, len(edges) - 2)
