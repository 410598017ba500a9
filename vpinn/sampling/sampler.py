"""Samplers of quadrature points.

A batch estimates an integral I = Σᵢ wᵢ f(xᵢ) by Σ over drawn points of scale·w·f with scale = 1/(expected number of
times the point is drawn): the Horvitz–Thompson estimator, unbiased whatever the sampler.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vpinn.domain import Mesh, PointSet
from vpinn.errors import InputError

Index = NDArray[np.int64]
Scale = NDArray[np.float64]


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
    def draw(self, generator: np.random.Generator) -> tuple[Index, Scale]:
        """Return indices of drawn points [b] and their inverse expected counts [b]."""


@dataclass(frozen=True)
class Uniform(Sampler):
    """Independent draws, every point as likely: Var = Σ/b."""

    def draw(self, generator: np.random.Generator) -> tuple[Index, Scale]:
        """Return b independent indices, each with scale N/b."""
        return generator.integers(self.points, size=self.size), np.full(self.size, self.points / self.size)


@dataclass(frozen=True)
class Stratified(Sampler):
    """Blocks of neighbouring cells are strata; every stratum gives its share: Var = Σ_k W_k²σ_k²/n_k.

    Strata are as many as points per batch, or as cells where there are fewer of these. A stratum of N_k points gives
    n_k independent ones, each with scale N_k/n_k; the n_k differ by at most one (proportional allocation).

    Attributes:
        order: entities of the data set, neighbours together [n]; see ``cell_order``.
        per_entity: points per entity.
    """

    order: Index
    per_entity: int

    def draw(self, generator: np.random.Generator) -> tuple[Index, Scale]:
        """Return b indices, stratum by stratum, with their scales."""
        first, count, share = self._strata
        at = first[share] * self.per_entity + generator.integers(count[share] * self.per_entity)
        entity, local = np.divmod(at, self.per_entity)
        drawn = np.bincount(share, minlength=len(count))
        return self.order[entity] * self.per_entity + local, (count * self.per_entity / drawn)[share]

    @property
    def _strata(self) -> tuple[Index, Index, Index]:
        """First entity and number of entities of each stratum, and the stratum of each draw [b]."""
        strata = min(self.size, len(self.order))
        edges = np.arange(strata + 1) * len(self.order) // strata
        return edges[:-1], np.diff(edges), np.arange(self.size) * strata // self.size


def cell_order(centers: NDArray[np.float64]) -> Index:
    """Return the order [n] in which points [n, d] follow a Morton curve, so that neighbours stand together."""
    n, d = centers.shape
    bits = min(20, 62 // d)
    low = centers.min(axis=0)
    extent = np.maximum(centers.max(axis=0) - low, 1e-300)
    grid = np.minimum((centers - low) / extent * 2**bits, 2**bits - 1).astype(np.int64)
    code = np.zeros(n, np.int64)
    for bit in range(bits):
        for axis in range(d):
            code |= ((grid[:, axis] >> bit) & 1) << (bit * d + axis)
    return np.argsort(code, kind="stable")


def _uniform(points: PointSet, size: int, centers: NDArray[np.float64] | None) -> Sampler:
    return Uniform(points.size, size)


def _stratified(points: PointSet, size: int, centers: NDArray[np.float64] | None) -> Sampler:
    if centers is None:
        order, per_entity = np.arange(points.size), 1
    else:
        order, per_entity = cell_order(centers), points.per_entity
    return Stratified(points.size, size, order, per_entity)


SAMPLERS: Final[Mapping[str, Callable[[PointSet, int, NDArray[np.float64] | None], Sampler]]] = {
    "uniform": _uniform,
    "stratified": _stratified,
}
"""Names of a problem file → samplers."""


def make_sampler(name: str, points: PointSet, size: int) -> Sampler:
    """Return the sampler called ``name`` for a data set.

    Args:
        name: one of ``SAMPLERS``.
        points: the data set.
        size: points per batch, 1 ≤ size ≤ points.size.

    Raises:
        InputError: no such sampler, or a size out of range.
    """
    if name not in SAMPLERS:
        raise InputError(f"there is no sampler {name!r}; choose one of {', '.join(SAMPLERS)}")
    return SAMPLERS[name](points, size, entity_centers(points))


def entity_centers(points: PointSet) -> NDArray[np.float64] | None:
    """Return the mean vertex of each cell or facet [entities, d]; None for points without cells."""
    mesh = getattr(points, "mesh", None)
    if not isinstance(mesh, Mesh):
        return None
    rows = getattr(points, "rows", None)
    vertices = mesh.vertices if rows is None else mesh.facet_vertices(rows)
    centers: NDArray[np.float64] = mesh.nodes[vertices].mean(axis=1)
    return centers
