"""Where a field is shown: a mesh fine enough for its curvature, whose nodes know their place on the mesh it was solved on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from vpinn.domain import Domain, Mesh, Points, box, interval, located_points, rectangle, refine
from vpinn.domain.locate import invert
from vpinn.domain.reference import Integers
from vpinn.errors import InputError

DETAIL = {1: 400, 2: 3_000, 3: 10_000}
"""Nodes below which a mesh is refined to show a smooth field, by dimension."""
LARGEST = 200_000
"""Nodes that refinement for display stays below."""
MAX_CELLS = 5_000_000
"""Cells that refinement on demand stays below."""
GRID = {1: 400, 2: 64, 3: 24}
"""Cells per axis of a domain that has none, by dimension."""


@dataclass(frozen=True, eq=False)
class Canvas:
    """A mesh to show fields on.

    Attributes:
        mesh: the mesh.
        points: its nodes, with their cells and reference coordinates on the mesh of the problem.
        parent: cell of the problem's mesh that each cell lies in [mesh.n_cells]; -1 where the problem has no cells.
    """

    mesh: Mesh
    points: Points
    parent: Integers


def make_canvas(domain: Domain, extra: int = 0) -> Canvas:
    """Return a canvas for a domain of at most three dimensions.

    Args:
        domain: mesh or hypercube.
        extra: refinements beyond those that a coarse mesh gets anyway, ≥ 0.

    Raises:
        InputError: more than three dimensions, or more than five million cells.
    """
    if domain.mesh is None:
        mesh = _grid(domain, extra)
        return Canvas(mesh, located_points(domain, mesh.nodes)[0], np.full(mesh.n_cells, -1))
    mesh, d, times = domain.mesh, domain.dimension, 0
    while len(mesh.nodes) < DETAIL[d] and len(mesh.nodes) * 2**d <= LARGEST:
        mesh, times = refine(mesh), times + 1
    _refuse_large(mesh.n_cells * 2 ** (d * extra))
    for _ in range(extra):
        mesh, times = refine(mesh), times + 1
    return Canvas(mesh, _nodes_as_points(domain.mesh, mesh, times), np.arange(mesh.n_cells) // 2 ** (d * times))


def select(points: Points, rows: np.ndarray) -> Points:
    """Return some of the points, by index or mask."""
    chosen: dict[str, Any] = {name: value[rows] for name, value in vars(points).items() if value is not None}
    return replace(points, **chosen)


def _nodes_as_points(domain: Mesh, fine: Mesh, times: int) -> Points:
    """Nodes of a refined mesh as points of one of the cells they belong to; children follow each other by parent."""
    owner = np.empty(len(fine.nodes), dtype=np.int64)
    owner[fine.cells] = np.arange(fine.n_cells)[:, None]
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
