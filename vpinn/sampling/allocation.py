"""Split the points of a batch between strata, and between the measures of an objective (domain and boundary).

The measures are strata of the whole, so that the same rules hold for both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np

from vpinn.errors import InputError
from vpinn.sampling.curve import Array, Index

FLOOR: Final = 0.1
"""Share of an adaptive batch that is allocated in proportion to the weights, so that every stratum keeps some points."""

ALLOCATIONS: Final[Mapping[str, Callable[[Array, Array], Array]]] = {
    "proportional": lambda weight, deviation: weight,
    "neyman": lambda weight, deviation: weight * deviation,
    "equal-variance": lambda weight, deviation: deviation**2,
}
"""Names in a problem file → desired shares, up to a factor, from weights W_k and standard deviations σ_k.

Neyman's allocation (1934) minimises Σ W_k²σ_k²/n_k; equal-variance gives the mean of every stratum the same variance σ_k²/n_k.
"""


def allocate(name: str, size: int, weight: Array, deviation: Array | None, least: int | Index) -> Index:
    """Return the points of each stratum [K], which sum to ``size``.

    Args:
        name: one of ``ALLOCATIONS``.
        size: points of the batch, at least the sum of ``least``.
        weight: shares W_k of the strata [K], > 0, which sum to one.
        deviation: standard deviations σ_k [K] ≥ 0; None where they are not known yet, for a proportional allocation.
        least: fewest points of a stratum, one number or [K].

    Raises:
        InputError: there are fewer points than the strata need.
    """
    strata, fewest = len(weight), np.broadcast_to(least, len(weight))
    if size < fewest.sum():
        raise InputError(
            f"batch.size is {size}, but {strata} strata need {fewest.max()} points each, {fewest.sum()} in all; "
            "raise batch.size, or take fewer strata"
        )
    wanted = weight
    if name != "proportional" and deviation is not None:
        found = ALLOCATIONS[name](weight, deviation)
        if np.isfinite(found).all() and found.sum() > 0.0:
            wanted = (1.0 - FLOOR) * found / found.sum() + FLOOR * weight
    return apportion(wanted, size, fewest)


def split(noise: Array, size: Index, least: Index, most: Index) -> Index:
    """Return the points of every measure [M] by Neyman's rule for measures as strata, n_m ∝ W_mσ_m; they sum to that of ``size``.

    Args:
        noise: W_mσ_m ≥ 0 up to a factor [M]: the root of n_mV_m, where V_m is the variance due to the n_m points of a measure.
        size: points in proportion to the data sets [M], by which the share ``FLOOR`` of all points is allocated.
        least: fewest points of a measure [M] ≤ size.
        most: most points of a measure [M] ≥ size.
    """
    if not (np.isfinite(noise).all() and noise.sum() > 0.0):
        return size
    wanted = (1.0 - FLOOR) * noise / noise.sum() + FLOOR * size / size.sum()
    count, full = apportion(wanted, int(size.sum()), least), np.zeros(len(size), dtype=bool)
    while (count > most).any():  # points that a measure cannot take go to the others
        full |= count > most
        count = np.where(full, most, count)
        count[~full] = apportion(wanted[~full], int(size.sum() - most[full].sum()), least[~full])
    return count


def apportion(wanted: Array, size: int, least: Index) -> Index:
    """Return whole numbers [K] ≥ ``least`` that sum to ``size`` and are nearest to the shares ``wanted`` (largest remainders).

    Args:
        wanted: shares ≥ 0 up to a factor [K].
        size: sum of the numbers, at least the sum of ``least``.
        least: smallest number of each [K].
    """
    share = wanted / wanted.sum() * size
    short = share < least
    while True:  # strata below their least get it, the others share the rest; each pass fixes one more stratum
        rest = size - int(least[short].sum())
        free = np.where(short, 0.0, wanted)
        share = np.where(short, least, free / max(free.sum(), 1e-300) * rest)
        more = ~short & (share < least)
        if not more.any():
            break
        short |= more
    count = np.floor(share + 1e-9).astype(np.int64)
    left = size - int(count.sum())
    count[np.argsort(count - share, kind="stable")[:left]] += 1
    return count
