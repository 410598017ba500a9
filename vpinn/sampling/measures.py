"""The measures of an objective, domain and boundary, as strata of the whole: how many points of a step each of them gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from vpinn.sampling.allocation import split
from vpinn.sampling.sampler import Adaptive, Sampler, State, Uniform
from vpinn.sampling.stratified import averaged

NOISE = "noise"
"""What is learned of a measure: n_mV_m, its points times the variance that they give the gradient."""


def movable(samplers: Sequence[Sampler]) -> list[int]:
    """Return the numbers of the measures whose points may be split anew: those under Neyman's rule, if there are several."""
    found = [k for k, sampler in enumerate(samplers) if isinstance(sampler, Adaptive) and sampler.bounds is not None]
    return found if len(found) > 1 else []


def shared(samplers: Sequence[Sampler], learned: Sequence[State]) -> tuple[Sampler, ...]:
    """Return the samplers with a step's points split between the measures by what was learned of their noise; see ``split``.

    The points of all of them together stay as many. A measure that would get all its points is seen as a whole, each once.

    Args:
        samplers: one per measure.
        learned: what each sampler knows.
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
    assert isinstance(sampler, Adaptive)
    assert sampler.bounds is not None
    return sampler.bounds
