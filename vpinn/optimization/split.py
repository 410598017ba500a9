"""Measure what each part of the drawn points adds to the noise of a step's gradient.

Parts are the points of one measure, by whose noise Neyman's rule splits a step's points, or the points of one tag. Redrawing
one part while the others stay shows its share of the variance (`redrawn`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vpinn.objective import Batch, Objective
from vpinn.placement import wide
from vpinn.sampling import NOTHING, Sampler, State, Stratified, movable, noted, shared

PAIRS = 2
"""Pairs of gradients per measure and pilot; the moving averages over pilots contain about eleven of them."""
CLOSING, MOST = (8, 32), 200_000
"""CLOSING: fewest and most pairs of gradients per tag at the end of a run. MOST: points that all evaluations together may use if
there are more than the fewest pairs.
"""

Piece = tuple[int, slice]
"""Number of a measure, and the slice of its draws."""


def with_noise(
    objective: Objective, samplers: Sequence[Sampler], generator: np.random.Generator, theta: Tensor, learned: Sequence[State]
) -> tuple[State, ...]:
    """Return the samplers' states with n_mV_m of each measure averaged in; unchanged where points cannot move between measures.

    V_m is the variance of the gradient due to the n_m points of a measure; n_mV_m hardly depends on n_m.

    Args:
        objective: what is integrated.
        samplers: one per measure, with points in proportion to the data sets.
        generator: random numbers of the draws.
        theta: parameters [size].
        learned: state of each sampler.
    """
    states = list(learned)
    if chosen := movable(samplers):
        found = redrawn(objective, samplers, generator, theta, learned, [(k, slice(None)) for k in chosen], PAIRS).mean(0)
        for k, variance in zip(chosen, found, strict=True):
            states[k] = noted(states[k], samplers[k].size * float(variance))
    return tuple(states)


def noise_by_tag(
    objective: Objective, samplers: Sequence[Sampler], generator: np.random.Generator, theta: Tensor, learned: Sequence[State]
) -> list[dict[str, Any]]:
    """Return measure, tag, share W_k, points n_k and deviation σ_k of every stratum by tag; [] where there are none.

    A step's gradient has the variance Σ W_k²σ_k²/n_k over all strata. W_k is the share of the tag in its measure, n_k counts the
    points of both batches where there are two, and σ_k has the unit of a gradient.

    Args:
        objective: what is integrated.
        samplers: one per measure.
        generator: random numbers of the draws.
        theta: parameters [size].
        learned: state of each sampler, or ().
    """
    states = learned or [NOTHING] * len(samplers)
    samplers = shared(samplers, states)
    rows: list[dict[str, Any]] = []
    pieces: list[Piece] = []
    for k, (sampler, state) in enumerate(zip(samplers, states, strict=True)):
        if isinstance(sampler, Stratified) and sampler.fewest is not None:
            count, where = sampler.counts(state), objective.batched[k].region.name
            ends = np.cumsum(count)
            pieces += [(k, slice(int(end - n), int(end))) for end, n in zip(ends, count, strict=True)]
            rows += [
                {"measure": where, "tag": tag, "share": float(share), "points": batches_of(objective) * int(n)}
                for tag, share, n in zip(sampler.names, np.diff(sampler.edges), count, strict=True)
            ]
    if not rows:
        return []
    points = 2 * batches_of(objective) * sum(s.size for s in samplers) * (1 + len(pieces))
    pairs = int(np.clip(MOST // points, *CLOSING))
    variance = redrawn(objective, samplers, generator, theta, states, pieces, pairs).mean(0)
    for row, v in zip(rows, variance, strict=True):
        row["deviation"] = float(np.sqrt(row["points"] * v)) / row["share"]
    return rows


def batches_of(objective: Objective) -> int:
    """Return the number of batches for one estimate of the gradient: 2 where it is a product of two, else 1."""
    return 2 if objective.estimator in ("two-batch", "control-variate") else 1


def redrawn(
    objective: Objective,
    samplers: Sequence[Sampler],
    generator: np.random.Generator,
    theta: Tensor,
    learned: Sequence[State],
    pieces: Sequence[Piece],
    pairs: int,
) -> NDArray[np.float64]:
    """Return estimates [pairs, pieces] of the variance V of the gradient due to each piece of the draws.

    For two gradients that differ only in independent draws of this piece, ½E‖g − g'‖² = V. This holds for densities and for
    squared residuals.

    Args:
        objective: what is integrated.
        samplers: one per measure.
        generator: random numbers of the draws.
        theta: parameters [size].
        learned: state of each sampler.
        pieces: pieces of the draws; all other draws, also of the same measure, stay.
        pairs: number of estimates, ≥ 1.
    """
    parts = list(zip(objective.batched, samplers, learned, strict=True))
    sides = range(batches_of(objective))

    def gradient(batches: Sequence[Batch]) -> Tensor:
        return wide(objective.sampled(theta, *batches)[1])

    found = np.zeros((pairs, len(pieces)))
    for pair in range(pairs):
        drawn, anew = ([[sampler.draw(generator, state) for _, sampler, state in parts] for _ in sides] for _ in range(2))
        made = [[(m, m.batch(*one, generator)) for (m, *_), one in zip(parts, side, strict=True)] for side in drawn]
        before = gradient(made)
        for j, (k, piece) in enumerate(pieces):
            changed, measure = [list(side) for side in made], objective.batched[k]
            for side in sides:
                index, scale = drawn[side][k][0].copy(), drawn[side][k][1].copy()
                index[piece], scale[piece] = anew[side][k][0][piece], anew[side][k][1][piece]
                changed[side][k] = (measure, measure.batch(index, scale, generator))
            found[pair, j] = 0.5 * float(torch.sum((gradient(changed) - before) ** 2))
    return found
