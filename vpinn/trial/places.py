"""Where solutions vary on small scales: small parts of other material, and holes and gaps of the boundary."""

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
"""Share of the domain's smaller extent below which a scale is small; a network of the whole domain resolves larger ones."""
SERVED = 2.0
"""Distance from a place, in units of the local scale, up to which the distance itself resolves that scale."""
MOST = 24
"""Places taken at most."""
BLUNT = 0.2
"""Angle, in radians, by which a re-entrant corner exceeds a straight side."""


def small_places(problem: Problem) -> Array:
    """Return places with the radius below which distances are not told apart [count, 3], in units of the mesh.

    First parts of other material, then the centres of balls that touch the boundary from outside where it is finely curved or
    narrow. There are none but on meshes in the plane, and none at corners: there logarithms let a network dive between the points
    of an energy, an L-shape by L-BFGS by 5e-4, and help little otherwise.

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
    """Yield centre and radius of the connected parts of tagged cells that are small."""
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
    """Yield centres of the balls that touch the boundary from outside where they are small, the smallest first."""
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
