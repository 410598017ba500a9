"""The budget of a noise report, in points evaluated by the network, so that a report is the same on every machine."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

from vpinn.noise.draws import step_cost
from vpinn.objective import Objective

SHARES = {"pilot": 0.1, "trial": 0.1, "polish": 0.1, "evaluations": 0.05}
"""Name of a count in `Effort` → share of the points that it may cost; the rest is for questions and full evaluations."""
FEWEST = {"pilot": 100, "trial": 20, "polish": 20, "evaluations": 70}
"""Name of a count → smallest number with which the measurement is still meaningful (by experience)."""
TRIES = 3
"""Number of calls of which the median time is taken."""


@dataclass(frozen=True)
class Effort:
    """The budget of a noise report.

    Attributes:
        points: Points evaluated by the network in all; most of them are spent on sampling until findings are certain.
        trial: Training steps to try one learning rate.
        pilot: Training steps of the pilot run.
        polish: Steps of L-BFGS to the minimum at which steady states are measured.
        evaluations: Evaluations of J for the population search.
        multiples: Batch sizes to measure, relative to the middle one.
        looks: Number of steps of the pilot run at which the gradients of all points are evaluated.
        drawn: Points to draw for the comparison of samplers.
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
        """Return the counts of steps and evaluations that `fitted` may lower, by name."""
        return {name: getattr(self, name) for name in SHARES}


QUICK = Effort(4e6, 60, 400, 160, 900, (0.25, 1, 4), 4, 500_000)
FULL = Effort(5e7, 200, 2000, 800, 12_000, (0.125, 0.25, 0.5, 1, 2, 4))


def fitted(effort: Effort, objective: Objective, middle: int) -> Effort:
    """Return the effort with every count halved until its cost fits into its share of the points.

    Args:
        effort: The effort wanted.
        objective: Objective of the problem, which determines the costs.
        middle: Points of the middle batch.
    """
    points, batches = float(objective.size), 1 if objective.test_space is None else 2
    step = step_cost(objective, batches * middle, batches)
    unit = {
        "pilot": 3.25 * step,  # the run itself, and nine runs of a quarter of its steps (`basins`)
        "trial": 7.0 * (step + min(points, 4.0 * step)),  # seven rates, with the middle batch and again with the recommended one
        "polish": 4.2 * points,  # once, and nine times with a quarter of the steps (`basins`)
        "evaluations": 1.3 * points / 3.0 + 0.3 * points,
    }
    counts = effort.counts()
    for name, share in SHARES.items():
        while counts[name] // 2 >= FEWEST[name] and counts[name] * unit[name] > share * effort.points:
            counts[name] //= 2
    return Effort(**{**vars(effort), **counts})


def median_seconds(work: Callable[[], object]) -> float:
    """Return the median of the processor seconds, over all threads of the process, of ``TRIES`` calls."""
    times = []
    for _ in range(TRIES):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return statistics.median(times)
