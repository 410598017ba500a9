"""Vertices where something happens: tags of a mesh file, and loads at points, where the solution on intervals kinks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from vpinn.domain.build import make_mesh
from vpinn.domain.mesh import Mesh
from vpinn.domain.reference import Floats

NEAR = 1e-9
"""Distance from a vertex, relative to the cell, within which there is one already."""


def tag_vertices(mesh: Mesh, places: Mapping[str, Floats]) -> Mesh:
    """Return a mesh with groups of vertices beside those that it has.

    Args:
        mesh: any.
        places: name → coordinates of vertices [n, d or more]; points that are none are left out.
    """
    from scipy.spatial import KDTree

    if not places:
        return mesh
    corners = np.unique(mesh.vertices)
    tree, slack = KDTree(mesh.nodes[corners]), NEAR * mesh.h.min()
    tags = {}
    for name, points in places.items():
        gaps, nearest = tree.query(np.asarray(points)[:, : mesh.dimension])
        if len(found := corners[np.unique(nearest[gaps <= slack])]):
            tags[name] = found
    return replace(mesh, vertex_tags={**mesh.vertex_tags, **tags})


def with_vertices(mesh: Mesh, places: Sequence[float]) -> Mesh:
    """Return a mesh of straight intervals with vertices at some places; other meshes stay as they are.

    Args:
        mesh: any.
        places: coordinates inside.
    """
    if mesh.cell != "interval" or mesh.order != 1:
        return mesh
    nodes, cells = mesh.nodes, mesh.cells
    parent = np.arange(mesh.n_cells)
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
    tagged = {name: mesh.nodes[members] for name, members in mesh.vertex_tags.items()}
    return tag_vertices(make_mesh(nodes, cells, mesh.cell, 1, sides, groups, mesh.shape), tagged)
