"""Facets along smooth curves are halved with nodes on the curve; nothing else of a mesh changes."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from vpinn.domain import CellPoints, FacetPoints, FacingPoints, LagrangeSpace, Mesh, disk, make_mesh, rectangle, replayed, rounded

from .meshes import SHAPED, curved

ANGLE = 1.5
SECTOR = {"left": 0.5, "right": 1.5}
"""Sides of the sector that are arcs → their radius."""


def sector() -> Mesh:
    """Return a sector of a ring, 0.5 < r < 1.5, of two materials that meet at r = 1; arcs end in corners of straight sides."""
    flat = rectangle((0.5, 0.0), (1.5, ANGLE), [2, 5])
    space = LagrangeSpace(flat, 2)
    r, angle = space.locations().T
    sides = {name: flat.facet_vertices(rows) for name, rows in flat.facet_tags.items()}
    own = flat.nodes[flat.vertices].mean(axis=1)[:, 0] < 1.0
    tags = {"inner": np.flatnonzero(own), "outer": np.flatnonzero(~own)}
    assert np.allclose(space.locations()[: len(flat.nodes)], flat.nodes)  # vertices come first
    return make_mesh(np.stack([r * np.cos(angle), r * np.sin(angle)], axis=1), space.dofs, "triangle", 2, sides, tags)


def radii(mesh: Mesh) -> dict[str, float]:
    """Return how far the arcs of the sector are from their circles."""
    found = {}
    for name, radius in SECTOR.items():
        points = FacetPoints(mesh, mesh.facets([name]), 9)
        found[name] = float(np.abs(np.linalg.norm(points.take(range(points.size)).x, axis=1) - radius).max())
    between = FacingPoints(mesh, "inner", "outer", 9)
    return {**found, "joint": float(np.abs(np.linalg.norm(between.take(range(between.size)).x, axis=1) - 1.0).max())}


def test_arcs_come_closer_to_their_circles() -> None:
    """By 16 for each halving, and by more if neighbouring nodes did not determine the curve."""
    first = sector()
    once = rounded(first)
    twice = rounded(first, 2)
    for name, before in radii(first).items():
        assert before > 1e-6
        assert radii(once)[name] < before / 10.0
        assert radii(twice)[name] < before / 100.0


def test_straight_sides_areas_and_tags_stay() -> None:
    first, fine = sector(), rounded(sector(), 2)
    for name in ("bottom", "top"):
        x = FacetPoints(fine, fine.facets([name]), 3).take(range(4)).x
        angle = np.arctan2(x[:, 1], x[:, 0])
        np.testing.assert_allclose(angle, 0.0 if name == "bottom" else ANGLE, atol=1e-14)
        assert len(fine.facet_tags[name]) == len(first.facet_tags[name])
    exact = ANGLE * np.array([1.0 - 0.25, 2.25 - 1.0]) / 2.0
    h = [np.bincount(np.isin(np.arange(m.n_cells), m.cell_tags["outer"]), CellPoints(m, 8).entity_volumes) for m in (first, fine)]
    assert (np.abs(h[1] - exact) < np.abs(h[0] - exact) / 50.0).all()
    assert len(fine.facet_tags["left"]) == 4 * len(first.facet_tags["left"])


def test_a_disk_is_rounded_until_its_facets_are_close_enough_and_again_in_the_same_way() -> None:
    mesh = disk(cells=4)
    fine = rounded(mesh, 9)
    assert fine.n_cells <= mesh.n_cells + 7 * len(mesh.boundary)
    assert abs(CellPoints(fine, 8).volume - np.pi) < 1e-6
    again = replayed(mesh, fine.bisected)
    np.testing.assert_array_equal(again.nodes, fine.nodes)
    np.testing.assert_array_equal(again.cells, fine.cells)


def fan(curve: NDArray[np.float64]) -> Mesh:
    """Return triangles of second order around the origin, whose outer sides pass through points: ends and middles in turn."""
    count = len(curve) // 2
    straight = make_mesh(
        np.vstack([np.zeros((1, 2)), curve[::2]]), np.array([[0, 1 + k, 2 + k] for k in range(count)]), "triangle"
    )
    space = LagrangeSpace(straight, 2)
    nodes = space.locations()
    for k in range(count):
        middle = np.linalg.norm(nodes - (curve[2 * k] + curve[2 * k + 2]) / 2, axis=1).argmin()
        nodes[middle] = curve[2 * k + 1]
    return make_mesh(nodes, space.dofs, "triangle", 2)


def outer(mesh: Mesh) -> NDArray[np.float64]:
    """Return points on the outer sides of a fan."""
    ends = np.linalg.norm(mesh.nodes[mesh.facet_vertices(np.arange(len(mesh.boundary)))], axis=2)
    points = FacetPoints(mesh, np.flatnonzero(ends.min(axis=1) > 0.9), 9)
    return points.take(range(points.size)).x


def test_an_ellipse_whose_curvature_changes_is_followed() -> None:
    angles = np.linspace(0.0, 1.5, 33)
    angles += 0.1 * np.sin(2.0 * angles)
    mesh = fan(np.stack([1.6 * np.cos(angles), np.sin(angles)], axis=1))
    off = [np.abs(np.hypot(x[:, 0] / 1.6, x[:, 1]) - 1.0).max() for x in (outer(mesh), outer(rounded(mesh)))]
    assert off[1] < off[0] / 4.0


def test_no_curve_is_led_through_a_jump_of_the_curvature() -> None:
    """Arcs of radii 1 and 1.4 share a tangent at angle zero; facets on both sides of it do not move away from them."""
    angles = np.linspace(-0.8, 0.8, 17)
    centre, radius = np.where(angles < 0.0, 0.0, -0.4), np.where(angles < 0.0, 1.0, 1.4)
    mesh = fan(np.stack([centre + radius * np.cos(angles), radius * np.sin(angles)], axis=1))

    def off(x: NDArray[np.float64]) -> float:
        below = np.hypot(x[:, 0], x[:, 1]) - 1.0
        above = np.hypot(x[:, 0] + 0.4, x[:, 1]) - 1.4
        return float(np.abs(np.where(x[:, 1] < 0.0, below, above)).max())

    fine = rounded(mesh)
    assert fine.n_cells > mesh.n_cells
    assert off(outer(fine)) <= 1.01 * off(outer(mesh))


def polygon(corners: int) -> Mesh:
    """Return a regular polygon of straight triangles of second order."""
    angles = 2.0 * np.pi * np.arange(corners) / corners
    nodes = np.vstack([np.zeros((1, 2)), np.stack([np.cos(angles), np.sin(angles)], axis=1)])
    around = np.arange(corners)
    cells = np.stack([np.zeros(corners, dtype=np.int64), 1 + around, 1 + (around + 1) % corners], axis=1)
    space = LagrangeSpace(make_mesh(nodes, cells, "triangle"), 2)
    return make_mesh(space.locations(), space.dofs, "triangle", 2)


def scalloped(corners: int) -> Mesh:
    """Return a polygon whose sides bulge outwards, with a corner between any two."""
    mesh = polygon(corners)
    middle = np.flatnonzero(np.abs(np.linalg.norm(mesh.nodes, axis=1) - np.cos(np.pi / corners)) < 1e-9)
    nodes = mesh.nodes.copy()
    nodes[middle] *= 1.1
    return make_mesh(nodes, mesh.cells, "triangle", 2)


@pytest.mark.parametrize("mesh", [polygon(24), scalloped(12), *(make() for make in SHAPED.values() if make().order == 1)])
def test_polygons_and_other_meshes_are_left_as_they_are(mesh: Mesh) -> None:
    assert rounded(mesh) is mesh
    if mesh.dimension == 3:
        bent = curved(mesh)
        assert rounded(bent) is bent
