"""Choose the cells to refine: those with most of the estimated error, around a vertex or an edge where the solution is singular.

``refined`` returns the finer mesh; ``concentrated`` tells whether smaller cells are better than a higher degree.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from vpinn.domain import Mesh, bisect, creases, layered, touching

Array = NDArray[np.float64]
Integers = NDArray[np.int64]
BULK = 0.5
"""Share of the squared error in the marked cells (Dörfler, SIAM J. Numer. Anal. 33 (1996), 1106–1124)."""
FEW = {1: 0.15, 2: 0.15, 3: 0.05}
"""Dimension → share of the cells up to which the marked cells are few, so that smaller cells are better than a higher degree."""
PEAK = 5e-3
"""Share of the squared error in the cells around a vertex above which the solution may be singular there: once the cells at the
worst places are small, those at the next ones have most of the error."""
DEEP = 5
"""Further refinements of the cells around such a vertex; each halves their size, and gains a factor of only 0.7 for √r."""
CREASE = 0.1
"""Squared error of the cells at an edge of the boundary, over that of the edge with most, from which both get a layer."""


def bulk(shares: Array) -> Integers:
    """Return the fewest cells [k] that have ``BULK`` of the squared error, from the error of each cell [n_cells]."""
    squares = shares**2
    order = np.argsort(-squares, kind="stable")
    return np.asarray(order[: 1 + np.searchsorted(np.cumsum(squares[order]), BULK * squares.sum())])


def concentrated(mesh: Mesh, shares: Array) -> bool:
    """Return whether few cells, or those at edges of the boundary, have most of the error, from that of each cell [n_cells]."""
    return len(bulk(shares)) <= max(4, FEW[mesh.dimension] * len(shares)) or len(_lines(mesh, shares**2)) > 0


def refined(mesh: Mesh, shares: Array) -> Mesh:
    """Return a mesh that is finer in the cells with most of the error, in space across edges where the solution is singular.

    Args:
        mesh: mesh whose cells can be bisected.
        shares: error of each cell [n_cells].
    """
    if mesh.cell == "quadrilateral":  # the first bisection cuts them into triangles
        fine, shares = bisect(mesh, np.empty(0, np.int64)), np.repeat(shares / np.sqrt(2.0), 2)
        return refined(fine, shares)
    if len(lines := _lines(mesh, shares**2)):
        return layered(mesh, lines)
    if mesh.dimension == 3:
        return bisect(mesh, bulk(shares))
    peaks = mesh.nodes[_peaks(mesh, shares**2)]
    fine = bisect(mesh, bulk(shares))
    for _ in range(DEEP if len(peaks) else 0):
        vertices = fine.nodes[fine.vertices]
        touching = np.zeros(fine.n_cells, dtype=bool)
        for peak in peaks:  # there are few, as each has a share of the error
            touching |= (np.abs(vertices - peak).max(axis=2) <= 1e-12 * np.abs(mesh.nodes).max()).any(axis=1)
        fine = bisect(fine, np.flatnonzero(touching))
    return fine


def _lines(mesh: Mesh, squares: Array) -> Integers:
    """Return the edges of the boundary [m, 2] at which the solution is singular; none if less than ``BULK`` is in their cells."""
    edges = creases(mesh)
    if not len(edges):
        return edges
    size = len(mesh.nodes)
    pairs = np.array(list(combinations(range(mesh.vertices.shape[1]), 2)))
    keys = np.sort(mesh.vertices[:, pairs], axis=2) @ [size, 1]  # of the edges of every cell
    known = edges @ [size, 1]
    order = np.argsort(known)
    at = np.minimum(np.searchsorted(known, keys, sorter=order), len(known) - 1)
    hit = known[order[at]] == keys
    around = np.bincount(order[at][hit], np.broadcast_to(squares[:, None], keys.shape)[hit], len(edges))
    lines = edges[around >= CREASE * around.max()]
    enough = squares[touching(mesh, lines)].sum() >= BULK * squares.sum()
    return np.asarray(lines if enough else lines[:0])


def _peaks(mesh: Mesh, squares: Array) -> Integers:
    """Return vertices [k] whose cells have more than ``PEAK`` of the squared error, at a higher density than at neighbours."""
    vertices = mesh.vertices
    sums = (np.repeat(each, vertices.shape[1]) for each in (squares, mesh.h**mesh.dimension))
    around, volume = (np.bincount(vertices.ravel(), each, len(mesh.nodes)) for each in sums)
    density = around / np.where(volume > 0.0, volume, 1.0)
    densest = np.zeros(len(mesh.nodes))
    np.maximum.at(densest, vertices, density[vertices].max(axis=1)[:, None])
    return np.flatnonzero((around > PEAK * squares.sum()) & (density == densest))
