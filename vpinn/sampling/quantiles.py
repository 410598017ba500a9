"""Strata of cells with equally large residuals or gradients, as measured by pilot batches."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from vpinn.domain import PointSet
from vpinn.sampling.curve import Array, Index, SpaceCurve, cumulated
from vpinn.sampling.sampler import NOTHING, Adaptive, State
from vpinn.sampling.stratified import MEMORY, Stratified, blocks


@dataclass(frozen=True)
class Quantiles(Adaptive):
    """Stratified sampling whose strata are quantiles of the size of the signals, with equal shares of the measure.

    Attributes:
        curve: arrangement of the data set before the first pilot.
        measure: measure of each entity [n], > 0.
        strata: number of quantiles K, ≥ 1.
        allocation: one of ``ALLOCATIONS``.
        kind: signal by which cells are sorted, "residual" or "gradient".
    """

    curve: SpaceCurve
    measure: Array
    strata: int
    allocation: str = "proportional"
    kind: str = "gradient"

    @classmethod
    def over(cls, points: PointSet, size: int, strata: int, allocation: str, kind: str) -> Quantiles:
        """Return the sampler of a data set; it has at most as many strata as entities, and as pairs of points in a batch."""
        count = min(strata, points.entities, max(1, size // 2))
        return cls(points.size, size, SpaceCurve.through(points), points.entity_volumes, count, allocation, kind)

    @property
    def signal(self) -> str:
        """Signal by which cells are sorted."""
        return self.kind

    def stratified(self, state: State = NOTHING) -> Stratified:
        """Return the stratified sampler with the strata of a state."""
        if "size" not in state:
            return Stratified(self.points, self.size, self.curve, blocks(self.strata), self.allocation)
        order = np.argsort(state["size"], kind="stable")
        curve = replace(self.curve, order=order, edges=cumulated(self.measure[order]))
        return Stratified(self.points, self.size, curve, blocks(self.strata), self.allocation)

    def draw(self, generator: np.random.Generator, state: State = NOTHING) -> tuple[Index, Array]:
        """Return b indices, stratum by stratum, with their scales."""
        return self.stratified(state).draw(generator, state)

    def variance(self, contributions: Array, state: State = NOTHING) -> float:
        """Return the variance Σ_k W_k²σ_k²/n_k of the estimate of Σ contributions, for the strata of a state."""
        return self.stratified(state).variance(contributions, state)

    @property
    def bounds(self) -> tuple[int, int] | None:
        """Fewest and most points that Neyman's rule may give to this measure."""
        return self.stratified().bounds

    @property
    def pilot_size(self) -> int:
        """Points of a pilot batch: two in every entity."""
        return 2 * len(self.measure)

    def pilot(self, generator: np.random.Generator, state: State) -> tuple[Index, Array]:
        """Return two independent points of every entity in the order of the curve, and 1/p of each."""
        edges = self.curve.edges
        k = np.repeat(np.arange(len(self.measure)), 2)
        u = edges[k] + np.diff(edges)[k] * generator.random(len(k))
        index, p = self.curve.at(np.minimum(u, np.nextafter(edges[k + 1], 0.0)))
        return index, 1.0 / p

    def learn(self, state: State, signals: Array) -> State:
        """Return the state with new sizes of entities (root mean squares of signals [2 n, m]) and new variances of strata."""
        pairs = signals.reshape(len(self.measure), 2, -1)
        square = np.empty(len(self.measure))
        square[self.curve.order] = (pairs**2).mean(axis=1).sum(axis=1)
        if "size" in state:
            square = state["size"] ** 2 + MEMORY * (square - state["size"] ** 2)
        new = {**state, "size": np.sqrt(square)}
        layout = self.stratified(new).curve
        rank = np.empty(len(self.measure), np.int64)
        rank[layout.order] = np.arange(len(self.measure))
        middle = (0.5 * (layout.edges[1:] + layout.edges[:-1]))[rank[self.curve.order]]
        stratum = np.minimum((middle * self.strata).astype(np.int64), self.strata - 1)
        weight = self.measure[self.curve.order]
        total = np.maximum(np.bincount(stratum, weight, minlength=self.strata), 1e-300)
        mean = np.stack([np.bincount(stratum, weight * column, minlength=self.strata) for column in pairs.mean(axis=1).T])
        squares = np.bincount(stratum, weight * (pairs**2).mean(axis=1).sum(axis=1), minlength=self.strata)
        return {**new, "variance": np.maximum(squares / total - (mean**2).sum(axis=0) / total**2, 0.0)}
