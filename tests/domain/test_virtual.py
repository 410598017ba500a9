"""Test points of halved cells and of random rules, which are never stored: exactness and unbiasedness."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from vpinn.domain import CellPoints, FacetPoints, rectangle
from vpinn.domain.point_set import PointSet
from vpinn.errors import InputError

from .meshes import SHAPED, curved, shifted

CELLS = ("interval", "triangles", "quadrilaterals", "tetrahedra", "hexahedra")


def integral(points: PointSet, power: int) -> float:
    taken = points.take(range(points.size))
    return float((taken.w * (taken.x**power).sum(axis=1)).sum())


@pytest.mark.parametrize("refine", [1, 2])
@pytest.mark.parametrize("name", CELLS)
def test_refined_rules_are_as_exact_as_their_rule(name: str, refine: int) -> None:
    """Moments of degree 3 agree with those of the mesh's own rule to rounding; simplices are skewed."""
    mesh = SHAPED[name]()
    if mesh.reference.simplex:
        mesh = shifted(mesh)
    for make in (lambda r: CellPoints(mesh, 3, refine=r), lambda r: FacetPoints(mesh, mesh.facets("all"), 3, refine=r)):
        plain, fine = make(0), make(refine)
        factor = 2 ** (refine * (mesh.dimension - isinstance(fine, FacetPoints)))
        assert fine.size == plain.size * factor
        assert integral(fine, 3) == pytest.approx(integral(plain, 3), rel=1e-12)
        index = np.random.default_rng(0).integers(fine.size, size=7)
        assert np.array_equal(fine.take(index).x, fine.take(range(fine.size)).x[index])
    bent = curved(SHAPED[name]())
    assert integral(CellPoints(bent, 8, refine=1), 0) == pytest.approx(integral(CellPoints(bent, 12), 0), rel=1e-9)


@pytest.mark.parametrize("name", CELLS)
def test_parts_do_not_overlap(name: str) -> None:
    """One point in each of the parts: all differ, and each parent's parts have equal volumes on affine cells."""
    points = CellPoints(SHAPED[name](), 0, refine=2)
    taken = points.take(range(points.size))
    assert len(np.unique(taken.reference.round(9), axis=0)) == points.per_entity
    if points.mesh.affine:
        assert np.ptp(taken.w.reshape(points.entities, -1), axis=1).max() <= 1e-14


@pytest.mark.parametrize("name", CELLS)
def test_stochastic_rules_are_unbiased(name: str) -> None:
    """Exact for their degree with every seed; the mean over 40 seeds of x⁴ is within 4 standard errors of its integral."""
    mesh = SHAPED[name]()
    degree = 1 if name in ("triangles", "tetrahedra") else 3
    for make in (
        lambda seed: CellPoints(mesh, 2, "stochastic-gauss", seed),
        lambda seed: FacetPoints(mesh, mesh.facets("all"), 2, "stochastic-gauss", seed),
    ):
        of_cells = isinstance(make(0), CellPoints)
        exact = CellPoints(mesh, 8) if of_cells else FacetPoints(mesh, mesh.facets("all"), 8)
        assert integral(make(3), degree if mesh.affine or not of_cells else 0) == pytest.approx(
            integral(exact, degree if mesh.affine or not of_cells else 0), rel=1e-9
        )
        values = np.array([integral(make(seed), 4) for seed in range(40)])
        error = values.std(ddof=1) / np.sqrt(len(values))
        assert abs(values.mean() - integral(exact, 4)) <= 4.0 * error + 1e-12


def test_stochastic_gauss_is_that_of_the_paper() -> None:
    """On [−1, 1]: nodes ±u, 0 with weights 1/(3u²), 1/(3u²), 2 − 2/(3u²)."""
    points = CellPoints(SHAPED["interval"](), 1, "stochastic-gauss", 0)
    taken = points.take(range(3))
    u = 2.0 * taken.reference[2, 0] - 1.0
    assert taken.reference[:, 0] == pytest.approx([0.5 * (1 - u), 0.5, 0.5 * (1 + u)])
    length = taken.w.sum()
    assert taken.w / length * 2.0 == pytest.approx([1 / (3 * u**2), 2 - 2 / (3 * u**2), 1 / (3 * u**2)])


def test_a_billion_points_take_no_memory() -> None:
    points = CellPoints(rectangle(cells=4), 6, refine=13)
    assert points.size > 1e10
    index = np.random.default_rng(0).integers(points.size, size=1000)
    tracemalloc.start()
    taken = points.take(index)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2e6
    assert len(np.unique(taken.x, axis=0)) == 1000
    with pytest.raises(InputError, match=r"lower quadrature\.refine"):
        CellPoints(rectangle(cells=4), 6, refine=25)
