"""Space–time meshes: the cells of a mesh in space times layers of a time interval, whose last coordinate is time.

Intervals become quadrilaterals, quadrilaterals become hexahedra, and prisms over triangles are cut into three tetrahedra each.
The cut follows the numbers of the vertices, so that neighbouring prisms cut their common side alike (Dompierre et al. 1999, How
to subdivide pyramids, prisms and hexahedra into tetrahedra). Curved cells stay curved. Start with `extruded`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from vpinn.domain.build import make_mesh
from vpinn.domain.mesh import FINAL, INITIAL, Mesh
from vpinn.domain.outline import Box
from vpinn.domain.reference import Integers, lagrange, match_points, tabulate
from vpinn.domain.shapes import MAX_CELLS
from vpinn.errors import InputError

SIDES = "sides"
"""Tag of all sides of the domain in space, at all times, where its tags do not name every facet."""
_PRISM = np.array([[[0, 0], [1, 0], [2, 0], [2, 1]], [[0, 0], [1, 0], [1, 1], [2, 1]], [[0, 0], [0, 1], [1, 1], [2, 1]]])
"""Three tetrahedra of a prism: (vertex of the triangle by rising number, end of the layer) of each vertex [3, 4, 2]."""
_CELLS = {"interval": "quadrilateral", "quadrilateral": "hexahedron", "triangle": "tetrahedron"}
_FACET = {
    "interval": [[[0, 0], [0, 1]]],
    "quadrilateral": [[[0, 0], [1, 0], [0, 1], [1, 1]]],
    "triangle": [[[0, 0], [1, 0], [1, 1]], [[0, 0], [0, 1], [1, 1]]],
}
"""Cell in space → facets over one of its own facets: (vertex by rising number, end of the layer) of each vertex."""


def sides_of(mesh: Mesh) -> tuple[str, ...]:
    """Return tags of the space–time mesh that name all sides of a mesh in space."""
    named = np.unique(np.concatenate([np.empty(0, np.int64), *mesh.facet_tags.values()]))
    return tuple(mesh.facet_tags) if len(named) == len(mesh.boundary) else (SIDES,)


def extruded(mesh: Mesh, start: float, end: float, layers: int) -> Mesh:
    """Return the mesh of space times [start, end].

    Its tags are those of the mesh in space, at all times, ``INITIAL`` and ``FINAL``, and ``SIDES`` where those of the mesh leave
    out some facets.

    Args:
        mesh: mesh in space, of intervals, triangles or quadrilaterals.
        start: first instant, in units of time.
        end: last instant, > ``start``.
        layers: number of layers of equal duration, ≥ 1.

    Raises:
        InputError: the mesh has three dimensions, or a tag that time needs, or there would be too many cells.
    """
    if mesh.cell not in _CELLS:
        raise InputError(
            f"space and time together have no cells of four dimensions; march (leave solver.method out), got {mesh.cell} cells"
        )
    if taken := {INITIAL, FINAL, SIDES} & {*mesh.facet_tags, *mesh.cell_tags}:
        raise InputError(f"the tag {min(taken)!r} is that of a part of space and time; rename it in the mesh")
    local = _prisms(mesh) if mesh.cell == "triangle" else _products(mesh)
    if len(local) * layers > MAX_CELLS:
        raise InputError(f"{len(local) * layers:,} cells of space and time are more than {MAX_CELLS:,}: ask for fewer `layers`")
    order, n = mesh.order, len(mesh.nodes)
    times = np.linspace(start, end, order * layers + 1)
    nodes = np.column_stack([np.tile(mesh.nodes, (len(times), 1)), np.repeat(times, n)])
    first = order * n * np.arange(layers)  # number of the first node of each layer
    cells = (first[:, None, None] + local).reshape(-1, local.shape[1])
    owner = np.tile(np.repeat(np.arange(mesh.n_cells), len(local) // mesh.n_cells), layers)  # cell in space of every cell
    cell_tags = {name: np.flatnonzero(np.isin(owner, own)) for name, own in mesh.cell_tags.items()}
    groups = {name: _upright(mesh, own, first) for name, own in mesh.facet_tags.items()}
    if sides_of(mesh) == (SIDES,):
        groups[SIDES] = _upright(mesh, np.arange(len(mesh.boundary)), first)
    outline = Box((*mesh.shape.lower, start), (*mesh.shape.upper, end)) if isinstance(mesh.shape, Box) else None
    made = make_mesh(nodes, cells, _CELLS[mesh.cell], order, groups, cell_tags, outline)
    instants = made.nodes[made.facet_vertices(made.facets("all"))][..., -1]
    ends = {name: np.flatnonzero((instants == t).all(axis=1)) for name, t in ((INITIAL, start), (FINAL, end))}
    return replace(made, facet_tags={**made.facet_tags, **ends}, interior_tags=mesh.interior_tags, timed=True)


def _products(mesh: Mesh) -> Integers:
    """Return the nodes of the cells over intervals or quadrilaterals, in the first layer [n_cells, n_local]."""
    points = np.array(lagrange(_CELLS[mesh.cell], mesh.order).points)
    below = match_points(np.array(lagrange(mesh.cell, mesh.order).points), points[:, :-1])
    level = np.rint(mesh.order * points[:, -1]).astype(np.int64)
    return np.asarray(mesh.cells[:, below] + len(mesh.nodes) * level)


def _prisms(mesh: Mesh) -> Integers:
    """Return the nodes of the three tetrahedra over each triangle, in the first layer [3 n_cells, n_local]."""
    order, n = mesh.order, len(mesh.nodes)
    rank = np.argsort(mesh.vertices, axis=1)  # local vertices by rising number
    between = np.empty((len(rank), 3, 3), dtype=np.int64)  # node of a vertex, or in the middle of two
    corners = np.array(mesh.reference.vertices)
    halfway = ((corners[:, None] + corners) / 2).reshape(-1, 2)
    middle = match_points(np.array(lagrange("triangle", 2).points), halfway).reshape(3, 3)
    ends = (rank[:, :, None], rank[:, None, :])
    between = np.take_along_axis(mesh.cells, middle[ends].reshape(-1, 9), axis=1).reshape(-1, 3, 3) if order == 2 else between
    between[:, range(3), range(3)] = np.take_along_axis(mesh.cells, rank, axis=1)
    weights, _ = tabulate(lagrange("tetrahedron", 1), np.array(lagrange("tetrahedron", order).points))  # [n_local, 4]
    found = []
    for vertices in _PRISM:
        a, b = np.array([np.flatnonzero(w > 1e-9)[[0, -1]] for w in weights]).T  # a vertex, or the ends of an edge
        level = (vertices[a, 1] + vertices[b, 1]) * order // 2
        found.append(between[:, vertices[a, 0], vertices[b, 0]] + n * level)
    return np.stack(found, axis=1).reshape(-1, len(weights))


def _upright(mesh: Mesh, facets: Integers, first: Integers) -> Integers:
    """Return the vertices of the facets over facets of a mesh in space, in all layers [m, n_fv]."""
    pattern = np.array(_FACET[mesh.cell])  # [k, n_fv, 2]
    own = np.sort(mesh.facet_vertices(facets), axis=1)  # [f, n]
    low = own[:, pattern[..., 0]] + len(mesh.nodes) * mesh.order * pattern[..., 1]  # [f, k, n_fv]
    return np.asarray((first[:, None, None, None] + low).reshape(-1, pattern.shape[1]))
