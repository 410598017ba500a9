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
LEAST = 0.25
"""Smallest distance from the boundary, in units of its facet's length: conditions hold at points that must see the pole."""
HALVINGS = 12
"""Times that the distance is divided by √2 to find room, before the point gets no source."""
PAIRS = 1_000_000
"""Pairs of boundary points looked at together."""
SEEN = 4_000
"""Boundary points, evenly taken, that each is held against."""


def sources_behind(mesh: Mesh, count: int, reach: float = REACH, least: float = LEAST) -> Floats:
    """Return at most ``count`` points [m, d] outside the domain, behind all of its boundary, holes and gaps included.

    Boundary points are chosen one by one, each the farthest from those before in units of the boundary's local scale (see
    ``local_scale``), so that fewer are the first of many and fillets get as many as straight sides. The distance behind them
    is ``reach`` times that between neighbours, or half of what a hole or gap has room for, but ``least`` times the facet's length
    at least: points whose room is smaller get none.
    """
    from scipy.spatial import KDTree

    points = FacetPoints(mesh, mesh.facets("all"), 14)
    taken = points.take(range(points.size))
    assert taken.normal is not None
    x, count = taken.x, min(count, points.size)
    scale = np.repeat(local_scale(mesh), points.per_entity)
    chosen, distance = np.zeros(count, np.int64), np.full(len(x), np.inf)
    for k in range(1, count):
        distance = np.minimum(distance, np.linalg.norm(x - x[chosen[k - 1]], axis=1) / scale)
        chosen[k] = np.argmax(distance)
    foot, normal = x[chosen], taken.normal[chosen]
    spacing = KDTree(foot).query(foot, min(3, count))[0][:, 1:].mean(axis=1) if count > 1 else np.full(1, mesh.h.max())
    tree, away, free = KDTree(x), reach * spacing, np.zeros(count, bool)
    for _ in range(HALVINGS):
        for factor in (1.0, 2.0):
            nearest = tree.query(foot + factor * away[:, None] * normal)[0]
            free = (nearest >= ROOM * factor * away) & (free if factor > 1.0 else True)
        away = np.where(free, away, away / np.sqrt(2.0))
    ends = mesh.nodes[mesh.facet_vertices(taken.entity[chosen])]
    free &= away >= least * np.ptp(ends, axis=1).max(axis=1)
    found = (foot + away[:, None] * normal)[free]
    return found[locate(mesh, found)[0] < 0]


def local_scale(mesh: Mesh) -> Floats:
    """Return the length on which the boundary gives a solution reason to vary, for every boundary facet [n_facets].

    At a point y with outward normal n it is the radius ρ of the largest ball that touches the boundary there from outside,
    min |z − y|² / (2n·(z − y)) over the boundary's points z: a fillet's radius, half the width of a gap, nothing at a
    re-entrant corner (the medial axis of the outside; Amenta & Bern 1999, local feature size). Away from there it grows with
    the distance: min ρ(y) + |x − y|. Half the domain's extent is the most. Facets stand for their middles.
    """
    points = FacetPoints(mesh, mesh.facets("all"), 1)
    taken = points.take(range(points.size))
    assert taken.normal is not None
    x, n = taken.x[:: points.per_entity], len(mesh.boundary)
    normal, stride = taken.normal[:: points.per_entity], -(-n // SEEN)
    others = x[::stride]
    step, most = max(1, PAIRS // len(others)), 0.5 * float(np.ptp(x, axis=0).max())
    room, scale = np.empty(n), np.empty(n)
    for start in range(0, n, step):
        part = slice(start, start + step)
        ahead = others[None] - x[part, None]
        height = np.einsum("mnd,md->mn", ahead, normal[part])
        square = np.einsum("mnd,mnd->mn", ahead, ahead)
        above = height > 1e-9 * np.sqrt(square)
        room[part] = np.where(above, 0.5 * square / np.where(above, height, 1.0), most).min(axis=1)
    for start in range(0, n, step):
        part = slice(start, start + step)
        scale[part] = (np.linalg.norm(others[None] - x[part, None], axis=2) + room[::stride]).min(axis=1)
    return np.minimum(scale, most)
