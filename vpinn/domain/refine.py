"""Uniform refinement: each cell into 2^d cells of the same type."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np

from vpinn.domain.build import make_mesh
from vpinn.domain.mesh import Mesh
from vpinn.domain.reference import Floats, Integers, lagrange, match_points, reference_cell, tabulate
from vpinn.domain.space import number_nodes


def refine(mesh: Mesh) -> Mesh:
    """Return a mesh refined once, each cell into 2^d children; tags, exact outline and order are kept.

    Children have exactly the geometry of their parents. Curved cells stay curved, but new boundary nodes of a second-order mesh
    lie on the parabola of the parent, not on a circle that it approximates. Cell c has the children 2^d c … 2^d (c + 1) - 1.

    Args:
        mesh: mesh of n_cells cells of any type and order.

    Returns:
        a mesh of 2^d n_cells cells.
    """
    lattice = lagrange(mesh.cell, 2 * mesh.order, equispaced=True)
    numbers, total = number_nodes(mesh, lattice)
    nodes = np.empty((total, mesh.dimension))
    nodes[numbers] = mesh.frames(np.arange(mesh.n_cells), np.array(lattice.points)).x
    way, parts = _best_way(mesh), np.arange(2**mesh.dimension)
    children = match_points(np.array(lattice.points), _child_nodes(mesh.cell, mesh.order)).reshape(-1, mesh.cells.shape[1])
    cells = numbers[np.arange(mesh.n_cells)[:, None, None], children.reshape(-1, len(parts), mesh.cells.shape[1])[way]]
    cells = cells.reshape(-1, mesh.cells.shape[1])
    cell_tags = {name: (tag[:, None] * len(parts) + parts).ravel() for name, tag in mesh.cell_tags.items()}
    fine = make_mesh(nodes, cells, mesh.cell, mesh.order, cell_tags=cell_tags, shape=mesh.shape)

    row = np.full((mesh.n_cells, len(mesh.reference.facets)), -1)
    row[tuple(mesh.boundary.T)] = np.arange(len(mesh.boundary))
    child, local = fine.boundary.T
    cell, part = np.divmod(child, len(parts))
    parent = row[cell, _parent_facets(mesh.cell)[way[cell], part, local]]  # [n_facets]
    facet_tags = {name: np.flatnonzero(np.isin(parent, tag)) for name, tag in mesh.facet_tags.items()}
    return replace(fine, facet_tags=facet_tags, interior_tags=mesh.interior_tags, timed=mesh.timed, joints=mesh.joints)


def parents(mesh: Mesh, cells: Integers, reference: Floats) -> tuple[Integers, Floats]:
    """Return the position of points of a refined mesh in the mesh before refinement.

    Args:
        mesh: the mesh before `refine`.
        cells: cells of the refined mesh [n].
        reference: reference coordinates there [n, d].

    Returns:
        cells of `mesh` [n] and reference coordinates there [n, d].
    """
    parent, part = np.divmod(cells, 2**mesh.dimension)
    weights, _ = tabulate(lagrange(mesh.cell, 1), reference)  # [n, n_v]
    corners = child_vertices(mesh.cell)[_best_way(mesh)[parent], part]
    return parent, np.einsum("nv,nvd->nd", weights, corners)


# the middle of a tetrahedron is an octahedron, cut along one of three diagonals, from the midpoint of an edge ab to that of cd
_OPPOSITE = ((0, 2, 1, 3), (0, 1, 2, 3), (0, 3, 1, 2))


def _best_way(mesh: Mesh) -> Integers:
    """Return the number of the diagonal along which each tetrahedron is cut [n_cells]: the shortest one, to keep good shapes.

    Other cells can be cut in one way only, number 0.
    """
    if mesh.cell != "tetrahedron":
        return np.zeros(mesh.n_cells, dtype=np.int64)
    corners = mesh.nodes[mesh.vertices]
    a, b, c, d = (corners[:, list(column)] for column in zip(*_OPPOSITE, strict=True))
    return np.asarray(np.linalg.norm(a + b - c - d, axis=2).argmin(axis=1), dtype=np.int64)


@lru_cache
def child_vertices(cell: str) -> Floats:
    """Return the vertices of the children in the parent's reference coordinates [ways, 2^d, n_v, d], positively oriented."""
    corners = reference_cell(cell).vertices
    at_corners = (corners[:, None] + corners[None]) / 2.0  # the child at each corner: midpoints towards all the others
    if cell == "triangle":
        return np.concatenate([at_corners, (corners.sum(axis=0) - corners)[None] / 2.0])[None]
    if cell != "tetrahedron":
        return at_corners[None]
    ways = []
    for a, b, c, d in _OPPOSITE:
        ring = [(corners[i] + corners[j]) / 2.0 for i, j in ((a, c), (b, c), (b, d), (a, d))]
        ends = [(corners[a] + corners[b]) / 2.0, (corners[c] + corners[d]) / 2.0]
        inner = np.array([[*ends, ring[k], ring[(k + 1) % 4]] for k in range(4)])
        turned = np.linalg.det(inner[0, 1:] - inner[0, :1]) < 0.0
        ways.append(np.concatenate([at_corners, inner[:, [0, 1, 3, 2]] if turned else inner]))
    return np.array(ways)


@lru_cache
def _child_nodes(cell: str, order: int) -> Floats:
    """Return the nodes of the children in the parent's reference coordinates [ways 2^d n_local, d]."""
    weights, _ = tabulate(lagrange(cell, 1), np.array(lagrange(cell, order).points))  # [n_local, n_v]
    vertices = child_vertices(cell)
    return (weights @ vertices).reshape(-1, vertices.shape[-1])


@lru_cache
def _parent_facets(cell: str) -> Integers:
    """The parent's facet that each facet of each child lies on [ways, 2^d, n_f]; any where it lies inside the parent."""
    reference = reference_cell(cell)
    middles = child_vertices(cell)[:, :, reference.facets].mean(axis=3)  # [ways, 2^d, n_f, d]
    height = np.einsum("wcfkd,kd->wcfk", middles[..., None, :] - reference.facet_origin, reference.facet_normals)
    return np.asarray(np.abs(height).argmin(axis=3), dtype=np.int64)
