"""Mesh files, read by meshio in a guarded child process, then converted and checked. Start with `read_mesh`."""

from __future__ import annotations

import json
import math
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy.spatial import KDTree

from vpinn.domain.build import make_mesh
from vpinn.domain.mesh import Mesh
from vpinn.domain.reference import FACET_CELL, Floats, Integers, lagrange, match_points, reference_cell
from vpinn.domain.vertices import tag_vertices
from vpinn.errors import InputError
from vpinn.storage import scratch

MAX_BYTES = 1_000_000_000
STUCK = 600.0
"""Seconds of wall time after which the child process is ended, even if it uses no processor time."""
SECONDS, SPEED = 3.0, 200_000.0
"""Processor seconds that reading may take in any case, and bytes of the file for which one second more is allowed."""
FORMATS = {
    ".msh": "gmsh",
    **dict.fromkeys((".mesh", ".meshb"), "medit"),
    ".vtu": "vtu",
    ".vtk": "vtk",
    **dict.fromkeys((".xdmf", ".xmf"), "xdmf"),
    ".inp": "abaqus",
    **dict.fromkeys((".bdf", ".nas", ".fem"), "nastran"),
    ".su2": "su2",
    ".vol": "netgen",
    ".avs": "avsucd",
}
"""Suffix of a file → name of its format in meshio; only formats that are tested and consist of a single file."""
_CHILD = Path(__file__).with_name("_meshio_child.py")

# meshio type → our cell type and order; vertices as VTK numbers them, in basix's numbers; vertices around each further node
_VTK_VERTICES = {
    "interval": [0, 1],
    "triangle": [0, 1, 2],
    "quadrilateral": [0, 1, 3, 2],
    "tetrahedron": [0, 1, 2, 3],
    "hexahedron": [0, 1, 3, 2, 4, 5, 7, 6],
}
_SQUARE = [(0, 1), (1, 2), (2, 3), (3, 0)]
_CUBE = [*_SQUARE, (4, 5), (5, 6), (6, 7), (7, 4), (0, 4), (1, 5), (2, 6), (3, 7)]
_CUBE_FACES = [(0, 3, 7, 4), (1, 2, 6, 5), (0, 1, 5, 4), (3, 2, 6, 7), (0, 1, 2, 3), (4, 5, 6, 7)]
_TYPES: dict[str, tuple[str, int, list[tuple[int, ...]]]] = {
    "line": ("interval", 1, []),
    "triangle": ("triangle", 1, []),
    "quad": ("quadrilateral", 1, []),
    "tetra": ("tetrahedron", 1, []),
    "hexahedron": ("hexahedron", 1, []),
    "line3": ("interval", 2, [(0, 1)]),
    "triangle6": ("triangle", 2, [(0, 1), (1, 2), (2, 0)]),
    "quad9": ("quadrilateral", 2, [*_SQUARE, (0, 1, 2, 3)]),
    "tetra10": ("tetrahedron", 2, [(0, 1), (1, 2), (2, 0), (0, 3), (1, 3), (2, 3)]),
    "hexahedron27": ("hexahedron", 2, [*_CUBE, *_CUBE_FACES, tuple(range(8))]),
}
_SERENDIPITY = {"quad8": "quad9", "hexahedron20": "hexahedron27"}
_OTHER_DIMENSIONS = {"vertex": 0, "wedge": 3, "pyramid": 3, "polyhedron": 3, "polygon": 2}


@dataclass(frozen=True, eq=False)
class RawMesh:
    """The arrays that the child process wrote, not yet checked.

    Attributes:
        points: coordinates [n, D].
        blocks: meshio cell type and node numbers [m, k] of every block.
        groups: block, name and rows of every group.
        data: "nodes", or number of a block as text → data that were asked for, if the file has them.
        names: names of all data in the file; empty if no data were requested.
    """

    points: Floats
    blocks: list[tuple[str, Integers]]
    groups: list[tuple[int, str, Integers]]
    data: Mapping[str, Floats] = field(default_factory=dict)
    names: Sequence[str] = ()


def read_mesh(path: str | os.PathLike[str], timeout: float = 60.0, memory: int = 4_000_000_000) -> Mesh:
    """Read a mesh file of one of ``FORMATS``, and no file beside it.

    Physical groups (gmsh), references (Medit) and cell sets become tags; groups without a name are called by their number.
    Serendipity cells of 8 or 20 nodes become cells of 9 or 27 nodes of the same geometry.

    Args:
        path: a regular file of at most 1 GB.
        timeout: seconds of processor time that reading may take, less for small files; other programs do not count.
        memory: bytes that the reading process may ask for; small files get less.

    Raises:
        InputError: there is no such file, it cannot be read, or it is not a valid mesh of one cell type.
    """
    where = os.fspath(path)
    try:
        return _convert(_load(Path(path), timeout, memory))
    except InputError as error:
        raise error.at(where) from None


