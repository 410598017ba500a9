"""Test local refinement: no hanging nodes, the same domain, tags and geometry."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from vpinn.domain import CellPoints, FacetPoints, Mesh, bisect, box, disk, interval, rectangle, replayed

MESHES = {
    "interval": lambda: interval(cells=4),
    "triangles": lambda: rectangle(cells=3),
    "curved": lambda: disk(cells=4),
    "tetrahedra": lambda: box(cells=2),
    "quadrilaterals": lambda: rectangle(cells=3, cell="quadrilateral"),
}


def some_cells(mesh: Mesh, share: float, seed: int) -> np.ndarray:
    count = max(1, round(share * mesh.n_cells))
    return np.random.default_rng(seed).choice(mesh.n_cells, count, replace=False)


@pytest.fixture(params=MESHES)
def pair(request: pytest.FixtureRequest) -> tuple[Mesh, Mesh]:
    mesh = MESHES[request.param]()
    fine = mesh
    for seed in range(3):
        fine = bisect(fine, some_cells(fine, 0.2, seed))
    return mesh, fine


def test_volume_boundary_and_tags_stay(pair: tuple[Mesh, Mesh]) -> None:
    mesh, fine = pair
    assert fine.n_cells > mesh.n_cells
    assert fine.tags == mesh.tags
    assert CellPoints(fine, 4).volume == pytest.approx(CellPoints(mesh, 4).volume, rel=1e-13)
    for tag in mesh.tags:
        coarse = FacetPoints(mesh, mesh.facets(tag), 6).volume
        assert FacetPoints(fine, fine.facets(tag), 6).volume == pytest.approx(coarse, rel=1e-7 if mesh.order == 2 else 1e-13)


def test_no_node_hangs(pair: tuple[Mesh, Mesh]) -> None:
    """Every facet belongs to two cells or to the boundary, and that is as large as before; no two nodes are in one place."""
    _, fine = pair
    facets = np.sort(fine.vertices[:, fine.reference.facets], axis=2).reshape(-1, fine.reference.facets.shape[1])
    count = Counter(map(tuple, facets.tolist()))
    assert set(count.values()) <= {1, 2}
    assert sum(1 for times in count.values() if times == 1) == len(fine.boundary)
    places = np.unique(fine.nodes.round(10), axis=0)
    assert len(places) == len(fine.nodes)


def test_cells_keep_their_shape() -> None:
    """Bisecting the cells around one vertex ten times leaves them no flatter than four times flatter than before."""
    mesh = fine = rectangle(cells=3)

    def quality(some: Mesh) -> float:
        middle = np.full((1, 2), 1 / 3)
        return float((some.frames(np.arange(some.n_cells), middle).determinant[:, 0] / some.h**2).min())

    for _ in range(10):
        fine = bisect(fine, np.flatnonzero((fine.nodes[fine.vertices] == 0.0).all(axis=2).any(axis=1)))
    assert fine.h.min() == pytest.approx(mesh.h.min() / 2**10)
    assert fine.n_cells < 40 * 10
    assert quality(fine) > quality(mesh) / 4


def test_a_function_on_the_coarse_mesh_is_one_on_the_fine(pair: tuple[Mesh, Mesh]) -> None:
    """Coordinates, integrated over parts of cells by their tags."""
    mesh, _ = pair
    tagged = Mesh(mesh.cell, mesh.order, mesh.nodes, mesh.cells, mesh.boundary, mesh.facet_tags, {"some": np.arange(2)})
    fine = bisect(bisect(tagged, np.array([0])), np.array([1]))

    def moment(some: Mesh) -> float:
        points = CellPoints(some, 6)
        taken = points.take(range(points.size))
        inside = np.isin(taken.cell, some.cell_tags["some"])
        return float((taken.w * taken.x[:, 0] ** 2)[inside].sum())

    assert moment(fine) == pytest.approx(moment(tagged), rel=1e-12)


def test_marks_lead_to_the_same_mesh_again(pair: tuple[Mesh, Mesh]) -> None:
    mesh, fine = pair
    again = replayed(mesh, fine.bisected)
    assert np.array_equal(again.nodes, fine.nodes)
    assert np.array_equal(again.cells, fine.cells)
