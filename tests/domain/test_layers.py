"""Test layers of flat cells around edges of a body: no hanging nodes, the same body, cells thin across the edges only."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from vpinn.domain import CellPoints, FacetPoints, Mesh, box, creases, layered, make_mesh, replayed, touching
from vpinn.domain.layers import SHARE


def notched(cells: int = 4) -> Mesh:
    """Return a cube of side 2 without the octant x, y, z > 0, whose rim is tagged."""
    cube = box((-1, -1, -1), (1, 1, 1), (cells,) * 3)
    mesh = make_mesh(cube.nodes, cube.cells[~(cube.nodes[cube.vertices].mean(axis=1) > 0).all(axis=1)], cube.cell)
    middle = mesh.nodes[mesh.facet_vertices(np.arange(len(mesh.boundary)))].mean(axis=1)
    return mesh.tagged({"notch": np.abs(middle).max(axis=1) < 1 - 1e-9, "low": middle[:, 2] < -1 + 1e-9})


def inner(mesh: Mesh) -> np.ndarray:
    """Return the edges on the positive axes, where the notch turns inwards."""
    edges = creases(mesh)
    zeros = (np.abs(mesh.nodes[edges]) < 1e-12).sum(axis=2)
    return edges[(zeros >= 2).all(axis=1)]


def test_edges_that_turn_inwards_or_part_tags_are_found() -> None:
    mesh = notched()
    edges = creases(mesh)
    ends = mesh.nodes[edges]
    on_axes = ((np.abs(ends) < 1e-12).sum(axis=2) >= 2).all(axis=1)
    assert on_axes.sum() == 3 * 2  # two on every positive axis
    low = (ends[..., 2] == -1).all(axis=1)
    assert low.sum() == 4 * 4  # the rim of the lowest side
    notch = (ends >= 0).all(axis=(1, 2)) & ~on_axes  # the rim of the notch: six edges of length one
    assert notch.sum() == 6 * 2
    assert len(edges) == on_axes.sum() + low.sum() + notch.sum()
    assert not len(creases(box(cells=2).tagged({})))  # nothing turns inwards


def test_a_layer_is_thin_across_the_edge_and_long_along_it() -> None:
    mesh = notched()
    fine, lines = mesh, inner(mesh)
    for times in (1, 2):
        fine = layered(fine, inner(fine))
        near = fine.nodes[fine.vertices[touching(fine, inner(fine))]]
        off = near[(np.abs(near) > 1e-12).sum(axis=2) > 1].reshape(-1, 3)
        away = np.sort(np.abs(off), axis=1)[:, 1]  # about the distance from the nearest axis
        assert away.max() < 2 * 0.5 * SHARE**times
        assert len(inner(fine)) == len(lines)  # none of the lines is cut
    assert fine.n_cells < 4 * mesh.n_cells


@pytest.mark.parametrize("cells", [2, 4])
def test_body_tags_and_conformity_stay(cells: int) -> None:
    mesh = notched(cells)
    fine = layered(layered(mesh, inner(mesh)), creases(mesh))
    assert CellPoints(fine, 2).volume == pytest.approx(7.0, rel=1e-13)
    for tag in mesh.tags:
        areas = [FacetPoints(one, one.facets(tag), 2).volume for one in (mesh, fine)]
        assert areas[1] == pytest.approx(areas[0], rel=1e-13)
    facets = np.sort(fine.vertices[:, fine.reference.facets], axis=2).reshape(-1, 3)
    count = Counter(map(tuple, facets.tolist()))
    assert sum(times == 1 for times in count.values()) == len(fine.boundary)
    assert max(count.values()) == 2
    assert len(np.unique(fine.nodes.round(10), axis=0)) == len(fine.nodes)
    again = replayed(mesh, fine.bisected)
    assert np.array_equal(again.nodes, fine.nodes)
    assert np.array_equal(again.cells, fine.cells)
