"""Samplers of quadrature points.

A batch estimates an integral I = Σᵢ wᵢ f(xᵢ) by the sum of scale·w·f over the drawn points. The scale is the inverse of
the expected number of times that its draw finds the point (Horvitz & Thompson 1952), which makes the sum unbiased
whatever the sampler.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from vpinn.errors import InputError
from vpinn.sampling.curve import Array, Curve, Index

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


@dataclass(frozen=True)
class Cells(Sampler):
    """All points of drawn cells, a cell as likely as it is large: Var = σ²(1 + (q − 1)ρ)/b with q points per cell.

    Points of a cell are correlated, ρ; see ``effective_size``. Every cell is drawn independently of the others.

    Attributes:
        curve: layout of the data set.
    """

    curve: Curve

    def __post_init__(self) -> None:
        super().__post_init__()
        q = len(self.curve.local)
        if self.size % q:
            raise InputError(f'sampler "cells" draws whole cells of {q} points; give a batch.size that is a multiple of {q}')

    def draw(self, generator: np.random.Generator, state: State = NOTHING) -> tuple[Index, Array]:
        """Return b indices, cell by cell, with their scales."""
        q = len(self.curve.local)
        count = self.size // q
        block, _, mass = self.curve.block_at(generator.random(count))
        return (block[:, None] * q + np.arange(q)).ravel(), np.repeat(1.0 / (count * mass), q)

    def variance(self, contributions: Array, state: State = NOTHING) -> float:
        """Return the variance between cells over the number of cells drawn."""
        q = len(self.curve.local)
        sums = contributions.reshape(-1, q).sum(axis=1)
        mass = np.empty(len(sums))
        blocks = self.curve.order[:, None] * self.curve.copies + np.arange(self.curve.copies)
        mass[blocks] = np.diff(self.curve.edges)[:, None] / self.curve.copies
        return float((sums**2 / mass).sum() - sums.sum() ** 2) / (self.size // q)


def effective_size(size: int, cell: int, correlation: float) -> float:
    """Return the number of independent points that a batch of whole cells is worth, b/(1 + (q − 1)ρ).

    Args:
        size: points of the batch b.
        cell: points of a cell q ≥ 1.
        correlation: ρ of two points of a cell, −1/(q − 1) … 1.
    """
    return size / max(1.0 + (cell - 1) * correlation, 1e-12)


def correlation(values: Array) -> float:
    """Return the correlation of two points of a cell, by the analysis of variance.

    Args:
        values: at the points of cells drawn independently [cells, q, m]; nan is returned for one cell or q = 1.
    """
    cells, q = values.shape[:2]
    if q < 2 or cells < 2:
        return math.nan
    means = values.mean(axis=1)
    between = q * float(((means - means.mean(axis=0)) ** 2).sum()) / (cells - 1)
    within = float(((values - means[:, None]) ** 2).sum()) / (cells * (q - 1))
    total = between + (q - 1) * within
    return (between - within) / total if total > 0.0 else 0.0
