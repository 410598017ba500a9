"""The places of a plane domain near which solutions vary on small scales: small parts of another material, holes and gaps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from vpinn.domain import FacetPoints, Mesh, corners_of, local_scale
from vpinn.problem import Problem

Array = NDArray[np.float64]
SMALL = 0.15
"""Radius, as a share of the domain's smaller extent, below which a place is small; networks resolve larger scales anyway."""
SERVED = 2.0
"""Distance from a chosen place, in units of the local scale, within which no further place is needed."""
MOST = 24
"""Largest number of places."""
BLUNT = 0.2
"""Excess of a corner's angle over π, in radians, above which it counts as re-entrant."""


def small_places(problem: Problem) -> Array:
    """Return the small places of a problem as centre and radius [count, 3], in units of the mesh; [0, 3] without a plane mesh.

    First come small parts of another material; then, with radius zero, the centres of balls that touch the boundary from outside
    where it is strongly curved or narrow. Re-entrant corners are left out: there a network with a logarithm can lower an energy
    between the quadrature points without approaching the solution, and gains little otherwise.

    Args:
        problem: the problem.
    """
    mesh = problem.domain.mesh
    if mesh is None or mesh.dimension != 2:
        return np.empty((0, 3))
    small = SMALL * float(np.ptp(mesh.nodes, axis=0).min())
    corners = corners_of(mesh, np.zeros(len(mesh.boundary), dtype=np.int64), free=False)
    inwards = [corner.place for corner in corners if corner.angle > np.pi + BLUNT]
    return np.array([*_parts(mesh, problem.tags, small), *_behind(mesh, inwards, small)]).reshape(-1, 3)[:MOST]


def _parts(mesh: Mesh, tags: Sequence[str], small: float) -> Iterator[tuple[float, ...]]:
    """Yield centre and radius of every connected part of tagged cells with a radius below ``small``."""
    for name in tags:
        cells = mesh.cell_tags.get(name, np.empty(0, np.int64))
        if len(cells) in (0, mesh.n_cells):
            continue
        vertices = mesh.vertices[cells]
        rows = np.repeat(np.arange(len(cells)), vertices.shape[1])
        touched = coo_array((np.ones(rows.size), (rows, vertices.ravel())), shape=(len(cells), len(mesh.nodes))).tocsr()
        count, label = connected_components(touched @ touched.T, directed=False)
        for k in range(count):
            nodes = mesh.nodes[np.unique(vertices[label == k])]
            middle = (nodes.min(0) + nodes.max(0)) / 2
            radius = float(np.linalg.norm(nodes - middle, axis=1).max())
            if radius < small:
                yield (*middle.tolist(), radius)


def _behind(mesh: Mesh, known: Sequence[Sequence[float]], small: float) -> Iterator[tuple[float, ...]]:
    """Yield centres (with radius zero) of balls that touch the boundary from outside, the smallest first.

    Args:
        mesh: the mesh.
        known: places near which no ball is wanted [count][2].
        small: radius of the balls below which they count.
    """
    points = FacetPoints(mesh, mesh.facets("all"), 1)
    taken, scale = points.take(range(points.size)), local_scale(mesh)
    assert taken.normal is not None
    x = taken.x[:: points.per_entity]
    centres = x + scale[:, None] * taken.normal[:: points.per_entity]
    left = scale < small
    for place in known:
        left &= np.linalg.norm(x - place, axis=1) > SERVED * scale
    while left.any():
        k = int(np.argmin(np.where(left, scale, np.inf)))
        yield (*centres[k].tolist(), 0.0)
        left &= np.linalg.norm(x - centres[k], axis=1) > SERVED * scale
        left[k] = False
