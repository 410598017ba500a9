"""Reads one mesh file with meshio and writes plain arrays; runs as a separate process with limits of memory and time.

On damaged files meshio may end the process, exhaust memory or never return, and a mesh file may name other files to open. Here
none of that reaches the parent process, which only reads arrays (npz, no pickle) or one line of text; other files are not opened.

Usage: python -I _meshio_child.py MESH FOLDER MEMORY_BYTES SECONDS FORMAT [DATA]
    writes FOLDER/mesh.npz, or FOLDER/error.txt. In mesh.npz: points [n, d]; blocks, the JSON list of cell types;
    cells_<i> [m_i, n_i]; groups, the JSON list of [block, name]; group_<j>, rows of that block. With the name of scalar DATA also
    data_nodes [n] or data_cells_<i> [m_i], if the file has them, and data, the JSON list of all names of data.
"""

from __future__ import annotations

import contextlib
import importlib.machinery
import io
import json
import mmap
import os
import re
import sys
import types
from pathlib import Path
from typing import Any

_DATA = re.compile(rb"^\$(NodeData|ElementData|ElementNodeData|Periodic)\r?\n.*?^\$End\1[ \t]*\r?\n?", re.MULTILINE | re.DOTALL)
_NUMBERED = ("gmsh:physical", "medit:ref", "cell_tags")  # integer cell data that stand for groups, by format
_MODULES = tuple(importlib.machinery.all_suffixes())
_MOST = 200_000_000
"""Largest size of a decompressed block, in bytes."""
_REFUSED = ("builtins.input", "ctypes.", "fcntl.", "glob.", "os.", "pickle.", "pty.", "shutil.", "socket.", "subprocess.")
"""Beginnings of the names of audit events that reading a mesh never needs, and which are refused."""


class Refused(Exception):
    """The mesh asks for something that reading it does not need."""


