"""Interfaces between two parts of a mesh: facets, points seen from both sides, and functions that jump there.

Where ``Mesh.joints`` names a pair of parts, functions of finite elements have two values on the facets between these: every node
there is counted once for each of the groups of cells around it that still share facets. The mesh itself stays as it is, so that
refinement and quadrature need not know. Start with `facing`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from vpinn.domain.build import unique_rows
from vpinn.domain.mesh import Mesh
from vpinn.domain.point_set import Points, PointSet
from vpinn.domain.quadrature import facet_gauss
from vpinn.domain.reference import Floats, Integers, lagrange, tabulate
from vpinn.domain.sequences import Keys
from vpinn.errors import InputError


def shared_facets(mesh: Mesh, cells: Integers) -> Integers:
    """Return the facets that two of some cells share: cell, local facet, other cell, its local facet [k, 4]."""
    facets = mesh.reference.facets
    rows = np.sort(mesh.cells[cells][:, facets].reshape(-1, facets.shape[1]), axis=1)
    _, number, count = unique_rows(rows)
    order = np.argsort(number, kind="stable")
    pairs = order[count[number[order]] == 2].reshape(-1, 2)
    cell, local = np.divmod(pairs, len(facets))
    return np.stack([cells[cell[:, 0]], local[:, 0], cells[cell[:, 1]], local[:, 1]], axis=1)


def facing(mesh: Mesh, near: str, far: str) -> Integers:
    """Return the facets between two parts: cell and local facet in the first, cell and local facet in the second [k, 4].

    Args:
        mesh: the mesh.
        near: tag of cells.
        far: another tag of cells.

    Raises:
        InputError: there is no such tag, the parts share cells, or no facet lies between them.
    """
    known = mesh.cell_tags
    for name in (near, far):
        if name not in known:
            listed = f"; tagged are {', '.join(known)}" if known else ", as none is tagged"
            raise InputError(f"dS('{near}', '{far}') lies between two groups of cells, and there is no group {name!r}{listed}")
    own, other = (np.unique(known[name]) for name in (near, far))
    if len(np.intersect1d(own, other)):
        raise InputError(f"dS('{near}', '{far}'): the groups share cells, so that no interface lies between them")
    found = shared_facets(mesh, np.concatenate([own, other]))
    first = np.isin(found[:, 0], own)
    between = first != np.isin(found[:, 2], own)
    found = np.asarray(np.where(first[:, None], found, found[:, [2, 3, 0, 1]])[between])
    if not len(found):
        raise InputError(
            f"dS('{near}', '{far}'): the two groups of cells have no facet in common; name groups that touch, and let them share "
            "the nodes between them"
        )
    return found


def joint_facets(mesh: Mesh) -> Integers:
    """Return the facets [k, 4] on which functions have two values, as ``facing`` does, those of ``Mesh.joints`` in order."""
    return np.concatenate([np.empty((0, 4), dtype=np.int64), *(facing(mesh, *pair) for pair in mesh.joints)])


def broken(mesh: Mesh, numbers: Integers, closure: Integers, joints: Integers) -> tuple[Integers, int]:
    """Return numbers of nodes such that those on joints are different for the cells on their sides.

    Around a node that ends a joint, cells are connected past its end, and the node stays one.

    Args:
        mesh: the mesh.
        numbers: numbers of nodes shared by all cells around them [n_cells, n_local].
        closure: local nodes of every local facet [n_f, n].
        joints: facets [k, 4].

    Returns:
        numbers [n_cells, n_local] in the same order, and how many there are.
    """
    on = np.zeros(numbers.max() + 1, dtype=bool)
    on[numbers[joints[:, 0][:, None], closure[joints[:, 1]]]] = True
    cells = np.flatnonzero(on[numbers].any(axis=1))
    inner = shared_facets(mesh, cells)
    size = len(mesh.reference.facets)
    cut = np.concatenate([joints[:, :2], joints[:, 2:]]) @ [size, 1]
    inner = inner[~np.isin(inner[:, :2] @ [size, 1], cut)]
    n = numbers.shape[1]
    ends = []
    for cell, local in (inner[:, :2].T, inner[:, 2:].T):
        places = closure[local]
        order = np.argsort(numbers[cell[:, None], places], axis=1)
        ends.append((cell[:, None] * n + np.take_along_axis(places, order, axis=1)).ravel())
    linked = on[numbers.ravel()[ends[0]]]
    one, other = ends[0][linked], ends[1][linked]
    graph = coo_array((np.ones(len(one)), (one, other)), shape=(numbers.size, numbers.size))
    group = connected_components(graph, directed=False)[1]
    # a node that is not on a joint keeps one number for all cells
    keys = np.stack([numbers.ravel(), np.where(on[numbers.ravel()], group, 0)], axis=1)
    _, found, count = unique_rows(keys)
    return found.reshape(numbers.shape), len(count)


class FacingPoints(PointSet):
    """Points of a Gauss rule on the facets between two parts, as the first part sees them; normals point into the second.

    Args:
        mesh: the mesh.
        near: tag of the cells on the first side.
        far: tag of those on the other side.
        degree: integrated exactly on flat facets, 0 to 30.

    Attributes:
        two_sided: whether functions have two values there, and points therefore name the cells on both sides.

    Raises:
        InputError: see ``facing``.
    """

    on_facets = True

    def __init__(self, mesh: Mesh, near: str, far: str, degree: int) -> None:
        self.mesh = mesh
        facets = facing(mesh, near, far)
        rule = facet_gauss(mesh.cell, degree)
        self.per, reference = len(rule.weights), mesh.reference
        first = 0
        for pair in mesh.joints:
            if pair == (near, far):
                break
            first += len(facing(mesh, *pair))
        self.two_sided = not {(near, far), (far, near)}.isdisjoint(mesh.joints)
        own = np.repeat(facets, self.per, axis=0)
        placed = reference.facet_points(rule.points)[facets[:, 1]].reshape(-1, mesh.dimension)
        self._points = _on_facets(mesh, own[:, 0], own[:, 1], placed, np.tile(rule.weights, len(facets)))
        if self.two_sided:
            opposite = _on_facets(mesh, own[:, 2], own[:, 3], _across(mesh, own, placed), self._points.w)
            self._points = replace(self._points, far=replace(opposite, normal=self._points.normal, w=self._points.w))
        numbers = np.arange(len(own))
        self._points = replace(self._points, entity=first + numbers // self.per, local=numbers % self.per)

    @property
    def entities(self) -> int:
        """Number of facets."""
        return len(self._points) // self.per

    @property
    def per_entity(self) -> int:
        """Points per facet."""
        return self.per

    @property
    def entity_volumes(self) -> Floats:
        """Measure of each facet [n]."""
        return np.asarray(self._points.w.reshape(-1, self.per).sum(axis=1))

    def take(self, index: Integers | range, fresh: int | Keys | None = None) -> Points:
        """Return the points with the given numbers; an entity is the number of a facet among all joints."""
        return self._points.rows(self._checked(index))


def _on_facets(mesh: Mesh, cell: Integers, local: Integers, placed: Floats, weights: Floats) -> Points:
    """Return points with reference coordinates ``placed`` [n, d] on local facets of cells [n]; entities are the cells."""
    frames = mesh.frames_at(cell, placed)
    outward = np.einsum("nij,nj->ni", frames.cofactor, mesh.reference.facet_normals[local])
    measure = np.linalg.norm(outward, axis=1)
    return Points(
        x=frames.x,
        w=weights * measure,
        entity=cell,
        cell=cell,
        reference=placed,
        normal=outward / measure[:, None],
        h=mesh.h[cell],
        local=np.zeros_like(cell),
    )


def _across(mesh: Mesh, facets: Integers, placed: Floats) -> Floats:
    """Return the reference coordinates in the cells on the far side [n, d] of points in those on the near side."""
    sides = mesh.reference.facets
    rows = np.arange(len(facets))[:, None]
    weights = tabulate(lagrange(mesh.cell, 1), placed)[0][rows, sides[facets[:, 1]]]  # of the vertices of the facet
    near, far = (mesh.cells[facets[:, k, None], sides[facets[:, k + 1]]] for k in (0, 2))
    at = (far[:, None, :] == near[:, :, None]).argmax(axis=2)
    corners = mesh.reference.vertices[np.take_along_axis(sides[facets[:, 3]], at, axis=1)]
    return np.asarray(np.einsum("nv,nvd->nd", weights, corners))
