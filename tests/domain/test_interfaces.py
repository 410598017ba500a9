"""Test interfaces between parts of a mesh: the facets, their points on both sides, and the nodes that are counted twice."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from vpinn.domain import FacingPoints, LagrangeSpace, Mesh, bisect, box, facing, interval, rectangle, refine
from vpinn.errors import InputError


def parted(mesh: Mesh, joined: bool = True) -> Mesh:
    """Return a mesh of [0, 1]^d with the parts a and b on both sides of x = ½, and c in the upper half of b in the plane."""
    x = mesh.nodes[mesh.vertices].mean(axis=1)
    left = x[:, 0] < 0.5
    upper = ~left & (x[:, -1] > 0.5) & (mesh.dimension > 1)
    tags = {"a": np.flatnonzero(left), "b": np.flatnonzero(~left & ~upper), "c": np.flatnonzero(upper)}
    return replace(mesh, cell_tags=tags, joints=(("a", "b"),) if joined else ())


MESHES = {
    "interval": lambda: interval(cells=4),
    "triangle": lambda: rectangle(cells=4),
    "quadrilateral": lambda: rectangle(cells=4, cell="quadrilateral"),
    "tetrahedron": lambda: box(cells=2),
    "hexahedron": lambda: box(cells=2, cell="hexahedron"),
}


@pytest.mark.parametrize("name", MESHES)
def test_both_sides_see_the_same_points(name: str) -> None:
    mesh = parted(MESHES[name]())
    points = FacingPoints(mesh, "a", "b", 4)
    taken = points.take(range(points.size))
    assert taken.far is not None
    assert np.allclose(taken.x[:, 0], 0.5)
    assert np.allclose(taken.far.x, taken.x, atol=1e-14)
    assert np.isin(taken.cell, mesh.cell_tags["a"]).all()
    assert np.isin(taken.far.cell, mesh.cell_tags["b"]).all()
    assert taken.normal is not None
    assert np.allclose(taken.normal, np.eye(mesh.dimension)[0])
    assert points.volume == pytest.approx(1.0 if mesh.dimension == 1 else 0.5)


@pytest.mark.parametrize("name", MESHES)
@pytest.mark.parametrize("degree", [1, 2, 3])
def test_functions_jump_on_the_joint_alone(name: str, degree: int) -> None:
    """The nodes of the joint count twice, but for those at its end in the domain, around which the third part connects both."""
    mesh = parted(MESHES[name]())
    whole, split = LagrangeSpace(parted(mesh, joined=False), degree), LagrangeSpace(mesh, degree)
    x = whole.locations()
    on = np.abs(x[:, 0] - 0.5) < 1e-9
    ends = on & (np.abs(x[:, -1] - 0.5) < 1e-9) & (mesh.dimension > 1)
    doubled = on & (x[:, -1] < 0.5 + 1e-9) & ~ends
    assert split.size == whole.size + doubled.sum()
    assert np.allclose(split.locations()[split.dofs], x[whole.dofs])


def test_refinements_keep_the_joint() -> None:
    mesh = parted(rectangle(cells=4))
    for fine in (refine(mesh), bisect(mesh, np.array([0, 5]))):
        assert fine.joints == (("a", "b"),)
        assert FacingPoints(fine, "a", "b", 2).volume == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("near", "far", "said"),
    [("a", "d", "there is no group 'd'; tagged are a, b, c"), ("a", "all", "share cells"), ("a", "e", "no facet in common")],
)
def test_what_is_no_interface_is_refused(near: str, far: str, said: str) -> None:
    mesh = parted(rectangle(cells=4))
    mesh = replace(mesh, cell_tags={**mesh.cell_tags, "all": np.arange(mesh.n_cells), "e": np.array([mesh.n_cells - 1])})
    with pytest.raises(InputError, match=said):
        facing(mesh, near, far)
