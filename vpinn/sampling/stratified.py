"""Stratified and importance sampling on intervals of the curve: blocks of neighbours, cells, or tags."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from vpinn.errors import InputError
from vpinn.sampling.allocation import FLOOR, allocate, apportion
from vpinn.sampling.curve import Array, Index, SpaceCurve
from vpinn.sampling.sampler import NOTHING, Adaptive, State

MEMORY = 0.3
"""Weight of the newest pilot in the moving averages."""
PER_STRATUM = 8
"""Points of a pilot batch in each stratum."""


@dataclass(frozen=True)
class Stratified(Adaptive):
    """Stratified sampling: a number of independent points in every stratum, Var = Σ_k W_k²σ_k²/n_k.

    W_k is the stratum's share of the curve, and σ_k² the variance in it of contributions divided by probabilities. Proportional
    allocation has n_k ∝ W_k; the others learn σ_k from pilots and need at least two points in every stratum.

    Attributes:
        curve: arrangement of the data set.
        edges: where the strata begin on the curve, and the end of the last [K + 1], 0 to 1.
        allocation: one of ``ALLOCATIONS``.
        names: names of the strata for messages; () where they have none.
        members: number of points of each stratum [K]; None where edges may divide points.
        fewest: fewest points drawn from each stratum [K]; None: 1, or 2 where the variance in it is learned.
    """

    curve: SpaceCurve
    edges: Array
    allocation: str = "proportional"
    names: tuple[str, ...] = ()
    members: Index | None = None
    fewest: Index | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        count = self._first  # raises where the batch is too small for the strata
        if self.members is not None and (count > self.members).any():
            k = int((count > self.members).argmax())
            raise InputError(
                f"stratum {self.names[k]!r} has {self.members[k]} points, fewer than its allocation of {count[k]}; "
                "lower batch.size, or merge strata"
            )

    @property
    def least(self) -> int | Index:
        """Fewest points drawn from a stratum, one number or [K]."""
        if self.fewest is not None:
            return self.fewest
        return 1 if self.allocation == "proportional" else 2

    @property
    def bounds(self) -> tuple[int, int] | None:
        """Fewest and most points that Neyman's rule may give to this measure; None under other allocations.

        The most are those for which every stratum has as many points as its weight asks for.
        """
        if self.allocation != "neyman":
            return None
        weight = np.diff(self.edges)
        most = self.points if self.members is None else int((self.members / weight).min() * (1.0 + 1e-9))
        return int(np.broadcast_to(self.least, len(weight)).sum()), max(self.size, min(most, self.points))

    def counts(self, state: State = NOTHING) -> Index:
        """Return the points drawn from each stratum n_k [K]."""
        if "variance" not in state:
            return self._first
        return allocate(self.allocation, self.size, np.diff(self.edges), np.sqrt(state["variance"]), self.least)

    @cached_property
    def _first(self) -> Index:
        """Points drawn from each stratum before the first pilot [K]."""
        return allocate(self.allocation, self.size, np.diff(self.edges), None, self.least)

    def draw(self, generator: np.random.Generator, state: State = NOTHING) -> tuple[Index, Array]:
        """Return b indices, stratum by stratum, and their scales W_k/(n_k p)."""
        count = self.counts(state)
        share = np.repeat(np.arange(len(count)), count)
        index, p = self.curve.at(_inside(self.edges, share, generator))
        return index, (np.diff(self.edges) / count)[share] / p

    def variance(self, contributions: Array, state: State = NOTHING) -> float:
        """Return the variance Σ_k W_k²σ_k²/n_k of the estimate of Σ contributions."""
        mean, square = _moments(self.curve, self.edges, contributions)
        return float((np.diff(self.edges) ** 2 * (square - mean**2) / self.counts(state)).sum())

    @property
    def pilot_size(self) -> int:
        """Points of a pilot batch; 0 for proportional allocation."""
        return 0 if self.allocation == "proportional" else PER_STRATUM * (len(self.edges) - 1)

    def pilot(self, generator: np.random.Generator, state: State) -> tuple[Index, Array]:
        """Return independent points, the same number in every stratum, and 1/p of each."""
        index, p = self.curve.at(_inside(self.edges, _each(self.edges), generator))
        return index, 1.0 / p

    def learn(self, state: State, signals: Array) -> State:
        """Return the state with new moving averages of σ_k² [K], summed over the components of the signals [p, m]."""
        grouped = signals.reshape(len(self.edges) - 1, PER_STRATUM, -1)
        return averaged(state, "variance", grouped.var(axis=1, ddof=1).sum(axis=1))


@dataclass(frozen=True)
class Importance(Adaptive):
    """Importance sampling: independent points, in blocks drawn with probability q_k ∝ (1 − α) W_kĝ_k + α W_k.

    ĝ_k is the root mean square of the signals in block k, from pilots, and α = ``FLOOR``. The variance (Σ (w f)²/q − I²)/b is
    least if q is proportional to |w f|. The estimate of the integral is unbiased for every q > 0.

    Attributes:
        curve: arrangement of the data set.
        edges: where the blocks begin on the curve, and the end of the last [K + 1], 0 to 1.
    """

    curve: SpaceCurve
    edges: Array

    @property
    def independent(self) -> bool:
        """Whether draws are independent and identically distributed: always true."""
        return True

    def density(self, state: State) -> Array:
        """Return the probabilities of the blocks q_k [K].

        Raises:
            InputError: a signal was not finite.
        """
        weight = np.diff(self.edges)
        if "square" not in state:
            return weight
        size = weight * np.sqrt(state["square"])
        if not np.isfinite(size).all():
            raise InputError('the signals of batch.sampler = "importance" are not finite; use "stratified"')
        total = float(size.sum())
        return (1.0 - FLOOR) * size / total + FLOOR * weight if total > 0.0 else weight

    def draw(self, generator: np.random.Generator, state: State = NOTHING) -> tuple[Index, Array]:
        """Return b independent indices and their scales 1/(b q)."""
        weight, density = np.diff(self.edges), self.density(state)
        ends = np.cumsum(density)
        share = np.minimum(np.searchsorted(ends / ends[-1], generator.random(self.size), side="right"), len(weight) - 1)
        index, p = self.curve.at(_inside(self.edges, share, generator))
        return index, (weight / density)[share] / (self.size * p)

    def variance(self, contributions: Array, state: State = NOTHING) -> float:
        """Return the variance (Σ (w f)²/q − I²)/b of the estimate of Σ contributions."""
        _, square = _moments(self.curve, self.edges, contributions)
        return float((np.diff(self.edges) ** 2 * square / self.density(state)).sum() - contributions.sum() ** 2) / self.size

    @property
    def pilot_size(self) -> int:
        """Points of a pilot batch."""
        return PER_STRATUM * (len(self.edges) - 1)

    def pilot(self, generator: np.random.Generator, state: State) -> tuple[Index, Array]:
        """Return independent points, the same number in every block, and 1/p of each."""
        index, p = self.curve.at(_inside(self.edges, _each(self.edges), generator))
        return index, 1.0 / p

    def learn(self, state: State, signals: Array) -> State:
        """Return the state with new moving averages of ĝ_k² [K], summed over the components of the signals [p, m]."""
        grouped = signals.reshape(len(self.edges) - 1, PER_STRATUM, -1)
        with np.errstate(over="ignore"):  # ``density`` refuses weights that are not finite
            return averaged(state, "square", (grouped**2).mean(axis=1).sum(axis=1))


def blocks(count: int) -> Array:
    """Return the edges [count + 1] of ``count`` equal intervals of the curve."""
    return np.linspace(0.0, 1.0, count + 1)


def blocks_within(borders: Array, count: int) -> Array:
    """Return edges of intervals in every part of the curve, equal within a part.

    There are ``count`` intervals in all, or one per part if there are more parts.

    Args:
        borders: where the parts begin, and the end of the last [K + 1].
        count: number of intervals.
    """
    parts = np.diff(borders)
    each = apportion(parts, max(count, len(parts)), np.ones(len(parts), dtype=np.int64))
    inner = [np.linspace(low, high, n + 1)[:-1] for low, high, n in zip(borders, borders[1:], each, strict=False)]
    return np.append(np.concatenate(inner), 1.0)


def _each(edges: Array) -> Index:
    """Return the stratum of each point of a pilot batch."""
    return np.repeat(np.arange(len(edges) - 1), PER_STRATUM)


def _inside(edges: Array, share: Index, generator: np.random.Generator) -> Array:
    """Return positions [b], each uniform in its interval of the curve."""
    u = edges[share] + np.diff(edges)[share] * generator.random(len(share))
    return np.minimum(u, np.nextafter(edges[share + 1], 0.0))  # rounding must not reach the next interval


def _moments(curve: SpaceCurve, edges: Array, contributions: Array) -> tuple[Array, Array]:
    """Return mean and mean square [K] of contributions divided by probabilities in every interval of the curve."""
    index, length, part = curve.pieces(edges)
    mass = np.bincount(index, length, minlength=len(contributions))
    value, strata = (contributions / mass)[index], len(edges) - 1
    weight = np.diff(edges)
    mean = np.bincount(part, length * value, minlength=strata) / weight
    return mean, np.bincount(part, length * value**2, minlength=strata) / weight


def averaged(state: State, name: str, new: Array) -> State:
    """Return the state with a new value added to the moving average called ``name``, or stored as its first value."""
    return {**state, name: state[name] + MEMORY * (new - state[name]) if name in state else new}
