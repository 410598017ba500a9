"""Test fields over very many cells as pixels: their positions, their values, and when they are used."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from vpinn.domain import disk, rectangle
from vpinn.output.figures import make_scene
from vpinn.output.planes import Plane
from vpinn.output.raster import PIXELS, Raster


def test_pixels_replace_cells_where_these_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    mesh = rectangle((0.0, 0.0), (2.0, 1.0), cells=(4, 2))
    assert isinstance(make_scene(mesh), Plane)
    monkeypatch.setattr("vpinn.output.figures.MANY", 3)
    assert isinstance(make_scene(mesh), Raster)


def test_pixels_show_the_field_where_they_are() -> None:
    """Of x on a disk: the picture rises from left to right, is empty outside, and cells are drawn in their own places."""
    mesh = disk(cells=6)
    scene = Raster(mesh)
    x = scene.points.x
    assert len(x) == pytest.approx(PIXELS * np.pi / 4, rel=0.02)
    axes = Figure().subplots()
    scene.draw([axes], x[:, 0], ("viridis", Normalize(-1.0, 1.0)))
    picture = np.ma.filled(axes.images[0].get_array(), np.nan)
    middle = picture[len(picture) // 2]
    assert np.isnan(picture[0, 0])
    assert np.isfinite(middle).all()
    assert np.all(np.diff(middle) > 0)
    assert middle[0] == pytest.approx(-1.0, abs=0.01)
    other = Figure().subplots()
    scene.draw_cells([other], np.arange(mesh.n_cells, dtype=float), ("viridis", Normalize(0.0, float(mesh.n_cells))))
    shown = np.ma.filled(other.images[0].get_array(), np.nan)
    assert np.array_equal(shown[np.isfinite(shown)], scene.points.cell)
