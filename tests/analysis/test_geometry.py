"""Test the measure of how far the facets of a mesh are from the curve that they approximate."""

from __future__ import annotations

import math

import numpy as np
import pytest

from vpinn.analysis.geometry import kink
from vpinn.domain import box, disk, interval, rectangle


def test_straight_sides_have_no_kinks() -> None:
    for mesh in (rectangle(cells=3), rectangle(cells=2, cell="quadrilateral"), interval(cells=3), box(cells=1)):
        assert kink(mesh) == pytest.approx(0.0, abs=1e-12)


def test_kinks_of_a_circle() -> None:
    """A parabola through three points of a circle leaves its tangent by s³/4 of the half arc s, up to higher powers."""
    coarse, fine = (kink(disk(cells=n)) for n in (4, 8))
    assert coarse > fine > 0.0
    assert np.log2(coarse / fine) == pytest.approx(3.0, abs=0.1)
    mesh = disk(cells=8)
    s = math.pi / len(mesh.boundary)  # half an arc
    # the parabola through (−sin s, cos s), (0, 1), (sin s, cos s) has slope −2(1 − cos s)/sin s at its end, the circle −tan s
    slope = math.atan(math.tan(s)) - math.atan(2 * (1 - math.cos(s)) / math.sin(s))
    assert fine == pytest.approx(2 * slope, rel=1e-6)