def limit(memory: int, seconds: int) -> None:
    """Limit the address space in bytes and the processor time in seconds of this process, if the system can."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def confine(path: Path, folder: Path) -> None:
    """Let this process, from now on, open only the mesh, files in its own folder and Python's modules, and start no program.

    The audit hook stays until the process ends. It covers files opened by Python, also by numpy's ``fromfile``. Libraries that
    open files by themselves, such as HDF5, are not loaded.
    """
    mesh, own = os.path.realpath(path), os.path.realpath(folder) + os.sep
    libraries = tuple({os.path.realpath(entry) + os.sep for entry in sys.path if entry})

    def check(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            name, _, flags = arguments
            if isinstance(name, int):
                return
            real = os.path.realpath(os.fsdecode(name))
            writes = (flags or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC)
            module = real.startswith(libraries) and real.endswith(_MODULES)
            if not real.startswith(own) and (writes or not (real == mesh or module)):
                raise Refused(f"it asks for another file, {os.fsdecode(name)!r}; all must be in one file")
        elif event in ("os.listdir", "os.scandir") and os.path.realpath(str(arguments[0])).startswith(libraries):
            return  # a module is looked for
        elif event.startswith(_REFUSED):
            raise Refused(f"it asks for {event}, which no mesh needs")

    sys.addaudithook(check)


def read(path: Path, folder: Path, file_format: str) -> Any:
    """Read the mesh with meshio, working around faults of its version 5.3.5."""
    import meshio

    if file_format in ("vtu", "xdmf"):
        _refuse_entities(path)
        _bound_blocks(meshio)
        sys.modules["h5py"] = types.ModuleType("h5py")  # which meshio wants for numbers within the file, too
    if file_format == "abaqus":
        meshio.abaqus._abaqus.read = _refuse_include
    if file_format != "gmsh":
        return meshio.read(path, file_format=file_format)
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


def _refuse_entities(path: Path) -> None:
    """Refuse XML that declares entities, because these can include other files or expand to gigabytes."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if content.find(b"<!DOCTYPE") >= 0 or content.find(b"<!ENTITY") >= 0:
            raise Refused("it declares XML entities, which no mesh needs")
        if content[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in content[:4]:
            raise Refused("its XML is not in UTF-8")


def _refuse_include(path: Any) -> None:
    raise Refused(f"it includes another file, {str(path)!r}; all must be in one file")


class _Bounded:
    """A compression library that refuses blocks above a size."""

    def __init__(self, start: Any, most: int) -> None:
        self._start, self._most = start, most

    def decompress(self, data: bytes) -> bytes:
        block: bytes = self._start().decompress(data, self._most)
        if len(block) >= self._most:
            raise Refused(f"a compressed block has more than {self._most} bytes, too many for its points and cells")
        return block


def _bound_blocks(meshio: Any) -> None:
    """Bound the blocks of VTU files by the points and cells that their pieces say they have: 64 numbers for each, and 1 MB."""
    import lzma
    import zlib

    reader = meshio.vtu._vtu
    plain = reader.get_grid

    def bound(most: int) -> None:
        reader.zlib, reader.lzma = _Bounded(zlib.decompressobj, most), _Bounded(lzma.LZMADecompressor, most)

    def grid(root: Any) -> Any:
        sizes = (int(piece.get(key, 0)) for piece in root.iter("Piece") for key in ("NumberOfPoints", "NumberOfCells"))
        bound(min(512 * sum(map(abs, sizes)), _MOST) + 1_000_000)
        return plain(root)

    bound(_MOST)  # of appended data, which are unpacked before the pieces are known
    reader.get_grid = grid


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


def data(mesh: Any, name: str) -> dict[str, Any]:
    """Scalar data of a name at nodes, or else of cells, and the names of all data."""
    import numpy as np

    found: dict[str, Any] = {"data": np.array(json.dumps([*map(str, mesh.point_data), *map(str, mesh.cell_data)]))}
    if name in mesh.point_data:
        found["data_nodes"] = np.asarray(mesh.point_data[name], dtype=np.float64)
    elif name in mesh.cell_data:
        parts = mesh.cell_data[name]
        found |= {f"data_cells_{i}": np.asarray(part, dtype=np.float64) for i, part in enumerate(parts)}
    return found


def main(arguments: list[str]) -> None:
    """Read, convert, write."""
    path, folder = Path(arguments[0]), Path(arguments[1])
    file_format = arguments[4]
    limit(int(arguments[2]), int(arguments[3]))
    try:
        import meshio  # noqa: F401
        import numpy as np

        confine(path, folder)
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            mesh = read(path, folder, file_format)
        named = groups(mesh)
        arrays: dict[str, Any] = {f"cells_{i}": np.asarray(block.data, dtype=np.int64) for i, block in enumerate(mesh.cells)}
        arrays |= {f"group_{j}": rows for j, (_, _, rows) in enumerate(named)}
        arrays["points"] = np.asarray(mesh.points, dtype=np.float64)
        arrays["blocks"] = np.array(json.dumps([block.type for block in mesh.cells]))
        arrays["groups"] = np.array(json.dumps([(block, name) for block, name, _ in named]))
        arrays |= data(mesh, arguments[5]) if len(arguments) > 5 else {}
        np.savez(folder / "mesh.npz", **arrays)
    except MemoryError:
        (folder / "error.txt").write_text("reading it needs too much memory", encoding="utf-8")
    except SystemExit:
        (folder / "error.txt").write_text("it is not a mesh of the format its name ends in", encoding="utf-8")
    except Refused as error:
        (folder / "error.txt").write_text(str(error), encoding="utf-8", errors="backslashreplace")
    except BaseException as error:  # whatever meshio raises; the parent makes one line of it
        (folder / "error.txt").write_text(f"{type(error).__name__}: {error}", encoding="utf-8", errors="backslashreplace")


if __name__ == "__main__":
    main(sys.argv[1:])
