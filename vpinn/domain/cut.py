"""Cut edges of a mesh of simplices at given places, and their cells with them, without hanging nodes.

A cell is bisected at its longest edge that is cut, then its parts likewise. The order depends on the edges only, so two cells cut
their common face in the same way, whichever edges are cut. Start with `Edges`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations

import numpy as np

from vpinn.domain.build import make_mesh, unique_rows
from vpinn.domain.mesh import Mesh
from vpinn.domain.reference import Floats, Integers, lagrange, tabulate


@dataclass(frozen=True)
class Pieces:
    """Parts of the cells of a mesh.

    Attributes:
        vertices: vertices of every part [n, d + 1]; the numbers of the mesh's vertices come first, then those of new ones.
        parent: cell of the mesh that contains the part [n].
        reference: vertices of the part in the reference coordinates of that cell [n, d + 1, d].
    """

    vertices: Integers
    parent: Integers
    reference: Floats


@dataclass(frozen=True)
class Edges:
    """The edges of a mesh of simplices. Vertices are numbered without the other nodes of curved cells.

    Attributes:
        mesh: the mesh.
        nodes: node of every vertex [n_vertices].
        vertices: vertices of every cell [n_cells, d + 1].
        ends: ends of every edge, in ascending order [n_edges, 2].
        of_cells: edges of every cell [n_cells, k], in the order of ``pairs``.
    """

    mesh: Mesh
    nodes: Integers
    vertices: Integers
    ends: Integers
    of_cells: Integers

    @classmethod
    def of(cls, mesh: Mesh) -> Edges:
        """Return the edges of a mesh of intervals, triangles or tetrahedra."""
        nodes, vertices = np.unique(mesh.vertices, return_inverse=True)
        vertices = vertices.reshape(mesh.n_cells, -1).astype(np.int64)
        pairs = _pairs(vertices.shape[1])
        ends = np.sort(vertices[:, pairs], axis=2).reshape(-1, 2)
        first, edge, _ = unique_rows(ends)
        return cls(mesh, nodes, vertices, ends[first], edge.reshape(mesh.n_cells, len(pairs)))

    @property
    def pairs(self) -> Integers:
        """Local vertices of the edges of a cell [k, 2]."""
        return _pairs(self.vertices.shape[1])

    @cached_property
    def places(self) -> Floats:
        """Coordinates of the vertices [n_vertices, d]."""
        return self.mesh.nodes[self.nodes]

    @cached_property
    def rank(self) -> Integers:
        """Place of every edge among all by length, those of equal length in the order of their ends [n_edges]."""
        length = np.linalg.norm(self.places[self.ends[:, 1]] - self.places[self.ends[:, 0]], axis=1)
        order = np.lexsort((np.arange(len(self.ends)), (length / length.max()).round(12)))
        rank = np.empty(len(self.ends), dtype=np.int64)
        rank[order] = np.arange(len(self.ends))
        return rank

    def cut(self, shares: Floats) -> Mesh:
        """Return the mesh with some of its edges cut. Tags, outline and geometric order are kept; vertices keep their numbers.

        Args:
            shares: where every edge is cut, as a share of the way from its first end, 0 to 1; nan: it is not cut [n_edges].
        """
        cut = ~np.isnan(shares)
        share, (first, last) = shares[cut][:, None], self.ends[cut].T
        new = (1.0 - share) * self.places[first] + share * self.places[last]
        return _mesh(self.mesh, self._pieces(shares), np.concatenate([self.places, new]))

    def _pieces(self, shares: Floats) -> Pieces:
        """Return the parts of all cells, each bisected at its longest edge that is cut until none of its edges is."""
        vertices, size = self.vertices, len(self.nodes)
        corners, cut = self.mesh.reference.vertices, ~np.isnan(shares)
        added = np.where(cut, size + np.cumsum(cut) - 1, -1)
        keys = self.ends[:, 0] * size + self.ends[:, 1]
        order = np.argsort(keys)
        keys = keys[order]
        pairs = self.pairs
        done, parent = list[Pieces](), np.arange(len(vertices))
        reference = np.broadcast_to(corners, (len(vertices), *corners.shape))
        while len(vertices):
            own = np.sort(vertices[:, pairs], axis=2)
            wanted = own[..., 0] * size + own[..., 1]
            at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
            # an edge with a new end is no edge of the mesh: its key may be another's by accident
            there = (keys[at] == wanted) & (own[..., 1] < size)
            number = np.where(there, order[at], -1)
            score = np.where(there & cut[number], self.rank[number], -1)
            best = score.argmax(axis=1)
            open_ = score.max(axis=1) >= 0
            done.append(Pieces(vertices[~open_], parent[~open_], reference[~open_]))
            vertices, parent, reference, best = vertices[open_], parent[open_], reference[open_], best[open_]
            rows, (a, b) = np.arange(len(vertices)), pairs[best].T
            edge = number[open_][rows, best]
            share = np.where(vertices[rows, a] < vertices[rows, b], shares[edge], 1.0 - shares[edge])[:, None]
            placed = (1.0 - share) * reference[rows, a] + share * reference[rows, b]
            halves = []
            for end in (a, b):
                cornered, referred = vertices.copy(), reference.copy()
                cornered[rows, end], referred[rows, end] = added[edge], placed
                halves.append((cornered, referred))
            vertices, reference = (np.concatenate([half[k] for half in halves]) for k in (0, 1))
            parent = np.concatenate([parent, parent])
        return Pieces(*(np.concatenate([getattr(piece, name) for piece in done]) for name in ("vertices", "parent", "reference")))


def _pairs(corners: int) -> Integers:
    """Return all pairs of the vertices of a simplex [k, 2]."""
    return np.array(list(combinations(range(corners), 2)))


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
    return replace(fine, facet_tags=facet_tags, interior_tags=mesh.interior_tags, timed=mesh.timed, joints=mesh.joints)


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
