"""Isoparametric maps from reference cells to physical cells, for many cells at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vpinn.domain.reference import Floats


@dataclass(frozen=True, eq=False)
class Frames:
    """The map from reference to physical points and its derivative; the leading shape [...] is cells, or cells by points.

    Attributes:
        x: physical points [..., d], in units of length.
        jacobian: J_ij = ∂x_i/∂X_j, [..., d, d]; axes along which it is constant may have length one.
        cofactor: det(J) J⁻ᵀ, [..., d, d].
        determinant: det(J), [...].
    """

    x: Floats
    jacobian: Floats
    cofactor: Floats
    determinant: Floats

    @property
    def inverse_transpose(self) -> Floats:
        """J⁻ᵀ, which turns reference gradients into physical ones [..., d, d]."""
        inverse: Floats = self.cofactor / self.determinant[..., None, None]
        return inverse


def frames(nodes: Floats, values: Floats, gradients: Floats) -> Frames:
    """Evaluate the geometry of m cells at q reference points each.

    Args:
        nodes: node coordinates of the cells [m, n, d].
        values: geometry basis at the points [q, n] or, different in each cell, [m, q, n].
        gradients: its reference gradients [q, d, n] or [m, q, d, n]; q may be one where the maps are affine.

    Returns:
        frames of shape [m, q], with q of length one in all but x where the gradients have it so.
    """
    d = nodes.shape[2]
    jacobian = np.stack([weighted_sum(gradients[..., j, :], nodes[:, None]) for j in range(d)], axis=-1)
    cofactor = cofactors(jacobian)
    determinant = weighted_sum(jacobian[..., 0, :], cofactor[..., 0, :, None])[..., 0]
    return Frames(weighted_sum(values, nodes[:, None]), jacobian, cofactor, determinant)


def weighted_sum(weights: Floats, vectors: Floats) -> Floats:
    """Return Σ_k weights_k · vectors_k, added term by term, so that the bits of a sum do not depend on how many are computed.

    A matrix product may round differently for one row than for many. A point on the border of a conditional would then lie on one
    side in one batch and on the other side in another.

    Args:
        weights: [..., n].
        vectors: [..., n, d]; leading shapes are broadcast.

    Returns:
        sums [..., d].
    """
    *_, n, d = vectors.shape
    factors = np.ascontiguousarray(np.moveaxis(weights, -1, 0))  # [n, ...]
    terms = np.ascontiguousarray(np.moveaxis(vectors, (-1, -2), (0, 1)))  # [d, n, ...]
    total = np.zeros((*np.broadcast_shapes(weights.shape[:-1], vectors.shape[:-2]), d))
    for i in range(d):  # one component at a time: loops over points are longer than those over components
        total[..., i] = sum((factors[k] * terms[i, k] for k in range(1, n)), factors[0] * terms[i, 0]) if n else 0.0
    return total


def cofactors(matrices: Floats) -> Floats:
    """Return the cofactor matrices of 1×1, 2×2 or 3×3 matrices [..., d, d]."""
    d = matrices.shape[-1]
    if d == 1:
        return np.ones_like(matrices)
    if d == 2:
        (a, b), (c, e) = np.moveaxis(matrices, (-2, -1), (0, 1))
        return np.moveaxis(np.array([[e, -c], [-b, a]]), (0, 1), (-2, -1))
    first, second, third = np.moveaxis(matrices, -2, 0)
    return np.stack([np.cross(second, third), np.cross(third, first), np.cross(first, second)], axis=-2)


def diameters(vertices: Floats) -> Floats:
    """Return the largest distance between two vertices of each cell [m], for vertices [m, n_v, d]."""
    largest = np.zeros(len(vertices))
    for first in range(1, vertices.shape[1]):  # pairs of local vertices, at most 28
        difference = vertices[:, first:] - vertices[:, :-first]
        np.maximum(largest, np.einsum("mvi,mvi->mv", difference, difference).max(axis=1), out=largest)
    return np.sqrt(largest)
