"""Batches whose points are spread evenly: antithetic pairs, scrambled Sobol points, runs of a Sobol sequence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vpinn.domain import interleaved_sobol
from vpinn.errors import InputError
from vpinn.sampling.curve import Array, Index, SpaceCurve
from vpinn.sampling.nets import net_variance
from vpinn.sampling.sampler import NOTHING, Sampler, State


@dataclass(frozen=True)
class Antithetic(Sampler):
    """Pairs of points mirrored in equal intervals of the curve (Haber 1967): parts odd about an interval's middle cancel.

    On squares and cubes in rows the curve's mirror image of an aligned block is the block turned by half a turn, so that linear
    functions of the coordinates cancel. Var = Σ_k W_k² Var_k ½(y(u) + y(u')).

    Attributes:
        curve: arrangement of the data set.
    """

    curve: SpaceCurve

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.size % 2:
            raise InputError(f'sampler "antithetic" draws pairs; give an even batch.size, got {self.size}')

    def draw(self, generator: np.random.Generator, state: State = NOTHING) -> tuple[Index, Array]:
        """Return b/2 points followed by their mirror images, with scales 1/(b p)."""
        pairs = self.size // 2
        k, u = np.arange(pairs), generator.random(pairs)
        index, p = self.curve.at(np.minimum(np.concatenate([k + u, k + 1.0 - u]) / pairs, np.nextafter(1.0, 0.0)))
        return index, 1.0 / (self.size * p)

    def variance(self, contributions: Array, state: State = NOTHING) -> float:
        """Return the variance of the estimate of Σ contributions, that of the mean over pairs."""
        pairs = self.size // 2
        edges = np.linspace(0.0, 1.0, pairs + 1)
        index, length, _ = self.curve.pieces(edges)
        value = contributions / np.bincount(index, length, minlength=len(contributions))
        ends = np.concatenate([[0.0], np.cumsum(length)])
        part = np.clip(np.floor(ends * pairs + 1e-9), 0, pairs - 1)
        cuts = np.union1d(ends, (2.0 * part + 1.0) / pairs - ends)
        cuts = cuts[(cuts >= 0.0) & (cuts <= 1.0)]
        middle, length = 0.5 * (cuts[1:] + cuts[:-1]), np.diff(cuts)
        k = np.minimum((middle * pairs).astype(np.int64), pairs - 1)
        both = 0.5 * (value[self.curve.at(middle)[0]] + value[self.curve.at((2.0 * k + 1.0) / pairs - middle)[0]])
        mean, square = (np.bincount(k, length * both**power, minlength=pairs) * pairs for power in (1, 2))
        return float((square - mean**2).sum()) / pairs**2


@dataclass(frozen=True)
class Sobol(Sampler):
    """Sobol points, scrambled anew for every batch, on the square or cube whose bits the curve interleaves.

    Every single point is uniform, so each integral is unbiased; together they are spread evenly: Var = Σ_ℓ Γ_ℓσ_ℓ², see ``nets``.

    Attributes:
        curve: arrangement of the data set.
    """

    curve: SpaceCurve

    def draw(self, generator: np.random.Generator, state: State = NOTHING) -> tuple[Index, Array]:
        """Return b indices with scales 1/(b p)."""
        index, p = self.curve.at(interleaved_sobol(self.curve.dimension, self.size, generator))
        return index, 1.0 / (self.size * p)

    def variance(self, contributions: Array, state: State = NOTHING) -> float:
        """Return the variance of the estimate of Σ contributions: Σ_ℓ Γ_ℓσ_ℓ² over their levels of detail ℓ."""
        return net_variance(self.curve, contributions, self.size)


@dataclass(frozen=True)
class Run(Sampler):
    """Consecutive points of the data set from a random one on, cyclically; runs of a Sobol sequence are evenly spread."""

    def draw(self, generator: np.random.Generator, state: State = NOTHING) -> tuple[Index, Array]:
        """Return b indices, each with scale N/b."""
        index = (generator.integers(self.points) + np.arange(self.size)) % self.points
        return index, np.full(self.size, self.points / self.size)

    def variance(self, contributions: Array, state: State = NOTHING) -> float:
        """Return the variance of the estimate of Σ contributions over all N runs."""
        ends = np.concatenate([[0.0], np.cumsum(np.concatenate([contributions, contributions[: self.size]]))])
        sums = ends[self.size : self.size + self.points] - ends[: self.points]
        return float(sums.var()) * (self.points / self.size) ** 2


__all__ = ["Antithetic", "Run", "Sobol"]
