"""How much of everything a report measures, and how much of it fits into its time."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from torch import Tensor

from vpinn.noise.contributions import Contributions
from vpinn.noise.draws import Array, drawer, samplers_for, seconds_per_step
from vpinn.objective import Objective

SHARES = {
    "draws": 0.25,
    "probes": 0.05,
    "falls": 0.1,
    "walk": 0.375,
    "looks": 0.05,
    "pilot": 0.05,
    "trial": 0.05,
    "polish": 0.05,
    "evaluations": 0.025,
}
"""Parts of the time that counts may take; the rest is for what is measured whatever it takes."""
FEWEST = {
    "draws": 30,
    "probes": 30,
    "falls": 12,
    "walk": 120,
    "looks": 2,
    "pilot": 100,
    "trial": 20,
    "polish": 20,
    "evaluations": 70,
}
"""Below these a measurement says nothing."""
SUMS, TRIES = 8, 3
"""Estimates timed together, and how often."""


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
        probes: batches whose curvature, or whose use for two loops, is measured through the network.
        falls: steps per batch size whose decrease of J is measured on all points.
        drawn: points that are drawn to compare ways of drawing them.
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
    probes: int = 200
    falls: int = 100
    drawn: int = 2_000_000

    def counts(self) -> dict[str, int]:
        """Return what may be lowered, by name."""
        return {name: getattr(self, name) for name in SHARES}


QUICK = Effort(600, 60, 400, 4000, 160, 900, (0.25, 1, 4), 4, 30.0, drawn=500_000)
FULL = Effort(2000, 200, 2000, 40_000, 800, 12_000, (0.125, 0.25, 0.5, 1, 2, 4), 6, 450.0, 2000, 400)


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
    found = Contributions.at(objective, theta)
    valued, full = median_seconds(lambda: objective.value(theta)), median_seconds(lambda: objective.gradient(theta))
    middle, largest = float(steps[len(steps) // 2]), float(steps[-1])
    sums = steps if found is None else _seconds_per_sum(objective, found, sizes, generator)
    unit = {
        "draws": 7 * float(sums.sum()) + 16 * float(sums[len(sums) // 2]),  # samplers, and what follows from batches
        "probes": 6 * middle + full,
        "falls": (2 * len(sizes) + 7) * valued,
        "walk": 6.0 * middle,
        "looks": look,
        "pilot": middle,
        "trial": 7 * (middle + min(full, largest)),
        "polish": 4.2 * full,  # the one itself, and nine of a quarter of it
        "evaluations": 1.3 * valued + 0.3 * full,
    }
    counts = effort.counts()
    for name, share in SHARES.items():
        while counts[name] // 2 >= FEWEST[name] and counts[name] * unit[name] > share * effort.seconds:
            counts[name] //= 2
    return Effort(**{**vars(effort), **counts})


def _seconds_per_sum(objective: Objective, found: Contributions, sizes: list[int], generator: np.random.Generator) -> Array:
    """Return the processor time of an estimate from what is kept, for batches of every size [n]."""
    seconds = np.empty(len(sizes))
    for k, size in enumerate(sizes):
        draw = drawer(samplers_for(objective, "uniform", size), generator)
        seconds[k] = median_seconds(partial(found.repeat, draw, SUMS)) / SUMS
    return seconds


def median_seconds(work: Callable[[], object]) -> float:
    """Return the median processor time of ``TRIES`` calls; that of all threads of the process."""
    times = []
    for _ in range(TRIES):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return statistics.median(times)
