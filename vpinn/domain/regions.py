"""Regions: the parts of a domain that integrals run over. Each gives points with weights, and the test functions that it sees.

A kind of region is a class. An integral of a form names the class and tags, and ``Kind.of(domain, tags)`` is the region on one
domain. A further kind, such as the facets between two materials, is a further class in ``REGIONS``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self, final

import numpy as np
from numpy.typing import NDArray

from vpinn.domain.given import Domain
from vpinn.domain.meshless import Meshless
from vpinn.domain.point_set import Points, PointSet
from vpinn.domain.points import CellPoints, FacetPoints, MeshPoints
from vpinn.domain.random_points import MonteCarloFacetPoints, MonteCarloPoints, ScatteredPoints
from vpinn.domain.reference import Integers
from vpinn.domain.space import LagrangeSpace
from vpinn.errors import InputError

PER_FACET = 64
"""Random points per facet where only a check is made."""


@dataclass(frozen=True, eq=False)
class Region(ABC):
    """A part of a domain that integrals run over.

    Attributes:
        domain: mesh, or domain without one.
        integral_type: UFL's name of integrals over such regions.
        symbol: symbol of the measure in a form.
        entity: what such a region is made of.
        codimension: dimensions that it has less than its domain.
        name: name in tables and messages.
        place: where its points are, for tables and messages.
    """

    domain: Domain
    integral_type: ClassVar[str]
    symbol: ClassVar[str]
    entity: ClassVar[str]
    codimension: ClassVar[int]
    name: ClassVar[str]
    place: ClassVar[str]

    @classmethod
    @abstractmethod
    def of(cls, domain: Domain, tags: Sequence[str] = ("all",)) -> Self:
        """Return the region of this kind that carries any of the tags.

        Raises:
            InputError: there is no such tag.
        """

    @staticmethod
    @abstractmethod
    def holds(domain: Domain, tag: str, points: Points) -> NDArray[np.bool_]:
        """Return which points belong to a tagged part of such regions [n]."""

    @abstractmethod
    def on_cells(self, degree: int, rule: str = "gauss", seed: int = 0, refine: int = 0) -> MeshPoints:
        """Return the points of a rule in every cell or facet of a mesh; arguments and errors as for ``points``.

        Raises:
            InputError: there are no cells.
        """

    @abstractmethod
    def _without_cells(self, domain: Meshless, count: int, rule: str, seed: int) -> PointSet:
        """Return random points of a domain without a mesh."""

    def points(self, degree: int, count: int = 1, rule: str | None = None, seed: int = 0, refine: int = 0) -> PointSet:
        """Return quadrature points.

        Args:
            degree: degree of the Gauss rule on a mesh, 0 to 30; random rules have as many points per cell.
            count: number of points where there are no cells, ≥ 1; on facets at least one each.
            rule: "gauss" or "stochastic-gauss" (on cells only), "monte-carlo" or "sobol"; default that of the domain.
            seed: seed of random points; facets have other random numbers than the inside.
            refine: times every cell of a mesh is halved before the rule is applied.

        Raises:
            InputError: the degree is out of range, or the domain has no such rule.
        """
        rule = rule or self.domain.rule
        if isinstance(self.domain, Meshless):
            return self._without_cells(self.domain, count, rule, seed)
        return self.on_cells(degree, rule, seed, refine)

    @abstractmethod
    def functions(self, space: LagrangeSpace) -> Integers:
        """Return the functions of a space on the mesh that do not vanish on the region, ascending."""

    def spread(self, count: int) -> Points:
        """Return at least ``count`` points all over the region, fewer than twice as many, or all that its coarsest rule has."""
        every = self.points(2, count)
        return every.take(np.arange(0, every.size, max(1, every.size // count)))


@final
@dataclass(frozen=True, eq=False)
class Inside(Region):
    """All cells of a mesh, or the inside of a domain without a mesh."""

    integral_type = "cell"
    symbol = "dx"
    entity = "cell"
    codimension = 0
    name = "domain"
    place = "inside"

    @classmethod
    def of(cls, domain: Domain, tags: Sequence[str] = ("all",)) -> Self:
        """Return the inside, always whole: an integrand on tagged cells is zero in the others."""
        return cls(domain)

    @staticmethod
    def holds(domain: Domain, tag: str, points: Points) -> NDArray[np.bool_]:
        """Return which points lie in or on cells of a tag [n]."""
        return np.isin(points.cell, domain.cell_tags[tag])

    def on_cells(self, degree: int, rule: str = "gauss", seed: int = 0, refine: int = 0) -> MeshPoints:
        """Return the points of a rule in every cell."""
        return CellPoints(self.domain.with_cells(), degree, rule, seed, refine)

    def _without_cells(self, domain: Meshless, count: int, rule: str, seed: int) -> PointSet:
        return MonteCarloPoints(domain, count, rule, seed)

    def functions(self, space: LagrangeSpace) -> Integers:
        """Return all functions."""
        return np.arange(space.size)


@final
@dataclass(frozen=True, eq=False)
class BoundaryPart(Region):
    """Some facets of the boundary; their points have outward normals.

    Attributes:
        facets: their numbers [m], as ``domain.facets(tags)`` gives them.
    """

    facets: Integers
    integral_type = "exterior_facet"
    symbol = "ds"
    entity = "facet"
    codimension = 1
    name = "boundary"
    place = "on the boundary"

    @classmethod
    def of(cls, domain: Domain, tags: Sequence[str] = ("all",)) -> Self:
        """Return the facets that carry any of the tags."""
        return cls(domain, domain.facets(tags))

    @staticmethod
    def holds(domain: Domain, tag: str, points: Points) -> NDArray[np.bool_]:
        """Return which points lie on facets of a tag [n]."""
        return np.isin(points.entity, domain.facet_tags[tag])

    def on_cells(self, degree: int, rule: str = "gauss", seed: int = 0, refine: int = 0) -> MeshPoints:
        """Return the points of a rule on every facet."""
        return FacetPoints(self.domain.with_cells(), self.facets, degree, rule, seed + 1, refine)

    def _without_cells(self, domain: Meshless, count: int, rule: str, seed: int) -> PointSet:
        return MonteCarloFacetPoints(domain, self.facets, max(count, len(self.facets)), rule, seed + 1)

    def functions(self, space: LagrangeSpace) -> Integers:
        """Return the functions that do not vanish on all of the facets."""
        return space.boundary_dofs(self.facets)

    def on_each(self) -> Points:
        """Return a few points on each of the facets, to compare boundary values at."""
        found = self.points(5, PER_FACET * len(self.facets), None if self.domain.mesh else "monte-carlo")
        return found.take(range(found.size))


def scattered(domain: Domain, count: int, seed: int) -> PointSet:
    """Return points for least squares inside a domain without a mesh, see ``Meshless.scatter``.

    Args:
        domain: the domain.
        count: number of points ≥ 1, of which those are computed that are taken.
        seed: seed of the points.

    Raises:
        InputError: the domain has a mesh.
    """
    if domain.mesh is not None:
        raise InputError("points are scattered where there is no mesh; take those of a rule")
    return ScatteredPoints(domain, count, seed=seed)


REGIONS: tuple[type[Region], ...] = (Inside, BoundaryPart)
"""Every kind of region that a form can integrate over."""