def read_mesh_data(path: str | os.PathLike[str], name: str) -> tuple[Mesh, Floats | None, Floats | None]:
    """Return the mesh of a file, and scalar data at its nodes [nodes] or of its cells [n_cells], None for the other.

    Args:
        path: as for ``read_mesh``.
        name: name of the data.

    Raises:
        InputError: as for ``read_mesh``, or the file has no scalar data of this name.
    """
    where = os.fspath(path)
    try:
        raw = _load(Path(path), 60.0, 4_000_000_000, name)
        mesh = _convert(raw)
        if not raw.data:
            raise InputError(f"the file has no data {name[:60]!r}; it has {', '.join(raw.names)[:200] or 'none'}")
        if any(part.ndim > 1 and part.size != len(part) for part in raw.data.values()):
            raise InputError(f"the data {name[:60]!r} are no scalars; write each component by itself")
        if "nodes" in raw.data:
            values = raw.data["nodes"].ravel()
            if len(values) != len(raw.points):
                raise InputError(f"the data {name[:60]!r} have {len(values)} values for {len(raw.points)} nodes")
            at = KDTree(raw.points[:, : mesh.dimension]).query(mesh.nodes)[1]
            return mesh, values[at], None
        top = {index: len(data) for index, (kind, data) in enumerate(raw.blocks) if _dimension(kind) == mesh.dimension}
        parts = [raw.data.get(str(index), np.empty(0)).ravel() for index in top]
        if [len(part) for part in parts] != list(top.values()):
            raise InputError(f"the data {name[:60]!r} have no value for some cells")
        return mesh, None, np.concatenate(parts)
    except InputError as error:
        raise error.at(where) from None


def _load(path: Path, timeout: float, memory: int, name: str | None = None) -> RawMesh:
    """Run the child process and return its arrays, with the data of a name."""
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        raise InputError(f"the mesh file cannot be opened: {getattr(error, 'strerror', None) or error}") from None
    if not stat.S_ISREG(status.st_mode):
        raise InputError("the mesh is not a regular file: give the path of a mesh file")
    if not 0 < status.st_size <= MAX_BYTES:
        raise InputError(f"a mesh file must have 1 to {MAX_BYTES} bytes, this one has {status.st_size}")
    memory = min(memory, 1_500_000_000 + 60 * status.st_size)  # address space: libraries alone take several hundred MB
    if path.suffix.lower() not in FORMATS:
        raise InputError(f"mesh files end in {', '.join(FORMATS)}; convert it to one of these, with meshio say")
    timeout = min(timeout, SECONDS + status.st_size / SPEED)
    with scratch() as folder:
        limits = [str(int(memory)), str(max(1, math.ceil(timeout)))]
        try:
            code = _run([str(path.absolute()), str(folder), *limits, FORMATS[path.suffix.lower()], *([name] if name else [])])
        except subprocess.TimeoutExpired:
            raise InputError(f"reading the mesh did not end within {STUCK:g} s: can the disk be read?") from None
        if code == -signal.SIGXCPU:
            raise InputError(f"reading the mesh took more than {timeout:.3g} s: it is damaged or too large")
        report = folder / "error.txt"
        if report.exists():
            reason = report.read_text(encoding="utf-8", errors="replace")[:300]
            raise InputError(f"the mesh file cannot be read ({reason.strip() or 'no reason given'}): is it complete?")
        if code != 0 or not (folder / "mesh.npz").exists():
            raise InputError(f"the mesh file cannot be read (the reader ended with code {code}): is it damaged?")
        with np.load(folder / "mesh.npz", allow_pickle=False) as arrays:
            blocks = [(kind, arrays[f"cells_{i}"]) for i, kind in enumerate(json.loads(str(arrays["blocks"])))]
            groups = [(block, name, arrays[f"group_{j}"]) for j, (block, name) in enumerate(json.loads(str(arrays["groups"])))]
            data = {key.rpartition("_")[2]: arrays[key] for key in arrays.files if key.startswith("data_")}
            names = json.loads(str(arrays["data"])) if "data" in arrays.files else ()
            return RawMesh(arrays["points"], blocks, groups, data, names)


