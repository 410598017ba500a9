"""The mesh, checked when it was made (`vpinn.domain.build`), so that all other code can rely on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import ClassVar

import numpy as np

from vpinn.domain.geometry import Frames, diameters, frames
from vpinn.domain.outline import Outline
from vpinn.domain.reference import Floats, Integers, ReferenceCell, lagrange, match_points, reference_cell, tabulate
from vpinn.errors import InputError

INITIAL, FINAL = "initial", "final"
"""Tags of the first and the last instant of space and time."""
AXES = ("x", "y", "z")
"""Names of the axes of space in up to three dimensions."""


@dataclass(frozen=True, eq=False)
class Mesh:
    """A conforming mesh of one cell type; made by `make_mesh`, which checks it. Arrays are read-only.

    Attributes:
        cell: "interval", "triangle", "quadrilateral", "tetrahedron" or "hexahedron".
        order: polynomial order of the geometry, 1 or 2.
        nodes: coordinates [n_nodes, d], in units of length.
        cells: nodes of each cell in basix's Lagrange order [n_cells, n_local]; the vertices come first.
        boundary: (cell, local facet) of each facet that belongs to exactly one cell [n_facets, 2].
        facet_tags: name → rows of `boundary`; "all" is implicit.
        cell_tags: name → cells.
        interior_tags: names of facet groups without a facet on the boundary.
        vertex_tags: name → nodes that are vertices; of a mesh file, not of its refinements.
        edge_tags: name → ends of edges inside, or anywhere in space [m, 2, d]; of a mesh file, not of its refinements.
        shape: exact outline, if it is known.
        bisected: marked cells [k] of every call of ``bisect``, and lines [m, 2] of every call of ``layered``, that led to this
            mesh; () if there was none.
        timed: whether the last coordinate is time, as ``extruded`` makes it.
        joints: pairs of cell tags; on the facets between both, functions of finite elements have two values.
    """

    cell: str
    order: int
    nodes: Floats
    cells: Integers
    boundary: Integers
    facet_tags: Mapping[str, Integers] = field(default_factory=dict)
    cell_tags: Mapping[str, Integers] = field(default_factory=dict)
    interior_tags: tuple[str, ...] = ()
    vertex_tags: Mapping[str, Integers] = field(default_factory=dict)
    edge_tags: Mapping[str, Floats] = field(default_factory=dict)
    shape: Outline | None = None
    bisected: tuple[Integers, ...] = ()
    timed: bool = False
    joints: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        for array in (self.nodes, self.cells, self.boundary, *self.facet_tags.values(), *self.cell_tags.values()):
            array.setflags(write=False)

    rule: ClassVar[str] = "gauss"
    """Quadrature where none is asked for."""
    kind: ClassVar[str] = "mesh"
    """What the domain is, for messages and tables."""

    @property
    def mesh(self) -> Mesh:
        """This mesh; a domain without cells has none."""
        return self

    def with_cells(self, why: str = "", where: str = "") -> Mesh:
        """This mesh; a domain without cells raises an error that says ``why`` they are needed."""
        return self

    @property
    def reference(self) -> ReferenceCell:
        """The reference cell."""
        return reference_cell(self.cell)

    @property
    def dimension(self) -> int:
        """Number of space dimensions d, which is also that of the cells."""
        return self.reference.dimension

    @property
    def axes(self) -> tuple[str, ...]:
        """Names of the coordinates: x, y, z, and t for the last one if it is time."""
        return (*AXES[: self.dimension - 1], "t") if self.timed else AXES[: self.dimension]

    @property
    def n_cells(self) -> int:
        """Number of cells."""
        return len(self.cells)

    @cached_property
    def affine(self) -> bool:
        """Whether every cell is an affine image of the reference cell, to 1e-14 of its diameter: J is constant in each."""
        if self.order == 1 and self.reference.simplex:
            return True
        points = np.array(lagrange(self.cell, self.order).points)
        axes = match_points(points, np.eye(self.dimension))
        corners = self.nodes[self.cells]
        origin = corners[:, :1]
        predicted = origin + points @ (corners[:, axes] - origin)
        return bool((np.abs(corners - predicted).max(axis=(1, 2)) <= 1e-14 * self.h).all())

    @property
    def tags(self) -> tuple[str, ...]:
        """Names of the boundary parts, "all" last."""
        return (*self.facet_tags, "all")

    @cached_property
    def vertices(self) -> Integers:
        """Vertex nodes of each cell [n_cells, n_v]."""
        return self.cells[:, : len(self.reference.vertices)]

    @cached_property
    def h(self) -> Floats:
        """Cell diameters: largest distance between two vertices [n_cells], in units of the coordinates."""
        return diameters(self.nodes[self.vertices])

    @cached_property
    def bounds(self) -> tuple[Floats, Floats]:
        """Smallest and largest node coordinates, [d] each."""
        return self.nodes.min(axis=0), self.nodes.max(axis=0)

    @cached_property
    def aspect(self) -> Floats:
        """Number of cells along each direction (extent over mean cell extent), divided by the geometric mean of these [d]."""
        count = np.ptp(self.nodes, axis=0) / np.ptp(self.nodes[self.vertices], axis=1).mean(axis=0)
        found: Floats = count / np.exp(np.log(count).mean())
        return found

    def facets(self, tags: str | Sequence[str]) -> Integers:
        """Rows of `boundary` that carry one of the tags, ascending and without repetition.

        Raises:
            InputError: there is no such tag, or its facets lie inside the domain; the message lists the tags.
        """
        names = (tags,) if isinstance(tags, str) else tuple(tags)
        if "all" in names:
            return np.arange(len(self.boundary))
        for name in names:
            if name not in self.facet_tags:
                problem = "has no facet on the boundary" if name in self.interior_tags else "does not exist"
                raise InputError(f"the boundary tag {name!r} {problem}; available tags: {', '.join(self.tags)}")
        marked = np.zeros(len(self.boundary), dtype=bool)
        for name in names:
            marked[self.facet_tags[name]] = True
        return np.flatnonzero(marked)

    def facet_vertices(self, facets: Integers) -> Integers:
        """Vertex nodes of boundary facets [n] as [n, n_fv]."""
        cell, local = self.boundary[facets].T
        vertices: Integers = self.cells[cell[:, None], self.reference.facets[local]]
        return vertices

    def frames(self, cells: Integers, reference: Floats) -> Frames:
        """Geometry of cells [m] at reference points shared by all, [q, d] → frames of shape [m, q].

        Where the mesh is affine, all but x have a second axis of length one.
        """
        values, gradients = tabulate(lagrange(self.cell, self.order), reference)
        return frames(self.nodes[self.cells[cells]], values, gradients[:1] if self.affine else gradients)

    def frames_at(self, cells: Integers, reference: Floats) -> Frames:
        """Geometry of cells [n] at one reference point each, [n, d] → frames of shape [n]."""
        values, gradients = tabulate(lagrange(self.cell, self.order), reference)
        found = frames(self.nodes[self.cells[cells]], values[:, None], gradients[:, None])
        return Frames(found.x[:, 0], found.jacobian[:, 0], found.cofactor[:, 0], found.determinant[:, 0])

    def tagged(self, predicates: Mapping[str, np.ndarray]) -> Mesh:
        """The same mesh with facet tags from boolean masks over the boundary facets [n_facets]."""
        return replace(self, facet_tags={name: np.flatnonzero(mask) for name, mask in predicates.items()})
