"""Straight outlines of plane meshes, for distances that are exactly zero on the boundary."""

from __future__ import annotations

import numpy as np

from vpinn.domain.mesh import Mesh
from vpinn.domain.outline import Polygon
from vpinn.domain.reference import Integers

MAX_SEGMENTS = 64


def polygon_of(mesh: Mesh, facets: Integers) -> Polygon | None:
    """Return the straight segments that boundary edges form, each as long as possible.

    Args:
        mesh: the mesh.
        facets: rows of `mesh.boundary` [n].

    Returns:
        segments with the domain on their left; None if the mesh is not plane or not of first order, or if there are no
        facets or more than `MAX_SEGMENTS` segments.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if mesh.dimension != 2 or mesh.order != 1 or not len(facets):
        return None
    edges = mesh.facet_vertices(facets)
    start, end = mesh.nodes[edges[:, 0]], mesh.nodes[edges[:, 1]]
    middle = mesh.nodes[mesh.vertices[mesh.boundary[facets, 0]]].mean(axis=1)
    edges = np.where((_cross(end - start, middle - start) > 0.0)[:, None], edges, edges[:, ::-1])
    start, end = mesh.nodes[edges[:, 0]], mesh.nodes[edges[:, 1]]
    along = (end - start) / np.linalg.norm(end - start, axis=1, keepdims=True)

    # edge i continues as edge next[i] where exactly these two meet at a vertex without a bend
    size = len(mesh.nodes)
    leaving = np.full(size, -1)
    leaving[edges[:, 0]] = np.arange(len(edges))
    plain = (np.bincount(edges[:, 0], minlength=size) == 1) & (np.bincount(edges[:, 1], minlength=size) == 1)
    following = leaving[edges[:, 1]]
    straight = (np.abs(_cross(along, along[following])) < 1e-9) & (np.einsum("ei,ei->e", along, along[following]) > 0.0)
    joined = plain[edges[:, 1]] & straight
    pairs = (np.flatnonzero(joined), following[joined])
    graph = coo_array((np.ones(len(pairs[0])), pairs), shape=(len(edges), len(edges)))
    count, label = connected_components(graph, directed=False)
    if count > MAX_SEGMENTS:
        return None
    first = np.setdiff1d(np.arange(len(edges)), pairs[1])  # edges that continue no other
    last = np.setdiff1d(np.arange(len(edges)), pairs[0])
    segments = np.empty((count, 2, 2))
    segments[label[first], 0], segments[label[last], 1] = start[first], end[last]
    return Polygon(segments)


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Third component of the cross product of plane vectors [n, 2]."""
    return np.asarray(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])
