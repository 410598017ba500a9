"""The cell of a mesh in which a point lies, and its reference coordinates there."""

from __future__ import annotations

import numpy as np

from vpinn.domain.mesh import Mesh
from vpinn.domain.reference import Floats, Integers

_FIRST_CANDIDATES = 8
_NEWTON_STEPS = 25
_CHUNK = 100_000
TOLERANCE = 1e-9
"""How far outside a cell a point may lie, in reference units; on a shared facet the first cell found counts."""


def locate(mesh: Mesh, x: Floats) -> tuple[Integers, Floats]:
    """Return the cell and the reference coordinates of points.

    The cells with the nearest centroids are tried, twice as many in each round, until a cell contains the point or no further
    cell is near enough. Newton's method inverts the isoparametric map.

    Args:
        mesh: the mesh.
        x: points [n, d].

    Returns:
        cell [n], -1 outside the mesh (or where x is not finite), and reference coordinates [n, d], nan outside.
    """
    from scipy.spatial import KDTree

    x = np.ascontiguousarray(x, dtype=np.float64).reshape(-1, mesh.dimension)
    corners = mesh.nodes[mesh.cells]
    centroid = corners[:, : len(mesh.reference.vertices)].mean(axis=1)
    # a second-order map reaches beyond its nodes by at most its Lebesgue constant, 2 on tetrahedra and less on other cells
    reach = (1.0 if mesh.order == 1 else 2.0) * np.linalg.norm(corners - centroid[:, None], axis=2).max(axis=1) * (1.0 + 1e-6)
    tree = KDTree(centroid)
    found, reference = np.full(len(x), -1), np.full(x.shape, np.nan)
    for start in range(0, len(x), _CHUNK):
        part = slice(start, start + _CHUNK)
        found[part], reference[part] = _locate(mesh, x[part], tree, reach)
    return found, reference


def _locate(mesh: Mesh, x: Floats, tree: object, reach: Floats) -> tuple[Integers, Floats]:
    """Return the same for a chunk of points, given the tree of centroids and the reach of each cell around its centroid."""
    found, reference = np.full(len(x), -1), np.full(x.shape, np.nan)
    low, high = mesh.bounds
    slack = (0.25 * (mesh.order == 2) + TOLERANCE) * (high - low)
    with np.errstate(invalid="ignore"):
        open_points = np.flatnonzero(((x >= low - slack) & (x <= high + slack)).all(axis=1))
    seen, count = 0, min(_FIRST_CANDIDATES, mesh.n_cells)
    while len(open_points):
        distance, cells = tree.query(x[open_points], k=range(seen + 1, count + 1))  # type: ignore[attr-defined]
        for column in range(count - seen):
            near = np.flatnonzero((found[open_points] < 0) & (distance[:, column] <= reach[cells[:, column]]))
            points, candidates = open_points[near], cells[near, column]
            position = invert(mesh, candidates, x[points])
            inside = contains(mesh, position, TOLERANCE)
            found[points[inside]] = candidates[inside]
            reference[points[inside]] = position[inside]
        hopeful = (found[open_points] < 0) & (distance[:, -1] <= reach.max())
        open_points = open_points[hopeful] if count < mesh.n_cells else open_points[:0]
        seen, count = count, min(2 * count, mesh.n_cells)
    return found, reference


def invert(mesh: Mesh, cells: Integers, x: Floats) -> Floats:
    """Return the reference coordinates [n, d] of points x [n, d] in given cells [n], by Newton's method; nan where it fails."""
    position = np.repeat(mesh.reference.vertices.mean(axis=0)[None], len(x), axis=0)
    moving = np.arange(len(x))
    for _ in range(1 if mesh.affine else _NEWTON_STEPS):
        if not len(moving):
            break
        frame = mesh.frames_at(cells[moving], position[moving])
        with np.errstate(all="ignore"):
            step = np.einsum("nij,ni->nj", frame.inverse_transpose, x[moving] - frame.x)
            position[moving] += step
            size = np.abs(step).max(axis=1)
            lost = ~(np.abs(position[moving]).max(axis=1) < 1e3)
        position[moving[lost]] = np.nan
        moving = moving[~lost & (size > 1e-14)]
    if not mesh.affine and len(moving):
        position[moving[~(size[~lost & (size > 1e-14)] < 1e-10)]] = np.nan  # still moving after the last step
    return position


def contains(mesh: Mesh, reference: Floats, tolerance: float = 0.0) -> np.ndarray:
    """Return whether reference coordinates [n, d] lie in the reference cell, within a tolerance; false for nan."""
    highest = reference.sum(axis=1) if mesh.reference.simplex else reference.max(axis=1)
    return np.asarray((reference.min(axis=1) >= -tolerance) & (highest <= 1.0 + tolerance))
