"""Test corners of plane boundaries: their positions, their angles, and which are left out."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vpinn.domain import Mesh, box, corners_of, disk, l_shape, make_mesh, read_mesh, rectangle

MESHES = Path(__file__).parents[2] / "problems" / "meshes"


def one_part(mesh: Mesh) -> np.ndarray:
    return np.zeros(len(mesh.boundary), dtype=np.int64)


def test_the_corners_of_an_l_shape() -> None:
    found = {corner.place: corner for corner in corners_of(l_shape(3, "quadrilateral"), one_part(l_shape(3, "quadrilateral")))}
    assert set(found) == {(-1.0, -1.0), (0.0, -1.0), (0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (-1.0, 1.0)}
    for place, corner in found.items():
        assert corner.angle == pytest.approx(1.5 * math.pi if place == (0.0, 0.0) else 0.5 * math.pi, abs=1e-12)
    assert found[0.0, 0.0].direction == pytest.approx(0.0, abs=1e-12)
    assert math.cos(found[1.0, 1.0].direction) == pytest.approx(-1.0, abs=1e-12)


def test_where_conditions_change() -> None:
    """In the middle of a side, with a straight angle; the facets are those to the right and to the left of it."""
    mesh = rectangle(cells=4)
    middle = mesh.nodes[mesh.facet_vertices(mesh.facets("all"))].mean(axis=1)
    parts = ((middle[:, 1] == 0.0) & (middle[:, 0] < 0.5)).astype(np.int64)
    (corner,) = (c for c in corners_of(mesh, parts) if c.place == (0.5, 0.0))
    assert (corner.angle, corner.direction) == (pytest.approx(math.pi, abs=1e-12), pytest.approx(0.0, abs=1e-12))
    assert [parts[facet] for facet in corner.facets] == [0, 1]


def test_curves_have_none() -> None:
    """Angles are those between tangents; the square around four holes has corners, its circles have not."""
    assert corners_of(disk(cells=4), one_part(disk(cells=4))) == ()
    plate = read_mesh(MESHES / "four_holes.msh")
    assert len(corners_of(plate, one_part(plate))) == 4
    gear = read_mesh(MESHES / "gear.msh")
    angles = np.degrees([corner.angle for corner in corners_of(gear, one_part(gear))])
    assert len(angles) == 24
    assert np.abs(angles - 100.1).max() <= 0.1
    assert corners_of(box(cells=1), one_part(box(cells=1))) == ()


def test_rays_that_meet_the_domain_again() -> None:
    """Where the conditions change on a hole's rim, the ray outwards crosses the hole and enters the domain on its other side."""
    plate = read_mesh(MESHES / "four_holes.msh")
    middle = plate.nodes[plate.facet_vertices(plate.facets("all"))].mean(axis=1)
    parts = (np.hypot(*(middle - 0.3).T) < 0.11) & (middle[:, 0] > 0.3)
    assert len(corners_of(plate, parts.astype(np.int64))) == 4


def test_vertices_where_several_edges_meet() -> None:
    """Two squares that touch at a point: no angle of the domain belongs to it."""
    nodes = np.array([[0, 0], [1, 0], [0, 1], [1, 1], [2, 1], [1, 2], [2, 2]], float)
    mesh = make_mesh(nodes, np.array([[0, 1, 2, 3], [3, 4, 5, 6]]), "quadrilateral")
    assert (1.0, 1.0) not in {corner.place for corner in corners_of(mesh, one_part(mesh))}
    assert len(corners_of(replace(mesh), one_part(mesh))) == 6