def _run(arguments: list[str]) -> int:
    """Run the child process with some arguments and return its exit code, negative if a signal ended it."""
    command = [sys.executable, "-I", "-W", "ignore", str(_CHILD), *arguments]
    threads = {variable: "1" for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    quiet, environment = subprocess.DEVNULL, {**os.environ, **threads}
    return subprocess.run(
        command, stdin=quiet, stdout=quiet, stderr=quiet, timeout=STUCK, env=environment, check=False
    ).returncode


def _convert(raw: RawMesh) -> Mesh:
    """Return the mesh of the cells of highest dimension, with nodes in basix's order and groups as tags."""
    blocks = {index: (kind, data) for index, (kind, data) in enumerate(raw.blocks) if len(data)}
    top = max((_dimension(kind) for kind, _ in blocks.values()), default=0)
    kinds = sorted({kind for kind, _ in blocks.values() if _dimension(kind) == top})
    if not top:
        raise InputError("the mesh file has no cells: was the mesh generated and saved?")
    if len(kinds) > 1:
        raise InputError(f"the mesh mixes cells of types {', '.join(kinds)}: all must be of one type, mesh it with one")
    (kind,) = kinds
    full = _SERENDIPITY.get(kind, kind)
    if full not in _TYPES:
        raise InputError(f"cells of type {kind!r} are not supported; use one of {', '.join((*_TYPES, *_SERENDIPITY))}")
    cell, order, _ = _TYPES[full]
    cells_of = [index for index, (name, _) in blocks.items() if name == kind]
    points, cells = _completed(raw.points, np.concatenate([blocks[index][1] for index in cells_of]), kind)
    offset = dict(zip(cells_of, np.cumsum([0, *(len(blocks[index][1]) for index in cells_of)]).tolist(), strict=False))
    n_facet_vertices = reference_cell(cell).facets.shape[1]
    facet_groups: dict[str, list[Integers]] = {}
    cell_groups: dict[str, list[Integers]] = {}
    vertex_groups: dict[str, list[Integers]] = {}
    edge_groups: dict[str, list[Integers]] = {}
    for block, name, rows in raw.groups:
        if block in offset:
            cell_groups.setdefault(name, []).append(rows + offset[block])
        elif block in blocks and _is_facet_of(blocks[block][0], cell):
            facet_groups.setdefault(name, []).append(blocks[block][1][rows, :n_facet_vertices])
        if block in blocks and blocks[block][0] == "vertex" and len(rows):
            vertex_groups.setdefault(name, []).append(blocks[block][1][rows, 0])
        if block in blocks and blocks[block][0] in ("line", "line3") and top > 1:
            edge_groups.setdefault(name, []).append(blocks[block][1][rows, :2])
    made = make_mesh(
        points,
        cells[:, _order(full)],
        cell,
        order,
        {name: np.concatenate(parts) for name, parts in facet_groups.items()},
        {name: np.unique(np.concatenate(parts)) for name, parts in cell_groups.items()},
    )
    edge_groups = {name: parts for name, parts in edge_groups.items() if name not in made.facet_tags}
    vertices, edges = (_placed(raw.points, groups) for groups in (vertex_groups, edge_groups))
    edges = {name: ends[..., : made.dimension] for name, ends in edges.items()}
    return replace(tag_vertices(made, vertices), edge_tags=edges)


def _placed(points: Floats, groups: Mapping[str, list[Integers]]) -> dict[str, Floats]:
    """Return the coordinates of groups of nodes or edges, without those that are damaged."""
    found = {}
    for name, parts in groups.items():
        rows = np.concatenate(parts)
        known = ((rows >= 0) & (rows < len(points))).reshape(len(rows), -1).all(axis=1)
        places = points[rows[known]]
        places = places[np.isfinite(places).reshape(len(places), -1).all(axis=1)]
        if len(places):
            found[name] = places
    return found


def _dimension(kind: str) -> int:
    """Dimension of a meshio cell type, also of the many that are not supported."""
    for start, dimension in {"line": 1, "tri": 2, "quad": 2, "tetra": 3, "hexa": 3, **_OTHER_DIMENSIONS}.items():
        if kind.startswith(start):
            return dimension
    if "TRIANGLE" in kind or "QUAD" in kind:
        return 2
    return 1 if "CURVE" in kind else 3


def _is_facet_of(kind: str, cell: str) -> bool:
    """Whether blocks of this meshio type may hold facets of the cell type."""
    full = _SERENDIPITY.get(kind, kind)
    return kind == "vertex" if cell == "interval" else full in _TYPES and _TYPES[full][0] == FACET_CELL[cell]


@lru_cache
def _order(kind: str) -> Integers:
    """VTK number of each node of a cell in basix's order [n_local]."""
    cell, order, around = _TYPES[kind]
    vertices = reference_cell(cell).vertices[_VTK_VERTICES[cell]]
    points = np.array([*vertices, *(vertices[list(corner)].mean(axis=0) for corner in around)])
    return match_points(points, np.array(lagrange(cell, order).points))


def _completed(points: Floats, cells: Integers, kind: str) -> tuple[Floats, Integers]:
    """Return points and cells with the face and body nodes that serendipity cells lack, placed by the serendipity map."""
    if kind not in _SERENDIPITY:
        return points, cells
    if cells.min() < 0 or cells.max() >= len(points):
        raise InputError(f"a cell names a point outside 0 … {len(points) - 1}: the mesh file is damaged")
    cell, _, around = _TYPES[_SERENDIPITY[kind]]
    corners = len(_VTK_VERTICES[cell])
    edges = around[: cells.shape[1] - corners]
    parts = [cells]
    for face in around[len(edges) :]:
        members = [corners + index for index, edge in enumerate(edges) if set(edge) <= set(face)]
        # -1/4 at each corner, and what is left over equally at the edges: 1/2 on a face, 1/4 in a hexahedron
        share = (1.0 + len(face) / 4.0) / len(members)
        new = share * points[cells[:, members]].sum(axis=1) - 0.25 * points[cells[:, list(face)]].sum(axis=1)
        parts.append(len(points) + np.arange(len(cells))[:, None])
        points = np.concatenate([points, new])
    return points, np.concatenate(parts, axis=1)
