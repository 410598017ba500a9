"""Known fields from files: [fields] sections → functions that carry their values.

A CSV file has values at the points of a regular grid, between which they are interpolated linearly in every coordinate, or at
scattered points, with linear interpolation on their Delaunay triangulation. A VTU or XDMF file has them at the nodes of a mesh,
or one for each cell.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vpinn.domain import Domain, LagrangeSpace, Points, axis_names, bare_points, locate, read_mesh_data
from vpinn.errors import InputError
from vpinn.problem.columns import places, read_columns
from vpinn.problem.locations import file_inside
from vpinn.problem.schema import FieldSection
from vpinn.problem.scope import Scope
from vpinn.problem.source import Source
from vpinn.problem.symbols import Field
from vpinn.problem.wording import printable

Array = NDArray[np.float64]
Jets = dict[tuple[int, ...], Array]
WHAT = "the field's file"
SLACK = 1e-9
"""Distance outside the file's points, relative to their extent, up to which a point counts as inside."""


@dataclass(frozen=True, eq=False)
class GridField:
    """Values on a regular grid, linear in every coordinate between them.

    Attributes:
        axes: coordinates of the grid along each axis, increasing.
        values: [points along the first axis, …].
    """

    axes: tuple[Array, ...]
    values: Array

    def jets(self, points: Points, order: int) -> Jets:
        """Return value and first derivatives at points, see ``Field``; nan outside the grid."""
        x, d = points.x, len(self.axes)
        index, weight, width = np.empty(x.shape, dtype=np.int64), np.empty(x.shape), np.empty(x.shape)
        outside = np.zeros(len(x), dtype=bool)
        for axis, grid in enumerate(self.axes):
            slack = SLACK * (grid[-1] - grid[0])
            outside |= ~((x[:, axis] >= grid[0] - slack) & (x[:, axis] <= grid[-1] + slack))
            index[:, axis] = np.clip(np.searchsorted(grid, x[:, axis], side="right") - 1, 0, len(grid) - 2)
            width[:, axis] = grid[index[:, axis] + 1] - grid[index[:, axis]]
            weight[:, axis] = (x[:, axis] - grid[index[:, axis]]) / width[:, axis]
        found: Jets = {key: np.zeros(len(x)) for key in ((), *(((axis,) for axis in range(d)) if order else ()))}
        for corner in itertools.product((0, 1), repeat=d):
            shares = np.where(np.array(corner), weight, 1.0 - weight)
            values = self.values[tuple((index + np.array(corner)).T)]
            for key, total in found.items():
                factors = shares.copy()
                for axis in key:
                    factors[:, axis] = (1.0 if corner[axis] else -1.0) / width[:, axis]
                total += values * factors.prod(axis=1)
        for total in found.values():
            total[outside] = np.nan
        return found


@dataclass(frozen=True, eq=False)
class ScatteredField:
    """Values at scattered points in two or more dimensions, linear on the cells of their Delaunay triangulation.

    Attributes:
        cells: the triangulation (scipy.spatial.Delaunay).
        values: value at every point [n].
    """

    cells: Any
    values: Array

    def jets(self, points: Points, order: int) -> Jets:
        """Return value and first derivatives at points, see ``Field``; nan outside the convex hull."""
        cell = self.cells.find_simplex(points.x, tol=SLACK)
        maps, values = self.cells.transform[cell], self.values[self.cells.simplices[cell]]
        d = points.x.shape[1]
        slopes = np.einsum("nj,nji->ni", values[:, :-1] - values[:, -1:], maps[:, :d])
        found: Jets = {(): values[:, -1] + np.einsum("ni,ni->n", slopes, points.x - maps[:, d])}
        found |= {(axis,): slopes[:, axis].copy() for axis in range(d if order else 0)}
        for total in found.values():
            total[cell < 0] = np.nan
        return found


@dataclass(frozen=True, eq=False)
class NodalField:
    """Values at the nodes of a mesh of its own, interpolated by its elements; or one value for each of its cells.

    Attributes:
        space: elements of the mesh, of the order of its geometry.
        values: values at the nodes [space.size], or in the cells [n_cells].
        by_cell: whether they are those of cells; derivatives are then zero.
    """

    space: LagrangeSpace
    values: Array
    by_cell: bool

    def jets(self, points: Points, order: int) -> Jets:
        """Return value and first derivatives at points, see ``Field``; nan outside the mesh."""
        cell, reference = locate(self.space.mesh, points.x)
        inside, d = np.flatnonzero(cell >= 0), points.x.shape[1]
        found = np.full((len(cell), 1 + d), np.nan)
        if self.by_cell:
            found[inside] = 0.0
            found[inside, 0] = self.values[cell[inside]]
        elif len(inside):
            found[inside] = self.space.jets(self.values[None], cell[inside], reference[inside], 1)[0]
        return {(): found[:, 0]} | {(axis,): found[:, 1 + axis] for axis in range(d if order else 0)}


