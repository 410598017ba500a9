"""Batch policies: how many points the next step sees, from the steps so far and the noise that was measured.

A batch of b points has a gradient with tr Cov = tr Σ/b; its noise, here, is that over ‖g‖², S/b with the noise scale S. What a
policy wants is told apart from what is done: sizes change by a tenth at least, stay within bounds, and where half of all
points or more are wanted, all are taken, since they cost no more.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

LOOK_EVERY = 50
"""Steps between looks at the noise: as many as its averages remember."""
STEP = 1024
"""Points that cost as much as what a step costs whatever its batch; 500 to 1,200 were measured."""
CHANGE = 1.1
"""Least factor between sizes: smaller changes are not worth new strata."""


def best_batch(scale: float) -> float:
    """Return √(S c₀/c₁), the batch of least time to an accuracy where a step costs c₀ + c₁b (McCandlish et al. 2018).

    (1 + S/b)(c₀ + c₁b), the steps that are needed times their cost, is least there. c₀/c₁ is ``STEP`` whatever the machine, so
    that runs can be repeated.

    Args:
        scale: noise scale S ≥ 0, in points.
    """
    return math.sqrt(scale * STEP)


@dataclass(frozen=True)
class Policy(ABC):
    """How the size of a batch goes on.

    Attributes:
        points: of the data set N.
        least: fewest points of a batch, ≥ 1.
        largest: most points of a batch, least to N.
        name: in problem files.
        watches: whether it looks at the noise.
    """

    points: int
    least: int
    largest: int
    name: ClassVar[str]
    watches: ClassVar[bool] = False

    @abstractmethod
    def wanted(self, first: int, size: int, step: int, steps: int, noise: float) -> float:
        """Return the points that step 0, 1, 2, … should see; for the arguments see ``next``."""

    def next(self, first: int, size: int, step: int, steps: int, noise: float) -> int:
        """Return the points that step 0, 1, 2, … sees.

        Args:
            first: size of the first batch b₀.
            size: of the batch before.
            step: number of the step.
            steps: of the run.
            noise: S/b of the batch before, infinite where the signal drowns, nan where it is not known.
        """
        wanted = self.wanted(first, size, step, steps, noise)
        return size if 1.0 / CHANGE < wanted / size < CHANGE else self.bounded(wanted)

    def bounded(self, wanted: float) -> int:
        """Return the number of points nearest to those wanted, within bounds; all of them where that is half of all or more."""
        size = round(min(max(wanted, self.least), self.largest))
        return self.points if self.largest == self.points and 2 * size >= self.points else size


@dataclass(frozen=True)
class Fixed(Policy):
    """The first size throughout."""

    name = "none"

    def wanted(self, first: int, size: int, step: int, steps: int, noise: float) -> float:
        """Return b₀."""
        return first


@dataclass(frozen=True)
class Geometric(Policy):
    """b_k = b₀ (b_max/b₀)^(k/K), as Byrd et al. 2012 (doi 10.1007/s10107-012-0572-5) analyse it: from b₀ to the largest."""

    name = "geometric"

    def wanted(self, first: int, size: int, step: int, steps: int, noise: float) -> float:
        """Return b₀ (b_max/b₀)^(k/K)."""
        return first * math.pow(self.largest / first, step / max(1, steps - 1))


@dataclass(frozen=True)
class Logarithmic(Policy):
    """b_k = b₀ ln(k + e): simulated annealing, whose temperature ησ²/(2b_k) falls like 1/ln k (Hajek 1988).

    Annealing goes on crossing barriers up to the depth c where T_k ≥ c/ln k. With the batch B at which T = c the size is b_k =
    B ln(k + e), and T_k = c/ln(k + e); from the first batch on as soon as that is more. Without a depth B is the first batch, and
    c its temperature.

    Attributes:
        deep: whether B is given, in the place of the noise.
    """

    deep: bool = False
    name = "logarithmic"

    def wanted(self, first: int, size: int, step: int, steps: int, noise: float) -> float:
        """Return b₀ ln(k + e), or max(b₀, B ln(k + e)), with B in the place of the noise."""
        growth = math.log(step + math.e)
        return max(first, noise * growth) if self.deep else first * growth


@dataclass(frozen=True)
class NoiseScale(Policy):
    """The best batch for the noise scale, see ``best_batch``; up and down.

    No more than a factor of two from one look to the next: the noise is an average over the steps between.
    """

    name = "noise-scale"
    watches = True

    def wanted(self, first: int, size: int, step: int, steps: int, noise: float) -> float:
        """Return √(S c₀/c₁) at every look."""
        if step % LOOK_EVERY or math.isnan(noise):
            return size
        return min(max(best_batch(noise * size), 0.5 * size), 2.0 * size)


@dataclass(frozen=True)
class NormTest(Policy):
    """Grow where E‖g_b − g‖² ≤ θ²‖g‖² fails, to the size at which it holds: b = S/θ² (Byrd et al. 2012, section 3).

    The norms are moving averages over steps instead of those of one batch; no more than a factor of two from one look to
    the next. Bollapragada et al. 2018 (arXiv 1710.11258) ask for less, of the component along the gradient alone.

    Attributes:
        threshold: θ > 0; the analyses have θ < 1, which asks for more points than pay where a step has costs of its own.
        every: steps between looks; one where the noise is that of the last step alone.
    """

    threshold: float
    every: int = LOOK_EVERY
    name = "norm-test"
    watches = True

    def wanted(self, first: int, size: int, step: int, steps: int, noise: float) -> float:
        """Return S/θ² at every look, if that is more."""
        if step % self.every or math.isnan(noise):
            return size
        return size * min(max(noise / self.threshold**2, 1.0), 2.0)
