"""Meshes to display fields on: the problem's mesh, refined until piecewise linear display of a smooth field looks smooth.

A network is smooth inside a cell, but viewers and figures interpolate between nodes. `make_canvas` refines coarse meshes, and
records for every node in which cell of the problem's mesh it lies, so that fields can be evaluated there without a search.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vpinn.domain import Domain, Mesh, Points, box, interval, located_points, rectangle, refine
from vpinn.domain.locate import invert
from vpinn.domain.reference import Integers
from vpinn.errors import InputError

DETAIL = {1: 400, 2: 3_000, 3: 10_000}
"""Dimension → number of nodes below which a mesh is refined before a field is displayed on it."""
LARGEST = 200_000
"""Number of nodes that this automatic refinement does not exceed."""
MAX_CELLS = 5_000_000
"""Number of cells above which refinements asked for by the user are refused."""
GRID = {1: 400, 2: 64, 3: 24}
"""Dimension → cells per axis of the grid on which fields of a domain without cells (a hypercube) are displayed."""


@dataclass(frozen=True, eq=False)
class Canvas:
    """A mesh to display fields on.

    Attributes:
        mesh: The mesh for display.
        points: Its nodes, with the cells of the problem's mesh that they lie in and their reference coordinates there.
        parent: Cell of the problem's mesh that each cell of ``mesh`` lies in [mesh.n_cells]; -1 if the problem has no cells.
    """

    mesh: Mesh
    points: Points
    parent: Integers

    @property
    def shares(self) -> NDArray[np.float64]:
        """Sizes of the parts of the domain that the nodes stand for, up to a factor [n]."""
        return np.ones(len(self.points.x)) if (self.parent < 0).any() else self.points.h**self.mesh.dimension


def make_canvas(domain: Domain, extra: int = 0) -> Canvas:
    """Return a canvas for a domain of at most three dimensions.

    Args:
        domain: Mesh or hypercube.
        extra: Number of uniform refinements beyond the automatic ones, ≥ 0; on a hypercube, doublings of the grid.

    Raises:
        InputError: The domain has more than three dimensions, or the canvas would have more than five million cells.
    """
    if domain.mesh is None:
        mesh = _grid(domain, extra)
        return Canvas(mesh, located_points(domain, mesh.nodes)[0], np.full(mesh.n_cells, -1))
    mesh = domain.mesh
    d = domain.dimension
    times = 0
    while len(mesh.nodes) < DETAIL[d] and len(mesh.nodes) * 2**d <= LARGEST:
        mesh, times = refine(mesh), times + 1
    _refuse_large(mesh.n_cells * 2 ** (d * extra))
    for _ in range(extra):
        mesh, times = refine(mesh), times + 1
    return Canvas(mesh, _nodes_as_points(domain.mesh, mesh, times), np.arange(mesh.n_cells) // 2 ** (d * times))


def select(points: Points, rows: np.ndarray) -> Points:
    """Return those points that an index array or a mask selects."""
    chosen: dict[str, Any] = {name: value[rows] for name, value in vars(points).items() if value is not None}
    return replace(points, **chosen)


def joined(*parts: Points) -> Points:
    """Return points one after the other; all parts have the same entries."""
    known = [name for name, value in vars(parts[0]).items() if value is not None]
    rows: dict[str, Any] = {name: np.concatenate([getattr(part, name) for part in parts]) for name in known}
    return replace(parts[0], **rows)


def _nodes_as_points(domain: Mesh, fine: Mesh, times: int) -> Points:
    """Return the nodes of a mesh refined ``times`` times as points, each in one of the coarse cells that contain it.

    Refinement numbers the 2^(d·times) children of a cell consecutively, so that integer division gives the parent. All nodes
    between two groups of cells with tags get a cell of the same group, so that a field that jumps there has a straight edge.
    """
    group = np.zeros(domain.n_cells, dtype=np.int64)
    for number, cells in enumerate(domain.cell_tags.values(), start=1):
        group[cells] = number
    order = np.argsort(np.repeat(group, 2 ** (domain.dimension * times)), kind="stable")
    owner = np.empty(len(fine.nodes), dtype=np.int64)
    owner[fine.cells[order]] = order[:, None]  # the last one stays
    cell = owner // 2 ** (domain.dimension * times)
    reference = invert(domain, cell, fine.nodes)
    return Points(fine.nodes, np.zeros(len(cell)), cell, cell, reference, None, domain.h[cell], np.full(len(cell), -1))


def _grid(domain: Domain, extra: int) -> Mesh:
    lower, upper = domain.bounds
    d = domain.dimension
    if d > 3:
        raise InputError(f"a mesh has at most 3 dimensions and this domain has {d}; write csv or npz, which hold sampled points")
    cells = GRID[d] * 2**extra
    _refuse_large(cells**d)
    low, high = lower.tolist(), upper.tolist()
    if d == 1:
        return interval(low, high, cells)
    return rectangle(low, high, cells, "quadrilateral") if d == 2 else box(low, high, cells, "hexahedron")


def _refuse_large(cells: int) -> None:
    if cells > MAX_CELLS:
        raise InputError(f"the refined output mesh would have {cells:,} cells, more than {MAX_CELLS:,}; refine less")
