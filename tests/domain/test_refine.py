from __future__ import annotations

import numpy as np
import pytest

from vpinn.domain import CellPoints, FacetPoints, Mesh, disk, make_mesh, parents, refine

from .meshes import SHAPED, curved, shifted

MESHES = {
    **SHAPED,
    "skewed tetrahedra": lambda: shifted(SHAPED["tetrahedra"]()),
    "skewed hexahedra": lambda: shifted(SHAPED["hexahedra"]()),
    "curved triangles": lambda: curved(SHAPED["triangles"]()),
    "curved quadrilaterals": lambda: curved(SHAPED["quadrilaterals"]()),
    "curved tetrahedra": lambda: curved(SHAPED["tetrahedra"]()),
    "curved hexahedra": lambda: curved(SHAPED["hexahedra"]()),
}


def moments(mesh: Mesh, tag: str) -> np.ndarray:
    points = FacetPoints(mesh, mesh.facets(tag), 10)
    some = points.take(range(points.size))
    return np.einsum("n,ni,nj->ij", some.w, some.x, some.normal)


@pytest.mark.parametrize("name", MESHES)
def test_children_fill_their_parents_exactly(name: str):
    mesh = MESHES[name]()
    fine = refine(mesh)
    parts = 2**mesh.dimension
    assert (fine.n_cells, fine.order, fine.shape) == (parts * mesh.n_cells, mesh.order, mesh.shape)
    assert len(fine.boundary) == parts // 2 * len(mesh.boundary)
    volumes = CellPoints(fine, 2).entity_volumes.reshape(mesh.n_cells, parts).sum(axis=1)
    np.testing.assert_allclose(volumes, CellPoints(mesh, 2).entity_volumes, rtol=1e-12)
    assert fine.tags == mesh.tags
    for tag in mesh.tags:
        np.testing.assert_allclose(moments(fine, tag), moments(mesh, tag), atol=1e-12)


@pytest.mark.parametrize("name", MESHES)
def test_points_are_found_in_the_parents(name: str):
    mesh = MESHES[name]()
    fine = refine(mesh)
    points = CellPoints(fine, 3)
    taken = points.take(range(points.size))
    cells, reference = parents(mesh, taken.cell, taken.reference)
    np.testing.assert_allclose(mesh.frames_at(cells, reference).x, taken.x, atol=1e-13)


def test_cell_tags_and_interior_tags_are_kept():
    square = SHAPED["triangles"]()
    inner = {"cut": square.vertices[:1, [0, 2]]} if not np.isin(0, square.boundary[:, 0]) else {}
    mesh = make_mesh(square.nodes, square.cells, "triangle", 1, inner, {"core": np.array([3, 5])})
    fine = refine(mesh)
    assert fine.cell_tags["core"].tolist() == [12, 13, 14, 15, 20, 21, 22, 23]
    assert fine.interior_tags == mesh.interior_tags


def test_refining_twice_keeps_the_shape_of_cells():
    twice = refine(refine(SHAPED["tetrahedra"]()))
    quality = CellPoints(twice, 0).entity_volumes / twice.h**3
    first = SHAPED["tetrahedra"]()
    assert quality.min() > 0.3 * (CellPoints(first, 0).entity_volumes / first.h**3).min()


def test_a_refined_disk_keeps_the_parabolas_of_its_parent():
    mesh = disk(cells=3)
    assert abs(CellPoints(refine(mesh), 4).volume - CellPoints(mesh, 4).volume) < 1e-13
