"""Detection of parts of a mesh that touch without sharing nodes, usually by mistake: a boundary then runs between them."""

from __future__ import annotations

import numpy as np

from vpinn.domain.mesh import Mesh
from vpinn.domain.reference import Floats

TOUCH = 1e-9
"""Distance of two boundary nodes, relative to the size of the mesh, below which their parts count as touching."""


def touching_parts(mesh: Mesh) -> tuple[int, Floats] | None:
    """Return the number of separate parts of a mesh and a place where two of them touch [d]; None if no two parts touch."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    vertices = mesh.vertices
    links = coo_array(
        (np.ones(vertices[:, 1:].size), (np.repeat(vertices[:, 0], vertices.shape[1] - 1), vertices[:, 1:].ravel())),
        shape=(len(mesh.nodes),) * 2,
    )
    _, label = connected_components(links, directed=False)
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
