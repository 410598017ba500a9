"""How much of everything a report measures, and how much of it fits into its time."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from vpinn.noise.draws import seconds_per_step
from vpinn.objective import Objective

SHARES = {"draws": 0.4, "walk": 0.2, "looks": 0.1, "pilot": 0.05, "trial": 0.1, "polish": 0.05, "evaluations": 0.05}
"""Parts of the time that counts may take; the rest is for what is measured whatever it takes."""
FEWEST = {"draws": 30, "walk": 120, "looks": 2, "pilot": 100, "trial": 20, "polish": 20, "evaluations": 100}
"""Below these a measurement says nothing."""


@dataclass(frozen=True)
class Effort:
    """How much is measured.

    Attributes:
        draws: batches per variance.
        trial: steps of a trial of one learning rate.
        pilot: steps of the pilot run.
        walk: steps of a walk at the steady state.
        polish: steps of L-BFGS to the minimum that steady states are measured around.
        evaluations: of J for the population search.
        multiples: batch sizes over the middle one.
        looks: places of the pilot run where all points are looked at.
        seconds: of processor time that counts are lowered to fit into, infinite to keep them.
    """

    draws: int
    trial: int
    pilot: int
    walk: int
    polish: int
    evaluations: int
    multiples: tuple[float, ...]
    looks: int = 6
    seconds: float = math.inf

    def counts(self) -> dict[str, int]:
        """Return what may be lowered, by name."""
        return {name: getattr(self, name) for name in SHARES}


QUICK = Effort(240, 60, 400, 1000, 160, 900, (0.25, 1, 4), 4, 45.0)
FULL = Effort(600, 200, 2000, 12_000, 800, 12_000, (0.125, 0.25, 0.5, 1, 2, 4), 6, 500.0)


def fitted(
    effort: Effort, objective: Objective, theta: Tensor, sizes: list[int], look: float, generator: np.random.Generator
) -> Effort:
    """Return the effort with counts halved until each fits into its share of the time, by the times of single gradients.

    Halving makes most reports the same from run to run, though their counts follow from a clock.

    Args:
        effort: what is wished for.
        objective: what is integrated.
        theta: parameters [size].
        sizes: points of the batches, ascending.
        look: seconds that one look at all points takes.
        generator: of the draws.
    """
    if math.isinf(effort.seconds):
        return effort
    steps = seconds_per_step(objective, theta, sizes, generator, 4)
    began = time.process_time()
    value = objective.value(theta)
    valued = time.process_time() - began
    objective.gradient(theta)
    full = time.process_time() - began - valued
    assert math.isfinite(value)
    middle, largest, every = float(steps[len(steps) // 2]), float(steps[-1]), float(steps.sum())
    unit = {
        "draws": 6 * every + 20 * middle + full + 2 * len(sizes) * valued,  # samplers, what follows from batches, progress
        "walk": middle + 3 * largest,
        "looks": look,
        "pilot": middle,
        "trial": 7 * (middle + min(full, largest)),
        "polish": 1.3 * full,
        "evaluations": 1.3 * valued + 0.3 * full,
    }
    counts = effort.counts()
    for name, share in SHARES.items():
        while counts[name] // 2 >= FEWEST[name] and counts[name] * unit[name] > share * effort.seconds:
            counts[name] //= 2
    return Effort(**{**vars(effort), **counts})
