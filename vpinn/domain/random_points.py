"""Monte Carlo and Sobol points of a hypercube and of its boundary, as data sets in any dimension."""

from __future__ import annotations

import numpy as np

from vpinn.domain.hypercube import Hypercube
from vpinn.domain.point_set import Points, PointSet
from vpinn.domain.reference import Floats, Integers
from vpinn.domain.sequences import Keys, SobolSequence, UniformSequence, keys_of
from vpinn.errors import InputError


class _OneEntity(PointSet):
    """A set without cells, whose n points of total measure `volume` belong to a single entity."""

    def __init__(self, n: int, volume: float) -> None:
        self._count, self._volume = n, volume

    @property
    def entities(self) -> int:
        return 1

    @property
    def random(self) -> bool:
        return True

    @property
    def per_entity(self) -> int:
        return self._count

    @property
    def entity_volumes(self) -> Floats:
        return np.array([self._volume])


class MonteCarloPoints(_OneEntity):
    """Points of a hypercube, each with the weight volume / n. There are no cells: the whole box is the only entity.

    Args:
        hypercube: the domain.
        n: number of points >= 1 (at most 2**30 for Sobol).
        kind: "monte-carlo" (independent) or "sobol" (scrambled Sobol sequence).
        seed: seed of the points.

    Raises:
        InputError: the number of points is out of range, or the kind is unknown.
    """

    def __init__(self, hypercube: Hypercube, n: int, kind: str = "monte-carlo", seed: int = 0) -> None:
        super().__init__(_at_least(n, 1, "points"), hypercube.volume)
        self.hypercube = hypercube
        self._sequence = _sequence(hypercube.dimension, n, kind, seed)

    def take(self, index: Integers | range, fresh: int | Keys | None = None) -> Points:
        """Return the points with the given numbers [b]; `Points.reference` is the position in the unit cube."""
        numbers = self._checked(index)
        unit = self._sequence.at(numbers, keys_of(numbers, fresh))
        return _points(self.hypercube, unit, np.full(len(unit), self.volume / self.size), np.zeros_like(numbers), None, numbers)


class MonteCarloFacetPoints(_OneEntity):
    """Points spread over boundary facets of a hypercube, shared out by area, with at least one on each facet.

    One entity as in `MonteCarloPoints`; `Points.entity` still names the facet. Facets follow each other in index order.

    Args:
        hypercube: the domain.
        facets: facet numbers [m], as `hypercube.facets(tags)` gives them.
        n: number of points, at least one per facet.
        kind: "monte-carlo" or "sobol".
        seed: of the generator.

    Raises:
        InputError: fewer points than facets, or an unknown kind.
    """

    on_facets = True

    def __init__(self, hypercube: Hypercube, facets: Integers, n: int, kind: str = "monte-carlo", seed: int = 0) -> None:
        self.hypercube, self._facets = hypercube, np.asarray(facets, dtype=np.int64)
        self._areas = hypercube.facet_areas[self._facets]
        super().__init__(_at_least(n, max(1, len(self._facets)), "points, one for each facet,"), float(self._areas.sum()))
        ends = np.concatenate([[0.0], np.cumsum(self._areas)]) / self.volume
        self._starts = np.round(ends * (n - len(self._facets))).astype(np.int64) + np.arange(len(self._facets) + 1)  # [m + 1]
        self._sequence = _sequence(hypercube.dimension, n, kind, seed)
        self._restart = kind == "sobol"  # a Sobol sequence is best from its beginning, on every facet

    def take(self, index: Integers | range, fresh: int | Keys | None = None) -> Points:
        """Make the points with the given numbers [b]."""
        numbers = self._checked(index)
        which = np.searchsorted(self._starts, numbers, side="right") - 1
        local = numbers - self._starts[which]
        facet, rank = self._facets[which], np.arange(len(numbers))
        axis, upper = facet // 2, facet % 2
        unit = self._sequence.at(local if self._restart else numbers, keys_of(numbers, fresh))
        unit[rank, axis] = upper
        normal = np.zeros_like(unit)
        normal[rank, axis] = 2.0 * upper - 1.0
        weights = (self._areas / np.diff(self._starts))[which]
        return _points(self.hypercube, unit, weights, facet, normal, local)


def _points(box: Hypercube, unit: Floats, w: Floats, entity: Integers, normal: Floats | None, local: Integers) -> Points:
    """Return points of a box from coordinates in [0, 1]^d; 0 and 1 become exactly its lower and upper coordinates."""
    lower, upper = box.bounds
    x = np.where(unit == 1.0, upper, lower + unit * (upper - lower))
    return Points(x, w, entity, np.zeros_like(entity), unit, normal, np.full(len(w), box.diameter), local)


def _sequence(dimension: int, n: int, kind: str, seed: int) -> UniformSequence | SobolSequence:
    """Return the sequence of points in the unit cube for a kind of points."""
    if kind == "monte-carlo":
        return UniformSequence(dimension, seed)
    if kind == "sobol":
        return SobolSequence.scrambled(dimension, n, seed)
    raise InputError(f"there is no quadrature rule {kind!r} on a hypercube; choose monte-carlo or sobol")


def _at_least(n: int, least: int, what: str) -> int:
    """Return a number of points as an int, after checking that it is a whole number of at least ``least``."""
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or not least <= n < 2**62:
        raise InputError(f"ask for at least {least} {what} on a hypercube, got {n!r}")
    return int(n)
