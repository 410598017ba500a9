"""Corners of a plane domain: vertices where the boundary bends or conditions change, at which solutions may be singular."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vpinn.domain.locate import locate
from vpinn.domain.mesh import Mesh
from vpinn.domain.reference import Floats, Integers

BEND = np.radians(25.0)
"""Smallest angle between two boundary edges, in radians, at which their vertex is a corner; smaller ones are parts of a curve."""
NEAREST = 1e-5
"""Distance of the first point on an outward ray, as a share of the domain's extent; see ``corners_of``."""
STEPS = 400
"""Number of points on an outward ray that are tested for lying in the domain."""


@dataclass(frozen=True)
class Corner:
    """A corner of the boundary, with polar coordinates in which the domain is 0 < θ < ω near the corner.

    Attributes:
        place: coordinates [2], in units of the mesh.
        direction: direction of the edge θ = 0, in radians.
        angle: interior angle ω, in radians, 0 to 2π; the other edge is θ = ω.
        facets: rows of the mesh's boundary, the edge θ = 0 first.
    """

    place: tuple[float, float]
    direction: float
    angle: float
    facets: tuple[int, int]


def corners_of(mesh: Mesh, parts: Integers, free: bool = True) -> tuple[Corner, ...]:
    """Return the corners of the boundary.

    Args:
        mesh: mesh of any dimension; only plane ones have corners.
        parts: a number per boundary facet [n_facets], different where different conditions hold.
        free: whether to leave out corners whose outward ray, opposite to the bisector of the interior angle, meets the domain
            again; branch cuts along these rays would run through the domain.
    """
    if mesh.dimension != 2:
        return ()
    start, end, leaving, arriving = _edges(mesh)
    out, into = (np.full(len(mesh.nodes), -1) for _ in range(2))
    out[start], into[end] = np.arange(len(start)), np.arange(len(end))
    once = (np.bincount(start, minlength=len(out)) == 1) & (np.bincount(end, minlength=len(out)) == 1)
    at = np.flatnonzero(once)
    following, before = out[at], into[at]
    a, b = arriving[before], leaving[following]
    turn = np.arctan2(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0], np.einsum("ni,ni->n", a, b))
    sharp = (np.abs(turn) >= BEND) | (parts[before] != parts[following])
    found = []
    for vertex, bend, e, f in zip(at[sharp], turn[sharp], following[sharp], before[sharp], strict=True):
        x, y = map(float, mesh.nodes[vertex])
        direction = float(np.arctan2(leaving[e, 1], leaving[e, 0]))
        found.append(Corner((x, y), direction, float(np.pi - bend), (int(e), int(f))))
    return tuple(corner for corner, kept in zip(found, _free(mesh, found), strict=True) if kept) if free else tuple(found)


def _edges(mesh: Mesh) -> tuple[Integers, Integers, Floats, Floats]:
    """Return first and last vertex of the boundary's edges [n], the domain on their left, and unit tangents there [n, 2]."""
    cells, local = mesh.boundary.T
    ends = mesh.reference.facets[local]  # [n, 2], numbers in the cell
    corners = mesh.reference.vertices
    tangents = []
    for column in (0, 1):
        jacobian = mesh.frames_at(cells, corners[ends[:, column]]).jacobian
        along = np.einsum("nij,nj->ni", jacobian, corners[ends[:, 1]] - corners[ends[:, 0]])
        tangents.append(along / np.linalg.norm(along, axis=1, keepdims=True))
    vertices = np.take_along_axis(mesh.vertices[cells], ends, axis=1)
    inward = mesh.nodes[mesh.vertices[cells]].mean(axis=1) - mesh.nodes[vertices[:, 0]]
    along = mesh.nodes[vertices[:, 1]] - mesh.nodes[vertices[:, 0]]
    turned = along[:, 0] * inward[:, 1] - along[:, 1] * inward[:, 0] < 0.0
    first, last = (np.where(turned[:, None], -tangents[1 - k], tangents[k]) for k in (0, 1))
    start, end = (np.where(turned, vertices[:, 1 - k], vertices[:, k]) for k in (0, 1))
    return start, end, first, last


def _free(mesh: Mesh, corners: list[Corner]) -> NDArray[np.bool_]:
    """Return whether the outward ray of each corner stays outside the domain [n]."""
    if not corners:
        return np.empty(0, bool)
    extent = 2.0 * float(np.linalg.norm(np.subtract(*mesh.bounds)))
    steps = np.geomspace(NEAREST * extent, extent, STEPS)
    middle = np.array([corner.direction + corner.angle / 2 for corner in corners])
    outwards = -np.stack([np.cos(middle), np.sin(middle)], axis=1)
    rays = np.array([corner.place for corner in corners])[:, None] + steps[:, None] * outwards[:, None]
    outside: NDArray[np.bool_] = (locate(mesh, rays.reshape(-1, 2))[0] < 0).reshape(len(corners), -1)
    return np.asarray(outside.all(axis=1))
