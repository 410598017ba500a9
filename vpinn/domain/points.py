"""The quadrature points of a mesh as a data set: points have numbers, are not stored, and are computed when they are needed.

Start with `PointSet` (the interface), `CellPoints` and `Points` (a batch).
"""

from __future__ import annotations

from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from vpinn.domain.geometry import frames, weighted_sum
from vpinn.domain.mesh import Mesh
from vpinn.domain.point_set import Points, PointSet
from vpinn.domain.quadrature import MAX_DEGREE, facet_gauss, gauss
from vpinn.domain.reference import Floats, Integers, geometry_table
from vpinn.domain.sequences import Keys, keys_of
from vpinn.domain.virtual import EntityRule, Sampled, base_rule, in_all_parts, virtual_rule
from vpinn.errors import InputError

TABULATED = 2**14
"""Largest number of points of a refined cell for which the rule is tabulated once for all cells."""
AFFORDABLE = 2**20
"""Largest number of points over which sums (for assessment and estimates) are taken in full."""
VOLUMES_AT_ONCE = 100_000
"""Points from which the volumes of cells are computed at a time, which bounds the memory."""
LARGEST = 2**50
"""Largest number of points of a set; more could not be distinguished as positions on [0, 1) in float64."""


class _MeshPoints(PointSet):
    """Points in cells, or on boundary facets, of a mesh.

    Attributes:
        degree: degree of the Gauss rule; random kinds have as many points.
        refine: times every cell is halved before the rule is applied.
        tabulated: whether the rule is that of all cells, so that basis functions are tabulated once.
        placed: reference points of a tabulated rule, in the cell or the facet [q, d or d − 1].
    """

    mesh: Mesh

    def __init__(self, mesh: Mesh, rows: Integers | None, degree: int, kind: str, seed: int, refine: int) -> None:
        self.mesh, self.degree = mesh, degree
        self._facets = rows
        on_facets = self.on_facets = rows is not None
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
        return self.mesh.n_cells if self._facets is None else len(self._facets)

    @property
    def per_entity(self) -> int:
        return self._per_entity

    @cached_property
    def entity_volumes(self) -> Floats:
        """Measure of each cell or facet [entities], by a Gauss rule exact for cells and flat facets."""
        mesh = self.mesh
        exact = 0 if mesh.affine else mesh.dimension * mesh.order
        fine = _MeshPoints(mesh, self._facets, MAX_DEGREE // 2 if self.on_facets and exact else exact, "gauss", 0, 0)
        parts = [fine.take(chunk).w.reshape(-1, fine.per_entity).sum(axis=1) for chunk in fine.chunks(VOLUMES_AT_ONCE)]
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

    @property
    def centers(self) -> Floats:
        mesh = self.mesh
        vertices = mesh.vertices if self._facets is None else mesh.facet_vertices(self._facets)
        centers: Floats = mesh.nodes[vertices].mean(axis=1)
        return centers

    @property
    def tagged(self) -> dict[str, NDArray[np.bool_]]:
        numbers = np.arange(self.mesh.n_cells) if self._facets is None else self._facets
        tags = self.mesh.facet_tags if self.on_facets else self.mesh.cell_tags
        return {name: np.isin(numbers, members) for name, members in tags.items()}

    @cached_property
    def placed_in_cell(self) -> Floats:
        """Points of a tabulated rule in the reference cell, on each local facet or once for the inside [n_f or 1, q, d]."""
        return self.mesh.reference.facet_points(self.placed) if self.on_facets else self.placed[None]

    def facet_of(self, points: Points) -> Integers:
        """Local number of the facet that points of this set lie on, zero inside: the row of ``placed_in_cell`` [b]."""
        return self.mesh.boundary[points.entity, 1] if self.on_facets else np.zeros_like(points.cell)

    def entities_in(self, cells: Integers) -> Integers:
        owner = np.arange(self.mesh.n_cells) if self._facets is None else self.mesh.boundary[self._facets, 0]
        return np.flatnonzero(np.isin(owner, cells))

    def take(self, index: Integers | range, fresh: int | Keys | None = None) -> Points:
        numbers = self._checked(index)
        q, mesh = self.per_entity, self.mesh
        number, local = self._whole(numbers), None
        if number is None:
            number, local = np.divmod(numbers, q)
        if self._facets is None:
            entity = cell = number
            facet = np.zeros_like(cell)
        else:
            entity = self._facets[number]
            cell, facet = mesh.boundary[entity].T
        keys = keys_of(numbers, fresh)
        reference, weights, values, gradients = self._rule(entity, facet, local, keys)
        geometry = frames(mesh.nodes[mesh.cells[cell]], values, gradients)
        m, p, d = geometry.x.shape
        normal = None
        if self._facets is None:
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
        seed: seed of the random kinds.
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
        facets: rows of `mesh.boundary` [m], as `mesh.facets(tags)` gives them; all else as in `CellPoints`.
    """

    def __init__(self, mesh: Mesh, facets: Integers, degree: int, kind: str = "gauss", seed: int = 0, refine: int = 0) -> None:
        super().__init__(mesh, np.asarray(facets, dtype=np.int64), degree, kind, seed, refine)


MeshPoints: TypeAlias = CellPoints | FacetPoints
"""Points in every cell, or on facets, of a mesh."""


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