def make_fields(sections: dict[str, FieldSection], source: Source, scope: Scope, domain: Domain, folder: Path) -> Scope:
    """Return the scope with the known fields of a problem file.

    Raises:
        InputError: a file cannot be read, lacks the data, does not cover the domain, or a name is taken.
    """
    for name, section in sections.items():
        with source.located("fields", name):
            path = file_inside(folder, section.file)
            where = printable(str(path), 200)
            wanted = section.name or name
            table = path.suffix.lower() == ".csv"
            values = _from_table(path, wanted, domain) if table else _from_mesh(path, wanted, domain)
            _check_coverage(values, domain, name, where)
            scope = scope.define(name, scope.symbols.known(name, values))
    return scope


def _from_table(path: Path, name: str, domain: Domain) -> Field:
    """Return the field of a CSV file."""
    where, d = printable(str(path), 200), domain.dimension
    columns = read_columns(path, WHAT)
    x = places(columns, axis_names(d), WHAT, where)
    column = name if name in columns else "value"
    if column not in columns:
        raise InputError(f"{WHAT} has no column {printable(name)!r}; its columns are {printable(', '.join(columns), 200)}", where)
    values = columns[column]
    axes = [np.unique(x[:, axis]) for axis in range(d)]
    positions = tuple(np.searchsorted(grid, x[:, axis]) for axis, grid in enumerate(axes))
    shape = [len(axis) for axis in axes]
    if np.prod(np.array(shape, dtype=np.float64)) == len(x) and min(shape) > 1:
        grid = np.full(shape, np.nan)
        grid[positions] = values
        if np.isfinite(grid).all():
            return GridField(tuple(axes), grid)
    if len(np.unique(x, axis=0)) < len(x):
        raise InputError(f"{WHAT} gives two values for one point; leave one out", where)
    if d == 1:
        raise InputError(f"{WHAT} needs two points at least", where)
    from scipy.spatial import Delaunay, QhullError

    try:
        return ScatteredField(Delaunay(x), values)
    except (QhullError, ValueError):
        raise InputError(f"{WHAT} has points that span no {d} dimensions; add some beside one line or plane", where) from None


def _from_mesh(path: Path, name: str, domain: Domain) -> Field:
    """Return the field of a mesh file."""
    where = printable(str(path), 200)
    mesh, nodal, by_cell = read_mesh_data(path, name)
    if mesh.dimension != domain.dimension:
        raise InputError(f"{WHAT} has a mesh of {mesh.dimension} dimensions, the domain has {domain.dimension}", where)
    values = by_cell if nodal is None else nodal
    assert values is not None
    if not np.isfinite(values).all():
        raise InputError(f"{printable(name)} has {(~np.isfinite(values)).sum()} values that are not finite", where)
    space = LagrangeSpace(mesh, mesh.order)
    if nodal is None:
        return NodalField(space, values, True)
    from scipy.spatial import KDTree

    return NodalField(space, values[KDTree(mesh.nodes).query(space.locations())[1]], False)


def _check_coverage(values: Field, domain: Domain, name: str, where: str) -> None:
    """Refuse a field that has no value at a node or cell centre of the domain, or at a corner of one without cells."""
    low, high = domain.bounds
    if (mesh := domain.mesh) is not None:
        x = np.concatenate([mesh.nodes, mesh.nodes[mesh.cells].mean(axis=1)])
    else:
        x = np.array(list(itertools.islice(itertools.product(*zip(low, high, strict=True)), 1024)))
    found = values.jets(bare_points(x), 0)[()]
    lacking = ~np.isfinite(found)
    if lacking.any():
        place = ", ".join(f"{c:.4g}" for c in x[int(lacking.argmax())])
        raise InputError(
            f"{name} does not cover the domain: it has no value at {lacking.sum()} of {len(x)} nodes and cell centres, such as "
            f"({place}); check its coordinates and units",
            where,
        )
