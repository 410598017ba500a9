"""What the draws of every measure add to the noise of a step's gradient, from which Neyman's rule splits its points."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from vpinn.objective import Batch, Objective
from vpinn.sampling import Sampler, State, movable, noted

PAIRS = 2
"""Pairs of gradients per measure and pilot; the averages over pilots hold eleven of them."""


def with_noise(
    objective: Objective, samplers: Sequence[Sampler], generator: np.random.Generator, theta: Tensor, learned: Sequence[State]
) -> tuple[State, ...]:
    """Return the samplers' states with what the points of their measures add to the noise, nothing where no points can move.

    Of two gradients that differ in the draws of measure m alone, ½E‖g − g'‖² = V_m, the variance that its n_m points give, of
    densities and of squared residuals alike; n_mV_m hardly depends on n_m.

    Args:
        objective: what is integrated.
        samplers: one per measure, whose points are those in proportion to the data sets.
        generator: of the draws.
        theta: parameters [size].
        learned: what each sampler knows.
    """
    states = list(learned)
    if not (chosen := movable(samplers)):
        return tuple(states)
    count = 2 if objective.estimator in ("two-batch", "control-variate") else 1
    parts = list(zip(objective.batched, samplers, learned, strict=True))

    def sides() -> list[Batch]:
        """Return a batch, or two independent ones."""
        return [[(m, m.batch(*sampler.draw(generator, state), generator)) for m, sampler, state in parts] for _ in range(count)]

    def gradient(batches: Sequence[Batch]) -> Tensor:
        return objective.sampled(theta, *batches)[1].double()

    found = np.zeros((PAIRS, len(chosen)))
    for pair in range(PAIRS):
        drawn, anew = sides(), sides()
        before = gradient(drawn)
        for j, k in enumerate(chosen):
            changed = [[*side[:k], other[k], *side[k + 1 :]] for side, other in zip(drawn, anew, strict=True)]
            found[pair, j] = 0.5 * samplers[k].size * float(torch.sum((gradient(changed) - before) ** 2))
    for j, k in enumerate(chosen):
        states[k] = noted(states[k], float(found[:, j].mean()))
    return tuple(states)
