"""The quadrature points of a mesh as a data set: points have numbers, are not stored, and are computed when they are needed.

Start with `PointSet` (the interface), `CellPoints` and `Points` (a batch).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from vpinn.domain.geometry import frames, weighted_sum
from vpinn.domain.mesh import Mesh
from vpinn.domain.quadrature import MAX_DEGREE, facet_gauss, gauss
from vpinn.domain.reference import Floats, Integers, geometry_table
from vpinn.domain.sequences import Keys, draw_keys
from vpinn.domain.virtual import EntityRule, Sampled, base_rule, in_all_parts, virtual_rule
from vpinn.errors import InputError

TABULATED = 2**14
"""Largest number of points of a refined cell for which the rule is tabulated once for all cells."""
AFFORDABLE = 2**20
"""Largest number of points over which sums (for assessment and estimates) are taken in full."""
LARGEST = 2**50
"""Largest number of points of a set; more could not be distinguished as positions on [0, 1) in float64."""


@dataclass(frozen=True, eq=False)
class Points:
    """Some points of a set, b of them.

    Attributes:
        x: coordinates [b, d], in units of length.
        w: quadrature weights, in units of volume (or of boundary measure) [b].
        entity: the cell, or the row of `Mesh.boundary`, that the point belongs to [b].
        cell: the cell at the point [b].
        reference: coordinates in the reference cell [b, d].
        normal: outward unit normal [b, d]; None inside the domain.
        h: diameter of the cell [b].
        local: number of the point in its entity's rule [b].
    """

    x: Floats
    w: Floats
    entity: Integers
    cell: Integers
    reference: Floats
    normal: Floats | None
    h: Floats
    local: Integers

    def __len__(self) -> int:
        return len(self.w)

    def rows(self, rows: Integers) -> Points:
        """Return some of the points, by position [m]."""
        normal = None if self.normal is None else self.normal[rows]
        return Points(
            x=self.x[rows],
            w=self.w[rows],
            entity=self.entity[rows],
            cell=self.cell[rows],
            reference=self.reference[rows],
            normal=normal,
            h=self.h[rows],
            local=self.local[rows],
        )


class PointSet(ABC):
    """A finite set of weighted points, numbered 0 … size - 1."""

    @property
    @abstractmethod
    def entities(self) -> int:
        """Number of cells or facets; point i belongs to entity number i // per_entity."""

    @property
    @abstractmethod
    def per_entity(self) -> int:
        """Points per cell or facet."""

    @property
    @abstractmethod
    def entity_volumes(self) -> Floats:
        """Measure of each cell or facet [entities]."""

    @property
    def volume(self) -> float:
        """Sum of ``entity_volumes``: the measure that all points cover."""
        return float(self.entity_volumes.sum())

    @property
    def rule_weights(self) -> Floats:
        """Weights of the rule on each part of an entity, divided by their sum [q]; per_entity is a multiple of q."""
        return np.ones(1)

    @property
    def rule_points(self) -> Floats | None:
        """Points of the rule in the reference cell or facet [q, d]; None if they differ between entities or there is no rule."""
        return None

    @property
    def random(self) -> bool:
        """Whether the points are random; those of the set are one realisation, and batches may use others (see ``take``)."""
        return False

    @abstractmethod
    def take(self, index: Integers | range, fresh: int | None = None) -> Points:
        """Return the points with the given numbers [b]; memory is proportional to b.

        Args:
            index: numbers of the points.
            fresh: seed of another realisation of random points, 0 … 2⁶³ − 1, in which every repetition of a number is a different
                point; None for the points of the set.
        """

    @property
    def size(self) -> int:
        """Number of points N, which may be larger than memory could hold."""
        return self.entities * self.per_entity

    def chunks(self, max_points: int) -> Iterator[range]:
        """Return consecutive ranges of at most `max_points` >= 1 numbers that cover the set; of whole entities if these fit."""
        step = max(1, max_points // self.per_entity * self.per_entity or max_points)
        return (range(start, min(start + step, self.size)) for start in range(0, self.size, step))

    def _checked(self, index: Integers | range) -> Integers:
        numbers = np.asarray(index, dtype=np.int64)
        if numbers.ndim != 1 or (len(numbers) and not 0 <= numbers.min() <= numbers.max() < self.size):
            raise IndexError(f"expected a list of indices from 0 to {self.size - 1}")
        return numbers


class _MeshPoints(PointSet):
    """Points in cells, or on boundary facets, of a mesh."""

    def __init__(self, mesh: Mesh, rows: Integers | None, degree: int, kind: str, seed: int, refine: int) -> None:
        self.mesh, self.rows, self.degree = mesh, rows, degree
        on_facets = rows is not None
        rule = facet_gauss(mesh.cell, degree) if on_facets else gauss(mesh.cell, degree)
        copies, name = 2 ** ((mesh.dimension - on_facets) * refine), mesh.reference.facet_cell if on_facets else mesh.cell
        self.tabulated = kind == "gauss" and (not refine or len(rule.weights) * copies <= TABULATED)
        if self.tabulated:
            self.placed, weights = in_all_parts(name, refine, rule.points), np.tile(rule.weights / copies, copies)
            self._per_entity, self._rule = len(weights), _tabulated(mesh, self.placed, weights, on_facets)
        else:
            q, base = base_rule(name, rule, kind, seed)
            self._per_entity, self._rule = q * copies, virtual_rule(mesh, q, base, refine, on_facets)
        q = self._per_entity // copies
        self._weights, self._placed = np.full(q, 1.0 / q), None
        if kind == "gauss":
            self._weights, self._placed = rule.weights / rule.weights.sum(), rule.points
        self.refine, self._random = refine, kind != "gauss"
        if self.entities * self._per_entity > LARGEST:
            raise InputError(f"more than {LARGEST:.0e} quadrature points cannot be numbered; lower quadrature.refine")

    @property
    def entities(self) -> int:
        return self.mesh.n_cells if self.rows is None else len(self.rows)

    @property
    def per_entity(self) -> int:
        return self._per_entity

    @cached_property
    def entity_volumes(self) -> Floats:
        """Measure of each cell or facet [entities], by a Gauss rule exact for cells and flat facets."""
        mesh = self.mesh
        exact = 0 if mesh.affine else mesh.dimension * mesh.order
        fine = _MeshPoints(mesh, self.rows, exact if self.rows is None or exact == 0 else MAX_DEGREE // 2, "gauss", 0, 0)
        parts = [fine.take(chunk).w.reshape(-1, fine.per_entity).sum(axis=1) for chunk in fine.chunks(1_000_000)]
        return np.concatenate(parts) if parts else np.empty(0)

    @property
    def rule_weights(self) -> Floats:
        return self._weights

    @property
    def rule_points(self) -> Floats | None:
        return self._placed

    @property
    def random(self) -> bool:
        return self._random

    def take(self, index: Integers | range, fresh: int | None = None) -> Points:
        numbers, q, mesh = self._checked(index), self.per_entity, self.mesh
        number, local = self._whole(numbers), None
        if number is None:
            number, local = np.divmod(numbers, q)
        if self.rows is None:
            entity = cell = number
            facet = np.zeros_like(cell)
        else:
            entity = self.rows[number]
            cell, facet = mesh.boundary[entity].T
        keys = None if fresh is None else draw_keys(numbers, fresh)
        reference, weights, values, gradients = self._rule(entity, facet, local, keys)
        geometry = frames(mesh.nodes[mesh.cells[cell]], values, gradients)
        m, p, d = geometry.x.shape
        normal = None
        if self.rows is None:
            measure = geometry.determinant
        else:
            outward = weighted_sum(mesh.reference.facet_normals[facet][:, None], np.swapaxes(geometry.cofactor, 2, 3))
            measure = np.sqrt(weighted_sum(outward, outward[..., None])[..., 0])
            normal = np.broadcast_to(outward / measure[..., None], (m, p, d)).reshape(-1, d)
        return Points(
            x=geometry.x.reshape(-1, d),
            w=np.broadcast_to(weights * measure, (m, p)).ravel(),
            entity=np.repeat(entity, p),
            cell=np.repeat(cell, p),
            reference=np.broadcast_to(reference, (m, p, d)).reshape(-1, d),
            normal=normal,
            h=np.repeat(mesh.h[cell], p),
            local=np.tile(np.arange(q), m) if local is None else local,
        )

    def _whole(self, numbers: Integers) -> Integers | None:
        """Entity numbers [b / q] if the indices [b] are whole entities one after the other, else None."""
        q = self.per_entity
        if len(numbers) % q:
            return None
        rows = numbers.reshape(-1, q)
        first = rows[:, 0]
        return first // q if (first % q == 0).all() and (rows == first[:, None] + np.arange(q)).all() else None


class CellPoints(_MeshPoints):
    """The quadrature points of all cells; point i is number i % per_entity of the rule in cell i // per_entity.

    Args:
        mesh: the mesh.
        degree: polynomial degree integrated exactly on an affine cell, 0 … 30; random kinds have as many points as this rule.
        kind: "gauss"; "monte-carlo", independent uniform points in each reference cell; "sobol", one scrambled Sobol set
            in reference coordinates, shifted at random in each cell; or "stochastic-gauss", random nodes in each cell whose
            weighted sum is unbiased, and exact for cubics (on triangles and tetrahedra, for linear functions).
        seed: of the random kinds.
        refine: times every cell is halved before the rule is applied; the parts are never stored.

    Raises:
        InputError: degree out of range or unknown kind.
    """

    def __init__(self, mesh: Mesh, degree: int, kind: str = "gauss", seed: int = 0, refine: int = 0) -> None:
        super().__init__(mesh, None, degree, kind, seed, refine)


class FacetPoints(_MeshPoints):
    """The quadrature points of boundary facets.

    Args:
        mesh: the mesh.
        facets: rows of `mesh.boundary` [m], as `mesh.facets(tags)` gives them.
        degree: as in `CellPoints`.
        kind: as in `CellPoints`.
        seed: of the random kinds.
        refine: as in `CellPoints`.

    Raises:
        InputError: degree out of range or unknown kind.
    """

    def __init__(self, mesh: Mesh, facets: Integers, degree: int, kind: str = "gauss", seed: int = 0, refine: int = 0) -> None:
        super().__init__(mesh, np.asarray(facets, dtype=np.int64), degree, kind, seed, refine)


def affordable_refine(mesh: Mesh, degree: int, refine: int) -> int:
    """Return how often cells may be halved, at most ``refine`` times, such that sums over all Gauss points are affordable.

    Args:
        mesh: the mesh.
        degree: degree of the Gauss rule.
        refine: wanted number of halvings.
    """
    most = min(TABULATED, AFFORDABLE // mesh.n_cells) / len(gauss(mesh.cell, degree).weights)
    return next((r for r in range(refine, 0, -1) if 2 ** (mesh.dimension * r) <= most), 0)


def _tabulated(mesh: Mesh, points: Floats, weights: Floats, on_facets: bool) -> EntityRule:
    """The same rule in every entity: geometry tables once per local facet, or once for the cell."""
    placed = mesh.reference.facet_points(points) if on_facets else points[None]  # [k, q, d]
    values, gradients = geometry_table(mesh.cell, mesh.order, placed)
    affine = mesh.affine

    def rule(entity: Integers, facet: Integers, local: Integers | None, keys: Keys | None) -> Sampled:
        if local is None:
            which = facet if on_facets else 0
            return placed[which], weights, values[which], gradients[0, :1] if affine else gradients[which]
        steep = gradients[0, :1] if affine else gradients[facet, local][:, None]
        return placed[facet, local][:, None], weights[local][:, None], values[facet, local][:, None], steep

    return rule
