"""Layers of flat cells around edges of a body at which solutions are singular, and where such edges may be.

Near an edge a solution changes fast across it and slowly along it. Bisection makes cells small in all directions, so that their
number grows as fast as their size falls. Here all edges of cells that leave a line are cut close to it: each layer brings cells
that are smaller across the line only, a fixed number for each cell at the line. Source on such geometric meshes: Schötzau, Schwab
& Wihler, SIAM J. Numer. Anal. 51 (2013), 1610–1633. Start with `layered`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from vpinn.domain.bisect import bisect
from vpinn.domain.build import unique_rows
from vpinn.domain.corners import BEND
from vpinn.domain.cut import Edges
from vpinn.domain.mesh import Mesh
from vpinn.domain.reference import Floats, Integers
from vpinn.domain.rounded import rounded

SHARE = 0.15
"""Size of the cells at a line over that of the next layer; about the best for elements of rising degree, (√2 − 1)² (Gui &
Babuška, Numer. Math. 49 (1986), 577–612)."""


def layered(mesh: Mesh, lines: Integers) -> Mesh:
    """Return the mesh with a layer of small cells around some of its edges.

    Args:
        mesh: mesh of tetrahedra.
        lines: nodes at the ends of the edges [m, 2], each an edge of a cell.
    """
    edges = Edges.of(mesh)
    ends = np.sort(np.searchsorted(edges.nodes, lines), axis=1)
    on = np.zeros(len(edges.nodes), dtype=bool)
    on[ends] = True
    size = len(edges.nodes)
    line = np.isin(edges.ends @ [size, 1], ends @ [size, 1])
    if (bridge := on[edges.ends].all(axis=1) & ~line).any():  # an edge from line to line has no far end
        edges = Edges.of(edges.cut(np.where(bridge, 0.5, np.nan)))
        on = np.append(on, np.zeros(len(edges.nodes) - size, dtype=bool))
    start, end = on[edges.ends].T
    shares = np.where(start == end, np.nan, np.where(start, SHARE, 1.0 - SHARE))
    return replace(edges.cut(shares), bisected=(*mesh.bisected, np.array(lines)))


def replayed(mesh: Mesh, marks: Iterable[Integers]) -> Mesh:
    """Return the mesh after several refinements, from the marked cells [k] or the lines [m, 2] of each."""
    for marked in marks:
        along = rounded if mesh.cell == "triangle" else partial(layered, lines=marked)
        mesh = bisect(mesh, marked) if marked.ndim == 1 else along(mesh)
    return mesh


def creases(mesh: Mesh) -> Integers:
    """Return the edges of the boundary at which solutions may be singular, by their nodes [m, 2].

    There the boundary turns inwards by more than an angle at which it may still be a curved surface, or facets have other tags.

    Args:
        mesh: mesh of any cells; only tetrahedra have such edges.
    """
    if mesh.cell != "tetrahedron":
        return np.empty((0, 2), dtype=np.int64)
    facets = mesh.facet_vertices(np.arange(len(mesh.boundary)))
    normal, middle = _normals(mesh, facets)
    groups = np.zeros((len(facets), len(mesh.facet_tags)), dtype=np.int64)
    for column, rows in zip(groups.T, mesh.facet_tags.values(), strict=True):
        column[rows] = 1
    sides = np.sort(facets[:, [[0, 1], [0, 2], [1, 2]]].reshape(-1, 2), axis=1)
    first, edge, count = unique_rows(sides)
    pairs = np.argsort(edge, kind="stable")[np.repeat(count == 2, count)].reshape(-1, 2) // 3  # the two facets at an edge
    one, other = pairs.T
    inwards = np.einsum("ni,ni->n", normal[one], middle[other] - middle[one]) > 0.0
    bent = np.einsum("ni,ni->n", normal[one], normal[other]) < np.cos(BEND)
    return np.asarray(sides[first][count == 2][(inwards & bent) | (groups[one] != groups[other]).any(axis=1)])


def touching(mesh: Mesh, lines: Integers) -> NDArray[np.bool_]:
    """Return whether each cell has a vertex on one of some lines [n_cells]."""
    on = np.zeros(len(mesh.nodes), dtype=bool)
    on[lines] = True
    return np.asarray(on[mesh.vertices].any(axis=1))


def _normals(mesh: Mesh, facets: Integers) -> tuple[Floats, Floats]:
    """Return outward unit normals and centres of triangles on the boundary, as if they were flat, [n, 3] each."""
    corners = mesh.nodes[facets]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    middle = corners.mean(axis=1)
    outwards = np.einsum("ni,ni->n", normal, middle - mesh.nodes[mesh.vertices[mesh.boundary[:, 0]]].mean(axis=1))
    normal *= (np.sign(outwards) / np.linalg.norm(normal, axis=1))[:, None]
    return normal, middle
