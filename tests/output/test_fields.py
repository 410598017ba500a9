from __future__ import annotations

import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import meshio
import numpy as np
import pytest

from vpinn.domain import CellPoints, LagrangeSpace, Mesh, box, interval, make_mesh, read_mesh, rectangle
from vpinn.errors import InputError, StorageError
from vpinn.output import export, fields_at
from vpinn.output import formats as written
from vpinn.output.canvas import DETAIL, make_canvas
from vpinn.solution import Solution

Solved = Callable[[str], Solution]
SHAPES = {
    "interval": interval(cells=3),
    "triangle": rectangle(cells=2),
    "quadrilateral": rectangle(cells=2, cell="quadrilateral"),
    "tetrahedron": box(cells=1),
    "hexahedron": box(cells=2, cell="hexahedron"),
}


def bent(mesh: Mesh) -> Mesh:
    """Return a second-order version of a mesh, with curved cells."""
    space = LagrangeSpace(mesh, 2)
    x = space.locations()
    x[:, 0] += 0.1 * np.sin(x).prod(axis=1) ** 2
    return make_mesh(x, space.dofs, mesh.cell, order=2)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("cell", list(SHAPES))
def test_meshes_come_back_from_vtu(cell: str, order: int, tmp_path: Path) -> None:
    mesh = SHAPES[cell] if order == 1 else bent(SHAPES[cell])
    path = tmp_path / "mesh.vtu"
    path.write_bytes(written.vtu(mesh.nodes, mesh, {}, {}))
    if cell == "interval":
        assert meshio.read(path).cells[0].data.tolist() == mesh.cells.tolist()
        return
    back = read_mesh(path)  # whose table of node orders is another one
    np.testing.assert_array_equal(back.cells, mesh.cells)
    np.testing.assert_allclose(CellPoints(back, 4).entity_volumes, CellPoints(mesh, 4).entity_volumes, rtol=1e-14)


