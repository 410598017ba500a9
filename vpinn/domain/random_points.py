"""Monte Carlo and Sobol points of domains without a mesh and of their boundaries, as data sets in any dimension."""

from __future__ import annotations

import numpy as np

from vpinn.domain.meshless import Meshless
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
    """Points of a domain without a mesh, each with the weight volume / n. The whole domain is the only entity.

    Args:
        domain: the domain.
        n: number of points >= 1 (at most 2**30 for Sobol).
        kind: "monte-carlo" (independent) or "sobol" (scrambled Sobol sequence).
        seed: seed of the points.

    Raises:
        InputError: the number of points is out of range, or the kind is unknown.
    """

    def __init__(self, domain: Meshless, n: int, kind: str = "monte-carlo", seed: int = 0) -> None:
        super().__init__(_at_least(n, 1, "points"), domain.volume)
        self.domain = domain
        self._sequence = _sequence(domain.numbers, n, kind, seed)

    def take(self, index: Integers | range, fresh: int | Keys | None = None) -> Points:
        """Return the points with the given numbers [b]; `Points.reference` is the position in the unit cube."""
        numbers = self._checked(index)
        unit = self._sequence.at(numbers, keys_of(numbers, fresh))
        weights = np.full(len(unit), self.volume / self.size)
        return _points(self.domain, self.domain.place(unit), unit, weights, np.zeros_like(numbers), None, numbers)


class ScatteredPoints(MonteCarloPoints):
    """Points for least squares, spread as ``Meshless.scatter`` says, with the weights 1/n of a mean."""

    def take(self, index: Integers | range, fresh: int | Keys | None = None) -> Points:
        """Return the points with the given numbers [b]."""
        numbers = self._checked(index)
        unit = self._sequence.at(numbers, keys_of(numbers, fresh))
        weights = np.full(len(unit), 1.0 / self.size)
        return _points(self.domain, self.domain.scatter(unit), unit, weights, np.zeros_like(numbers), None, numbers)


class MonteCarloFacetPoints(_OneEntity):
    """Points spread over boundary facets of a domain without a mesh, shared out by area, with at least one on each facet.

    One entity as in `MonteCarloPoints`; `Points.entity` still names the facet. Facets follow each other in index order.

    Args:
        domain: the domain.
        facets: facet numbers [m], as `domain.facets(tags)` gives them.
        n: number of points, at least one per facet.
        kind: "monte-carlo" or "sobol".
        seed: seed of the generator.

    Raises:
        InputError: fewer points than facets, or an unknown kind.
    """

    on_facets = True

    def __init__(self, domain: Meshless, facets: Integers, n: int, kind: str = "monte-carlo", seed: int = 0) -> None:
        self.domain, self._facets = domain, np.asarray(facets, dtype=np.int64)
        self._areas = domain.facet_areas[self._facets]
        super().__init__(_at_least(n, max(1, len(self._facets)), "points, one for each facet,"), float(self._areas.sum()))
        ends = np.concatenate([[0.0], np.cumsum(self._areas)]) / self.volume
        self._starts = np.round(ends * (n - len(self._facets))).astype(np.int64) + np.arange(len(self._facets) + 1)  # [m + 1]
        self._sequence = _sequence(domain.numbers, n, kind, seed)
        self._restart = kind == "sobol"  # a Sobol sequence is best from its beginning, on every facet

    def take(self, index: Integers | range, fresh: int | Keys | None = None) -> Points:
        """Make the points with the given numbers [b]."""
        numbers = self._checked(index)
        which = np.searchsorted(self._starts, numbers, side="right") - 1
        local = numbers - self._starts[which]
        facet = self._facets[which]
        unit = self._sequence.at(local if self._restart else numbers, keys_of(numbers, fresh))
        x, normal = self.domain.place_on(facet, unit)
        weights = (self._areas / np.diff(self._starts))[which]
        return _points(self.domain, x, unit, weights, facet, normal, local)


def _points(
    domain: Meshless, x: Floats, unit: Floats, w: Floats, entity: Integers, normal: Floats | None, local: Integers
) -> Points:
    return Points(x, w, entity, np.zeros_like(entity), unit, normal, np.full(len(w), domain.diameter), local)


def _sequence(dimension: int, n: int, kind: str, seed: int) -> UniformSequence | SobolSequence:
    """Return the sequence of points in the unit cube for a kind of points."""
    if kind == "monte-carlo":
        return UniformSequence(dimension, seed)
    if kind == "sobol":
        return SobolSequence.scrambled(dimension, n, seed)
    raise InputError(f"there is no quadrature rule {kind!r} without a mesh; choose monte-carlo or sobol")


def _at_least(n: int, least: int, what: str) -> int:
    """Return a number of points as an int, after checking that it is a whole number of at least ``least``."""
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or not least <= n < 2**62:
        raise InputError(f"ask for at least {least} {what} without a mesh, got {n!r}")
    return int(n)
