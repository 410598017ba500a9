"""From arrays of nodes and cells to a `Mesh`, with all checks of a mesh from outside. Start with `make_mesh`."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from vpinn.domain.geometry import diameters, frames
from vpinn.domain.mesh import Mesh
from vpinn.domain.outline import Outline
from vpinn.domain.quadrature import gauss
from vpinn.domain.reference import Floats, Integers, lagrange, reference_cell, reflection, tabulate
from vpinn.errors import InputError

_CHUNK = 200_000  # cells × points whose Jacobians are checked at a time


def make_mesh(
    nodes: Floats,
    cells: Integers,
    cell: str,
    order: int = 1,
    facet_groups: Mapping[str, Integers] | None = None,
    cell_tags: Mapping[str, Integers] | None = None,
    shape: Outline | None = None,
) -> Mesh:
    """Check a mesh and bring it into standard form.

    Nodes that no cell uses and trailing coordinates that are constant are dropped; cells of negative orientation are renumbered.

    Args:
        nodes: coordinates [n_nodes, D], D at least the cell's dimension.
        cells: nodes of each cell in basix's Lagrange order [n_cells, n_local].
        cell: one of the five cell types.
        order: geometric order, 1 or 2.
        facet_groups: name → vertex nodes of facets [m, n_fv], in any order; facets inside the domain are left out.
        cell_tags: name → cells.
        shape: exact outline, where known.

    Raises:
        InputError: indices out of range, points that are not finite, a surface in space, empty, degenerate, tangled or
            repeated cells, facets of more than two cells, groups that name no facet of the mesh.
    """
    reference = reference_cell(cell)
    if order not in (1, 2):
        raise InputError(f"the cells' geometric order must be 1 or 2, got {order}; export the mesh with order 1 or 2")
    n_local = len(lagrange(cell, order).points)
    nodes, cells = np.array(nodes, dtype=np.float64), np.array(cells, dtype=np.int64)
    if cells.ndim != 2 or cells.shape[1] != n_local or not len(cells):
        raise InputError(f"the mesh has no usable cells: expected [n, {n_local}] nodes of {cell} cells, got {list(cells.shape)}")
    if nodes.ndim != 2 or nodes.shape[1] < reference.dimension:
        raise InputError(f"{cell} cells need points with {reference.dimension} coordinates, got an array {list(nodes.shape)}")
    bad = np.flatnonzero(((cells < 0) | (cells >= len(nodes))).any(axis=1))
    if len(bad):
        raise InputError(f"{len(bad)} cells name nodes outside 0 … {len(nodes) - 1}, first cell {bad[0]}: the mesh is damaged")
    used = np.zeros(len(nodes), dtype=bool)
    used[cells] = True
    position = np.where(used, np.cumsum(used) - 1, -1)
    nodes, cells = _flatten(nodes[used], reference.dimension), position[cells]
    cells = _oriented(nodes, cells, cell, order)
    _refuse_repeated(cells[:, : len(reference.vertices)])
    mesh = Mesh(cell, order, nodes, cells, np.empty((0, 2), dtype=np.int64), {}, dict(cell_tags or {}), (), {}, {}, shape)
    for name, members in mesh.cell_tags.items():
        if len(members) and not 0 <= members.min() <= members.max() < len(cells):
            raise InputError(f"the cell group {name!r} names cells that are not in the mesh")
    return _with_boundary(mesh, facet_groups or {}, position)


def unique_rows(rows: Integers) -> tuple[Integers, Integers, Integers]:
    """Return the distinct rows of an integer array [n, k].

    Returns:
        index of one representative of each distinct row [m], number of the distinct row of each row [n], and how often each
        distinct row occurs [m].
    """
    order = _order(rows)
    fresh = np.ones(len(rows), dtype=bool)
    fresh[1:] = (rows[order[1:]] != rows[order[:-1]]).any(axis=1)
    inverse = np.empty(len(rows), dtype=np.int64)
    inverse[order] = np.cumsum(fresh) - 1
    return order[fresh], inverse, np.diff(np.append(np.flatnonzero(fresh), len(rows)))


def _order(rows: Integers) -> Integers:
    """Return the permutation that sorts rows stably; if possible each row is coded as one number, which halves the time."""
    digits = rows - rows.min(axis=0, initial=0)
    sizes = tuple(int(most) + 1 for most in digits.max(axis=0, initial=0))
    if math.prod(sizes) < 2**63:
        return np.argsort(np.ravel_multi_index(tuple(digits.T), sizes), kind="stable")
    return np.lexsort(rows.T[::-1])


def _flatten(nodes: Floats, dimension: int) -> Floats:
    """Return nodes [n, dimension] without trailing constant coordinates; refuse nodes that are not finite or not flat."""
    if not np.isfinite(nodes).all():
        raise InputError(f"a mesh point is not finite: point {np.flatnonzero(~np.isfinite(nodes).all(axis=1))[0]}")
    extent = np.ptp(nodes, axis=0)
    largest = np.abs(nodes).max()
    if largest > 1e100 or not extent.max() > 0.0:
        raise InputError(f"mesh coordinates must differ and stay below 1e100, got size {largest:g}, extent {extent.max():g}")
    if (extent[dimension:] > 1e-10 * extent.max()).any():
        raise InputError(
            f"the mesh is a curve or surface in {nodes.shape[1]} dimensions: with cells of dimension {dimension}, coordinates "
            f"after the first {dimension} must be constant; place it in the x-y plane, or mesh the volume"
        )
    return np.ascontiguousarray(nodes[:, :dimension])


def _oriented(nodes: Floats, cells: Integers, cell: str, order: int) -> Integers:
    """Cells with positive Jacobians, after renumbering those that are wholly negative."""
    element = lagrange(cell, order)
    reference = reference_cell(cell)
    interior = gauss(cell, 0 if reference.simplex and order == 1 else 4 * order).points
    values, gradients = tabulate(element, np.concatenate([interior, element.points]))
    n_vertices = len(reference.vertices)
    step = max(1, _CHUNK // len(values))
    sign = np.empty(len(cells), dtype=np.int8)
    for start in range(0, len(cells), step):
        local = nodes[cells[start : start + step]]
        determinant = frames(local, values, gradients).determinant
        h = diameters(local[:, :n_vertices])
        # rounding of a determinant of differences of coordinates of size |x|
        noise = 16 * np.finfo(float).eps * h ** (nodes.shape[1] - 1) * (h + np.abs(local).max(axis=(1, 2)))
        inside, corner = determinant[:, : len(interior)], determinant[:, len(interior) :]
        up = (inside.min(axis=1) > noise) & (corner.min(axis=1) >= -noise)
        down = (inside.max(axis=1) < -noise) & (corner.max(axis=1) <= noise)
        sign[start : start + step] = np.where(up, 1, np.where(down, -1, 0))
    bad = np.flatnonzero(sign == 0)
    if len(bad):
        where = ", ".join(f"{value:.6g}" for value in nodes[cells[bad[0], :n_vertices]].mean(axis=0))
        raise InputError(
            f"{len(bad)} of {len(cells)} cells are empty or fold over themselves, the first is {cell} {bad[0]} at ({where}): "
            "repair the mesh, or check the order of the cells' nodes"
        )
    if (sign < 0).any():
        cells[sign < 0] = cells[sign < 0][:, reflection(cell, order)]
    return cells


def _refuse_repeated(vertices: Integers) -> None:
    """Refuse two cells with the same vertices [n_cells, n_v]."""
    _, inverse, count = unique_rows(np.sort(vertices, axis=1))
    repeated = np.flatnonzero(count > 1)
    if len(repeated):
        pair = np.flatnonzero(inverse == repeated[0])
        raise InputError(f"cells {pair[0]} and {pair[1]} have the same vertices: remove repeated cells from the mesh")


def _with_boundary(mesh: Mesh, groups: Mapping[str, Integers], position: Integers) -> Mesh:
    """The mesh with its boundary facets and the groups (in old node numbers, renumbered by `position`) as tags."""
    facets = mesh.reference.facets
    keys = np.sort(mesh.cells[:, facets].reshape(-1, facets.shape[1]), axis=1)
    names = list(groups)
    wanted = []
    for name in names:
        group = np.asarray(groups[name], dtype=np.int64).reshape(-1, facets.shape[1])
        if len(group) and not 0 <= group.min() <= group.max() < len(position):
            raise InputError(f"the boundary group {name!r} names nodes that are not in the mesh")
        wanted.append(np.sort(position[group], axis=1))
    owner = np.repeat(np.arange(len(names)), [len(group) for group in wanted])
    total = len(keys)
    _, inverse, _ = unique_rows(np.concatenate([keys, *wanted]))
    count = np.bincount(inverse[:total], minlength=inverse.max() + 1)  # cells at each distinct facet; 0 for strangers
    crowded = np.flatnonzero(count[inverse[:total]] > 2)
    if len(crowded):
        raise InputError(f"more than two cells meet at a facet of cell {crowded[0] // len(facets)}: the mesh overlaps itself")
    stranger = np.flatnonzero(count[inverse[total:]] == 0)
    if len(stranger):
        raise InputError(f"the boundary group {names[owner[stranger[0]]]!r} has facets that are not facets of any cell")
    outer = np.flatnonzero(count[inverse[:total]] == 1)
    row = np.full(len(count), -1)
    row[inverse[outer]] = np.arange(len(outer))
    rows = row[inverse[total:]]
    tags = {name: np.unique(rows[(owner == index) & (rows >= 0)]) for index, name in enumerate(names)}
    if "all" in tags and len(tags["all"]) != len(outer):
        raise InputError("a boundary group is called 'all' but is not the whole boundary: rename it, 'all' means every facet")
    return Mesh(
        mesh.cell,
        mesh.order,
        mesh.nodes,
        mesh.cells,
        np.stack([outer // len(facets), outer % len(facets)], axis=1),
        {name: tag for name, tag in tags.items() if len(tag) and name != "all"},
        mesh.cell_tags,
        tuple(name for name, tag in tags.items() if not len(tag)),
        mesh.vertex_tags,
        mesh.edge_tags,
        mesh.shape,
    )
