"""Cluster sampling: draw cells of the mesh, then points inside the drawn cells (Cochran 1977, chapters 10 and 11)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from vpinn.errors import InputError
from vpinn.sampling.curve import Array, Index, SpaceCurve
from vpinn.sampling.sampler import NOTHING, Adaptive, State
from vpinn.sampling.stratified import MEMORY

CELL = 0.5
"""Cost of a drawn cell beside its points, in points; fixed so that runs can be repeated on any machine.

Measurements gave 0 to 0.7 (``python tests/benchmarks/sampling_variance.py --cells``).
"""
PILOT = 128
"""Number of cells of a pilot batch, with two points each."""


@dataclass(frozen=True)
class Cells(Adaptive):
    """M = b/A independent cells, drawn with probability proportional to their size, and A points of the rule in each of them.

    The q points of a cell are divided at random into A groups of equal size, or nearly so, and one point of each group is drawn
    with probability proportional to its weight (Rao, Hartley & Cochran 1962, J. R. Stat. Soc. B 24). No point is drawn twice in
    a cell, and for given groups each scale is the inverse of an inclusion probability. With the variance σ_b² between cells, and
    σ_w² of a single point inside,

        Var = σ_b²/M + σ_w²/(M A) · (q − A)/(q − 1)

    where A divides q. A = q takes all points of the drawn cells. Where A is left to the sampler, it minimises variance times cost
    for the variances measured by pilots; before the first pilot A = 1.

    Attributes:
        curve: arrangement of the data set; a "cell" is one copy of the rule.
        per_cell: points A of each drawn cell, 1 ≤ A ≤ q, a divisor of the size; None: chosen from pilots.
        fresh: whether points are random and made anew for each draw, so that even all q of a cell are a sample.
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
        """Whether draws are independent and identically distributed: single points of cells are."""
        return self.per_cell == 1

    def points_per_cell(self, state: State = NOTHING) -> int:
        """Return A: the given one, or the divisor of the size that is best for the variances in a state."""
        if self.per_cell is not None:
            return self.per_cell
        if "within" not in state:
            return 1
        allowed = [a for a in range(1, min(len(self.curve.local), self.size) + 1) if self.size % a == 0]
        return self.best(float(state["between"][0]), float(state["within"][0]), allowed)

    def best(self, between: float, within: float, allowed: Iterable[int]) -> int:
        """Return the A with the least variance times cost, (σ_b² + σ_w² left(A))(CELL + A).

        Without bounds, and for points made anew, that is A* = √(σ_w²/σ_b² · CELL) (Cochran 1977, section 10.6).

        Args:
            between: σ_b²; negative estimates count as zero.
            within: σ_w²; negative estimates count as zero.
            allowed: allowed values of A, 1 to q.
        """
        between, within = max(between, 0.0), max(within, 0.0)
        return min(allowed, key=lambda a: ((between + within * (1.0 / a if self.fresh else self.left(a))) * (CELL + a), a))

    def left(self, per_cell: int) -> float:
        """Return the share of σ_w² that remains with A points of a cell: (q − A)/(A (q − 1)) where A divides q."""
        q = len(self.curve.local)
        return float((np.diff(self._cuts(per_cell)) ** 2).sum() - q) / max(1, q * (q - 1))

    def draw(self, generator: np.random.Generator, state: State = NOTHING) -> tuple[Index, Array]:
        """Return b indices, cell by cell, with their scales."""
        q, a = len(self.curve.local), self.points_per_cell(state)
        count = self.size // a
        block, _, mass = self.curve.block_at(generator.random(count))
        if a == q:
            return (block[:, None] * q + np.arange(q)).ravel(), np.repeat(1.0 / (count * mass), q)
        order = generator.permutation(q)  # the same groups in every cell, whose estimates stay uncorrelated
        weight = np.diff(self.curve.inner)[order]
        ends, cuts = np.concatenate([[0.0], np.cumsum(weight)]), self._cuts(a)
        group = np.diff(ends[cuts])
        u = ends[cuts[:-1]] + group * generator.random((count, a))
        place = np.clip(np.searchsorted(ends, u, side="right") - 1, cuts[:-1], cuts[1:] - 1)
        scale = (group / weight[place]) / (count * mass)[:, None]
        return (block[:, None] * q + self.curve.local[order[place]]).ravel(), scale.ravel()

    def components(self, contributions: Array) -> tuple[float, float]:
        """Return σ_b² and σ_w² of the estimate of Σ contributions from one cell.

        With the sums Y_c of cells, drawn with probability p_c, σ_b² = Σ Y_c²/p_c − I²; with points drawn with probability p_i in
        them, σ_w² = Σ_c (Σ_i y_i²/p_i − Y_c²)/p_c. Their sum is the variance of the estimate from a single point.

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
        """Return the variance of the estimate of Σ contributions: σ_b²/M + σ_w²/(M A) · (q − A)/(q − 1)."""
        a = self.points_per_cell(state)
        between, within = self.components(contributions)
        return (between + within * self.left(a)) / (self.size // a)

    @property
    def pilot_size(self) -> int:
        """Points of a pilot batch; 0 where A is given."""
        return 2 * PILOT if self.per_cell is None else 0

    def pilot(self, generator: np.random.Generator, state: State) -> tuple[Index, Array]:
        """Return pairs of independent points in independent cells, and 1/p of each."""
        q = len(self.curve.local)
        block, _, mass = self.curve.block_at(generator.random(PILOT))
        place = np.minimum(np.searchsorted(self.curve.inner, generator.random((PILOT, 2)), side="right") - 1, q - 1)
        p = mass[:, None] * np.diff(self.curve.inner)[place]
        return (block[:, None] * q + self.curve.local[place]).ravel(), 1.0 / p.ravel()

    def learn(self, state: State, signals: Array) -> State:
        """Return the state with new moving averages of σ_b² and σ_w², unbiased estimates summed over the signals [2 PILOT, m].

        For two points z, z' of a cell E z·z' = Σ Y_c²/p_c, and for points of two independent cells it is I².
        """
        pairs = signals.reshape(PILOT, 2, -1)
        product, square = float((pairs[:, 0] * pairs[:, 1]).sum()) / PILOT, float((pairs**2).sum()) / (2 * PILOT)
        means = pairs.mean(axis=1)
        across = (float((means.sum(axis=0) ** 2).sum()) - float((means**2).sum())) / (PILOT * (PILOT - 1))
        seen = {"between": np.array([product - across]), "within": np.array([square - product])}
        return {name: state[name] + MEMORY * (new - state[name]) if name in state else new for name, new in seen.items()}

    def _cuts(self, per_cell: int) -> Index:
        """Return where the groups of a cell's points begin, and the end of the last [A + 1]."""
        return np.arange(per_cell + 1) * len(self.curve.local) // per_cell
