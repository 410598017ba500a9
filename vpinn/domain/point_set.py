"""Points with weights: some of a set, and the set itself, numbered and never stored."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vpinn.domain.mesh import Mesh
from vpinn.domain.reference import Floats, Integers
from vpinn.domain.sequences import Keys


@dataclass(frozen=True, eq=False)
class Points:
    """Some points of a set, b of them.

    Attributes:
        x: coordinates [b, d], in units of length.
        w: quadrature weights, in units of volume (or of boundary measure) [b].
        entity: the cell, or the row of `Mesh.boundary`, that the point belongs to [b].
        cell: the cell at the point [b].
        reference: coordinates in the reference cell [b, d].
        normal: outward unit normal [b, d]; None inside the domain.
        h: diameter of the cell [b].
        local: number of the point in its entity's rule [b].
        far: the same points as the cells on the other side of an interface see them; None elsewhere.
    """

    x: Floats
    w: Floats
    entity: Integers
    cell: Integers
    reference: Floats
    normal: Floats | None
    h: Floats
    local: Integers
    far: Points | None = None

    def __len__(self) -> int:
        return len(self.w)

    def rows(self, rows: Integers) -> Points:
        """Some of the points, by position [m]."""
        normal = None if self.normal is None else self.normal[rows]
        return Points(
            x=self.x[rows],
            w=self.w[rows],
            entity=self.entity[rows],
            cell=self.cell[rows],
            reference=self.reference[rows],
            normal=normal,
            h=self.h[rows],
            local=self.local[rows],
            far=None if self.far is None else self.far.rows(rows),
        )


class PointSet(ABC):
    """A finite set of weighted points, numbered 0 … size - 1.

    Attributes:
        mesh: mesh in whose cells or facets the points lie; None without cells.
        on_facets: whether they lie on facets and have normals.
    """

    mesh: Mesh | None = None
    on_facets: bool = False

    @property
    @abstractmethod
    def entities(self) -> int:
        """Number of cells or facets; point i belongs to entity number i // per_entity."""

    @property
    @abstractmethod
    def per_entity(self) -> int:
        """Points per cell or facet."""

    @property
    @abstractmethod
    def entity_volumes(self) -> Floats:
        """Measure of each cell or facet [entities]."""

    @property
    def volume(self) -> float:
        """Sum of ``entity_volumes``: the measure that all points cover."""
        return float(self.entity_volumes.sum())

    @property
    def rule_weights(self) -> Floats:
        """Weights of the rule on each part of an entity, divided by their sum [q]; per_entity is a multiple of q."""
        return np.ones(1)

    @property
    def rule_points(self) -> Floats | None:
        """Points of the rule in the reference cell or facet [q, d]; None if they differ between entities or there is no rule."""
        return None

    @property
    def random(self) -> bool:
        """Whether the points are random; those of the set are one realisation, and batches may use others (see ``take``)."""
        return False

    @property
    def centers(self) -> Floats | None:
        """Mean vertex of each cell or facet [entities, d]; None where there are no cells."""
        return None

    @property
    def tagged(self) -> dict[str, NDArray[np.bool_]]:
        """Name of a part → whether each cell or facet belongs to it [entities]; empty where there are no cells."""
        return {}

    def entities_in(self, cells: Integers) -> Integers:
        """Return the entities that belong to some cells of a mesh, ascending; the only one where there are no cells."""
        return np.arange(self.entities)

    @abstractmethod
    def take(self, index: Integers | range, fresh: int | Keys | None = None) -> Points:
        """Return the points with the given numbers [b]; memory is proportional to b.

        Args:
            index: numbers of the points.
            fresh: seed of another realisation of random points, 0 … 2⁶³ − 1, in which every repetition of a number is a different
                point, or the keys of such points [b], see ``draw_keys``; None for the points of the set.
        """

    @property
    def size(self) -> int:
        """Number of points N, which may be larger than memory could hold."""
        return self.entities * self.per_entity

    def chunks(self, max_points: int) -> Iterator[range]:
        """Return consecutive ranges of at most `max_points` >= 1 numbers that cover the set; of whole entities if these fit."""
        step = max(1, max_points // self.per_entity * self.per_entity or max_points)
        return (range(start, min(start + step, self.size)) for start in range(0, self.size, step))

    def _checked(self, index: Integers | range) -> Integers:
        numbers = np.asarray(index, dtype=np.int64)
        if numbers.ndim != 1 or (len(numbers) and not 0 <= numbers.min() <= numbers.max() < self.size):
            raise IndexError(f"expected a list of indices from 0 to {self.size - 1}")
        return numbers