@pytest.mark.parametrize("suffix", ["vtu", "xdmf"])
def test_values_at_nodes(solved: Solved, tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", ModuleType("h5py"))  # meshio imports it to read any xdmf, and needs none of it here
    solution = solved("square")
    found = meshio.read(export(solution, tmp_path / f"s.{suffix}"))
    x = found.points[:, :2]
    inside = solution.evaluate(x)["u"]
    np.testing.assert_allclose(found.point_data["u"], inside, atol=1e-14)
    np.testing.assert_allclose(found.point_data["grad_u"][:, :2], solution.gradient(x)["u"], atol=1e-12)
    np.testing.assert_allclose(found.point_data["u_exact"], x[:, 0] * (1 - x[:, 0]), atol=1e-15)
    np.testing.assert_allclose(found.point_data["u_error"], inside - x[:, 0] * (1 - x[:, 0]), atol=1e-14)
    assert len(x) >= DETAIL[2]
    estimate = found.cell_data["error_estimate"][0].reshape(9, -1)
    np.testing.assert_array_equal(estimate, np.repeat(np.asarray(solution.cell_estimate)[:, None], estimate.shape[1], axis=1))


def test_curved_mesh_keeps_its_area(solved: Solved, tmp_path: Path) -> None:
    solution = solved("disk")
    mesh = solution.problem.domain
    assert isinstance(mesh, Mesh)
    back = read_mesh(export(solution, tmp_path / "disk.vtu"))
    assert back.order == 2
    assert CellPoints(back, 4).volume == pytest.approx(CellPoints(mesh, 4).volume, rel=1e-13)


def test_nodes_know_their_place(solved: Solved) -> None:
    mesh = solved("disk").problem.domain
    assert isinstance(mesh, Mesh)
    points = make_canvas(mesh).points
    np.testing.assert_allclose(mesh.frames_at(points.cell, points.reference).x, points.x, atol=1e-13)


def test_nodes_between_two_materials_belong_to_the_same_one() -> None:
    mesh = rectangle(cells=4)
    east = mesh.nodes[mesh.cells].mean(axis=1)[:, 0] > 0.5
    mesh = replace(mesh, cell_tags={"west": np.flatnonzero(~east), "east": np.flatnonzero(east)})
    points = make_canvas(mesh).points
    between = points.x[:, 0] == 0.5
    assert between.any()
    assert east[points.cell[between]].all()


def test_vectors_have_three_components(solved: Solved, tmp_path: Path) -> None:
    solution = solved("beam")
    found = meshio.read(export(solution, tmp_path / "beam.vtu"))
    assert found.point_data["w"].shape[1] == 3
    assert (found.point_data["w"][:, 2] == 0.0).all()
    gradient = found.point_data["grad_w"].reshape(-1, 3, 3)
    np.testing.assert_allclose(gradient[:, :2, :2], solution.gradient(found.points[:, :2])["w"], atol=1e-12)
    assert (gradient[:, 2] == 0.0).all()


def test_cell_tags(solved: Solved, tmp_path: Path) -> None:
    solution = solved("square")
    mesh = solution.problem.domain
    assert isinstance(mesh, Mesh)
    tagged = replace(mesh, cell_tags={"steel <1>": np.array([0, 4])})
    changed = replace(solution, problem=replace(solution.problem, domain=tagged))
    marks = meshio.read(export(changed, tmp_path / "s.vtu")).cell_data["tag_steel <1>"][0].reshape(9, -1)
    assert marks.min(axis=1).tolist() == marks.max(axis=1).tolist() == [1, 0, 0, 0, 1, 0, 0, 0, 0]


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("cell", list(SHAPES))
def test_boundary_tags_are_facets_of_the_file(cell: str, order: int, tmp_path: Path) -> None:
    """They follow the cells, lie on their side, and have their nodes in VTK's order."""
    mesh = SHAPES[cell]
    if order == 2:
        space = LagrangeSpace(mesh, 2)
        mesh = replace(make_mesh(space.locations(), space.dofs, cell, order=2), facet_tags={"left": np.array([0])})
    (tmp_path / "mesh.vtu").write_bytes(written.vtu(mesh.nodes, mesh, {}, {"e": np.ones(mesh.n_cells)}))
    found = meshio.read(tmp_path / "mesh.vtu")
    cells, facets = found.cells
    assert (len(cells.data), len(facets.data)) == (mesh.n_cells, len(mesh.boundary))
    assert np.isnan(found.cell_data["e"][1]).all()
    off, on = found.cell_data["tag_left"]
    assert not off.any()
    assert np.flatnonzero(on).tolist() == np.sort(mesh.facet_tags["left"]).tolist()
    x = found.points[facets.data]
    if order == 1:
        assert (x[on == 1][..., 0] == 0.0).all()
    elif mesh.dimension > 1:
        n = {"line3": 2, "triangle6": 3, "quad9": 4}[facets.type]
        for k in range(1 if n == 2 else n):
            np.testing.assert_allclose(x[:, n + k], (x[:, k] + x[:, (k + 1) % n]) / 2.0, atol=1e-15)


def test_refinement_adds_to_the_default(solved: Solved) -> None:
    domain = solved("square").problem.domain
    assert make_canvas(domain, 1).mesh.n_cells == 4 * make_canvas(domain).mesh.n_cells
    with pytest.raises(InputError, match="refine less"):
        make_canvas(rectangle(cells=300), 4)


def test_pvd_points_to_the_vtu_beside_it(solved: Solved, tmp_path: Path) -> None:
    export(solved("line"), tmp_path / "run & 1.pvd")
    (entry,) = ElementTree.parse(tmp_path / "run & 1.pvd").getroot().iter("DataSet")
    assert "u" in meshio.read(tmp_path / entry.attrib["file"]).point_data


def test_csv_and_npz_at_points(solved: Solved, tmp_path: Path) -> None:
    solution, x = solved("beam"), [[0.5, 0.5], [9.0, 9.0]]
    table = np.genfromtxt(export(solution, tmp_path / "p.csv", points=x), delimiter=",", names=True, deletechars="")
    assert table.dtype.names == ("x", "y", "w0", "w1", "dw0/dx", "dw0/dy", "dw1/dx", "dw1/dy")
    assert table["w1"][0] == solution.evaluate(x)["w"][0, 1]
    assert table["dw1/dx"][0] == solution.gradient(x)["w"][0, 1, 0]
    assert np.isnan([table[name][1] for name in table.dtype.names[2:]]).all()
    with np.load(export(solution, tmp_path / "p.npz", points=x)) as archive:
        np.testing.assert_array_equal(archive["grad_w"], fields_at(solution, x).values["grad_w"])


def test_a_box_without_cells(solved: Solved, tmp_path: Path) -> None:
    flat = meshio.read(export(solved("unmeshed"), tmp_path / "s.vtu"))
    assert flat.cells[0].type == "quad"
    assert np.isfinite(flat.point_data["u"]).all()
    with np.load(export(solved("cube"), tmp_path / "s.npz")) as archive:
        assert archive["x"].shape == (10_000, 4)
        assert set(archive.files) == {"x", "u", "grad_u", "u_exact", "u_error"}
    with pytest.raises(InputError, match="at most 3 dimensions"):
        export(solved("cube"), tmp_path / "s.vtu")


def test_files_are_reproducible(solved: Solved, tmp_path: Path) -> None:
    for suffix in ("vtu", "xdmf", "csv", "npz"):
        first, second = (export(solved("line"), tmp_path / f"{k}.{suffix}").read_bytes() for k in range(2))
        assert first == second


def test_errors(solved: Solved, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"give a name that ends in \.vtu, \.pvd"):
        export(solved("line"), tmp_path / "s.stl")
    with pytest.raises(InputError, match="between 0 and 4, got 5"):
        export(solved("line"), tmp_path / "s.vtu", refine=5)
    with pytest.raises(InputError, match="2 coordinates"):
        fields_at(solved("square"), [[0.1, 0.2, 0.3]])
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        export(solved("line"), tmp_path / "file" / "s.vtu")
