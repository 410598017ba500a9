"""Local refinement of intervals, triangles and tetrahedra by bisection, without hanging nodes.

All edges of the marked cells are marked. If any edge of a cell or face is marked, its longest edge is marked, too, which keeps
angles from degenerating. Every cell then cuts its marked edges from the longest to the shortest. Two cells therefore cut their
common face in the same way, so that there are no hanging nodes. Sources: Rivara, Int. J. Numer. Meth. Eng. 20 (1984), 745–756;
Plaza & Carey, Appl. Numer. Math. 32 (2000), 195–218. Start with `bisect`.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from vpinn.domain.build import make_mesh
from vpinn.domain.cut import Edges
from vpinn.domain.mesh import Mesh
from vpinn.domain.reference import Integers
from vpinn.errors import InputError

BISECTED = ("interval", "triangle", "quadrilateral", "tetrahedron")
"""Cell types that can be refined locally; straight quadrilaterals are first cut into triangles."""


def divisible(mesh: Mesh) -> bool:
    """Return whether stages of elements refine a mesh locally: not with hexahedra or curved quadrilaterals."""
    return mesh.cell in BISECTED and (mesh.cell, mesh.order) != ("quadrilateral", 2)


def bisect(mesh: Mesh, marked: Integers) -> Mesh:
    """Refine marked cells once, cutting each of their edges in the middle, and other cells where that avoids hanging nodes.

    Tags, outline and geometric order are kept. The parts have exactly the geometry of their cells: curved cells stay curved.

    Args:
        mesh: mesh of intervals, triangles or tetrahedra of either order, or of straight quadrilaterals.
        marked: numbers of the marked cells.

    Returns:
        a mesh of the cells that were not cut and the parts of all others.

    Raises:
        InputError: quadrilaterals are curved.
    """
    if mesh.cell == "quadrilateral":
        halves = triangles(mesh)
        return replace(bisect(halves, (2 * marked[:, None] + np.arange(2)).ravel()), bisected=(*mesh.bisected, np.array(marked)))
    edges = Edges.of(mesh)
    shares = np.where(_closed(edges, marked), 0.5, np.nan)
    return replace(edges.cut(shares), bisected=(*mesh.bisected, np.array(marked)))


def triangles(mesh: Mesh) -> Mesh:
    """Return a mesh of straight quadrilaterals cut into two triangles each, those of cell c numbered 2c and 2c + 1.

    Raises:
        InputError: cells are curved.
    """
    if mesh.order != 1:
        raise InputError("curved quadrilaterals cannot be cut into triangles; mesh the domain with triangles")
    halves = np.stack([mesh.cells[:, [0, 1, 3]], mesh.cells[:, [0, 3, 2]]], axis=1).reshape(-1, 3)
    tags = {name: (2 * own[:, None] + np.arange(2)).ravel() for name, own in mesh.cell_tags.items()}
    groups = {name: mesh.facet_vertices(own) for name, own in mesh.facet_tags.items()}
    cut = make_mesh(mesh.nodes, halves, "triangle", facet_groups=groups, cell_tags=tags, shape=mesh.shape)
    return replace(cut, interior_tags=mesh.interior_tags, timed=mesh.timed)


def _closed(edges: Edges, marked: Integers) -> NDArray[np.bool_]:
    """Return whether each edge is cut [n_edges]: edges of marked cells, and the longest edge of cells and faces with a cut."""
    rank, pairs = edges.rank, edges.pairs
    cut = np.zeros(len(rank), dtype=bool)
    cut[edges.of_cells[marked].ravel()] = True
    corners = pairs.max() + 1
    groups = [np.arange(len(pairs))]
    if corners > 3:  # the three edges of every face
        groups += [np.flatnonzero(np.isin(pairs, face).all(axis=1)) for face in combinations(range(corners), 3)]
    while True:
        before = cut.sum()
        for group in groups:
            own = edges.of_cells[:, group]
            touched = own[cut[own].any(axis=1)]
            cut[touched[np.arange(len(touched)), rank[touched].argmax(axis=1)]] = True
        if cut.sum() == before:
            return cut
