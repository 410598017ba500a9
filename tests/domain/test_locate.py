from __future__ import annotations

import numpy as np
import pytest

from vpinn.domain import CellPoints, Mesh, disk, locate, make_mesh, rectangle, refine

from .meshes import SHAPED, curved, shifted

MESHES = {
    **SHAPED,
    "skewed": lambda: shifted(SHAPED["quadrilaterals"](), 0.1),
    "skewed hexahedra": lambda: shifted(SHAPED["hexahedra"]()),
    "curved triangles": lambda: curved(SHAPED["triangles"]()),
    "curved hexahedra": lambda: curved(SHAPED["hexahedra"]()),
}


@pytest.mark.parametrize("name", MESHES)
def test_points_of_cells_are_found_in_their_cells(name: str):
    mesh = MESHES[name]()
    points = CellPoints(mesh, 6, "sobol")  # never on a shared facet
    some = points.take(range(points.size))
    cell, reference = locate(mesh, some.x)
    assert np.array_equal(cell, some.cell)
    np.testing.assert_allclose(reference, some.reference, atol=1e-10)


@pytest.mark.parametrize("name", MESHES)
def test_nodes_and_outside_points(name: str):
    mesh = MESHES[name]()
    cell, reference = locate(mesh, mesh.nodes)
    assert (cell >= 0).all()
    np.testing.assert_allclose(mesh.frames_at(cell, reference).x, mesh.nodes, atol=1e-8)
    low, high = mesh.bounds
    outside = np.array([high + 0.1, low - 0.2, high * np.nan, high + 1e300, np.full(mesh.dimension, np.inf)])
    cell, reference = locate(mesh, outside)
    assert (cell == -1).all()
    assert np.isnan(reference).all()


def test_disk_knows_its_own_boundary():
    mesh: Mesh = disk(cells=6)
    angle = np.linspace(0.0, 6.2, 500)
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    assert (locate(mesh, 0.9999 * circle)[0] >= 0).all()
    assert (locate(mesh, 1.0001 * circle)[0] < 0).all()


def test_cells_of_very_different_size():
    grid = rectangle(cells=20)
    mesh = make_mesh(grid.nodes**6 * [1.0, 3.0], grid.cells, "triangle")
    x = np.random.default_rng(0).random((2000, 2)) ** 4 * [1.0, 3.0]
    cell, reference = locate(mesh, x)
    assert (cell >= 0).all()
    np.testing.assert_allclose(mesh.frames_at(cell, reference).x, x, atol=1e-12)


def test_many_points_on_a_fine_mesh():
    mesh = refine(refine(disk(cells=8)))
    x = np.random.default_rng(0).uniform(-0.7, 0.7, (150_000, 2))
    cell, reference = locate(mesh, x)
    np.testing.assert_allclose(mesh.frames_at(cell, reference).x, x, atol=1e-12)
