"""How much a report measures, counted in points through the network, so that it is the same on every machine."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

from vpinn.noise.draws import step_cost
from vpinn.objective import Objective

SHARES = {"pilot": 0.1, "trial": 0.1, "polish": 0.1, "evaluations": 0.05}
"""Parts of the points that counts may take; the rest is for questions and for what is looked at whatever it takes."""
FEWEST = {"pilot": 100, "trial": 20, "polish": 20, "evaluations": 70}
"""Below these a measurement says nothing."""
TRIES = 3
"""Calls whose median time counts."""


@dataclass(frozen=True)
class Effort:
    """How much is measured.

    Attributes:
        points: through the network that may be spent in all; most of them until questions are decided.
        trial: steps of a trial of one learning rate.
        pilot: steps of the pilot run.
        polish: steps of L-BFGS to the minimum that steady states are measured around.
        evaluations: of J for the population search.
        multiples: batch sizes over the middle one.
        looks: places of the pilot run where all points are looked at.
        drawn: points that are drawn to compare ways of drawing them.
    """

    points: float
    trial: int
    pilot: int
    polish: int
    evaluations: int
    multiples: tuple[float, ...]
    looks: int = 6
    drawn: int = 2_000_000

    def counts(self) -> dict[str, int]:
        """Return what may be lowered, by name."""
        return {name: getattr(self, name) for name in SHARES}


QUICK = Effort(4e6, 60, 400, 160, 900, (0.25, 1, 4), 4, 500_000)
FULL = Effort(5e7, 200, 2000, 800, 12_000, (0.125, 0.25, 0.5, 1, 2, 4))


def fitted(effort: Effort, objective: Objective, middle: int) -> Effort:
    """Return the effort with counts halved until each fits into its share of the points.

    Args:
        effort: what is wished for.
        objective: what is integrated.
        middle: points of the middle batch.
    """
    points, batches = float(objective.size), 1 if objective.test_space is None else 2
    step = step_cost(objective, batches * middle, batches)
    unit = {
        "pilot": 3.25 * step,  # the run itself, and nine walks of a quarter of it
        "trial": 7.0 * (step + min(points, 4.0 * step)),  # of seven rates, and again by the batch recommended
        "polish": 4.2 * points,  # the one itself, and nine of a quarter of it
        "evaluations": 1.3 * points / 3.0 + 0.3 * points,
    }
    counts = effort.counts()
    for name, share in SHARES.items():
        while counts[name] // 2 >= FEWEST[name] and counts[name] * unit[name] > share * effort.points:
            counts[name] //= 2
    return Effort(**{**vars(effort), **counts})


def median_seconds(work: Callable[[], object]) -> float:
    """Return the median processor time of ``TRIES`` calls; that of all threads of the process."""
    times = []
    for _ in range(TRIES):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return statistics.median(times)
