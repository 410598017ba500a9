"""Test variances of scrambled Sobol points, against known values and against simulations. Seeds are fixed."""

from __future__ import annotations

import numpy as np
import pytest

from vpinn.domain import CellPoints, box, interval, rectangle
from vpinn.domain.point_set import PointSet
from vpinn.sampling import Sobol, Uniform, make_sampler
from vpinn.sampling.nets import gains


def contributions(points: PointSet) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    taken = points.take(range(points.size))
    return taken.w * (np.exp(taken.x[:, 0] + taken.x[:, -1]) + np.sin(9.0 * taken.x[:, -1] + taken.x[:, 0]))


@pytest.mark.parametrize("size", [1, 2, 8, 16])
def test_on_a_line_powers_of_two_are_strata(size: int) -> None:
    """One point in each of b equal intervals, uncorrelated: exactly the variance of stratified draws, on uneven cells too."""
    mesh = interval(cells=7)
    points = CellPoints(mesh, 5)
    f = contributions(points)
    sobol, strata = (make_sampler(name, points, size) for name in ("sobol", "stratified"))
    assert sobol.variance(f) == pytest.approx(strata.variance(f), rel=1e-11)


def test_all_points_of_a_square_grid_have_no_variance() -> None:
    """4^k equal points drawn by as many Sobol points are drawn once each; noise in a few is as that of independent draws."""
    points = CellPoints(rectangle(cells=8, cell="quadrilateral"), 0)
    noise = np.random.default_rng(0).standard_normal(points.size)
    assert make_sampler("sobol", points, 64).variance(noise) <= 1e-12
    few = make_sampler("sobol", points, 16).variance(noise)
    assert 0.3 < few / Uniform(64, 16).variance(noise) < 1.7


@pytest.mark.parametrize("dimension", [1, 2, 3])
def test_gains_of_a_net(dimension: int) -> None:
    """Of 16 points: none for |ℓ| ≤ 4 in one or two dimensions, and that of independent points beyond all first bits."""
    found = 16 * gains(dimension, 16, 5)
    total = np.indices(found.shape).sum(axis=0)
    assert found.min() >= 0.0
    assert found.flat[-1] == 1.0
    assert (found[-1] == 1.0).all()
    if dimension < 3:
        assert found[(total > 0) & (total <= 4)].max() == 0.0


QUICK = {("squares", 12), ("triangles", 50), ("cubes", 16)}


@pytest.mark.parametrize(
    ("name", "size"),
    [
        pytest.param(name, size, marks=() if (name, size) in QUICK else pytest.mark.slow)
        for name in ("squares", "triangles", "cubes")
        for size in (12, 16, 50)
    ],
)
def test_means_vary_as_told(name: str, size: int) -> None:
    """Over 2,000 draws (seed 4) within 13 %, four standard deviations of the variance of so many near-normal numbers."""
    mesh = {"squares": rectangle(cells=[7, 5], cell="quadrilateral"), "triangles": rectangle(cells=4), "cubes": box(cells=2)}
    points = CellPoints(mesh[name], 3)
    f, sampler, generator = contributions(points), make_sampler("sobol", points, size), np.random.default_rng(4)
    assert isinstance(sampler, Sobol)
    draws = [sampler.draw(generator) for _ in range(2000)]
    values = np.array([f[index] @ scale for index, scale in draws])
    assert values.var(ddof=1) == pytest.approx(sampler.variance(f), rel=0.13)
