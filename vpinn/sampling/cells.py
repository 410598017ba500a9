"""Cluster draws: cells of the mesh, and points inside the drawn ones (two-stage sampling, Cochran 1977, chapters 10 and 11)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from vpinn.errors import InputError
from vpinn.sampling.curve import Array, Index, SpaceCurve
from vpinn.sampling.sampler import NOTHING, Adaptive, State
from vpinn.sampling.stratified import MEMORY

CELL = 0.5
"""What a drawn cell costs beside its points, in points of a step, whatever the machine, so that runs can be repeated; 0 to 0.7
were measured (``python tests/benchmarks/sampling_variance.py --cells``)."""
PILOT = 128
"""Cells of a pilot, with two points each."""


@dataclass(frozen=True)
class Cells(Adaptive):
    """M = b/A cells, independent and as likely as they are large, and A points of the rule in each of them.

    A cell's q points are cut at random into A groups of equal size, or nearly so, and every group gives one point, as likely as
    it weighs (Rao, Hartley & Cochran 1962, J. R. Stat. Soc. B 24): no point twice in a cell, and with the groups given each
    scale is the inverse of an inclusion probability. With the variance σ_b² between cells, and σ_w² of a single point inside,

        Var = σ_b²/M + σ_w²/(M A) · (q − A)/(q − 1)

    where A divides q. A = q takes all points of the drawn cells. Where A is left to the sampler it is that of least variance
    times cost for the variances that pilots measured; a point before the first one.

    Attributes:
        curve: layout of the data set; a "cell" is one copy of the rule.
        per_cell: points A of each drawn cell, 1 ≤ A ≤ q, a divisor of the size; None to find it.
        fresh: whether points are made anew when drawn, so that all q of a cell are still a sample.
    """

    curve: SpaceCurve
    per_cell: int | None = None
    fresh: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.per_cell is not None and self.size % self.per_cell:
            a = self.per_cell
            raise InputError(f'sampler "cells" draws {a} points of each cell; give a batch.size that is a multiple of {a}')

    @property
    def independent(self) -> bool:
        """Whether draws are independent: single points of cells are, all as likely as they weigh."""
        return self.per_cell == 1

    def points_per_cell(self, state: State = NOTHING) -> int:
        """Return A: the one that was given, or the best divisor of the size for the variances of a state."""
        if self.per_cell is not None:
            return self.per_cell
        if "within" not in state:
            return 1
        allowed = [a for a in range(1, min(len(self.curve.local), self.size) + 1) if self.size % a == 0]
        return self.best(float(state["between"][0]), float(state["within"][0]), allowed)

    def best(self, between: float, within: float, allowed: Iterable[int]) -> int:
        """Return the A with the least variance times cost, (σ_b² + σ_w² left(A))(CELL + A).

        Without bounds and for points made anew that is A* = √(σ_w²/σ_b² · CELL) (Cochran 1977, section 10.6).

        Args:
            between: σ_b²; what is below zero counts as zero.
            within: σ_w², likewise.
            allowed: numbers A of points, 1 to q.
        """
        between, within = max(between, 0.0), max(within, 0.0)
        return min(allowed, key=lambda a: ((between + within * (1.0 / a if self.fresh else self.left(a))) * (CELL + a), a))

    def left(self, per_cell: int) -> float:
        """Return the share of σ_w² that A points of a cell leave: (q − A)/(A (q − 1)) where A divides q."""
        q = len(self.curve.local)
        return float((np.diff(self._cuts(per_cell)) ** 2).sum() - q) / max(1, q * (q - 1))

    def draw(self, generator: np.random.Generator, state: State = NOTHING) -> tuple[Index, Array]:
        """Return b indices, cell by cell, with their scales."""
        q, a = len(self.curve.local), self.points_per_cell(state)
        count = self.size // a
        block, _, mass = self.curve.block_at(generator.random(count))
        if a == q:
            return (block[:, None] * q + np.arange(q)).ravel(), np.repeat(1.0 / (count * mass), q)
        order = generator.permutation(q)  # the same groups in every cell: their estimates stay uncorrelated
        weight = np.diff(self.curve.inner)[order]
        ends, cuts = np.concatenate([[0.0], np.cumsum(weight)]), self._cuts(a)
        group = np.diff(ends[cuts])
        u = ends[cuts[:-1]] + group * generator.random((count, a))
        place = np.clip(np.searchsorted(ends, u, side="right") - 1, cuts[:-1], cuts[1:] - 1)
        scale = (group / weight[place]) / (count * mass)[:, None]
        return (block[:, None] * q + self.curve.local[order[place]]).ravel(), scale.ravel()

    def components(self, contributions: Array) -> tuple[float, float]:
        """Return σ_b² and σ_w² of the estimate of Σ contributions from one cell.

        With the sums Y_c of cells, drawn with probability p_c, σ_b² = Σ Y_c²/p_c − I²; with points of probability p_i inside,
        σ_w² = Σ_c (Σ_i y_i²/p_i − Y_c²)/p_c. Together they are the variance of a single point's estimate.

        Args:
            contributions: w·f of every point [N].
        """
        q = len(self.curve.local)
        rows = contributions.reshape(-1, q)
        mass, inside = np.empty(len(rows)), np.empty(q)
        blocks = self.curve.order[:, None] * self.curve.copies + np.arange(self.curve.copies)
        mass[blocks] = np.diff(self.curve.edges)[:, None] / self.curve.copies
        inside[self.curve.local] = np.diff(self.curve.inner)
        sums = rows.sum(axis=1)
        between = float((sums**2 / mass).sum() - sums.sum() ** 2)
        return between, float((((rows**2 / inside).sum(axis=1) - sums**2) / mass).sum())

    def variance(self, contributions: Array, state: State = NOTHING) -> float:
        """Return σ_b²/M + σ_w²/(M A) · (q − A)/(q − 1)."""
        a = self.points_per_cell(state)
        between, within = self.components(contributions)
        return (between + within * self.left(a)) / (self.size // a)

    @property
    def pilot_size(self) -> int:
        """Points of a pilot."""
        return 2 * PILOT if self.per_cell is None else 0

    def pilot(self, generator: np.random.Generator, state: State) -> tuple[Index, Array]:
        """Return pairs of independent points of independent cells, and 1/p."""
        q = len(self.curve.local)
        block, _, mass = self.curve.block_at(generator.random(PILOT))
        place = np.minimum(np.searchsorted(self.curve.inner, generator.random((PILOT, 2)), side="right") - 1, q - 1)
        p = mass[:, None] * np.diff(self.curve.inner)[place]
        return (block[:, None] * q + self.curve.local[place]).ravel(), 1.0 / p.ravel()

    def learn(self, state: State, signals: Array) -> State:
        """Return the state with new averages of σ_b² and σ_w², unbiased, summed over the signals [2 PILOT, m].

        Two points z, z' of a cell have E z·z' = Σ Y_c²/p_c, and those of two cells I².
        """
        pairs = signals.reshape(PILOT, 2, -1)
        product, square = float((pairs[:, 0] * pairs[:, 1]).sum()) / PILOT, float((pairs**2).sum()) / (2 * PILOT)
        means = pairs.mean(axis=1)
        across = (float((means.sum(axis=0) ** 2).sum()) - float((means**2).sum())) / (PILOT * (PILOT - 1))
        seen = {"between": np.array([product - across]), "within": np.array([square - product])}
        return {name: state[name] + MEMORY * (new - state[name]) if name in state else new for name, new in seen.items()}

    def _cuts(self, per_cell: int) -> Index:
        """Return where the groups of a cell's points begin, and one at the end [A + 1]."""
        return np.arange(per_cell + 1) * len(self.curve.local) // per_cell
