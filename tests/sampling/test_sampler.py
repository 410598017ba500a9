"""Test for every sampler that each point counts once on average, and that the variance is that of the formula.

Seeds are fixed, and bounds are in standard errors. Where all draws are enumerated, the points have dyadic intervals of the unit
interval, so that the midpoints of a fine grid represent all random numbers, and averages are exact.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from vpinn.domain import CellPoints, FacetPoints, Hypercube, Mesh, MonteCarloPoints, PointSet, box, disk, interval, rectangle
from vpinn.errors import InputError
from vpinn.sampling import (
    NOTHING,
    SAMPLERS,
    Adaptive,
    Cells,
    Choice,
    Quantiles,
    Run,
    Sampler,
    State,
    Stratified,
    Uniform,
    cell_order,
    least_points,
    make_sampler,
)
from vpinn.sampling.cells import CELL


def cell_tagged(mesh: Mesh, **below: float) -> Mesh:
    """Return a mesh with a tag on the cells whose centres have x below a number."""
    x = mesh.nodes[mesh.vertices].mean(axis=1)[:, 0]
    return replace(mesh, cell_tags={name: np.flatnonzero(x < bound) for name, bound in below.items()})


MESH = cell_tagged(rectangle(cells=[7, 5]), wet=0.4)
GRADED = replace(rectangle(cells=[7, 5], cell="quadrilateral"), nodes=rectangle(cells=[7, 5], cell="quadrilateral").nodes ** 1.5)
TAGGED = rectangle(cells=4, cell="quadrilateral")
SETS: dict[str, PointSet] = {
    "cells": CellPoints(MESH, 3),
    "facets": FacetPoints(MESH, MESH.facets(("left", "top")), 5),
    "no cells": MonteCarloPoints(Hypercube((0.0,) * 4, (1.0,) * 4), 300, "sobol", 0),
    "curved": CellPoints(disk(cells=2), 4),
}
CHOICES: dict[str, Choice] = {
    "uniform": Choice("uniform"),
    "uniform without replacement": Choice("uniform", replacement=False),
    "stratified": Choice("stratified"),
    "neyman": Choice("stratified", "neyman"),
    "equal-variance": Choice("stratified", "equal-variance", count=5),
    "quantiles": Choice("stratified", strata="gradient", count=4),
    "neyman quantiles": Choice("stratified", "neyman", strata="residual", count=3),
    "antithetic": Choice("antithetic"),
    "sobol": Choice("sobol"),
    "importance": Choice("importance"),
    "cells": Choice("cells"),
    "points of cells": Choice("cells", per_cell=2),
    "cells, auto": Choice("cells", per_cell="auto"),
}
LEARNING = ("neyman", "equal-variance", "quantiles", "neyman quantiles", "importance", "cells, auto")
KINDS = [
    pytest.param(points, name, knowing, id=f"{points}-{name}{'-knowing' * knowing}")
    for points, name, knowing in itertools.product(SETS, CHOICES, (False, True))
    if (points != "no cells" or name not in ("antithetic", "cells", "points of cells", "cells, auto"))
    and (points != "curved" or name in ("stratified", "importance"))
    and (not knowing or name in LEARNING)
]


def made(points: PointSet, name: str, size: int) -> Sampler:
    return make_sampler(CHOICES[name].sampler, points, size, CHOICES[name])


def taught(sampler: Sampler, values: np.ndarray[Any, Any], pilots: int = 3) -> State:
    """Return the state of a sampler after pilots (seed 8) whose signals are w·f at the points."""
    state = NOTHING
    if isinstance(sampler, Adaptive) and sampler.pilot_size:
        generator = np.random.default_rng(8)
        for _ in range(pilots):
            index, scale = sampler.pilot(generator, state)
            assert len(index) == sampler.pilot_size
            state = sampler.learn(state, (values[index] * scale)[:, None])
    return state


def integrand(points: PointSet) -> np.ndarray[Any, Any]:
    """Return the contributions w·f of a function that is steep in one corner [n]."""
    taken = points.take(range(points.size))
    x = taken.x.T
    return taken.w * (np.exp(x[0] + x[-1]) + np.sin(9.0 * x[-1] + x[0]))


@pytest.mark.parametrize(("points", "name", "knowing"), KINDS)
def test_every_point_counts_once_and_estimates_vary_as_the_formula_says(points: str, name: str, knowing: bool) -> None:
    """Counts, estimates and their variance over 400 draws (seed 5).

    The mean of counts times scales is within 5 standard errors of one for every point, that of the
    estimates within 4 of the sum, and their variance within 30 % of the formula; of 400 near-normal numbers it has a
    standard deviation of √(2/400) = 7 %.
    """
    data = SETS[points]
    f = integrand(data)
    sampler = made(data, name, min(60, data.size // 2))
    state = taught(sampler, f) if knowing else NOTHING
    generator, draws = np.random.default_rng(5), 400
    total, squares, estimates = np.zeros(data.size), np.zeros(data.size), []
    for _ in range(draws):
        index, scale = sampler.draw(generator, state)
        assert len(index) == len(scale) == sampler.size
        estimates.append(float((f[index] * scale).sum()))
        one = np.bincount(index, scale, minlength=data.size)
        total, squares = total + one, squares + one**2
    count = total / draws
    error = np.sqrt(np.maximum(squares / draws - count**2, 0.25 / draws) / draws)
    assert (np.abs(count - 1.0) / error).max() <= 5.0
    mean, spread = np.mean(estimates), np.std(estimates, ddof=1)
    assert abs(mean - f.sum()) <= 4.0 * spread / np.sqrt(draws)
    assert spread < 0.5 * abs(f.sum())
    assert spread**2 == pytest.approx(sampler.variance(f, state), rel=0.3)


class Grid:
    """A generator whose numbers are all equal, the midpoint of one grid interval per step."""

    def __init__(self, step: int, steps: int) -> None:
        self.step, self.steps = step, steps

    def random(self, size: int) -> np.ndarray[Any, Any]:
        return np.full(size, (self.step + 0.5) / self.steps)

    def integers(self, high: int, size: int | None = None) -> Any:
        return self.step % high if size is None else np.full(size, self.step % high)


@pytest.mark.parametrize("size", [4, 8, 16, 64])
@pytest.mark.parametrize("name", ["uniform", "stratified", "antithetic", "cells"])
def test_all_draws_together_count_every_point_once(name: str, size: int) -> None:
    """Enumerated: 16 squares with four equal weights each; exact."""
    data = CellPoints(TAGGED, 3)
    sampler = made(data, name, size)
    total, steps = np.zeros(data.size), 256
    for step in range(steps):
        index, scale = sampler.draw(Grid(step, steps))  # type: ignore[arg-type]
        np.add.at(total, index, scale)
    assert np.abs(total / steps - 1.0).max() <= 1e-12


@pytest.mark.parametrize("name", ["stratified", "neyman", "quantiles"])
@pytest.mark.parametrize("points", ["cells", "facets", "curved"])
def test_expected_counts_are_exactly_one(points: str, name: str) -> None:
    """By the curve cut at the edges of strata: Σ over pieces of (pieces' probability in their stratum)·n_k·scale."""
    data = SETS[points]
    sampler = made(data, name, min(40, data.size))
    state = taught(sampler, integrand(data))
    found = sampler.stratified(state) if isinstance(sampler, Quantiles) else sampler
    assert isinstance(found, Stratified)
    index, length, part = found.curve.pieces(found.edges)
    mass = np.bincount(index, length, minlength=data.size)
    assert mass.sum() == pytest.approx(1.0, abs=1e-12)
    weight, count = np.diff(found.edges), found.counts(state)
    scale = weight[part] / (count[part] * mass[index])
    assert np.abs(np.bincount(index, length / weight[part] * count[part] * scale, minlength=data.size) - 1.0).max() <= 1e-12
    at = np.cumsum(length) - 0.5 * length
    drawn, p = found.curve.at(at)
    assert (drawn == index).all()
    assert np.abs(p - mass[index]).max() <= 1e-12


def test_points_are_as_likely_as_they_weigh() -> None:
    """On affine cells p = w/W for every sampler that follows the curve."""
    data = SETS["cells"]
    w = data.take(range(data.size)).w
    sampler = made(data, "stratified", 30)
    assert isinstance(sampler, Stratified)
    index, length, _ = sampler.curve.pieces(np.array([0.0, 1.0]))
    assert np.abs(np.bincount(index, length) - w / w.sum()).max() <= 1e-14


def test_the_same_seed_draws_the_same() -> None:
    for name in CHOICES:
        sampler = made(SETS["cells"], name, 18)
        first, second = (sampler.draw(np.random.default_rng(4)) for _ in range(2))
        assert (first[0] == second[0]).all()
        assert (first[1] == second[1]).all()


def test_without_replacement_no_point_comes_twice() -> None:
    for size in (10, 200):
        sampler = made(CellPoints(rectangle(cells=40), 4), "uniform without replacement", size)
        for seed in range(20):
            index, _ = sampler.draw(np.random.default_rng(seed))
            assert len(np.unique(index)) == size
    everything = Uniform(50, 50, replacement=False)
    assert everything.variance(np.arange(50.0)) == 0.0


@pytest.fixture(scope="module")
def smooth() -> tuple[CellPoints, np.ndarray[Any, Any]]:
    """Return a smooth integrand times quadrature weights on 16 × 16 squares."""
    points = CellPoints(rectangle(cells=16, cell="quadrilateral"), 3)
    taken = points.take(range(points.size))
    x, y = taken.x.T
    return points, taken.w * np.exp(x) * np.sin(4 * y + x)


def test_what_the_samplers_gain_on_a_smooth_integrand(smooth: Any) -> None:
    """Variance at 256 points over that of uniform draws; measured 1/230, 1/1150, 1/1500."""
    points, f = smooth
    uniform = made(points, "uniform", 256).variance(f)
    assert made(points, "stratified", 256).variance(f) < uniform / 150
    assert made(points, "antithetic", 256).variance(f) < uniform / 700
    assert made(points, "sobol", 256).variance(f) < uniform / 700


def test_cells_are_correlated_draws(smooth: Any) -> None:
    """With ρ from σ_b² = σ²(1 + (q − 1)ρ)/q whole cells are worth b/(1 + (q − 1)ρ) points, here near b/q."""
    points, f = smooth
    q, size = points.per_entity, 80
    sampler = make_sampler("cells", points, size)
    assert isinstance(sampler, Cells)
    between, within = sampler.components(f)
    alone = make_sampler("cells", points, size, Choice("cells", per_cell=1)).variance(f)
    assert alone == pytest.approx((between + within) / size, rel=1e-12)  # single points, as likely as they weigh
    rho = (between / (between + within) - 1.0 / q) / (1.0 - 1.0 / q)
    assert 0.98 < rho < 1.0
    assert sampler.variance(f) == pytest.approx(alone * (1.0 + (q - 1) * rho), rel=1e-12)
    assert sampler.variance(f) == pytest.approx(alone * q, rel=0.03)


@pytest.mark.parametrize(
    ("per_cell", "share"),
    [(1, 1.0), (2, (12**2 + 13**2 - 25) / 600), (4, (3 * 6**2 + 7**2 - 25) / 600), (5, 20 / (5 * 24)), (25, 0.0)],
)
def test_points_of_cells_vary_as_two_stage_sampling_does(per_cell: int, share: float) -> None:
    """σ_b²/M + σ_w²/(M A)·(q − A)/(q − 1) with both variances by enumeration; groups of 12 and 13, of 6, 6, 6 and 7 points."""
    points = CellPoints(GRADED, 9)
    f, q, p = integrand(points), points.per_entity, points.entity_volumes / points.volume
    inside = points.rule_weights
    y = f.reshape(-1, q)
    between = sum(p[c] * (y[c].sum() / p[c] - f.sum()) ** 2 for c in range(len(y)))
    single = y / (p[:, None] * inside)
    within = float((p[:, None] * inside * (single - y.sum(axis=1, keepdims=True) / p[:, None]) ** 2).sum())
    sampler = make_sampler("cells", points, 100, Choice("cells", per_cell=per_cell))
    assert sampler.variance(f) == pytest.approx((between + within * share) * per_cell / 100, rel=1e-12)
    index, _ = sampler.draw(np.random.default_rng(3))
    cells = index.reshape(-1, per_cell) // q
    assert (cells == cells[:, :1]).all()
    assert all(len(set(row)) == per_cell for row in index.reshape(-1, per_cell))  # no point twice in a cell


def test_pilots_tell_both_variances_and_the_best_number_of_points() -> None:
    """Without bias over 400 pilots (seed 8); A* = √(σ_w²/σ_b² · cost of a cell) of the divisors, for points made anew."""
    points = CellPoints(GRADED, 9)
    f = integrand(points)
    sampler = make_sampler("cells", points, 64, Choice("cells", per_cell="auto"))
    assert isinstance(sampler, Cells)
    generator, seen = np.random.default_rng(8), []
    for _ in range(400):
        index, scale = sampler.pilot(generator, NOTHING)
        state = sampler.learn(NOTHING, (f[index] * scale)[:, None])
        seen.append([float(state["between"][0]), float(state["within"][0])])
    error = np.std(seen, axis=0, ddof=1) / 20.0
    assert (np.abs(np.mean(seen, axis=0) - sampler.components(f)) <= 4.0 * error).all()
    assert sampler.points_per_cell() == 1  # nothing is known yet

    def best(between: float, within: float, fresh: bool = False) -> int:
        return replace(sampler, fresh=fresh).points_per_cell({"between": np.array([between]), "within": np.array([within])})

    assert [best(1.0, share / CELL, fresh=True) for share in (0.5, 16.0, 60.0)] == [1, 4, 8]
    assert best(1.0, 16.0 / CELL) == 16  # of 25 points only: the variance within falls faster than 1/A
    assert best(0.0, 1.0) == 16  # the largest divisor of 64 up to 25
    assert best(-1e-9, 1.0) == 16
    assert best(1.0, 0.0) == 1


def test_neyman_gains_where_strata_differ() -> None:
    """A function that varies in one corner only: with what ten pilots say, Neyman's variance is a third of the proportional."""
    points = CellPoints(rectangle(cells=16, cell="quadrilateral"), 3)
    taken = points.take(range(points.size))
    x, y = taken.x.T
    f = taken.w * np.exp(-40.0 * (x**2 + y**2)) * 100.0
    choice = Choice("stratified", "neyman", count=20)
    sampler = make_sampler("stratified", points, 80, choice)
    assert isinstance(sampler, Stratified)
    state = taught(sampler, f, pilots=10)
    learned, unlearned = sampler.variance(f, state), sampler.variance(f)
    assert learned < unlearned / 3
    count = sampler.counts(state)
    assert count.sum() == 80
    assert count.min() >= 2
    equal = make_sampler("stratified", points, 80, Choice("stratified", "equal-variance", count=20))
    assert equal.variance(f, state) < unlearned


def test_importance_approaches_its_optimum() -> None:
    """With q ∝ |f| the variance of a positive integrand falls far below that of uniform draws, floor of 10 % included."""
    points = CellPoints(rectangle(cells=16, cell="quadrilateral"), 3)
    taken = points.take(range(points.size))
    x, y = taken.x.T
    f = taken.w * np.exp(-30.0 * (x**2 + y**2))
    sampler = make_sampler("importance", points, 64, Choice("importance"))
    assert sampler.variance(f, taught(sampler, f)) < made(points, "uniform", 64).variance(f) / 10


def test_quantiles_sort_cells_by_size() -> None:
    points = CellPoints(rectangle(cells=8, cell="quadrilateral"), 2)
    taken = points.take(range(points.size))
    f = taken.w * np.where(taken.x[:, 0] < 0.25, 50.0, 1.0) * np.sin(9.0 * taken.x[:, 1])
    sampler = make_sampler("stratified", points, 40, Choice("stratified", "neyman", "gradient", 4))
    assert isinstance(sampler, Quantiles)
    state = taught(sampler, f)
    layout = sampler.stratified(state)
    last = layout.curve.order[-16:]  # the quarter of the squares with the largest values
    centers = points.mesh.nodes[points.mesh.vertices].mean(axis=1)
    assert (centers[last, 0] < 0.25).mean() > 0.9
    assert layout.counts(state)[-1] > 20
    assert sampler.variance(f, state) < make_sampler("stratified", points, 40, Choice(count=4)).variance(f) / 3


def test_strata_by_tags_and_cells() -> None:
    data = SETS["cells"]
    tags = make_sampler("stratified", data, 30, Choice(strata="tags"))
    assert isinstance(tags, Stratified)
    assert tags.names == ("wet", "untagged")
    wet = MESH.cell_tags["wet"]
    volumes = data.entity_volumes
    assert np.diff(tags.edges)[0] == pytest.approx(volumes[wet].sum() / volumes.sum(), abs=1e-14)
    index, _ = tags.draw(np.random.default_rng(0))
    inside = np.isin(index // data.per_entity, wet)
    assert inside[: tags.counts()[0]].all()
    assert not inside[tags.counts()[0] :].any()
    cells = make_sampler("stratified", data, 70, Choice(strata="cells"))
    index, _ = cells.draw(np.random.default_rng(0))
    assert sorted(index // data.per_entity) == list(range(70))
    facets = make_sampler("stratified", SETS["facets"], 9, Choice(strata="tags"))
    assert isinstance(facets, Stratified)
    assert facets.names == ("left", "top")


@pytest.mark.parametrize("allocation", ["proportional", "neyman"])
def test_no_block_of_a_boundary_holds_two_tags(allocation: str) -> None:
    """Five cells by three have sides of 5 and 3 facets: what is constant on a side is integrated exactly by every batch.

    Tags may overlap: of facets with both tags the blocks are others than of those with one.
    """
    mesh = rectangle([0, 0], [2, 1], [5, 3], "quadrilateral")
    mesh = replace(mesh, facet_tags={**mesh.facet_tags, "held": mesh.facets(("bottom",))[:1]})
    points = FacetPoints(mesh, np.arange(len(mesh.boundary)), 5)
    sampler = make_sampler("stratified", points, 16, Choice("stratified", allocation))
    assert isinstance(sampler, Stratified)
    point, length, stratum = sampler.curve.pieces(sampler.edges)
    facet = point // points.per_entity
    held = np.array([np.isin(np.arange(len(mesh.boundary)), rows) for rows in mesh.facet_tags.values()]).T
    for k in range(len(sampler.edges) - 1):
        assert len(np.unique(held[facet[(stratum == k) & (length > 1e-12)]], axis=0)) == 1
    side = held @ np.array([1.0, -2.0, 4.0, 0.5, 7.0])
    values = np.repeat(side, points.per_entity) * points.take(np.arange(points.size)).w
    assert sampler.variance(values) < 1e-20
    for seed in range(5):
        index, scale = sampler.draw(np.random.default_rng(seed))
        assert (scale * values[index]).sum() == pytest.approx(values.sum(), abs=1e-12)


def test_a_boundary_has_a_point_of_every_tag_at_least() -> None:
    """Forty tags of one facet each need forty points, and eighty where the variance in each is learned."""
    mesh = rectangle(cells=10, cell="quadrilateral")
    mesh = replace(mesh, facet_tags={f"part {k}": np.array([k]) for k in range(40)})
    points = FacetPoints(mesh, np.arange(40), 3)
    assert [least_points(points, Choice(allocation=name)) for name in ("proportional", "neyman")] == [40, 80]
    assert least_points(points, Choice("sobol")) == 0
    assert least_points(CellPoints(mesh, 3), Choice()) == 0
    index, _ = make_sampler("stratified", points, 40, Choice()).draw(np.random.default_rng(0))
    assert sorted(index // points.per_entity) == list(range(40))


def test_runs_of_a_sequence() -> None:
    sampler = made(SETS["no cells"], "sobol", 64)
    assert isinstance(sampler, Run)
    index, _ = sampler.draw(np.random.default_rng(0))
    assert (np.diff(index) % 300 == 1).all()


def test_memory_of_a_draw_depends_on_the_batch() -> None:
    """Of 1.7e9 points: below 5 MB a draw."""
    import tracemalloc

    data = CellPoints(rectangle(cells=16, cell="quadrilateral"), 9, refine=9)
    assert data.size > 1e9
    for name in sorted({*CHOICES} - {"cells", "quantiles", "neyman quantiles"}):  # quantiles look at every cell
        sampler = made(data, name, 1000)
        sampler.draw(np.random.default_rng(0))
        tracemalloc.start()
        index, _ = sampler.draw(np.random.default_rng(1))
        assert tracemalloc.get_traced_memory()[1] < 5e6
        tracemalloc.stop()
        assert 0 <= index.min() < 1e8
        assert 9e8 < index.max() < data.size


def test_units_and_offsets_do_not_change_the_order_of_a_regular_mesh() -> None:
    """Centers of squares and of their halves lie on the edges of a grid of 2ᵏ, where rounding would decide."""
    for shape in (rectangle(upper=(2.0, 1.0), cells=[4, 2]), rectangle(cells=[8, 8], cell="quadrilateral"), box(cells=3)):
        centers = shape.nodes[shape.cells].mean(1)
        expected = cell_order(centers)
        for factor, offset in ((1e-6, 0.0), (0.7, 0.0), (1e9, 0.0), (1.0, 0.1), (3e-3, 1.0)):
            assert np.array_equal(cell_order(factor * centers + offset), expected)


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


def test_sizes_that_cannot_be_drawn_are_refused() -> None:
    for name, size in itertools.product(SAMPLERS, (0, -3, SETS["cells"].size + 1)):
        with pytest.raises(InputError, match=f"batch.size is {size}, but there are {SETS['cells'].size}") as caught:
            make_sampler(name, SETS["cells"], size)
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="there is no sampler 'latin'; choose one of uniform, stratified"):
        make_sampler("latin", SETS["cells"], 3)


@pytest.mark.parametrize(
    ("points", "size", "choice", "message"),
    [
        ("cells", 5, Choice("cells"), "draws 6 points of each cell; give at least 6"),
        ("cells", 5, Choice("cells", per_cell=7), "batch.per_cell is 7, but the rule has 6 points in each cell; give 1 to 6"),
        ("cells", 3, Choice("cells", per_cell=4), "draws 4 points of each cell; give at least 4"),
        ("cells", 7, Choice("stratified", "neyman", count=4), "7, but 4 strata need 2 points each, 8 in all"),
        ("cells", 30, Choice(strata="cells"), "70 strata need 1 points each"),
        ("curved", 10, Choice(strata="tags"), "needs tagged cells, and the mesh has none"),
        ("no cells", 10, Choice(strata="tags"), "needs a mesh"),
        ("no cells", 10, Choice("antithetic"), "needs the cells of a mesh"),
        ("no cells", 10, Choice("cells"), "needs the cells of a mesh"),
    ],
)
def test_choices_that_cannot_be_honoured_are_refused(points: str, size: int, choice: Choice, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_sampler(choice.sampler, SETS[points], size, choice)


def test_bad_strata_are_refused() -> None:
    hidden = cell_tagged(TAGGED, a=0.5, b=0.2)
    with pytest.raises(InputError, match="stratum 'b' is empty: every cell of this tag has an earlier tag too"):
        make_sampler("stratified", CellPoints(hidden, 3), 10, Choice(strata="tags"))
    graded = replace(TAGGED, nodes=TAGGED.nodes**2)
    with pytest.raises(InputError, match=r"stratum 'cell 14' has 4 points, fewer than its allocation of 6"):
        make_sampler("stratified", CellPoints(graded, 3), 42, Choice(strata="cells"))


def test_weights_that_are_zero_or_not_finite_are_refused() -> None:
    sampler = make_sampler("importance", SETS["cells"], 20)
    with pytest.raises(InputError, match="not finite"):
        sampler.draw(np.random.default_rng(0), {"square": np.full(20, np.nan)})
    from vpinn.sampling.curve import cumulated

    for bad in (0.0, np.nan, np.inf, -1.0):
        with pytest.raises(InputError, match=r"a sampling weight must be positive and finite, got .* for number 1"):
            cumulated(np.array([1.0, bad, 2.0]))
