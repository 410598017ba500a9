"""Points behind the boundary: outside the domain, in its holes too, evenly spread."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vpinn.domain import Mesh, box, l_shape, locate, read_mesh, rectangle, sources_behind

PLATE = Path(__file__).parents[2] / "problems" / "meshes" / "four_holes.msh"


@pytest.mark.parametrize(
    "mesh", [rectangle(cells=4), l_shape(4), box(cells=2), read_mesh(PLATE)], ids=["square", "l", "box", "plate"]
)
def test_sources_lie_outside_and_keep_their_distance(mesh: Mesh) -> None:
    places = sources_behind(mesh, 60)
    assert 50 <= len(places) <= 60
    assert (locate(mesh, places)[0] < 0).all()
    lower, upper = mesh.bounds
    gap = np.linalg.norm(places[:, None] - places[None], axis=2) + np.eye(len(places))
    assert gap.min() >= 0.01 * np.linalg.norm(upper - lower)


def test_holes_have_their_own() -> None:
    """Behind circles of radius 0.1, half of the radius away from them where the distance between neighbours allows more."""
    places = sources_behind(read_mesh(PLATE), 80)
    inside = (np.abs(places) < 0.45).all(1)
    depth = np.linalg.norm(np.abs(places[inside]) - 0.3, axis=1)
    assert 20 <= inside.sum() <= 40
    assert ((depth > 0.02) & (depth < 0.08)).all()
    assert (np.abs(places[~inside]).max(1) > 0.51).all()
