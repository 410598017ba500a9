"""Points outside a domain, close behind its boundary, as poles of functions that are smooth inside.

The continuation of a smooth solution beyond the boundary may have singularities there; functions with poles behind the boundary
approximate it well. Start with `sources_behind`.
"""

from __future__ import annotations

import numpy as np

from vpinn.domain.locate import locate
from vpinn.domain.mesh import Mesh
from vpinn.domain.points import FacetPoints
from vpinn.domain.reference import Floats

REACH = 4.0
"""Distance of a source from the boundary, in units of the distance between neighbouring sources along the boundary."""
ROOM = 0.9
"""Smallest distance of a source from all boundary points, in units of that from its own; tested at twice the distance, too."""
LEAST = 0.25
"""Smallest distance of a source from the boundary, in units of the length of the facet; quadrature points on the facet could not
resolve the functions of closer poles."""
HALVINGS = 12
"""How often the distance is divided by √2 to find enough room before the source is given up."""
PAIRS = 1_000_000
"""Number of pairs of boundary points that are compared at a time."""
SEEN = 4_000
"""Approximate number of boundary points with which each is compared, evenly chosen."""


def sources_behind(mesh: Mesh, count: int, least: float = LEAST) -> Floats:
    """Return at most ``count`` points [m, d] outside the domain, behind all parts of its boundary, including holes and gaps.

    Boundary points are chosen one by one, each as far as possible from those before in units of the local scale (see
    ``local_scale``). Therefore a smaller count gives the first points of a larger one, and fillets get as many points as
    straight sides. A source lies behind its boundary point at ``REACH`` times the distance of its neighbours, or closer if a
    hole or gap has no room for that; it is left out if it would be closer than ``least`` times the length of its facet.

    Args:
        mesh: the mesh.
        count: largest number of points.
        least: smallest distance from the boundary, in units of the length of the facet.
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
    tree, away = KDTree(x), REACH * spacing
    free = np.zeros(count, bool)
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
    """Return, for every boundary facet, the length on which a solution may vary because of the shape of the boundary [n_facets].

    For a boundary point y with outward normal n, let ρ(y) be the radius of the largest ball that touches the boundary there from
    outside: min |z − y|² / (2n·(z − y)) over all boundary points z. It is the radius of a fillet, half the width of a gap, and
    zero at a re-entrant corner (medial axis of the outside; Amenta & Bern 1999, local feature size). The local scale at x is
    the minimum of ρ(y) + |x − y|, at most half the extent of the domain. It is evaluated at the middle of every facet.
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
