"""Which cells to refine: those with most of the estimated error, and those around a vertex where it is singular."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vpinn.domain import Mesh, bisect

Array = NDArray[np.float64]
Integers = NDArray[np.int64]
BULK = 0.5
"""Share of the squared error that marked cells have (Dörfler, SIAM J. Numer. Anal. 33 (1996), 1106–1124)."""
FEW = 0.15
"""Share of the cells below which those that have the bulk are few, so that smaller cells pay, and not higher degrees."""
PEAK = 0.02
"""Share of the squared error around a vertex above which it may be singular there."""
DEEP = 5
"""Times that the cells around such a vertex are refined once more: halvings of a singular function x^½ gain 0.7 each."""


def bulk(shares: Array) -> Integers:
    """Return the fewest cells that have ``BULK`` of the squared error, of the error's share of each cell [n_cells]."""
    squares = shares**2
    order = np.argsort(-squares, kind="stable")
    return np.asarray(order[: 1 + np.searchsorted(np.cumsum(squares[order]), BULK * squares.sum())])


def concentrated(shares: Array) -> bool:
    """Return whether few cells have most of the error."""
    return len(bulk(shares)) <= max(2, FEW * len(shares))


def refined(mesh: Mesh, shares: Array) -> Mesh:
    """Return a mesh that is finer where the error is.

    Args:
        mesh: of cells that can be bisected.
        shares: the error's share of each cell [n_cells].
    """
    peaks = mesh.nodes[_peaks(mesh, shares**2)]
    fine = bisect(mesh, bulk(shares))
    for _ in range(DEEP if len(peaks) else 0):
        vertices = fine.nodes[fine.vertices]
        touching = np.zeros(fine.n_cells, dtype=bool)
        for peak in peaks:  # few: each has a share of the whole
            touching |= (np.abs(vertices - peak).max(axis=2) <= 1e-12 * np.abs(mesh.nodes).max()).any(axis=1)
        fine = bisect(fine, np.flatnonzero(touching))
    return fine


def _peaks(mesh: Mesh, squares: Array) -> Integers:
    """Return the vertices around which the squared error is ``PEAK`` of all, and denser than around any of their neighbours."""
    vertices = mesh.vertices
    sums = (np.repeat(each, vertices.shape[1]) for each in (squares, mesh.h**mesh.dimension))
    around, volume = (np.bincount(vertices.ravel(), each, len(mesh.nodes)) for each in sums)
    density = around / np.where(volume > 0.0, volume, 1.0)
    densest = np.zeros(len(mesh.nodes))
    np.maximum.at(densest, vertices, density[vertices].max(axis=1)[:, None])
    return np.flatnonzero((around > PEAK * squares.sum()) & (density == densest))
