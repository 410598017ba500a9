"""File formats of fields: every function encodes coordinates and values, and returns the content of a file as bytes or text."""

from __future__ import annotations

import io
import itertools
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree import ElementTree
from xml.sax.saxutils import escape, quoteattr

import meshio
import numpy as np
from numpy.typing import NDArray

from vpinn.domain import Mesh
from vpinn.errors import InputError, StorageError
from vpinn.output.cells import cell_format, vtk_cells, vtk_facets
from vpinn.storage import scratch
from vpinn.text import escaped

Array = NDArray[np.float64]
CellValues = Mapping[str, NDArray[np.generic]]


def vtu(x: Array, mesh: Mesh | None, values: Mapping[str, Array], cell_values: CellValues) -> bytes:
    """Return a VTK unstructured grid, binary and compressed.

    Where the boundary has tags, its facets are cells, too, and tag_<name> is 1 on those with the tag.

    Vectors are padded with zeros to 3 components and gradients to 3 × 3 tensors, the shapes that viewers recognise. Without a
    mesh, every point is a cell of VTK's type vertex.

    Args:
        x: Coordinates [n, d], d ≤ 3.
        mesh: Mesh with these n nodes, or None.
        values: Name → values at the points [n, …].
        cell_values: Name → values per cell [n_cells].

    Raises:
        InputError: d > 3.
        StorageError: The temporary file that meshio needs could not be written.
    """
    blocks = [_topology(x, mesh)]
    parts = {name: [np.ascontiguousarray(value)] for name, value in cell_values.items()}
    if mesh is not None and mesh.facet_tags:
        blocks.append(vtk_facets(mesh))
        parts = _with_facets(parts, mesh)
    # meshio does not escape names for XML
    point_data = {_in_xml(name): _padded(value) for name, value in values.items()}
    cell_data = {_in_xml(name): found for name, found in parts.items()}
    grid = meshio.Mesh(_in_space(x), blocks, point_data, cell_data)
    try:
        with scratch() as folder:  # meshio writes to paths only
            meshio.vtu.write(folder / "grid.vtu", grid)
            return (folder / "grid.vtu").read_bytes()
    except OSError as error:
        raise StorageError(f"the field cannot be written to a temporary file: {error.strerror or error}; free space") from None


def pvd(name: str) -> bytes:
    """Return a ParaView collection (.pvd) of the one file ``name`` in the same folder, at time 0."""
    return (
        '<?xml version="1.0"?>\n<VTKFile type="Collection" version="0.1">\n  <Collection>\n'
        f'    <DataSet timestep="0" part="0" file={quoteattr(name)}/>\n  </Collection>\n</VTKFile>\n'
    ).encode()


def xdmf(x: Array, mesh: Mesh | None, values: Mapping[str, Array], cell_values: CellValues) -> bytes:
    """Return an XDMF 3 file that holds its numbers as text, without a separate HDF5 file; arguments as for `vtu`.

    meshio's XDMF writer is not used because it needs h5py even for numbers as text.

    Raises:
        InputError: d > 3.
    """
    _, cells = _topology(x, mesh)
    root = ElementTree.Element("Xdmf", Version="3.0")
    grid = ElementTree.SubElement(ElementTree.SubElement(root, "Domain"), "Grid", Name="solution", GridType="Uniform")
    geometry = ElementTree.SubElement(grid, "Geometry", GeometryType="XYZ")
    _data_item(geometry, _in_space(x))
    topology = {"TopologyType": "Polyvertex" if mesh is None else cell_format(mesh).xdmf}
    topology |= {"NumberOfElements": str(len(cells)), "NodesPerElement": str(cells.shape[1])}
    _data_item(ElementTree.SubElement(grid, "Topology", topology), cells)
    attributes = [("Node", name, _padded(value)) for name, value in values.items()]
    attributes += [("Cell", name, np.asarray(value)) for name, value in cell_values.items()]
    for center, name, value in attributes:
        width = 1 if value.ndim == 1 else value.shape[1]
        kind = {1: "Scalar", 3: "Vector", 9: "Tensor"}.get(width, "Matrix")
        _data_item(ElementTree.SubElement(grid, "Attribute", Name=escaped(name), AttributeType=kind, Center=center), value)
    return b'<?xml version="1.0"?>\n' + ElementTree.tostring(root)


def csv(x: Array, values: Mapping[str, Array], coordinates: Sequence[str]) -> bytes:
    """Return comma-separated values with a header: coordinates, then all components of all fields, with 17 digits.

    Args:
        x: Coordinates [n, k].
        values: Name → values [n, …].
        coordinates: Names of the k coordinates; the axes of space, which derivatives are taken along, come first.
    """
    names, columns = table(x, values, coordinates)
    buffer = io.BytesIO()
    np.savetxt(buffer, columns, fmt="%.17g", delimiter=",", header=",".join(names), comments="")
    return buffer.getvalue()


