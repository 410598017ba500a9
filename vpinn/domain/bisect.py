"""Local refinement of intervals, triangles and tetrahedra by bisection, without hanging nodes.

All edges of the marked cells are marked. If any edge of a cell or face is marked, its longest edge is marked, too, which keeps
angles from degenerating. Every cell then cuts its marked edges from the longest to the shortest. Two cells therefore cut their
common face in the same way, so that there are no hanging nodes. Sources: Rivara, Int. J. Numer. Meth. Eng. 20 (1984), 745–756;
Plaza & Carey, Appl. Numer. Math. 32 (2000), 195–218. Start with `bisect`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from vpinn.domain.build import make_mesh, unique_rows
from vpinn.domain.mesh import Mesh
from vpinn.domain.reference import Floats, Integers, lagrange, tabulate
from vpinn.errors import InputError

BISECTED = ("interval", "triangle", "quadrilateral", "tetrahedron")
"""Cell types that can be refined locally; straight quadrilaterals are first cut into triangles."""


def divisible(mesh: Mesh) -> bool:
    """Return whether stages of elements refine a mesh locally: in one and two dimensions, but for curved quadrilaterals."""
    return mesh.cell in BISECTED and (mesh.cell, mesh.order) != ("quadrilateral", 2) and mesh.dimension < 3


@dataclass(frozen=True)
class Pieces:
    """Parts of the cells of a mesh.

    Attributes:
        vertices: vertices of every part [n, d + 1]; the numbers of the mesh's vertices come first, then those of midpoints.
        parent: cell of the mesh that contains the part [n].
        reference: vertices of the part in the reference coordinates of that cell [n, d + 1, d].
    """

    vertices: Integers
    parent: Integers
    reference: Floats


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
    compact, vertices = np.unique(mesh.vertices, return_inverse=True)
    vertices = vertices.reshape(mesh.n_cells, -1).astype(np.int64)
    pairs = np.array(list(combinations(range(vertices.shape[1]), 2)))
    ends = np.sort(vertices[:, pairs], axis=2)  # [n_cells, edges of a cell, 2]
    first, edge, _ = unique_rows(ends.reshape(-1, 2))
    edge, ends = edge.reshape(mesh.n_cells, len(pairs)), ends.reshape(-1, 2)[first]
    x = mesh.nodes[compact]
    length = np.linalg.norm(x[ends[:, 1]] - x[ends[:, 0]], axis=1)
    order = np.lexsort((np.arange(len(ends)), (length / length.max()).round(12)))  # equal lengths in the order of their ends
    rank = np.empty(len(ends), dtype=np.int64)
    rank[order] = np.arange(len(ends))
    cut = _closed(edge, rank, marked, pairs)
    middle = np.where(cut, len(compact) + np.cumsum(cut) - 1, -1)
    pieces = _pieces(mesh, vertices, ends, rank, middle)
    placed = np.concatenate([x, x[ends[cut]].mean(axis=1)])
    return replace(_mesh(mesh, pieces, placed), bisected=(*mesh.bisected, np.array(marked)))


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


def replayed(mesh: Mesh, marks: Iterable[Integers]) -> Mesh:
    """Return the mesh after several calls of ``bisect``, with the marked cells of each."""
    for marked in marks:
        mesh = bisect(mesh, marked)
    return mesh


def _closed(edge: Integers, rank: Integers, marked: Integers, pairs: Integers) -> NDArray[np.bool_]:
    """Return whether each edge is cut [n_edges]: edges of marked cells, and the longest edge of cells and faces with a cut."""
    cut = np.zeros(len(rank), dtype=bool)
    cut[edge[marked].ravel()] = True
    corners = pairs.max() + 1
    groups = [np.arange(len(pairs))]
    if corners > 3:  # the three edges of every face
        groups += [np.flatnonzero(np.isin(pairs, face).all(axis=1)) for face in combinations(range(corners), 3)]
    while True:
        before = cut.sum()
        for group in groups:
            own = edge[:, group]
            touched = own[cut[own].any(axis=1)]
            cut[touched[np.arange(len(touched)), rank[touched].argmax(axis=1)]] = True
        if cut.sum() == before:
            return cut


def _pieces(mesh: Mesh, vertices: Integers, ends: Integers, rank: Integers, middle: Integers) -> Pieces:
    """Return the parts of all cells, each bisected at its longest marked edge until none of its edges is marked."""
    size = vertices.max() + 1
    keys = ends[:, 0] * size + ends[:, 1]
    order = np.argsort(keys)
    keys = keys[order]
    corners = vertices.shape[1]
    pairs = np.array(list(combinations(range(corners), 2)))
    done, parent = list[Pieces](), np.arange(len(vertices))
    reference = np.broadcast_to(mesh.reference.vertices, (len(vertices), *mesh.reference.vertices.shape))
    while len(vertices):
        own = np.sort(vertices[:, pairs], axis=2)
        wanted = own[..., 0] * size + own[..., 1]
        at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        # an edge with a new end is no edge of the mesh: its key may be another's by accident
        there = (keys[at] == wanted) & (own[..., 1] < size)
        number = np.where(there, order[at], -1)
        score = np.where(there & (middle[number] >= 0), rank[number], -1)
        best = score.argmax(axis=1)
        open_ = score.max(axis=1) >= 0
        done.append(Pieces(vertices[~open_], parent[~open_], reference[~open_]))
        vertices, parent, reference, best = vertices[open_], parent[open_], reference[open_], best[open_]
        rows, (a, b) = np.arange(len(vertices)), pairs[best].T
        new = middle[number[open_][rows, best]]
        placed = (reference[rows, a] + reference[rows, b]) / 2.0
        halves = []
        for end in (a, b):
            cornered, referred = vertices.copy(), reference.copy()
            cornered[rows, end], referred[rows, end] = new, placed
            halves.append((cornered, referred))
        vertices, reference = (np.concatenate([half[k] for half in halves]) for k in (0, 1))
        parent = np.concatenate([parent, parent])
    return Pieces(*(np.concatenate([getattr(piece, name) for piece in done]) for name in ("vertices", "parent", "reference")))


def _mesh(mesh: Mesh, pieces: Pieces, straight: Floats) -> Mesh:
    """Return the mesh of the pieces, in the order of their cells and with the tags of their cells.

    Args:
        mesh: mesh that was cut.
        pieces: pieces of its cells.
        straight: coordinates of the vertices for straight cells [n_vertices, d]; those of ``mesh`` are also used for curved ones.
    """
    order = np.argsort(pieces.parent, kind="stable")
    vertices, parent, reference = pieces.vertices[order], pieces.parent[order], pieces.reference[order]
    element = lagrange(mesh.cell, mesh.order)
    weights, _ = tabulate(lagrange(mesh.cell, 1), np.array(element.points))  # [n_local, d + 1]
    placed = np.einsum("kv,nvd->nkd", weights, reference)
    x = mesh.frames_at(np.repeat(parent, len(weights)), placed.reshape(-1, mesh.dimension)).x
    cells = _numbered(vertices, weights)
    nodes = np.empty((cells.max() + 1, mesh.dimension))
    nodes[cells.ravel()] = x
    kept = len(straight) if mesh.order == 1 else len(np.unique(mesh.vertices))
    nodes[:kept] = straight[:kept]
    start = np.searchsorted(parent, np.arange(mesh.n_cells + 1))
    tags = {name: np.concatenate([np.arange(start[c], start[c + 1]) for c in own]) for name, own in mesh.cell_tags.items()}
    fine = make_mesh(nodes, cells, mesh.cell, mesh.order, cell_tags=tags, shape=mesh.shape)
    row = np.full((mesh.n_cells, len(mesh.reference.facets)), -1)
    row[tuple(mesh.boundary.T)] = np.arange(len(mesh.boundary))
    child, local = fine.boundary.T
    middle = reference[child[:, None], mesh.reference.facets[local]].mean(axis=1)
    barycentric, _ = tabulate(lagrange(mesh.cell, 1), middle)  # of the parent's vertices; zero opposite the facet
    opposite = np.array([np.setdiff1d(np.arange(mesh.dimension + 1), facet)[0] for facet in mesh.reference.facets])
    facet = np.argsort(opposite)[barycentric.argmin(axis=1)]
    origin = row[parent[child], facet]
    facet_tags = {name: np.flatnonzero(np.isin(origin, own)) for name, own in mesh.facet_tags.items()}
    return replace(fine, facet_tags=facet_tags, interior_tags=mesh.interior_tags, timed=mesh.timed)


def _numbered(vertices: Integers, weights: Floats) -> Integers:
    """Return the node numbers of cells [n, n_local]; vertices keep their numbers, a node on an edge is identified by its ends."""
    cells = np.empty((len(vertices), len(weights)), dtype=np.int64)
    total = vertices.max() + 1
    for local, weight in enumerate(weights):
        support = np.flatnonzero(weight > 1e-9)
        if len(support) == 1:
            cells[:, local] = vertices[:, support[0]]
    on_edges = [local for local, weight in enumerate(weights) if (weight > 1e-9).sum() == 2]
    if on_edges:
        ends = np.stack([np.sort(vertices[:, np.flatnonzero(weights[local] > 1e-9)], axis=1) for local in on_edges], axis=1)
        _, inverse, _ = unique_rows(ends.reshape(-1, 2))
        cells[:, on_edges] = total + inverse.reshape(len(vertices), -1)
    return cells
