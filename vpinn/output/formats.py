"""File formats of fields: coordinates and values in, the bytes of a file out."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from xml.etree import ElementTree
from xml.sax.saxutils import escape, quoteattr

import meshio
import numpy as np
from numpy.typing import NDArray

from vpinn.domain import Mesh
from vpinn.errors import InputError, StorageError
from vpinn.output.cells import cell_format, vtk_cells
from vpinn.storage import scratch
from vpinn.text import escaped

Array = NDArray[np.float64]
CellValues = Mapping[str, NDArray[np.generic]]


def vtu(x: Array, mesh: Mesh | None, values: Mapping[str, Array], cell_values: CellValues) -> bytes:
    """Return a VTK unstructured grid, binary and compressed; loose points become vertices.

    Vectors of two components get a third, and gradients become 3 × 3 tensors, because viewers know those.

    Args:
        x: coordinates [n, d], d ≤ 3.
        mesh: mesh with these nodes, or None.
        values: name → [n, …].
        cell_values: name → [n_cells].

    Raises:
        InputError: d > 3.
        StorageError: the temporary file could not be written.
    """
    kind, cells = _topology(x, mesh)
    # meshio writes names as they are, not as XML asks for
    point_data = {_in_xml(name): _padded(value) for name, value in values.items()}
    cell_data = {_in_xml(name): [np.ascontiguousarray(value)] for name, value in cell_values.items()}
    grid = meshio.Mesh(_in_space(x), [(kind, cells)], point_data, cell_data)
    try:
        with scratch() as folder:  # meshio writes to paths only
            meshio.vtu.write(folder / "grid.vtu", grid)
            return (folder / "grid.vtu").read_bytes()
    except OSError as error:
        raise StorageError(f"the field cannot be written to a temporary file: {error.strerror or error}; free space") from None


def pvd(name: str) -> bytes:
    """Return a ParaView collection of one file beside it."""
    return (
        '<?xml version="1.0"?>\n<VTKFile type="Collection" version="0.1">\n  <Collection>\n'
        f'    <DataSet timestep="0" part="0" file={quoteattr(name)}/>\n  </Collection>\n</VTKFile>\n'
    ).encode()


def xdmf(x: Array, mesh: Mesh | None, values: Mapping[str, Array], cell_values: CellValues) -> bytes:
    """Return one XDMF 3 file with its numbers inside, so that no HDF5 is needed; arguments as for `vtu`.

    meshio's own writer asks for h5py even for numbers in XML.

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
    """Return a table with a header: coordinates, then every component of every field, with 17 digits.

    Args:
        x: coordinates [n, k].
        values: name → [n, …].
        coordinates: their names; derivatives are by the first of them.
    """
    names, columns = table(x, values, coordinates)
    buffer = io.BytesIO()
    np.savetxt(buffer, columns, fmt="%.17g", delimiter=",", header=",".join(names), comments="")
    return buffer.getvalue()


def table(x: Array, values: Mapping[str, Array], coordinates: Sequence[str]) -> tuple[list[str], Array]:
    """Return column names and columns [n, k].

    Components of a vector w are w0, w1, …; derivatives are du/dx, dw0/dy, ….
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
    """Return the same columns for a reader: six digits, right-aligned under their names."""
    names, rows = table(x, values, coordinates)
    width = max(14, *(len(name) + 2 for name in names))
    lines = ["".join(f"{name:>{width}}" for name in names)]
    return "\n".join(lines + ["".join(f"{value:>{width}.6g}" for value in row) for row in rows])


def component_names(name: str, shape: tuple[int, ...]) -> list[str]:
    """Return u for a scalar, u0, u1, … for a vector."""
    return [name] if not shape else [f"{name}{i}" for i in range(shape[0])]


def npz(x: Array, mesh: Mesh | None, values: Mapping[str, Array], cell_values: CellValues) -> bytes:
    """Return a numpy archive without pickles: x, every field by name and, on a mesh, ``cells`` in basix's node order."""
    arrays: dict[str, NDArray[np.generic]] = {"x": x, **values, **cell_values}
    if mesh is not None:
        arrays["cells"] = mesh.cells
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:  # what savez does, but with any name, and without today's date
        for name, array in arrays.items():
            member = zipfile.ZipInfo(f"{name}.npy")
            member.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(member, "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.asanyarray(array), allow_pickle=False)
    return buffer.getvalue()


def _in_xml(name: str) -> str:
    return escape(escaped(name), {'"': "&quot;"})


def _topology(x: Array, mesh: Mesh | None) -> tuple[str, NDArray[np.int64]]:
    if x.shape[1] > 3:
        raise InputError(f"vtu and xdmf hold at most 3 dimensions and these points have {x.shape[1]}; write csv or npz")
    if mesh is None:
        return "vertex", np.arange(len(x))[:, None]
    return cell_format(mesh).meshio, np.ascontiguousarray(vtk_cells(mesh))


def _in_space(x: Array) -> Array:
    """Coordinates [n, 3], zero where there were none."""
    return np.pad(x, ((0, 0), (0, 3 - x.shape[1])))


def _padded(value: Array) -> Array:
    """Scalars [n] as they are; up to 3 components as [n, 3], their gradients as [n, 9]; more components flat."""
    if value.ndim == 1:
        return np.ascontiguousarray(value)
    if max(value.shape[1:]) <= 3:
        value = np.pad(value, [(0, 0), *((0, 3 - size) for size in value.shape[1:])])
    return np.ascontiguousarray(value.reshape(len(value), -1))


def _data_item(parent: ElementTree.Element, value: NDArray[np.generic]) -> None:
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
