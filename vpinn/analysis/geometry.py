"""Measure how far a mesh is from the curved shape that it approximates: an error that no estimate on the mesh sees."""

from __future__ import annotations

import numpy as np

from vpinn.domain import Mesh

SMOOTH = 0.2
"""Largest angle in radians between two facets that approximate a smooth curve; at a larger one they form a corner."""


def kink(mesh: Mesh) -> float:
    """Return the largest angle in radians between neighbouring facets that approximate a smooth curve, 0 to ``SMOOTH``.

    The curve has one tangent where two facets meet. So the gradient of a solution near the boundary has a relative error of about
    that angle. The angle is zero for straight sides. It is computed in two dimensions only, and zero in others.
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
