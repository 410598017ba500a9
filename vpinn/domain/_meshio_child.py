"""Reads one mesh file with meshio and writes plain arrays. Run as a process of its own, under limits of memory and time.

meshio may end the process, exhaust memory or loop on damaged files; nothing of that reaches the parent, which only reads
the arrays (npz, no pickle) or one line of text.

Usage: python -I _meshio_child.py MESH FOLDER MEMORY_BYTES SECONDS
    writes FOLDER/mesh.npz, or FOLDER/error.txt. In mesh.npz: points [n, d]; blocks, the JSON list of cell types;
    cells_<i> [m_i, n_i]; groups, the JSON list of [block, name]; group_<j>, rows of that block.
"""

from __future__ import annotations

import contextlib
import io
import json
import mmap
import re
import sys
from pathlib import Path
from typing import Any

_DATA = re.compile(rb"^\$(NodeData|ElementData|ElementNodeData|Periodic)\r?\n.*?^\$End\1[ \t]*\r?\n?", re.MULTILINE | re.DOTALL)
_NUMBERED = ("gmsh:physical", "medit:ref", "cell_tags")  # integer cell data that stand for groups, by format
_NAMED_FORMATS = {".mesh": "medit", ".meshb": "medit"}


def limit(memory: int, seconds: int) -> None:
    """Cap the address space [bytes] and the processor time of this process, where the system can."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def read(path: Path, folder: Path) -> Any:
    """Read with meshio, working around what 5.3.5 cannot do."""
    import meshio

    if path.suffix.lower() != ".msh":
        return meshio.read(path, file_format=_NAMED_FORMATS.get(path.suffix.lower()))
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        gmsh = b"$MeshFormat" in content[:4096]
        # post-processing data make ASCII files unreadable with numpy 2, and nothing here needs them, nor periodic links
        stripped = _DATA.sub(b"", content) if gmsh and _DATA.search(content) else None
    if stripped is not None:
        path = folder / "stripped.msh"
        path.write_bytes(stripped)
    if gmsh:
        _keep_named_groups(meshio)
        _refuse_low_numbers(meshio)
    return meshio.read(path, file_format="gmsh" if gmsh else "ansys")


def _keep_named_groups(meshio: Any) -> None:
    """Let files through in which only some entities have a physical group; their named groups are in cell_sets as well."""
    reader = meshio.gmsh._gmsh41
    plain = reader.Mesh

    def tolerant(points: Any, cells: Any, cell_data: Any = None, **others: Any) -> Any:
        complete = {name: data for name, data in (cell_data or {}).items() if len(data) == len(cells)}
        return plain(points, cells, cell_data=complete, **others)

    reader.Mesh = tolerant


def _refuse_low_numbers(meshio: Any) -> None:
    """Refuse node numbers below one, which meshio takes as Python's indices from the end: another node, silently."""
    import numpy as np

    old, new = meshio.gmsh._gmsh22, meshio.gmsh._gmsh41
    in_order, elements = old._gmsh_to_meshio_order, new._read_elements

    def refuse(lowest: int) -> None:
        if lowest < 0:
            raise ValueError("an element names a node below 1, or the file ends early")

    def ordered(kind: str, index: Any) -> Any:
        refuse(np.min(index, initial=0))
        return in_order(kind, index)

    def strict(fromfile: Any, sep: str) -> Any:
        def numbers(file: Any, dtype: Any, count: int) -> Any:
            values = fromfile(file, dtype, count, sep=sep)
            refuse(len(values) - count)
            if count > 1:  # headers, and elements with their nodes: all of them count from one
                refuse(np.min(values.astype(np.int64), initial=1) - (np.dtype(dtype).kind == "u"))
            return values

        return numbers

    def read_elements(*arguments: Any) -> Any:
        plain, new.partial = new.partial, strict
        try:
            return elements(*arguments)
        finally:
            new.partial = plain

    old._gmsh_to_meshio_order, new._read_elements = ordered, read_elements


def groups(mesh: Any) -> list[tuple[int, str, Any]]:
    """All groups as (block, name, rows). Named sets first; numbers that have a name in field_data use it."""
    import numpy as np

    dimension = {"line": 1, "tri": 2, "qua": 2, "tet": 3, "hex": 3}
    found: dict[tuple[int, str], Any] = {}
    for name, parts in mesh.cell_sets.items():
        if name.startswith("gmsh:"):
            continue
        for block, rows in enumerate(parts):
            if rows is not None and len(rows):
                found[block, name] = np.asarray(rows, dtype=np.int64)
    names = {(int(value[1]), int(value[0])): name for name, value in mesh.field_data.items() if np.size(value) >= 2}
    key = next((key for key in _NUMBERED if key in mesh.cell_data), None)
    for block, numbers in enumerate(mesh.cell_data[key] if key else []):
        numbers = np.asarray(numbers).ravel()
        kind = mesh.cells[block].type
        if numbers.dtype.kind not in "iuf":
            continue
        for number in np.unique(numbers[np.isfinite(numbers)]):
            name = names.get((dimension.get(kind[:4], dimension.get(kind[:3], 0)), int(number)), str(int(number)))
            if number != 0:
                found.setdefault((block, name), np.flatnonzero(numbers == number))
            if len(found) > 100_000:
                raise ValueError("more than 100,000 groups")
    return [(block, name, rows) for (block, name), rows in found.items()]


def main(arguments: list[str]) -> None:
    """Read, convert, write."""
    path, folder = Path(arguments[0]), Path(arguments[1])
    limit(int(arguments[2]), int(arguments[3]))
    try:
        import numpy as np

        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            mesh = read(path, folder)
        named = groups(mesh)
        arrays: dict[str, Any] = {f"cells_{i}": np.asarray(block.data, dtype=np.int64) for i, block in enumerate(mesh.cells)}
        arrays |= {f"group_{j}": rows for j, (_, _, rows) in enumerate(named)}
        arrays["points"] = np.asarray(mesh.points, dtype=np.float64)
        arrays["blocks"] = np.array(json.dumps([block.type for block in mesh.cells]))
        arrays["groups"] = np.array(json.dumps([(block, name) for block, name, _ in named]))
        np.savez(folder / "mesh.npz", **arrays)
    except MemoryError:
        (folder / "error.txt").write_text("reading it needs too much memory", encoding="utf-8")
    except SystemExit:
        (folder / "error.txt").write_text("it is not a mesh of the format its name ends in", encoding="utf-8")
    except BaseException as error:  # whatever meshio raises; the parent makes one line of it
        (folder / "error.txt").write_text(f"{type(error).__name__}: {error}", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
