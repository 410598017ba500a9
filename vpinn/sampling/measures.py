"""Split the points of a step between the measures of an objective, domain and boundary, as strata of the whole.

`noted` records how noisy each measure is, `shared` splits the points accordingly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from vpinn.sampling.allocation import split
from vpinn.sampling.sampler import Adaptive, Sampler, State, Uniform
from vpinn.sampling.stratified import averaged

NOISE = "noise"
"""Entry of a sampler's state: n_mV_m, the points of the measure times the variance of the gradient due to them."""


def movable(samplers: Sequence[Sampler]) -> list[int]:
    """Return the numbers of the measures between which points may move: those under Neyman's rule, if there are several."""
    found = [k for k, sampler in enumerate(samplers) if isinstance(sampler, Adaptive) and sampler.bounds is not None]
    return found if len(found) > 1 else []


def shared(samplers: Sequence[Sampler], learned: Sequence[State]) -> tuple[Sampler, ...]:
    """Return the samplers with the points of a step split between the measures by their recorded noise; see ``allocation.split``.

    The total number of points stays the same. A measure that would get all its points uses each of them once.

    Args:
        samplers: one per measure.
        learned: state of each sampler.
    """
    chosen = [k for k in movable(samplers) if NOISE in learned[k]]
    if len(chosen) < 2:
        return tuple(samplers)
    noise = np.sqrt([float(learned[k][NOISE]) for k in chosen])
    size = np.array([samplers[k].size for k in chosen])
    least, most = np.array([_bounds(samplers[k]) for k in chosen]).T
    made = list(samplers)
    for k, count in zip(chosen, split(noise, size, least, most), strict=True):
        whole = count == samplers[k].points
        made[k] = Uniform(int(count), int(count), replacement=False) if whole else replace(samplers[k], size=int(count))
    return tuple(made)


def noted(state: State, noise: float) -> State:
    """Return the state of a measure's sampler with a new value of n_mV_m averaged in."""
    return averaged(state, NOISE, np.array(noise))


def _bounds(sampler: Sampler) -> tuple[int, int]:
    """Return the fewest and most points of a measure between which points may move."""
    assert isinstance(sampler, Adaptive)
    assert sampler.bounds is not None
    return sampler.bounds
