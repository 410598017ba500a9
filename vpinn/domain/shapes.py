"""Built-in domains: structured meshes, and domains of any dimension without a mesh. Start with `make_shape`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import permutations
from math import isfinite, prod
from typing import Any

import numpy as np

from vpinn.domain.ball import Ball, Space
from vpinn.domain.build import make_mesh
from vpinn.domain.hypercube import FACET_NAMES, Hypercube, corners
from vpinn.domain.mesh import Mesh
from vpinn.domain.meshless import Meshless
from vpinn.domain.outline import Box, Disk, closed_polygon
from vpinn.domain.reference import SIMPLICES, Integers, reference_cell
from vpinn.domain.space import LagrangeSpace
from vpinn.errors import InputError
from vpinn.registry import Extended

MAX_CELLS = 5_000_000

# how the square or cube of a grid is cut into simplices: vertices in tensor order; the cube by Kuhn's six tetrahedra
_CUTS = {
    "rising": np.array([[0, 1, 3], [0, 3, 2]]),
    "falling": np.array([[0, 1, 2], [1, 3, 2]]),
    "cube": np.array([[0, 1 << p, (1 << p) + (1 << q), 7] for p, q, _ in permutations(range(3))]),
}


def interval(lower: float | Sequence[float] = 0.0, upper: float | Sequence[float] = 1.0, cells: int | Sequence[int] = 64) -> Mesh:
    """Return a mesh of [lower, upper] with equal cells and the tags left, right.

    Raises:
        InputError: lower is not below upper, or the number of cells is not from 1 to 5e6.
    """
    return _grid(np.atleast_1d(lower).tolist(), np.atleast_1d(upper).tolist(), cells, "interval")


def rectangle(
    lower: Sequence[float] = (0.0, 0.0),
    upper: Sequence[float] = (1.0, 1.0),
    cells: int | Sequence[int] = 16,
    cell: str = "triangle",
) -> Mesh:
    """Return a rectangle of cells[0] × cells[1] rectangles, or twice as many triangles with alternating diagonals.

    Its tags are left, right, bottom, top.

    Args:
        lower: lower left corner.
        upper: upper right corner.
        cells: number along each side, or one number for both.
        cell: "triangle" or "quadrilateral".

    Raises:
        InputError: lower is not below upper, a number of cells that is not from 1 to 5e6, another cell type.
    """
    return _grid(lower, upper, cells, _choice(cell, ("triangle", "quadrilateral"), "a rectangle"))


def box(
    lower: Sequence[float] = (0.0, 0.0, 0.0),
    upper: Sequence[float] = (1.0, 1.0, 1.0),
    cells: int | Sequence[int] = 8,
    cell: str = "tetrahedron",
) -> Mesh:
    """Return a box of cells[0] × cells[1] × cells[2] boxes, or six times as many tetrahedra.

    Its tags are left, right (x), bottom, top (y), back, front (z).

    Raises:
        InputError: lower is not below upper, a number of cells that is not from 1 to 5e6, another cell type.
    """
    return _grid(lower, upper, cells, _choice(cell, ("tetrahedron", "hexahedron"), "a box"))


def disk(center: Sequence[float] = (0.0, 0.0), radius: float = 1.0, cells: int = 8) -> Mesh:
    """Return a disk of 6·cells² second-order triangles in rings, with boundary nodes on the circle and the tag boundary.

    Args:
        center: coordinates of the centre [2].
        radius: radius, > 0.
        cells: number of rings, 1 … 900.

    Raises:
        InputError: the radius is not positive, the centre is no point of the plane, or the number of cells is out of range.
    """
    x, y = _numbers(center, 2, "center")
    (size,) = _numbers([radius], 1, "radius")
    if size <= 0.0:
        raise InputError(f"a disk needs a positive radius, got {radius!r}")
    (n,) = _counts(cells, 1, 6 * (cells if isinstance(cells, int) else 1))
    ring = np.repeat(np.arange(n + 1), np.maximum(6 * np.arange(n + 1), 1))  # ring of each node
    first = np.concatenate([[0], 1 + 3 * np.arange(n + 1) * np.arange(1, n + 2)])  # first node of each ring
    angle = (np.arange(len(ring)) - first[ring]) / np.maximum(6 * ring, 1) * 2.0 * np.pi
    nodes = ring[:, None] / n * np.stack([np.cos(angle), np.sin(angle)], axis=1)

    # sextant s of ring i: i triangles (a, b, c) with an edge on ring i, and i - 1 with an edge on ring i - 1
    i, s, k = np.indices((n, 6, n)).reshape(3, -1)
    i, s, k = (index[k <= i] for index in (i + 1, s, k))
    inner = np.maximum(6 * (i - 1), 1)
    a, b = first[i] + s * i + k, first[i] + (s * i + k + 1) % (6 * i)
    c, before = first[i - 1] + (s * (i - 1) + k) % inner, first[i - 1] + (s * (i - 1) + k - 1) % inner
    triangles = np.concatenate([np.stack([a, b, c], axis=1), np.stack([a, c, before], axis=1)[k > 0]])

    flat = make_mesh(nodes, triangles, "triangle")
    space = LagrangeSpace(flat, 2)
    curved = space.locations()
    rim = space.boundary_dofs(flat.facets("all"))
    curved[rim] /= np.linalg.norm(curved[rim], axis=1, keepdims=True)
    outline = Disk((x, y), size)
    mesh = make_mesh(np.array([x, y]) + size * curved, space.dofs, "triangle", order=2, shape=outline)
    return mesh.tagged({"boundary": np.ones(len(mesh.boundary), dtype=bool)})


def l_shape(cells: int = 8, cell: str = "triangle") -> Mesh:
    """Return the domain (−1, 1)² without [0, 1) × (−1, 0], with `cells` cells per unit length and the tag boundary.

    Raises:
        InputError: the number of cells is out of range, or the cell type is not triangle or quadrilateral.
    """
    _choice(cell, ("triangle", "quadrilateral"), "an l-shape")
    (n,) = _counts(cells, 1)
    square = _grid((-1.0, -1.0), (1.0, 1.0), 2 * n, cell)
    middle = square.nodes[square.vertices].mean(axis=1)
    keep = (middle[:, 0] < 0.0) | (middle[:, 1] > 0.0)
    outline = closed_polygon([(-1.0, -1.0), (0.0, -1.0), (0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (-1.0, 1.0)])
    mesh = make_mesh(square.nodes, square.cells[keep], cell, shape=outline)
    return mesh.tagged({"boundary": np.ones(len(mesh.boundary), dtype=bool)})


SHAPES: Mapping[str, Callable[..., Mesh | Meshless]] = Extended(
    "shapes",
    {
        "interval": interval,
        "rectangle": rectangle,
        "box": box,
        "disk": disk,
        "l-shape": l_shape,
        "hypercube": Hypercube.between,
        "ball": Ball.of,
        "space": Space.of,
    },
)
UNMESHED = ("hypercube", "ball", "space")
"""Shapes of any dimension, which have no mesh."""


def make_shape(name: str, **settings: Any) -> Mesh | Meshless:
    """Return the shape called `name` with the settings of a problem file (lower, upper, cells, cell, center, radius, …).

    Raises:
        InputError: there is no such shape, it does not have a setting, or a value is wrong.
    """
    from inspect import signature

    if name not in SHAPES:
        raise InputError(f"there is no shape {name!r}; choose one of {', '.join(SHAPES)}")
    if name in UNMESHED and settings.keys() & {"cells", "cell"}:
        raise InputError(f"a {name} has no cells, as a mesh has at most three dimensions; leave out cells and cell, or use a box")
    allowed = signature(SHAPES[name]).parameters
    for setting in settings:
        if setting not in allowed:
            raise InputError(f"the shape {name!r} has no setting {setting!r}; it takes {', '.join(allowed)}")
    return SHAPES[name](**settings)


def _grid(lower: Sequence[float], upper: Sequence[float], cells: int | Sequence[int], cell: str) -> Mesh:
    """Return a structured mesh of a box with two tags per coordinate, among left, right, bottom, top, back, front."""
    d = reference_cell(cell).dimension
    low, high = corners(lower, upper, d)
    pieces = 1 if cell not in SIMPLICES else {1: 1, 2: 2, 3: 6}[d]
    counts = _counts(cells, d, pieces)
    axes = [np.linspace(a, b, n + 1) for a, b, n in zip(low, high, counts, strict=True)]
    nodes = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, d)
    number = np.arange(len(nodes)).reshape([n + 1 for n in counts])
    offsets = reference_cell(("interval", "quadrilateral", "hexahedron")[d - 1]).vertices.astype(int)
    blocks = np.stack(
        [number[tuple(slice(o, o + n) for o, n in zip(offset, counts, strict=True))].ravel() for offset in offsets], axis=1
    )
    outline = Box(low, high)
    mesh = make_mesh(nodes, _cut(blocks, counts, cell), cell, shape=outline)
    points = mesh.nodes[mesh.facet_vertices(mesh.facets("all"))]  # [n_facets, n_fv, d]
    names = [name for pair in FACET_NAMES[:d] for name in pair]
    ends = [(axis, end) for axis in range(d) for end in (low[axis], high[axis])]
    return mesh.tagged({name: (points[..., axis] == end).all(axis=1) for name, (axis, end) in zip(names, ends, strict=True)})


def _cut(blocks: Integers, counts: Sequence[int], cell: str) -> Integers:
    """Return grid blocks [n, 2^d] (vertices in tensor order) cut into cells of a type."""
    if cell == "triangle":
        odd = (np.indices(counts).sum(axis=0).ravel() % 2).astype(bool)
        return np.concatenate([blocks[~odd][:, _CUTS["rising"]], blocks[odd][:, _CUTS["falling"]]]).reshape(-1, 3)
    if cell == "tetrahedron":
        return blocks[:, _CUTS["cube"]].reshape(-1, 4)
    return blocks


def _counts(cells: int | Sequence[int], dimension: int, pieces: int = 1) -> list[int]:
    """Return the number of cells along each axis, from one number or a list; refuse wrong numbers and too many cells."""
    counts = list(cells) if isinstance(cells, Sequence) else [cells] * dimension
    whole = all(isinstance(n, (int, np.integer)) and not isinstance(n, bool) and n >= 1 for n in counts)
    if len(counts) != dimension or not whole:
        raise InputError(f"cells must be a whole number from 1, or a list of {dimension} of them, got {cells!r}")
    if prod(map(int, counts)) * pieces > MAX_CELLS:
        raise InputError(f"{prod(map(int, counts)) * pieces} cells are more than {MAX_CELLS}: ask for fewer `cells`")
    return [int(n) for n in counts]


def _numbers(values: Sequence[float], count: int, name: str) -> list[float]:
    """Return `count` finite floats, after checking them."""
    try:
        numbers = [float(value) for value in values]
    except (TypeError, ValueError):
        numbers = []
    if len(numbers) != count or not all(map(isfinite, numbers)):
        raise InputError(f"{name} must be {count} finite number{'s' * (count > 1)}, got {values!r}")
    return numbers


def _choice(cell: str, allowed: tuple[str, ...], shape: str) -> str:
    """Return the cell type if the shape has it, else raise an error."""
    if cell not in allowed:
        raise InputError(f"{shape} has cells of type {' or '.join(allowed)}, got {cell!r}")
    return cell
