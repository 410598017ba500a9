"""Test balls and all of space: measures, moments of their points, normals, bad numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from vpinn.domain import Ball, BoundaryPart, Hypercube, Inside, Space, make_shape, scattered
from vpinn.errors import InputError

POINTS = 2**13


@pytest.mark.parametrize(("dimension", "unit"), [(1, 2.0), (2, math.pi), (3, 4 * math.pi / 3), (100, 2.368202101882829e-40)])
def test_volume_and_area_of_a_ball(dimension: int, unit: float) -> None:
    ball = Ball.of(dimension, radius=2.0)
    assert ball.volume == pytest.approx(unit * 2.0**dimension, rel=1e-12)
    assert ball.facet_areas[0] == pytest.approx(dimension * ball.volume / 2.0)


@pytest.mark.parametrize("rule", ["monte-carlo", "sobol"])
@pytest.mark.parametrize("dimension", [1, 3, 20])
def test_points_are_spread_by_volume(dimension: int, rule: str) -> None:
    ball = Ball.of(center=[0.5] * dimension, radius=2.0)
    points = Inside(ball).points(0, POINTS, rule).take(range(POINTS))
    assert ball.holds(points.x).all()
    assert points.w.sum() == pytest.approx(ball.volume)
    square = ((points.x - 0.5) ** 2).sum(axis=1)
    assert square.mean() == pytest.approx(4.0 * dimension / (dimension + 2), rel=0.03)
    assert np.abs(points.x.mean(axis=0) - 0.5).max() < 0.1


def test_points_of_the_sphere_have_unit_normals_that_point_outwards() -> None:
    ball = Ball.of(7, radius=3.0)
    points = BoundaryPart.of(ball, ("boundary",)).points(0, 500).take(range(500))
    assert points.normal is not None
    assert np.allclose(np.linalg.norm(points.x, axis=1), 3.0)
    assert np.allclose(points.normal * 3.0, points.x)
    assert points.w.sum() == pytest.approx(ball.facet_areas[0])


def test_scattered_points_reach_the_centre_of_a_ball_of_many_dimensions() -> None:
    ball = Ball.of(100)
    distance = np.linalg.norm(scattered(ball, 2**40, 3).take(range(4000)).x, axis=1)
    assert distance.max() <= 1.0
    assert np.mean(distance < 0.5) == pytest.approx(0.25, abs=0.03)
    assert np.mean(distance > 0.97) > 0.45


def test_points_of_space_are_normal() -> None:
    space = Space.of(center=[1.0, -2.0, 0.0], spread=0.5)
    points = Inside(space).points(0, POINTS).take(range(POINTS))
    assert np.allclose(points.x.mean(axis=0), [1.0, -2.0, 0.0], atol=0.02)
    assert np.allclose(points.x.std(axis=0), 0.5, rtol=0.02)
    assert points.w.sum() == pytest.approx(1.0)
    assert space.tags == ("all",)


def test_a_hypercube_by_its_dimension() -> None:
    assert make_shape("hypercube", dimension=3) == Hypercube((0.0,) * 3, (1.0,) * 3)
    assert make_shape("hypercube", dimension=2, lower=-1.0, upper=[1.0, 2.0]) == Hypercube((-1.0, -1.0), (1.0, 2.0))


@pytest.mark.parametrize(
    ("shape", "settings", "words"),
    [
        ("ball", {}, "needs dimension"),
        ("ball", {"dimension": 1001}, "1 to 1000"),
        ("ball", {"dimension": 1000}, r"a volume of 10\^-886, beyond the range"),
        ("hypercube", {"dimension": 1000, "lower": -1e3, "upper": 1e3}, "beyond the range"),
        ("ball", {"dimension": 3, "center": [0.0, 0.0]}, "3 finite numbers"),
        ("ball", {"dimension": 3, "radius": 0.0}, "positive"),
        ("ball", {"dimension": 5, "cells": 4}, "no cells"),
        ("hypercube", {"dimension": 5, "cell": "triangle"}, "at most three dimensions"),
        ("hypercube", {"lower": 0.0}, "needs dimension"),
        ("hypercube", {"dimension": 4, "lower": [0.0, 0.0]}, "4 finite numbers"),
        ("space", {"dimension": 2, "spread": -1.0}, "positive"),
        ("space", {"dimension": 2, "radius": 1.0}, "no setting"),
    ],
)
def test_bad_numbers_are_told(shape: str, settings: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        make_shape(shape, **settings)


def test_space_has_no_boundary() -> None:
    with pytest.raises(InputError, match="does not exist"):
        Space.of(2).facets("left")
