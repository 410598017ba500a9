from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from vpinn.domain import CellPoints, FacetPoints, Hypercube, Mesh, MonteCarloFacetPoints, MonteCarloPoints, box, disk, rectangle
from vpinn.domain.point_set import PointSet
from vpinn.errors import InputError

from .meshes import SHAPED, curved, shifted

FIELDS = ("x", "w", "entity", "cell", "reference", "h", "local", "normal")


def variants() -> list:
    built = [pytest.param(make(), id=name) for name, make in SHAPED.items()]
    plain = ("interval", "triangles", "quadrilaterals", "tetrahedra", "hexahedra")
    built += [pytest.param(shifted(SHAPED[name]()), id=f"skewed {name}") for name in plain]
    return built + [pytest.param(curved(SHAPED[name]()), id=f"curved {name}") for name in plain]


def polynomial_field(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a vector field of degree 2 [n, d] and its divergence [n]."""
    d = x.shape[1]
    shift = np.roll(x, 1, axis=1)
    field = x**2 + 0.5 * x * shift + shift
    divergence = 2.0 * x + 0.5 * shift + (d == 1) * (0.5 * x + 1.0)
    return field, divergence.sum(axis=1)


@pytest.mark.parametrize("mesh", variants())
def test_divergence_theorem(mesh: Mesh):
    degree = 12
    inside = CellPoints(mesh, degree)
    outside = FacetPoints(mesh, mesh.facets("all"), degree)
    cells, facets = inside.take(range(inside.size)), outside.take(range(outside.size))
    volume = (cells.w * polynomial_field(cells.x)[1]).sum()
    flux = (facets.w * np.einsum("ni,ni->n", polynomial_field(facets.x)[0], facets.normal)).sum()
    assert abs(volume - flux) <= 1e-12 * (1.0 + abs(flux))
    assert np.abs(np.linalg.norm(facets.normal, axis=1) - 1.0).max() < 1e-14
    assert abs(inside.volume - cells.w.sum()) <= 1e-13 * inside.volume
    assert abs(outside.volume - facets.w.sum()) <= 1e-6 * outside.volume  # facets of bent cells have irrational area elements


@pytest.mark.parametrize("kind", ["gauss", "monte-carlo", "sobol"])
@pytest.mark.parametrize("mesh", variants())
def test_any_selection_equals_the_rows_of_the_whole(mesh: Mesh, kind: str):
    generator = np.random.default_rng(0)
    for points in (CellPoints(mesh, 3, kind, 5), FacetPoints(mesh, mesh.facets("all"), 3, kind, 5)):
        whole = points.take(range(points.size))
        single = generator.integers(0, points.size, 50)
        cells = (np.array([2, 0, 1])[:, None] * points.per_entity + np.arange(points.per_entity)).ravel() % points.size
        for index in (single, cells, single[:0], range(1, min(points.size, points.per_entity + 1))):
            part = points.take(index)
            for name in FIELDS:
                if (full := getattr(whole, name)) is not None:
                    assert np.array_equal(getattr(part, name), full[np.asarray(index, dtype=int)])
        assert np.array_equal(whole.local, np.tile(np.arange(points.per_entity), points.entities))
        np.testing.assert_allclose(mesh.frames_at(whole.cell, whole.reference).x, whole.x, atol=1e-13)
        np.testing.assert_array_equal(whole.h, mesh.h[whole.cell])


@pytest.mark.parametrize("kind", ["monte-carlo", "sobol"])
@pytest.mark.parametrize("name", ["interval", "triangles", "quadrilaterals", "tetrahedra", "hexahedra"])
def test_random_rules_are_unbiased_and_differ_from_cell_to_cell(name: str, kind: str):
    mesh = SHAPED[name]()
    for make in (lambda seed: CellPoints(mesh, 8, kind, seed), lambda seed: FacetPoints(mesh, mesh.facets("all"), 8, kind, seed)):
        exact = CellPoints(mesh, 2) if isinstance(make(0), CellPoints) else FacetPoints(mesh, mesh.facets("all"), 2)
        reference = exact.take(range(exact.size))
        target = (reference.w * (reference.x**2).sum(axis=1)).sum()
        samples = []
        for seed in range(20):
            points = make(seed).take(range(make(seed).size))
            assert abs(points.w.sum() - exact.volume) < 1e-11
            samples.append((points.w * (points.x**2).sum(axis=1)).sum())
        spread = np.std(samples, ddof=1) / np.sqrt(len(samples))
        assert abs(np.mean(samples) - target) <= 4.0 * spread + 1e-12
    points = CellPoints(mesh, 2, kind, 0)
    rows = points.take(range(points.size)).reference.reshape(points.entities, -1)
    assert len(np.unique(rows.round(12), axis=0)) == points.entities


@pytest.mark.parametrize("q", [1, 7, 100, 10_000])
def test_chunks_cover_the_set_in_order(q: int):
    points = CellPoints(rectangle(cells=3), 4)
    parts = list(points.chunks(q))
    assert [i for part in parts for i in part] == list(range(points.size))
    assert max(map(len, parts)) <= q


def test_memory_depends_on_the_batch_and_not_on_the_number_of_points():
    points = CellPoints(box(cells=32, cell="hexahedron"), 30)
    assert points.size == 32**3 * 16**3 > 1e8
    large = CellPoints(points.mesh, 30, "sobol")
    facets = FacetPoints(points.mesh, points.mesh.facets("all"), 30)
    random = MonteCarloPoints(Hypercube.between([0.0] * 10, [1.0] * 10), 10**12)
    assert points.mesh.h.shape == (32**3,)
    index = np.random.default_rng(0).integers(0, points.size, 1000)
    for data in (points, large, facets, random):
        selection = index % data.size
        tracemalloc.start()
        taken = data.take(selection)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert len(taken) == 1000
        assert peak < 2e6


def test_points_are_deterministic_and_seeded():
    mesh = disk(cells=3)
    for kind in ("gauss", "monte-carlo", "sobol"):
        first, second, other = (CellPoints(mesh, 4, kind, seed).take(range(100)).x for seed in (1, 1, 2))
        assert np.array_equal(first, second)
        assert np.array_equal(first, other) == (kind == "gauss")


@pytest.mark.parametrize("index", [[-1], [10**6], [[0]]])
def test_indices_out_of_range_are_refused(index):
    points: PointSet = CellPoints(rectangle(cells=2), 2)
    with pytest.raises(IndexError):
        points.take(np.array(index))


def test_unknown_rules_are_refused_with_the_choices():
    with pytest.raises(InputError, match="monte-carlo"):
        CellPoints(rectangle(cells=2), 2, "simpson")
    with pytest.raises(InputError, match="sobol"):
        MonteCarloPoints(Hypercube.between([0.0], [1.0]), 10, "gauss")
    with pytest.raises(InputError, match="one for each facet"):
        MonteCarloFacetPoints(Hypercube.between([0.0], [1.0]), np.array([0, 1]), 1)


@pytest.mark.parametrize("kind", ["monte-carlo", "sobol"])
@pytest.mark.parametrize("dimension", [1, 2, 5, 10])
def test_hypercube_points(kind: str, dimension: int):
    cube = Hypercube.between([-1.0] * dimension, np.linspace(1.0, 2.0, dimension).tolist())
    n = 4096
    points = MonteCarloPoints(cube, n, kind, 3)
    whole = points.take(range(n))
    assert abs(whole.w.sum() - cube.volume) < 1e-9 * cube.volume
    middle = (np.array(cube.lower) + np.array(cube.upper)) / 2.0
    assert np.abs(whole.x.mean(axis=0) - middle).max() < (5e-3 if kind == "sobol" else 6e-2)
    assert np.array_equal(points.take(np.array([5, 4095, 7])).x, whole.x[[5, 4095, 7]])

    boundary = MonteCarloFacetPoints(cube, cube.facets("all"), n, kind, 3)
    edge = boundary.take(range(n))
    assert abs(edge.w.sum() - cube.facet_areas.sum()) < 1e-9 * boundary.volume
    assert edge.w.max() / edge.w.min() < 1.1
    at_end = (edge.x == np.array(cube.lower)) | (edge.x == np.array(cube.upper))
    assert at_end.any(axis=1).all()
    flux = (edge.w * np.einsum("ni,ni->n", edge.x - middle, edge.normal)).sum()  # divergence theorem of x
    assert abs(flux - dimension * cube.volume) < 1e-9 * flux
    assert set(edge.entity) == set(range(2 * dimension))
