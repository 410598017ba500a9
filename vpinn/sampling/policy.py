"""Batch policies: rules that set the number of points of the next step, from the steps so far and the measured noise.

The gradient on a batch of b points has tr Cov = tr Σ/b. Its noise means here that variance over ‖g‖², S/b, with the noise scale
S = tr Σ/‖g‖². Each policy says which size it wants (`Policy.wanted`); `Policy.next` then ignores changes below a tenth, keeps
the size within bounds, and takes all points where half of them or more are wanted, since all cost no more.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

LOOK_EVERY = 50
"""Steps between evaluations of the noise; its moving averages cover about as many."""
STEP = 1024
"""Points whose cost equals the fixed cost of a step, whatever its batch; measurements gave 500 to 1,200."""
CHANGE = 1.1
"""Smallest factor between successive sizes; smaller changes are not worth new strata."""


def best_batch(scale: float) -> float:
    """Return √(S c₀/c₁), the batch that reaches an accuracy in the least time if a step costs c₀ + c₁b (McCandlish et al. 2018).

    It minimises (1 + S/b)(c₀ + c₁b), the number of steps times their cost. c₀/c₁ is fixed to ``STEP``, so that runs can be
    repeated on any machine.

    Args:
        scale: noise scale S ≥ 0, in points.
    """
    return math.sqrt(scale * STEP)


@dataclass(frozen=True)
class Policy(ABC):
    """How the size of a batch changes over a run.

    Attributes:
        points: number of points N of the data set.
        least: fewest points of a batch, ≥ 1.
        largest: most points of a batch, ``least`` to N.
        name: name in problem files.
    """

    points: int
    least: int
    largest: int
    name: ClassVar[str]

    @abstractmethod
    def wanted(self, first: int, size: int, step: int, steps: int, noise: float) -> float:
        """Return the points that the step with number ``step`` = 0, 1, 2, … should use; for the arguments see ``next``."""

    def next(self, first: int, size: int, step: int, steps: int, noise: float) -> int:
        """Return the points that the step with number ``step`` = 0, 1, 2, … uses.

        Args:
            first: size of the first batch b₀.
            size: size of the batch before.
            step: number of the step.
            steps: number of steps of the run.
            noise: S/b of the batch before; infinite where noise hides the signal, nan where it is not known.
        """
        wanted = self.wanted(first, size, step, steps, noise)
        return size if 1.0 / CHANGE < wanted / size < CHANGE else self.bounded(wanted)

    def bounded(self, wanted: float) -> int:
        """Return the number of points nearest to ``wanted`` within bounds; all points where that is half of them or more."""
        size = round(min(max(wanted, self.least), self.largest))
        return self.points if self.largest == self.points and 2 * size >= self.points else size


@dataclass(frozen=True)
class Fixed(Policy):
    """Constant size: the first batch throughout."""

    name = "none"

    def wanted(self, first: int, size: int, step: int, steps: int, noise: float) -> float:
        """Return b₀."""
        return first


@dataclass(frozen=True)
class Geometric(Policy):
    """Geometric growth from b₀ to the largest batch: b_k = b₀ (b_max/b₀)^(k/K).

    Source: Byrd et al. 2012 (doi 10.1007/s10107-012-0572-5).
    """

    name = "geometric"

    def wanted(self, first: int, size: int, step: int, steps: int, noise: float) -> float:
        """Return b₀ (b_max/b₀)^(k/K)."""
        return first * math.pow(self.largest / first, step / max(1, steps - 1))


@dataclass(frozen=True)
class Logarithmic(Policy):
    """Simulated annealing: b_k = b₀ ln(k + e), so that the temperature ησ²/(2b_k) falls like 1/ln k (Hajek 1988).

    Annealing keeps crossing barriers of depth up to c if T_k ≥ c/ln k. With a given depth c, and the batch B at which T = c, the
    size is b_k = B ln(k + e) as soon as that exceeds the first batch, and T_k = c/ln(k + e). Without a depth, B is the first
    batch, and c its temperature.

    Attributes:
        deep: whether a depth is given; the argument ``noise`` is then B.
    """

    deep: bool = False
    name = "logarithmic"

    def wanted(self, first: int, size: int, step: int, steps: int, noise: float) -> float:
        """Return b₀ ln(k + e), or with a given depth max(b₀, B ln(k + e)), where ``noise`` is B."""
        growth = math.log(step + math.e)
        return max(first, noise * growth) if self.deep else first * growth


@dataclass(frozen=True)
class NoiseScale(Policy):
    """The best batch for the measured noise scale, see ``best_batch``; it may grow and shrink.

    It changes by a factor of two at most between evaluations, because the noise is an average over the steps between them.
    """

    name = "noise-scale"

    def wanted(self, first: int, size: int, step: int, steps: int, noise: float) -> float:
        """Return √(S c₀/c₁) at every evaluation, else the present size."""
        if step % LOOK_EVERY or math.isnan(noise):
            return size
        return min(max(best_batch(noise * size), 0.5 * size), 2.0 * size)


@dataclass(frozen=True)
class NormTest(Policy):
    """Norm test: where E‖g_b − g‖² ≤ θ²‖g‖² fails, grow to the size b = S/θ² at which it holds (Byrd et al. 2012, section 3).

    The norms are moving averages over steps instead of those of one batch. The size grows by a factor of two at most between
    evaluations. Bollapragada et al. 2018 (arXiv 1710.11258) require less, namely of the component along the gradient only.

    Attributes:
        threshold: θ > 0; analyses take θ < 1, which asks for more points than pay off where a step has a fixed cost.
        every: steps between evaluations, ≥ 1; 1 where the noise is that of the last step alone.
    """

    threshold: float
    every: int = LOOK_EVERY
    name = "norm-test"

    def wanted(self, first: int, size: int, step: int, steps: int, noise: float) -> float:
        """Return S/θ² at every evaluation if that is more than the present size, else the present size."""
        if step % self.every or math.isnan(noise):
            return size
        return size * min(max(noise / self.threshold**2, 1.0), 2.0)
