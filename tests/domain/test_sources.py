"""Test source points behind the boundary: outside the domain, in its holes too, spread evenly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vpinn.domain import Mesh, box, l_shape, locate, read_mesh, rectangle, sources_behind
from vpinn.domain.sources import local_scale

PLATE = Path(__file__).parents[2] / "problems" / "meshes" / "four_holes.msh"


@pytest.fixture(scope="module")
def plate() -> Mesh:
    return read_mesh(PLATE)


SHAPES = {"square": (rectangle(cells=4), 0.01), "l": (l_shape(4), 0.005), "box": (box(cells=2), 0.01)}


@pytest.mark.parametrize("name", [*SHAPES, "plate"])
def test_sources_lie_outside_and_keep_their_distance(name: str, plate: Mesh) -> None:
    """In units of the diameter; those in small holes and beside re-entrant corners are closer together."""
    mesh, least = SHAPES.get(name, (plate, 0.005))
    places = sources_behind(mesh, 60)
    assert 50 <= len(places) <= 60
    assert (locate(mesh, places)[0] < 0).all()
    lower, upper = mesh.bounds
    gap = np.linalg.norm(places[:, None] - places[None], axis=2) + np.eye(len(places))
    assert gap.min() >= least * np.linalg.norm(upper - lower)


def test_holes_have_their_own(plate: Mesh) -> None:
    """Behind circles of radius 0.1, half of the radius away from them where the distance between neighbours allows more."""
    places = sources_behind(plate, 80)
    inside = (np.abs(places) < 0.45).all(1)
    depth = np.linalg.norm(np.abs(places[inside]) - 0.3, axis=1)
    assert 40 <= inside.sum() <= 60  # of perimeters 2.5 and 4, on scales of 0.1 and three times that
    assert ((depth > 0.02) & (depth < 0.08)).all()
    assert (np.abs(places[~inside]).max(1) > 0.51).all()


def test_the_least_distance_is_kept() -> None:
    """Of 300 sources around 64 edges of length 1/16 most would be nearer than such an edge is long."""
    for least in (0.25, 1.0):
        places = sources_behind(rectangle(cells=16), 300, least=least)
        distance = np.linalg.norm(np.maximum(np.abs(places - 0.5) - 0.5, 0.0), axis=1)
        assert len(places) == 300 if least < 1.0 else 30 <= len(places) <= 100
        assert distance.min() >= least / 16 * (1 - 1e-9)
        assert bool(distance.min() < 1 / 16) is (least < 1.0)


def test_the_scale_of_a_boundary(plate: Mesh) -> None:
    """A hole's radius on its rim, and the distance from it more beyond; half the way to the other side of a re-entrant corner."""
    mesh = plate
    middle = mesh.nodes[mesh.facet_vertices(mesh.facets("all"))].mean(axis=1)
    hole = np.abs(middle).max(1) < 0.45
    scale = local_scale(mesh)
    assert np.abs(scale[hole] - 0.1).max() <= 1e-3
    gap = np.linalg.norm(middle[~hole, None] - middle[hole], axis=2).min(axis=1)
    assert np.abs(scale[~hole] - (0.1 + gap)).max() <= 1e-3
    mesh = l_shape(8)
    middle = mesh.nodes[mesh.facet_vertices(mesh.facets("all"))].mean(axis=1)
    edge = np.abs(middle[:, 1]) + (middle[:, 0] < 0) < 1e-12
    assert np.allclose(local_scale(mesh)[edge], middle[edge, 0], atol=1e-12)  # balls between perpendicular edges
