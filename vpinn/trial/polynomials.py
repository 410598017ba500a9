"""Polynomials of one coordinate that are orthonormal over a domain, and their derivatives.

The density of one coordinate is uniform on a box, ∝ (1 − t²)^{(d − 1)/2} on a ball of d dimensions, and normal in all of space.
All three are even, so that p₀ = 1 and t p_k = a_{k+1} p_{k+1} + a_k p_{k−1} (Gautschi 2004, Orthogonal Polynomials, § 1.5).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from torch import Tensor

from vpinn.domain.ball import REACH

FAMILIES: Final[Mapping[str, str]] = {"box": "legendre", "ball": "gegenbauer", "space": "hermite"}
"""Kind of a domain → the family of polynomials that is orthonormal for one of its coordinates."""


def recurrence(family: str, dimension: int, degree: int) -> list[float]:
    """Return a_1 … a_degree of a family, for a coordinate t scaled to [−1, 1], or to three standard deviations in all of space.

    Args:
        family: a value of ``FAMILIES``.
        dimension: number of coordinates d of the domain.
        degree: highest degree.
    """
    if family == "legendre":
        return [k / math.sqrt(4.0 * k * k - 1.0) for k in range(1, degree + 1)]
    if family == "hermite":
        return [math.sqrt(k) / REACH for k in range(1, degree + 1)]
    order = 0.5 * dimension  # λ of the Gegenbauer polynomials, whose weight is (1 − t²)^{λ − ½}
    return [math.sqrt(k * (k + 2.0 * order - 1.0) / (4.0 * (k + order) * (k + order - 1.0))) for k in range(1, degree + 1)]


def tabulated(family: str, dimension: int, degree: int, order: int, t: Tensor) -> Tensor:
    """Return polynomials and their derivatives by t.

    Args:
        family: a value of ``FAMILIES``.
        dimension: number of coordinates of the domain.
        degree: highest degree ≥ 0.
        order: highest derivative ≥ 0.
        t: coordinates [..., n].

    Returns:
        values [order + 1, ..., degree + 1, n].
    """
    a = recurrence(family, dimension, degree)
    table = t.new_zeros(order + 1, *t.shape[:-1], degree + 1, t.shape[-1])
    table[0, ..., 0, :] = 1.0
    for k in range(degree):
        for r in range(order + 1):
            row = t * table[r, ..., k, :]
            if k:
                row -= a[k - 1] * table[r, ..., k - 1, :]
            if r:
                row += r * table[r - 1, ..., k, :]
            table[r, ..., k + 1, :] = row / a[k]
    return table
