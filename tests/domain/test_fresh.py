"""Test random points that are drawn anew for every batch: unbiased integrals, and variances of their rules. Seeds are fixed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from vpinn.domain import CellPoints, FacetPoints, Hypercube, Mesh, MonteCarloFacetPoints, MonteCarloPoints, interval, rectangle
from vpinn.domain.point_set import PointSet
from vpinn.sampling import Cells, make_sampler

from .meshes import SHAPED

CUBE = Hypercube((0.0, 0.0), (1.0, 1.0))
SQUARES = SHAPED["quadrilaterals"]()
WAVES = (3.0, 2.0, 1.0)
SETS: dict[str, Callable[[str], PointSet]] = {
    "interval": lambda kind: CellPoints(SHAPED["interval"](), 3, kind, refine=1),
    "triangles": lambda kind: CellPoints(SHAPED["triangles"](), 3, kind, refine=1),
    "squares": lambda kind: CellPoints(SQUARES, 3, kind),
    "sides": lambda kind: FacetPoints(SQUARES, SQUARES.facets("all"), 3, kind),
    "box": lambda kind: MonteCarloPoints(CUBE, 64, kind),
    "faces": lambda kind: MonteCarloFacetPoints(CUBE, np.arange(4), 64, kind),
}
KINDS = [
    (points, kind)
    for points in SETS
    for kind in ("monte-carlo", "sobol", "stochastic-gauss")
    if points not in ("box", "faces") or kind != "stochastic-gauss"
]


def total(points: PointSet, fresh: int | None) -> float:
    """Return the sum of w·f over all points for a smooth function f."""
    taken = points.take(range(points.size), fresh)
    return float(taken.w @ np.exp(np.sin(taken.x @ np.array(WAVES[: taken.x.shape[1]]))))


def integral(name: str) -> float:
    """Return the integral of the same function by a Gauss rule on the same domain."""
    mesh = rectangle(cells=8) if name in ("box", "faces") else SHAPED[name]() if name in SHAPED else SQUARES
    return total(FacetPoints(mesh, mesh.facets("all"), 20) if name in ("sides", "faces") else CellPoints(mesh, 20), None)


@pytest.mark.parametrize(("name", "kind"), KINDS)
def test_sums_over_points_made_anew_are_unbiased_for_the_integral(name: str, kind: str) -> None:
    """Over 50 draws the mean is within four standard errors of the integral, and the same number gives the same points."""
    points = SETS[name](kind)
    values = np.array([total(points, fresh) for fresh in range(50)])
    error = values.std(ddof=1) / np.sqrt(len(values))
    assert points.random
    assert error > 0.0
    assert abs(values.mean() - integral(name)) <= 4.0 * error
    assert total(points, 7) == values[7]


@pytest.mark.parametrize(
    ("kind", "mesh", "order"),
    [
        ("monte-carlo", interval(cells=3), 3.0),
        ("stochastic-gauss", interval(cells=3), 9.0),
        pytest.param("stochastic-gauss", rectangle(cells=1), 3.0, marks=pytest.mark.slow),
    ],
)
def test_variance_over_cells_falls_as_the_rules_promise(kind: str, mesh: Mesh, order: float) -> None:
    """N^-order for N cells, within 30 %, over 500 draws: ratios of their variances have a standard deviation of 9 %.

    A point in each cell has N^(−1−2/d) (Haber 1966, stratified sampling); a rule exact for degree k leaves errors h^(d+k+1)
    in each of N = h^−d cells, so N^(−1−2(k+1)/d), here with k = 3 in one dimension and k = 1 on triangles.
    """
    spread = []
    for refine in (2, 3):
        points = CellPoints(mesh, 1, kind, refine=refine)
        spread.append(np.var([total(points, fresh) for fresh in range(500)], ddof=1))
    assert spread[0] / spread[1] == pytest.approx(2.0 ** (order * mesh.dimension), rel=0.3)


def test_drawn_cells_have_the_variance_of_two_stages() -> None:
    """(Σ E s_c²/p_c − I²)/M for M drawn cells with sums s_c, which is σ_b²/M + σ_w²/(MA), within 20 % over 1,000 draws.

    The mean is within four standard errors of the integral, and the sum over the set's own points is not.
    """
    points = CellPoints(interval(cells=4), 3, "monte-carlo", seed=0)
    sampler = make_sampler("cells", points, 3 * points.per_entity)
    assert isinstance(sampler, Cells)
    generator = np.random.default_rng(3)

    def batch() -> float:
        index, scale = sampler.draw(generator)
        taken = points.take(index, int(generator.integers(2**63)))
        return float((scale * taken.w) @ np.exp(3.0 * taken.x[:, 0]))

    values = np.array([batch() for _ in range(1000)])
    exact, error = (np.exp(3.0) - 1.0) / 3.0, values.std(ddof=1) / np.sqrt(1000)
    assert abs(values.mean() - exact) <= 4.0 * error
    own = points.take(range(points.size))
    assert abs(own.w @ np.exp(3.0 * own.x[:, 0]) - exact) > 4.0 * error
    edges = np.linspace(0.0, 1.0, 5)
    mean = np.diff(np.exp(3.0 * edges)) / 3.0  # of a cell's sum
    within = 0.25 * np.diff(np.exp(6.0 * edges)) / 6.0 - mean**2  # of one point's, times the cell's length
    squares = mean**2 + within / points.per_entity
    assert values.var(ddof=1) == pytest.approx((squares.sum() / 0.25 - exact**2) / 3, rel=0.2)


def test_a_cell_drawn_twice_has_other_nodes() -> None:
    points = CellPoints(interval(cells=4), 3, "stochastic-gauss")
    cell = 3 * 2 + np.arange(3)
    taken = points.take(np.concatenate([cell, cell, cell - 3]), 11)
    first, second, other = taken.x.reshape(3, 3)
    assert first[1] == second[1]  # the middle
    assert abs(first[0] - second[0]) > 1e-3
    assert abs((first[2] - first[1]) - (other[2] - other[1])) > 1e-3
    assert (points.take(cell, 11).x[:, 0] == first).all()
    for reference in (first, second):  # each is a rule of its own: exact for cubics
        w = taken.w[:3] if reference is first else taken.w[3:6]
        assert w @ reference**3 == pytest.approx((0.75**4 - 0.5**4) / 4, rel=1e-12)
