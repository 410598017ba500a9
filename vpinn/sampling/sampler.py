"""Samplers of quadrature points.

A batch estimates an integral I = Σᵢ wᵢ f(xᵢ) by the sum of scale·w·f over the drawn points. The scale is the inverse of
the expected number of times that its draw finds the point (Horvitz & Thompson 1952), which makes the sum unbiased
whatever the sampler.
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
"""What an adaptive sampler has learned; empty for the others."""
NOTHING: State = MappingProxyType({})
"""What it knows before the first pilot."""


@dataclass(frozen=True)
class Sampler(ABC):
    """Draws batches of one data set.

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
        """Return indices of drawn points [b] and their inverse expected counts [b].

        Args:
            generator: of the draws.
            state: what an adaptive sampler has learned; nothing yet where it is empty.
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
        """Whether a batch's draws are independent and distributed alike, as the U-statistic needs them."""
        return False


class Adaptive(Sampler):
    """A sampler that learns from pilots: points of its own choice whose signals it is told.

    Signals are the gradients of single points, or what stands for them, and come times scale and quadrature weight.
    """

    @property
    def signal(self) -> str:
        """What the sampler asks for: "gradient" or "residual"."""
        return "gradient"

    @property
    def bounds(self) -> tuple[int, int] | None:
        """Fewest and most points, where what was learned may change how many the measure gives; None where it may not."""
        return None

    @property
    @abstractmethod
    def pilot_size(self) -> int:
        """Points of a pilot; 0 where nothing is to be learned."""

    @abstractmethod
    def pilot(self, generator: np.random.Generator, state: State) -> tuple[Index, Array]:
        """Return the points whose signals the sampler asks for [pilot_size], and the scale 1/p of each."""

    @abstractmethod
    def learn(self, state: State, signals: Array) -> State:
        """Return the state after a pilot, from the signals at its points [pilot_size, m]."""


@dataclass(frozen=True)
class Uniform(Sampler):
    """Every point as likely as any other: Var = N² σ²/b with the variance σ² of the contributions.

    Without replacement (Floyd's algorithm, or a shuffled set where the batch is a fiftieth of it) times (N − b)/(N − 1).

    Attributes:
        replacement: whether a batch may hold a point twice; if so, draws are independent.
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
        """Return N² σ²/b, times (N − b)/(N − 1) without replacement."""
        n, b = self.points, self.size
        correction = 1.0 if self.replacement else (n - b) / max(1, n - 1)
        return float(n**2 * contributions.var() / b * correction)
