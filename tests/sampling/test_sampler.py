"""Samplers alone: who is drawn how often, and what it costs in variance. Seeds are fixed; bounds are in standard errors."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

from vpinn.domain import CellPoints, FacetPoints, Hypercube, Mesh, MonteCarloPoints, PointSet, box, interval, rectangle
from vpinn.errors import InputError
from vpinn.sampling import SAMPLERS, Sampler, Stratified, Uniform, cell_order, make_sampler

MESH = rectangle(cells=[7, 5])
SETS: dict[str, PointSet] = {
    "cells": CellPoints(MESH, 3),
    "facets": FacetPoints(MESH, MESH.facets(("left", "top")), 5),
    "no cells": MonteCarloPoints(Hypercube((0.0,) * 4, (1.0,) * 4), 300, "sobol", 0),
}


class Cycle:
    """Stands for a generator: step t of a cycle in which every number of every range comes equally often."""

    def __init__(self, step: int) -> None:
        self.step = step

    def integers(self, high: Any, size: int | None = None) -> Any:
        return self.step % np.asarray(high) if size is None else np.full(size, self.step % high)


def period(sampler: Sampler) -> int:
    """Length of a full cycle."""
    if isinstance(sampler, Stratified):
        _, count, _ = sampler._strata
        return math.lcm(*(count * sampler.per_entity).tolist())
    return sampler.points


@pytest.mark.parametrize("size", [1, 6, 35, 64, 150])
@pytest.mark.parametrize("name", sorted(SAMPLERS))
@pytest.mark.parametrize("points", SETS)
def test_every_point_counts_once_on_average(points: str, name: str, size: int) -> None:
    """Expected count times scale is one for every point, exactly: averaged over all equally likely draws."""
    sampler = make_sampler(name, SETS[points], min(size, SETS[points].size))
    total = np.zeros(sampler.points)
    steps = period(sampler)
    assert steps <= 5_000
    for step in range(steps):
        index, scale = sampler.draw(Cycle(step))  # type: ignore[arg-type]
        assert len(index) == len(scale) == sampler.size
        np.add.at(total, index, scale)
    assert np.abs(total / steps - 1).max() <= 1e-12


@pytest.mark.parametrize("name", sorted(SAMPLERS))
@pytest.mark.parametrize("points", SETS)
def test_counts_of_real_draws(points: str, name: str) -> None:
    """The same with the generator itself: no count is farther than five standard errors from one (seed 11)."""
    sampler = make_sampler(name, SETS[points], 20)
    generator = np.random.default_rng(11)
    draws = 2000
    total, squares = np.zeros(sampler.points), np.zeros(sampler.points)
    for _ in range(draws):
        index, scale = sampler.draw(generator)
        one = np.bincount(index, scale, minlength=sampler.points)
        total += one
        squares += one**2
    mean = total / draws
    error = np.sqrt((squares / draws - mean**2) / draws)
    assert error.max() < 0.2
    assert (np.abs(mean - 1) / error).max() <= 5


def test_the_same_seed_draws_the_same() -> None:
    for name in SAMPLERS:
        sampler = make_sampler(name, SETS["cells"], 9)
        first, second = (sampler.draw(np.random.default_rng(4)) for _ in range(2))
        assert (first[0] == second[0]).all()
        assert (first[1] == second[1]).all()


@pytest.fixture(scope="module")
def contributions() -> tuple[CellPoints, np.ndarray[Any, Any]]:
    """A smooth integrand times its weights on 12 × 12 squares."""
    points = CellPoints(rectangle(cells=12, cell="quadrilateral"), 3)
    taken = points.take(range(points.size))
    x, y = taken.x.T
    return points, taken.w * np.exp(x) * np.sin(4 * y + x)


def variance(sampler: Sampler, f: np.ndarray[Any, Any], draws: int = 2000) -> float:
    generator = np.random.default_rng(5)
    return float(np.var([(f[i] * s).sum() for i, s in (sampler.draw(generator) for _ in range(draws))], ddof=1))


def test_the_variance_of_uniform_draws_is_that_of_one_over_b(contributions: Any) -> None:
    """Var = N² var(wf)/b. A variance of 2000 near-normal numbers is within 4·√(2/2000) = 12.6 % of the true one."""
    points, f = contributions
    for size in (8, 32, 128):
        expected = points.size**2 * f.var() / size
        assert variance(make_sampler("uniform", points, size), f) == pytest.approx(expected, rel=0.126)


def test_the_variance_of_stratified_draws_is_that_within_strata(contributions: Any) -> None:
    """Var = Σ_k N_k² var_k(wf)/n_k, below that of uniform draws and falling faster than 1/b."""
    points, f = contributions
    ratios = []
    for size in (8, 32, 128, 400):
        sampler = make_sampler("stratified", points, size)
        assert isinstance(sampler, Stratified)
        first, count, share = sampler._strata
        drawn = np.bincount(share)
        expected = 0.0
        for k, (start, cells) in enumerate(zip(first, count, strict=True)):
            members = (sampler.order[start : start + cells, None] * points.per_entity + np.arange(points.per_entity)).ravel()
            expected += len(members) ** 2 * f[members].var() / drawn[k]
        assert variance(sampler, f) == pytest.approx(expected, rel=0.126)
        ratios.append(expected / (points.size**2 * f.var() / size))
    assert ratios[0] < 0.6
    assert ratios[1] < 0.2
    assert ratios[2] < 0.06
    assert ratios == sorted(ratios, reverse=True)


@pytest.mark.parametrize("size", [1, 7, 70, 71, 150, 420])
def test_strata_are_proportional(size: int) -> None:
    points = SETS["cells"]
    sampler = make_sampler("stratified", points, size)
    assert isinstance(sampler, Stratified)
    first, count, share = sampler._strata
    assert count.sum() == points.entities
    assert (first == np.concatenate([[0], np.cumsum(count)[:-1]])).all()
    assert count.max() - count.min() <= 1
    drawn = np.bincount(share, minlength=len(count))
    assert drawn.sum() == size
    assert drawn.min() >= 1
    assert drawn.max() - drawn.min() <= 1


def test_the_order_of_cells_follows_the_z_curve() -> None:
    """Sixteen squares, numbered row by row, in the order of interleaved binary digits."""
    i, j = np.indices((4, 4)).reshape(2, -1)
    order = cell_order(np.stack([i, j], axis=1) + 0.5)
    code = [int(f"{b:02b}"[0] + f"{a:02b}"[0] + f"{b:02b}"[1] + f"{a:02b}"[1], 2) for a, b in zip(i, j, strict=True)]
    assert (order == np.argsort(code)).all()


@pytest.mark.parametrize("dimension", [1, 2, 3])
def test_neighbours_stand_together(dimension: int) -> None:
    """Consecutive cells are near each other on average, and far less near in a random order."""
    mesh: Mesh = (interval(cells=256), rectangle(cells=16, cell="quadrilateral"), box(cells=8, cell="hexahedron"))[dimension - 1]
    centers = mesh.nodes[mesh.vertices].mean(axis=1)[np.random.default_rng(0).permutation(mesh.n_cells)]
    order = cell_order(centers)
    assert sorted(order) == list(range(mesh.n_cells))
    h = mesh.n_cells ** (-1 / dimension)
    jumps = np.linalg.norm(np.diff(centers[order], axis=0), axis=1)
    assert jumps.mean() <= 2 * h
    assert np.linalg.norm(np.diff(centers, axis=0), axis=1).mean() > 2.5 * 2 * h
    if dimension > 1:
        # aligned blocks of 2^d cells are little squares or cubes
        blocks = centers[order].reshape(-1, 2**dimension, dimension)
        assert np.ptp(blocks, axis=1).max() <= h * (1 + 1e-12)


@pytest.mark.parametrize("centers", [np.zeros((5, 2)), np.array([[3.0]]), np.arange(12.0).reshape(4, 3), np.ones((3, 80))])
def test_orders_of_odd_sets(centers: np.ndarray[Any, Any]) -> None:
    assert sorted(cell_order(centers)) == list(range(len(centers)))


def test_what_cannot_be_drawn_is_refused() -> None:
    for name, size in itertools.product(SAMPLERS, (0, -3, SETS["cells"].size + 1)):
        with pytest.raises(InputError, match=f"batch.size is {size}, but there are {SETS['cells'].size}") as caught:
            make_sampler(name, SETS["cells"], size)
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="there is no sampler 'latin'; choose one of uniform, stratified"):
        make_sampler("latin", SETS["cells"], 3)
    assert isinstance(make_sampler("uniform", SETS["cells"], SETS["cells"].size), Uniform)
