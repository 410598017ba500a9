"""Cell types in the conventions of other programs: node order of VTK, names in meshio and XDMF, triangles for matplotlib."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vpinn.domain import Mesh
from vpinn.domain.reference import Integers, lagrange


@dataclass(frozen=True)
class CellFormat:
    """How other programs name a cell type and number its nodes.

    Attributes:
        meshio: Name of the cell type in meshio.
        xdmf: Topology type in XDMF.
        order: Local node number in basix's order of each node in VTK's order [n_local].
    """

    meshio: str
    xdmf: str
    order: tuple[int, ...]


_FORMATS = {
    ("point", 1): CellFormat("vertex", "Polyvertex", (0,)),
    ("point", 2): CellFormat("vertex", "Polyvertex", (0,)),
    ("interval", 1): CellFormat("line", "Polyline", (0, 1)),
    ("interval", 2): CellFormat("line3", "Edge_3", (0, 1, 2)),
    ("triangle", 1): CellFormat("triangle", "Triangle", (0, 1, 2)),
    ("triangle", 2): CellFormat("triangle6", "Triangle_6", (0, 1, 2, 5, 3, 4)),
    ("quadrilateral", 1): CellFormat("quad", "Quadrilateral", (0, 1, 3, 2)),
    ("quadrilateral", 2): CellFormat("quad9", "Quadrilateral_9", (0, 1, 3, 2, 4, 6, 7, 5, 8)),
    ("tetrahedron", 1): CellFormat("tetra", "Tetrahedron", (0, 1, 2, 3)),
    ("tetrahedron", 2): CellFormat("tetra10", "Tetrahedron_10", (0, 1, 2, 3, 9, 6, 8, 7, 5, 4)),
    ("hexahedron", 1): CellFormat("hexahedron", "Hexahedron", (0, 1, 3, 2, 4, 5, 7, 6)),
    ("hexahedron", 2): CellFormat(
        "hexahedron27",
        "Hexahedron_27",
        (0, 1, 3, 2, 4, 5, 7, 6, 8, 11, 13, 9, 16, 18, 19, 17, 10, 12, 15, 14, 22, 23, 21, 24, 20, 25, 26),
    ),
}

_TRIANGLES = {
    ("triangle", 1): [[0, 1, 2]],
    ("triangle", 2): [[0, 5, 4], [5, 1, 3], [4, 3, 2], [3, 4, 5]],
    ("quadrilateral", 1): [[0, 1, 3], [0, 3, 2]],
    ("quadrilateral", 2): [[0, 4, 8], [0, 8, 5], [4, 1, 6], [4, 6, 8], [5, 8, 7], [5, 7, 2], [8, 6, 3], [8, 3, 7]],
}


def cell_format(mesh: Mesh) -> CellFormat:
    """Return the name and node order of a mesh's cells in other programs."""
    return _FORMATS[mesh.cell, mesh.order]


def vtk_cells(mesh: Mesh) -> Integers:
    """Return the nodes of every cell in VTK's order [n_cells, n_local]."""
    return mesh.cells[:, cell_format(mesh).order]


def vtk_facets(mesh: Mesh) -> tuple[str, Integers]:
    """Return meshio's name of the cell type of the boundary's facets, and their nodes in VTK's order [n_facets, n_local]."""
    found = _FORMATS[mesh.reference.facet_cell, mesh.order]
    closures = np.array(lagrange(mesh.cell, mesh.order).entity_closure_dofs[mesh.dimension - 1])
    cell, local = mesh.boundary.T
    return found.meshio, mesh.cells[cell[:, None], closures[:, found.order][local]]


def surface(mesh: Mesh) -> Integers:
    """Split the boundary of a solid mesh into triangles whose vertices are nodes of the mesh [m, 3]."""
    closures = np.array(lagrange(mesh.cell, mesh.order).entity_closure_dofs[2])
    cell, local = mesh.boundary.T
    facets = mesh.cells[cell[:, None], closures[local]]
    parts: Integers = facets[:, np.array(_TRIANGLES[mesh.reference.facet_cell, mesh.order])].reshape(-1, 3)
    return parts


def triangles(mesh: Mesh) -> tuple[Integers, Integers]:
    """Split the cells of a plane mesh into triangles whose vertices are nodes of the mesh.

    Returns:
        Nodes of each triangle [m, 3], counter-clockwise if the cell is straight, and the cell that each triangle lies in [m].
    """
    parts = np.array(_TRIANGLES[mesh.cell, mesh.order])
    return mesh.cells[:, parts].reshape(-1, 3), np.repeat(np.arange(mesh.n_cells), len(parts))
