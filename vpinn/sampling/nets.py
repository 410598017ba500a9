"""Variance of scrambled nets: how much of each level of detail of an integrand remains in the mean over the points.

Divide y on [0, 1)^d into levels ℓ: the part that depends on the first ℓᵢ bits of every coordinate i and vanishes in the mean over
the last of them, of mean square σ_ℓ². For scrambled points x, x' whose coordinates i have exactly γᵢ leading bits in common,
E y(x) y(x') = Σ_ℓ σ_ℓ² Πᵢ φ(ℓᵢ, γᵢ) with φ = 1 for ℓᵢ ≤ γᵢ, −1 for ℓᵢ = γᵢ + 1 and 0 beyond. The mean over b points therefore has
the variance Σ_{ℓ≠0} Γ_ℓ σ_ℓ² with the gains Γ_ℓ = b⁻² Σ_{x,x'} Πᵢ φ (Owen 1997, Monte Carlo variance of scrambled net quadrature,
SIAM J. Numer. Anal. 34); for independent points Γ_ℓ = 1/b. Owen's nested permutations and a random lower triangular matrix with
a digital shift give pairs of points the same distribution, because x ⊕ x' has γᵢ zeros, a one, and independent random bits
(Matoušek 1998, J. Complexity 14). Start with `net_variance`.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from vpinn.domain import sobol_points
from vpinn.sampling.curve import Array, SpaceCurve

BITS = 20
"""Bits of the grid on which levels of detail are resolved."""


def net_variance(curve: SpaceCurve, contributions: Array, size: int) -> float:
    """Return the variance of the estimate of Σ contributions by scrambled Sobol points whose bits the curve interleaves.

    It is exact where 2^levels ≥ size, since no two points then agree in the first bits of any coordinate, or where the grid
    resolves all points of the data set; otherwise details finer than the grid are counted as for independent points.

    Args:
        curve: arrangement of the data set; y is a contribution divided by its length on it.
        contributions: w·f of every point [N].
        size: number of Sobol points b ≥ 1.
    """
    d = curve.dimension
    levels = min((size - 1).bit_length(), BITS // d)
    index, ends = curve.layout
    taken = contributions[index]
    sums = np.concatenate([[0.0], np.cumsum(taken)])
    means = 2 ** (d * levels) * np.diff(np.interp(np.linspace(0.0, 1.0, 2 ** (d * levels) + 1), ends, sums))
    bits = [level * d + d - 1 - axis for axis in range(d) for level in range(levels)]
    grid = means.reshape((2,) * (d * levels)).transpose(bits).reshape((2**levels,) * d)
    squares = _mean_squares(grid, levels)
    rest = float((taken**2 / np.diff(ends)).sum() - squares.flat[-1])
    for axis in range(d):
        squares = np.diff(squares, axis=axis, prepend=0.0)
    squares.flat[0] = 0.0
    return float((gains(d, size, levels) * squares).sum()) + max(rest, 0.0) / size


def _mean_squares(grid: Array, levels: int) -> Array:
    """Return the mean squares of averages over boxes with sides 2^−mᵢ, for all mᵢ ≤ levels [levels + 1, …].

    Args:
        grid: averages over the smallest boxes [2^levels, …].
        levels: number of levels of every axis.
    """

    def over(values: Array, axes: int) -> Array:
        if not axes:
            return np.asarray(np.mean(values**2))
        found = [over(np.moveaxis(values, 0, -1), axes - 1)]
        for _ in range(levels):
            values = 0.5 * (values[::2] + values[1::2])
            found.append(over(np.moveaxis(values, 0, -1), axes - 1))
        return np.stack(found[::-1])

    return over(grid, grid.ndim)


@lru_cache(maxsize=32)
def gains(dimension: int, size: int, levels: int) -> Array:
    """Return the gains Γ_ℓ of the first points of the Sobol sequence for all ℓ ≤ levels [levels + 1, …].

    With φ(ℓ, γ) = 2·[γ ≥ ℓ] − [γ ≥ ℓ − 1] for ℓ ≥ 1, they are sums of the numbers of pairs in the same box, Σ n².

    Args:
        dimension: d, 1 to 3.
        size: number of points.
        levels: number of levels; the 2^(d·levels) boxes must be few enough to be counted.
    """
    points = sobol_points(dimension, size)
    pairs = np.empty((levels + 1,) * dimension)
    for level in np.ndindex(pairs.shape):
        box = np.zeros(size, np.int64)
        for axis, bits in enumerate(level):
            box = (box << bits) | np.floor(points[:, axis] * 2.0**bits).astype(np.int64)
        pairs[level] = float((np.bincount(box).astype(np.float64) ** 2).sum())
    for axis in range(dimension):
        ahead = np.moveaxis(pairs, axis, 0)
        pairs = np.moveaxis(np.concatenate([ahead[:1], 2.0 * ahead[1:] - ahead[:-1]]), 0, axis)
    return pairs / size**2
