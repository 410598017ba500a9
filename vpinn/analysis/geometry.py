"""How far the cells of a mesh are from the shape that they stand for, which no estimate on these cells sees."""

from __future__ import annotations

import numpy as np

from vpinn.domain import Mesh

SMOOTH = 0.2
"""Angle in radians up to which two facets stand for one smooth curve; above, they meet in a corner."""


def kink(mesh: Mesh) -> float:
    """Return the largest angle in radians, up to ``SMOOTH``, between facets of a plane mesh that stand for a smooth curve.

    Their true tangents agree where they meet; slopes of a solution near the boundary are wrong by that angle, relatively. It is
    zero of straight sides, and of meshes in other dimensions, where it is not looked for.
    """
    if mesh.dimension != 2:
        return 0.0
    cell, local = mesh.boundary.T
    ends = mesh.reference.facet_points(np.array([[0.0], [1.0]]))[local].reshape(-1, 2)
    frames = mesh.frames_at(np.repeat(cell, 2), ends)
    normals = np.einsum("nij,nj->ni", frames.cofactor, np.repeat(mesh.reference.facet_normals[local], 2, axis=0))
    angles = np.arctan2(normals[:, 1], normals[:, 0])
    _, place, count = np.unique(frames.x.round(12), axis=0, return_inverse=True, return_counts=True)
    order = np.argsort(place.ravel(), kind="stable")
    first = order[np.flatnonzero(np.diff(place.ravel()[order], prepend=-1))]
    second = order[np.cumsum(count) - 1]
    turned = np.abs(np.angle(np.exp(1j * (angles[first] - angles[second]))))[count == 2]
    return float(turned[turned <= SMOOTH].max(initial=0.0))
