"""Points behind the boundary of a mesh, outside the domain: where singularities of smooth solutions may sit."""

from __future__ import annotations

import numpy as np

from vpinn.domain.locate import locate
from vpinn.domain.mesh import Mesh
from vpinn.domain.points import FacetPoints
from vpinn.domain.reference import Floats

REACH = 4.0
"""Distance from the boundary, in units of the distance between neighbours on it."""
ROOM = 0.9
"""Share of its distance from its own boundary point that a source keeps from all others, at twice that distance, too."""
HALVINGS = 12
"""Times that the distance is divided by √2 to find room, before the point gets no source."""


def sources_behind(mesh: Mesh, count: int, reach: float = REACH) -> Floats:
    """Return at most ``count`` points [m, d] outside the domain, evenly behind its boundary, holes and gaps included.

    Boundary points are chosen one by one, each the farthest from those before, so that fewer are the first of many. The
    distance behind them is ``reach`` times that between neighbours, or half of what a hole or gap has room for.
    """
    from scipy.spatial import KDTree

    points = FacetPoints(mesh, mesh.facets("all"), 14)
    taken = points.take(range(points.size))
    assert taken.normal is not None
    x, count = taken.x, min(count, points.size)
    chosen, distance = np.zeros(count, np.int64), np.full(len(x), np.inf)
    for k in range(1, count):
        distance = np.minimum(distance, np.linalg.norm(x - x[chosen[k - 1]], axis=1))
        chosen[k] = np.argmax(distance)
    foot, normal = x[chosen], taken.normal[chosen]
    spacing = KDTree(foot).query(foot, min(3, count))[0][:, 1:].mean(axis=1) if count > 1 else np.full(1, mesh.h.max())
    tree, away, free = KDTree(x), reach * spacing, np.zeros(count, bool)
    for _ in range(HALVINGS):
        for factor in (1.0, 2.0):
            nearest = tree.query(foot + factor * away[:, None] * normal)[0]
            free = (nearest >= ROOM * factor * away) & (free if factor > 1.0 else True)
        away = np.where(free, away, away / np.sqrt(2.0))
    found = (foot + away[:, None] * normal)[free]
    return found[locate(mesh, found)[0] < 0]
