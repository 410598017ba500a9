"""Detection of cells that touch without being joined, usually by mistake: a boundary then runs between them."""

from __future__ import annotations

import numpy as np

from vpinn.domain.mesh import Mesh
from vpinn.domain.reference import Floats, Integers

TOUCH = 1e-9
"""Distance of two boundary nodes, relative to the size of the mesh, below which their parts count as touching."""
INNER = 1e-6
"""Barycentric coordinate of a vertex of a facet, less than one by so much at least where a node hangs on the facet."""


def joined_nodes(mesh: Mesh) -> Integers:
    """Return for every node of a mesh the number of the part that it belongs to [nodes]: cells with a common vertex are joined.

    A node that is no vertex, in the middle of a curved edge, is a part of its own.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    first, *others = mesh.vertices.T
    links = (np.tile(first, len(others)), np.concatenate([first[:0], *others]))
    label: Integers = connected_components(coo_array((np.ones(len(links[0])), links), shape=(len(mesh.nodes),) * 2), False)[1]
    return label


def touching_parts(mesh: Mesh) -> tuple[int, Floats] | None:
    """Return the number of separate parts of a mesh and a place where two of them touch [d]; None if no two parts touch."""
    vertices, label = mesh.vertices, joined_nodes(mesh)
    parts = np.unique(label[vertices[:, 0]])
    if len(parts) < 2:
        return None
    from scipy.spatial import cKDTree

    boundary = np.unique(mesh.facet_vertices(mesh.facets("all")))
    x, own = mesh.nodes[boundary], label[boundary]
    pairs = cKDTree(x).query_pairs(TOUCH * np.ptp(mesh.nodes, axis=0).max(), output_type="ndarray")
    apart = pairs[own[pairs[:, 0]] != own[pairs[:, 1]]]
    if not len(apart):
        return None
    places: Floats = x[apart[:, 0]]
    middle = np.linalg.norm(places - places.mean(axis=0), axis=1).argmin()
    return len(parts), places[middle]


def hanging_node(mesh: Mesh) -> Floats | None:
    """Return the place of a vertex that lies on a facet of the boundary without being one of its vertices [d]; None without any.

    There smaller cells meet a larger one that is not cut, so that a gap runs between them. Facets are taken to be flat.
    """
    from scipy.spatial import cKDTree

    if mesh.dimension == 1:
        return None
    facets = mesh.facet_vertices(mesh.facets("all"))
    if facets.shape[1] == 4:  # two triangles each
        facets = facets[:, [[0, 1, 2], [1, 3, 2]]].reshape(-1, 3)
    corners, vertices = mesh.nodes[facets], np.unique(facets)
    middle = corners.mean(axis=1)
    reach = np.linalg.norm(corners - middle[:, None], axis=2).max(axis=1)
    near = cKDTree(mesh.nodes[vertices]).query_ball_point(middle, reach * (1.0 - INNER))
    facet = np.repeat(np.arange(len(facets)), [len(each) for each in near])
    x = mesh.nodes[vertices[np.concatenate([np.array(each, dtype=np.int64) for each in near])]]
    origin, axes = corners[facet, :1], corners[facet, 1:] - corners[facet, :1]  # [n, d − 1, d]
    off = x - origin[:, 0]
    shares = np.linalg.solve(axes @ axes.mT, axes @ off[:, :, None])
    away = np.linalg.norm(off - (shares * axes).sum(axis=1), axis=1)
    shares = np.concatenate([1.0 - shares.sum(axis=1), shares[..., 0]], axis=1)
    inside = (shares > -TOUCH).all(axis=1) & (shares < 1.0 - INNER).all(axis=1)
    hits = x[inside & (away <= TOUCH * np.ptp(mesh.nodes, axis=0).max())]
    return hits[0] if len(hits) else None
