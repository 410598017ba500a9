"""Points at given coordinates (for evaluation, data and boundary values), and the quadrature points of any kind of domain."""

from __future__ import annotations

import numpy as np

from vpinn.domain.hypercube import Hypercube
from vpinn.domain.locate import locate
from vpinn.domain.mesh import Mesh
from vpinn.domain.points import CellPoints, FacetPoints, Points, PointSet
from vpinn.domain.random_points import MonteCarloFacetPoints, MonteCarloPoints
from vpinn.domain.reference import Floats, Integers

Domain = Mesh | Hypercube
"""The domain of a problem."""

PER_FACET = 64
"""Boundary points per facet of a hypercube where only a check is made."""


def bare_points(x: Floats) -> Points:
    """Return points at coordinates [n, d] without cells and with weight zero, sufficient for expressions of the coordinates."""
    n = len(x)
    none = np.full(n, -1, dtype=np.int64)
    return Points(np.ascontiguousarray(x), np.zeros(n), none, none, np.full_like(x, np.nan), None, np.full(n, np.nan), none)


def located_points(domain: Domain, x: Floats) -> tuple[Points, np.ndarray]:
    """Return points at coordinates [n, d] with their cells, and a mask [n] of the points inside the domain.

    On a mesh, points that lie outside by less than a small tolerance count as inside; see `locate`.
    """
    x = np.ascontiguousarray(x, dtype=np.float64)
    if isinstance(domain, Hypercube):
        lower, upper = domain.bounds
        slack = 1e-12 * (upper - lower)
        return bare_points(x), np.asarray(((x >= lower - slack) & (x <= upper + slack)).all(axis=1))
    cell, reference = locate(domain, x)
    inside = cell >= 0
    h = np.where(inside, domain.h[np.maximum(cell, 0)], np.nan)
    return Points(x, np.zeros(len(x)), cell, cell, reference, None, h, np.full(len(x), -1, dtype=np.int64)), inside


def cell_points(domain: Domain, rule: str, degree: int, count: int, seed: int, refine: int = 0) -> PointSet:
    """Return the quadrature points of a domain.

    Args:
        domain: mesh or hypercube.
        rule: "gauss" or "stochastic-gauss" (meshes only), "monte-carlo" or "sobol".
        degree: degree of the Gauss rule on a mesh; random rules have as many points per cell as this rule.
        count: number of points on a hypercube.
        seed: seed of random points.
        refine: how often every cell of a mesh is halved before the rule is applied, ≥ 0.
    """
    if isinstance(domain, Hypercube):
        return MonteCarloPoints(domain, count, rule, seed)
    return CellPoints(domain, degree, rule, seed, refine)


def facet_points(domain: Domain, facets: Integers, rule: str, degree: int, count: int, seed: int, refine: int = 0) -> PointSet:
    """Quadrature points of boundary facets; arguments as for `cell_points`."""
    if isinstance(domain, Hypercube):
        return MonteCarloFacetPoints(domain, facets, max(count, len(facets)), rule, seed + 1)
    return FacetPoints(domain, facets, degree, rule, seed + 1, refine)


def check_points(domain: Domain, facets: Integers) -> Points:
    """A few points on each of the facets, to compare boundary values at."""
    if isinstance(domain, Hypercube):
        found = MonteCarloFacetPoints(domain, facets, PER_FACET * len(facets), "monte-carlo", 0)
        return found.take(range(found.size))
    gauss = FacetPoints(domain, facets, 5)
    return gauss.take(range(gauss.size))
