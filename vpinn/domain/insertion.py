"""Vertices of a mesh of intervals where something happens: a load at a point kinks the solution there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vpinn.domain.build import make_mesh
from vpinn.domain.mesh import Mesh

NEAR = 1e-9
"""Distance from a vertex, relative to the cell, within which there is one already."""


def with_vertices(mesh: Mesh, places: Sequence[float]) -> Mesh:
    """Return a mesh of straight intervals with vertices at some places; other meshes stay as they are.

    Args:
        mesh: any.
        places: coordinates inside.
    """
    if mesh.cell != "interval" or mesh.order != 1:
        return mesh
    nodes, cells, parent = mesh.nodes, mesh.cells, np.arange(mesh.n_cells)
    for x in places:
        ends = nodes[cells][..., 0]
        low, high = ends.min(axis=1), ends.max(axis=1)
        slack = NEAR * (high - low)
        inside = np.flatnonzero((low + slack < x) & (x < high - slack))
        if not len(inside):
            continue
        cell, new = int(inside[0]), len(nodes)
        nodes = np.concatenate([nodes, [[x]]])
        cells = np.concatenate([cells, [[new, cells[cell, 1]]]])
        cells[cell, 1] = new
        parent = np.concatenate([parent, [parent[cell]]])
    if len(cells) == mesh.n_cells:
        return mesh
    sides = {name: mesh.facet_vertices(rows) for name, rows in mesh.facet_tags.items()}
    groups = {name: np.flatnonzero(np.isin(parent, members)) for name, members in mesh.cell_tags.items()}
    return make_mesh(nodes, cells, mesh.cell, 1, sides, groups, mesh.shape, mesh.vertex_tags)