def table(x: Array, values: Mapping[str, Array], coordinates: Sequence[str]) -> tuple[list[str], Array]:
    """Return the names and columns of a table of fields; arguments as for `csv`.

    Components of a vector w are called w0, w1, …, and derivatives du/dx, dw0/dy, ….
    """
    names, columns = [*coordinates], [x]
    for name, value in values.items():
        function = name.removeprefix("grad_")
        if function != name and function in values:
            parts = component_names(function, values[function].shape[1:])
            names += [f"d{part}/d{axis}" for part in parts for axis in coordinates[: value.shape[-1]]]
        else:
            names += component_names(name, value.shape[1:])
        columns.append(value.reshape(len(x), -1))
    return names, np.concatenate(columns, axis=1)


def aligned(x: Array, values: Mapping[str, Array], coordinates: Sequence[str]) -> str:
    """Return the columns of `table` as text to read: six digits, right-aligned under their names."""
    names, rows = table(x, values, coordinates)
    width = max(14, *(len(name) + 2 for name in names))
    lines = ["".join(f"{name:>{width}}" for name in names)]
    return "\n".join(lines + ["".join(f"{value:>{width}.6g}" for value in row) for row in rows])


def component_names(name: str, shape: tuple[int, ...]) -> list[str]:
    """Return the names of a field's components.

    They are u for a scalar u, u0, u1, … for a vector u, A0_0, A0_1, … for a matrix A, and u_1_0, u_1_1, … for a vector whose name
    ends with a digit.
    """
    between = "_" if name[-1:].isdigit() else ""
    places = itertools.product(*map(range, shape))
    return [name] if not shape else [f"{name}{between}{'_'.join(map(str, place))}" for place in places]


def npz(x: Array, mesh: Mesh | None, values: Mapping[str, Array], cell_values: CellValues) -> bytes:
    """Return a numpy archive (.npz): coordinates ``x``, all fields by name and, on a mesh, ``cells`` in basix's node order.

    It needs no pickles, and equal content gives equal bytes.
    """
    arrays: dict[str, NDArray[np.generic]] = {"x": x, **values, **cell_values}
    if mesh is not None:
        arrays["cells"] = mesh.cells
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:  # like numpy.savez, but with any field name and a fixed date
        for name, array in arrays.items():
            member = zipfile.ZipInfo(f"{name}.npy")
            member.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(member, "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.asanyarray(array), allow_pickle=False)
    return buffer.getvalue()


def _in_xml(name: str) -> str:
    return escape(escaped(name), {'"': "&quot;"})


def _topology(x: Array, mesh: Mesh | None) -> tuple[str, NDArray[np.int64]]:
    """Return meshio's name of the cell type, and the nodes of the cells in VTK's order [n_cells, n_local]."""
    if x.shape[1] > 3:
        raise InputError(f"vtu and xdmf hold at most 3 dimensions and these points have {x.shape[1]}; write csv or npz")
    if mesh is None:
        return "vertex", np.arange(len(x))[:, None]
    return cell_format(mesh).meshio, np.ascontiguousarray(vtk_cells(mesh))


def _with_facets(parts: Mapping[str, list[NDArray[Any]]], mesh: Mesh) -> dict[str, list[NDArray[Any]]]:
    """Return values per cell, followed by those per facet of the boundary: the tags, and nan or 0 for what facets lack."""
    count = len(mesh.boundary)
    lacking = {kind: np.full(count, np.nan if kind == "f" else 0) for kind in "fiu"}
    found = {name: [value, lacking[value.dtype.kind].astype(value.dtype)] for name, (value,) in parts.items()}
    for name, rows in mesh.facet_tags.items():
        held = found.setdefault(f"tag_{name}", [np.zeros(mesh.n_cells, np.int32), np.zeros(count, np.int32)])
        held[1][rows] = 1
    return found


def _in_space(x: Array) -> Array:
    """Return coordinates [n, d] as [n, 3], padded with zeros."""
    return np.pad(x, ((0, 0), (0, 3 - x.shape[1])))


def _padded(value: Array) -> Array:
    """Return values in a shape that viewers recognise: [n] scalars, [n, 3] vectors, [n, 9] tensors; larger ones [n, k]."""
    if value.ndim == 1:
        return np.ascontiguousarray(value)
    if max(value.shape[1:]) <= 3:
        value = np.pad(value, [(0, 0), *((0, 3 - size) for size in value.shape[1:])])
    return np.ascontiguousarray(value.reshape(len(value), -1))


def _data_item(parent: ElementTree.Element, value: NDArray[np.generic]) -> None:
    """Add an array to an XML element as an XDMF DataItem, its numbers written as text."""
    whole = value.dtype.kind in "iu"
    item = ElementTree.SubElement(
        parent,
        "DataItem",
        DataType="Int" if whole else "Float",
        Precision=str(value.dtype.itemsize),
        Dimensions=" ".join(map(str, value.shape)),
        Format="XML",
    )
    text = io.BytesIO()
    np.savetxt(text, value, fmt="%d" if whole else "%.17g")
    item.text = "\n" + text.getvalue().decode()
