"""Test meshes of space and time: measure, sides, tags, curved cells, refinement, and the norm of test functions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from vpinn.domain import (
    FINAL,
    INITIAL,
    SIDES,
    CellPoints,
    FacetPoints,
    Hypercube,
    LagrangeSpace,
    Mesh,
    bisect,
    box,
    disk,
    extruded,
    interval,
    l_shape,
    rectangle,
    refine,
)
from vpinn.errors import InputError

START, END = 1.0, 3.0
SPACES: dict[str, Callable[[], Mesh]] = {
    "intervals": lambda: interval(0, 2, 3),
    "triangles": lambda: rectangle(cells=2),
    "quadrilaterals": lambda: rectangle(cells=[2, 3], cell="quadrilateral"),
    "curved triangles": lambda: disk(cells=2),
    "an l-shape": lambda: l_shape(2),
}
every = pytest.mark.parametrize("make", SPACES.values(), ids=SPACES)


def measure(mesh: Mesh, tag: str | None = None) -> tuple[float, np.ndarray]:
    """Return the measure of a mesh, or of a side with its outward normals."""
    rule = CellPoints(mesh, 6) if tag is None else FacetPoints(mesh, mesh.facets(tag), 6)
    points = rule.take(range(rule.size))
    return float(points.w.sum()), np.empty(0) if points.normal is None else points.normal


@every
def test_measures_are_those_of_space_times_the_duration(make: Callable[[], Mesh]) -> None:
    space = make()
    whole = extruded(space, START, END, 4)
    area, _ = measure(space)
    assert measure(whole)[0] == pytest.approx((END - START) * area, rel=1e-12)
    for tag, outward in ((INITIAL, -1.0), (FINAL, 1.0)):
        size, normals = measure(whole, tag)
        assert size == pytest.approx(area, rel=1e-12)
        np.testing.assert_allclose(normals[:, -1], outward, atol=1e-12)
    for tag in space.facet_tags:
        size, normals = measure(whole, tag)
        length = measure(space, tag)[0] if space.dimension > 1 else 1.0
        assert size == pytest.approx((END - START) * length, rel=1e-8)  # the length of an arc is no polynomial
        np.testing.assert_allclose(normals[:, -1], 0.0, atol=1e-12)
    assert sum(map(len, whole.facet_tags.values())) == len(whole.boundary)


@every
def test_refinement_and_bisection_keep_time(make: Callable[[], Mesh]) -> None:
    whole = extruded(make(), START, END, 2)
    assert refine(whole).axes == whole.axes
    assert whole.axes[-1] == "t"
    if whole.cell != "hexahedron":
        assert bisect(whole, np.array([0])).timed


def test_cell_tags_and_sides_without_tags_are_those_of_space() -> None:
    space = rectangle(cells=2)
    space = replace(space, cell_tags={"first": np.array([0, 3])}, facet_tags={"left": space.facet_tags["left"]})
    whole = extruded(space, START, END, 3)
    middles = whole.nodes[whole.vertices].mean(axis=1)[whole.cell_tags["first"], :2]
    expected = space.nodes[space.vertices[[0, 3]]]
    for x in middles:  # inside one of the two triangles
        coordinates = [np.linalg.solve(np.vstack([t.T, np.ones(3)]), [*x, 1.0]) for t in expected]
        assert any((c > 0).all() for c in coordinates)
    assert len(whole.cell_tags["first"]) == 2 * 3 * 3
    assert measure(whole, SIDES)[0] == pytest.approx(4.0 * (END - START))


def test_norms_of_test_functions_have_derivatives_in_space_alone() -> None:
    """For f = x t the integral of (∂f/∂x)² over (0, 2) × (1, 3) is that of t²."""
    space = LagrangeSpace(extruded(interval(0, 2, 3), START, END, 2), 2)
    x, t = space.locations().T
    values = x * t
    assert values @ (space.gram(mass=False) @ values) == pytest.approx(2.0 * (27.0 - 1.0) / 3.0)
    assert values @ (space.stiffness() @ values) == pytest.approx(2.0 * 26.0 / 3.0 + 2.0 * 8.0 / 3.0)


def test_four_dimensions_and_tags_that_time_needs_are_refused() -> None:
    with pytest.raises(InputError, match="no cells of four dimensions"):
        extruded(box(cells=1), 0.0, 1.0, 2)
    space = rectangle(cells=1)
    with pytest.raises(InputError, match="'initial' is that of a part of space and time"):
        extruded(replace(space, facet_tags={"initial": np.array([0])}), 0.0, 1.0, 2)
    with pytest.raises(InputError, match="5,000,001 cells of space and time are more than 5,000,000"):
        extruded(interval(cells=1), 0.0, 1.0, 5_000_001)


def test_a_box_without_cells_has_its_first_and_last_instant() -> None:
    whole = Hypercube((0.0, 0.0, 0.0, 0.0, 5.0), (1.0, 1.0, 1.0, 1.0, 7.0), timed=True)
    assert whole.axes == ("x0", "x1", "x2", "x3", "t")
    assert list(whole.facet_tags)[-4:] == ["lower3", "upper3", INITIAL, FINAL]
    np.testing.assert_array_equal(whole.facets((INITIAL, FINAL)), [8, 9])
