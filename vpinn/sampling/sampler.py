"""The interface of samplers of quadrature points, and uniform sampling.

A batch estimates an integral I = Σᵢ wᵢ f(xᵢ) by the sum of scale·w·f over the drawn points. The scale is the inverse of the
expected number of draws of the point (Horvitz & Thompson 1952), which makes the sum unbiased for every sampler.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from vpinn.errors import InputError
from vpinn.sampling.curve import Array, Index

State = Mapping[str, NDArray[np.float64]]
"""What an adaptive sampler has learned from pilots; empty for other samplers."""
NOTHING: State = MappingProxyType({})
"""State of a sampler before its first pilot."""


@dataclass(frozen=True)
class Sampler(ABC):
    """Draws batches from one data set.

    Attributes:
        points: number of points N of the data set.
        size: points per batch b, 1 ≤ b ≤ N.
    """

    points: int
    size: int

    def __post_init__(self) -> None:
        if not 1 <= self.size <= self.points:
            raise InputError(
                f'batch.size is {self.size}, but there are {self.points} quadrature points; give 1 to {self.points}, or "full"'
            )

    @abstractmethod
    def draw(self, generator: np.random.Generator, state: State = NOTHING) -> tuple[Index, Array]:
        """Return indices of the drawn points [b] and their scales [b], the inverse expected numbers of their draws.

        Args:
            generator: random numbers of the draws.
            state: state of an adaptive sampler; empty before its first pilot.
        """

    @abstractmethod
    def variance(self, contributions: Array, state: State = NOTHING) -> float:
        """Return the variance of the estimate of Σ contributions, in closed form.

        Args:
            contributions: w·f of every point [N].
            state: as in ``draw``.
        """

    @property
    def independent(self) -> bool:
        """Whether the draws of a batch are independent and identically distributed, as the U-statistic requires."""
        return False


class Adaptive(Sampler):
    """A sampler that learns from pilot batches, whose points it chooses and whose signals it is given.

    Signals are the gradients or residuals of single points, multiplied by scale and quadrature weight.
    """

    @property
    def signal(self) -> str:
        """Kind of signal that the sampler learns from: "gradient" or "residual"."""
        return "gradient"

    @property
    def bounds(self) -> tuple[int, int] | None:
        """Fewest and most points of this measure if points may move between measures; None if they may not."""
        return None

    @property
    @abstractmethod
    def pilot_size(self) -> int:
        """Points of a pilot batch; 0 where nothing is to be learned."""

    @abstractmethod
    def pilot(self, generator: np.random.Generator, state: State) -> tuple[Index, Array]:
        """Return the points of a pilot batch [pilot_size] and the scale 1/p of each [pilot_size]."""

    @abstractmethod
    def learn(self, state: State, signals: Array) -> State:
        """Return the state after a pilot batch with given signals [pilot_size, m]."""


@dataclass(frozen=True)
class Uniform(Sampler):
    """Every point is equally likely: Var = N² σ²/b, where σ² is the variance of the contributions.

    Without replacement the variance is (N − b)/(N − 1) times that.

    Attributes:
        replacement: whether a batch may contain a point twice; if so, draws are independent.
    """

    replacement: bool = True

    @property
    def independent(self) -> bool:
        """Whether draws are independent."""
        return self.replacement

    def draw(self, generator: np.random.Generator, state: State = NOTHING) -> tuple[Index, Array]:
        """Return b indices, each with scale N/b."""
        if self.replacement:
            index = generator.integers(self.points, size=self.size)
        else:
            index = generator.choice(self.points, size=self.size, replace=False, shuffle=False)
        return index, np.full(self.size, self.points / self.size)

    def variance(self, contributions: Array, state: State = NOTHING) -> float:
        """Return the variance N² σ²/b, times (N − b)/(N − 1) without replacement."""
        n, b = self.points, self.size
        correction = 1.0 if self.replacement else (n - b) / max(1, n - 1)
        return float(n**2 * contributions.var() / b * correction)
