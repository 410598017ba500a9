"""Points at given coordinates, for evaluation and data, and the names of these."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.spatial import KDTree

from vpinn.domain.locate import locate
from vpinn.domain.mesh import Mesh
from vpinn.domain.meshless import Meshless
from vpinn.domain.point_set import Points, PointSet
from vpinn.domain.quadrature import gauss
from vpinn.domain.reference import Floats, Integers
from vpinn.domain.sequences import Keys
from vpinn.domain.space import LagrangeSpace
from vpinn.errors import InputError

Domain = Mesh | Meshless
"""The domain of a problem."""


def axis_names(dimension: int) -> tuple[str, ...]:
    """Return the names of the axes of space: x, y, z, or x0, x1, … in more than three dimensions."""
    return ("x", "y", "z")[:dimension] if dimension <= 3 else tuple(f"x{i}" for i in range(dimension))


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
    if isinstance(domain, Meshless):
        return bare_points(x), domain.holds(x)
    cell, reference = locate(domain, x)
    inside = cell >= 0
    h = np.where(inside, domain.h[np.maximum(cell, 0)], np.nan)
    return Points(x, np.zeros(len(x)), cell, cell, reference, None, h, np.full(len(x), -1, dtype=np.int64)), inside


def node_points(space: LagrangeSpace) -> Points:
    """Return the nodes of elements as points, each in one of its cells, without weights [space.size]."""
    _, first = np.unique(space.dofs, return_index=True)
    cell, local = np.divmod(first, space.dofs.shape[1])
    none, h = np.full(space.size, -1, dtype=np.int64), space.mesh.h[cell]
    return Points(space.locations(), np.zeros(space.size), cell, cell, space.reference_nodes[local], None, h, none)


class PlacedPoints(PointSet):
    """Points of a mesh with weights of their own, in no cell's rule: point loads, nodes of a line.

    Args:
        mesh: the mesh.
        x: coordinates inside [n, d].
        w: weights [n]; ones by default.

    Raises:
        InputError: a point lies outside the mesh.
    """

    on_facets = True
    """Whether cells see each point at another place: ``placed_in_cell`` has a row for every one, as for local facets."""

    def __init__(self, mesh: Mesh, x: Floats, w: Floats | None = None) -> None:
        self.mesh = mesh
        self._points, inside = located_points(mesh, x)
        if not inside.all():
            raise InputError(f"the point ({', '.join(f'{c:.6g}' for c in x[inside.argmin()])}) lies outside the mesh")
        self._weights = np.ones(len(x)) if w is None else w

    @property
    def entities(self) -> int:
        """Number of points."""
        return len(self._weights)

    @property
    def per_entity(self) -> int:
        """One."""
        return 1

    @property
    def entity_volumes(self) -> Floats:
        """The weights [n]."""
        return self._weights

    @property
    def placed_in_cell(self) -> Floats:
        """Points in the reference cell, one of each row [n, 1, d]."""
        return self._points.reference[:, None]

    def facet_of(self, points: Points) -> Integers:
        """Return the rows of ``placed_in_cell`` of points of this set [b]."""
        return points.entity

    def take(self, index: Integers | range, fresh: int | Keys | None = None) -> Points:
        """Return the points with the given numbers; an entity is the number of a point."""
        numbers = self._checked(index)
        return replace(self._points.rows(numbers), w=self._weights[numbers], entity=numbers)


def carried_points(mesh: Mesh, carriers: Floats, degree: int) -> PlacedPoints:
    """Return the points of a Gauss rule on edges, or single points of weight one.

    Edges are halved where the mesh has a vertex in their middle, as its refinements do, so that functions are smooth on each.

    Args:
        mesh: the mesh.
        carriers: points [m, 1, d], or ends of straight edges [m, 2, d].
        degree: integrated exactly along edges.
    """
    if carriers.shape[1] == 1:
        return PlacedPoints(mesh, carriers[:, 0])
    tree, whole = KDTree(mesh.nodes[np.unique(mesh.vertices)]), list[Floats]()
    left = carriers
    while len(left):
        middle, length = left.mean(axis=1), np.linalg.norm(left[:, 1] - left[:, 0], axis=1)
        cut = tree.query(middle)[0] < 1e-6 * length
        whole.append(left[~cut])
        left = np.concatenate([np.stack(pair, axis=1) for pair in ((left[cut, 0], middle[cut]), (middle[cut], left[cut, 1]))])
    edges = np.concatenate(whole)
    rule = gauss("interval", degree)
    x = edges[:, :1] + rule.points * (edges[:, 1:] - edges[:, :1])
    weights = np.linalg.norm(edges[:, 1] - edges[:, 0], axis=1)[:, None] * rule.weights
    return PlacedPoints(mesh, x.reshape(-1, mesh.dimension), weights.ravel())
