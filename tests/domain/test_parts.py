"""Test that parts of a mesh that touch without common nodes are found, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from vpinn.domain import Mesh, box, interval, make_mesh, rectangle, touching_parts
from vpinn.errors import InputError
from vpinn.problem import make_problem
from vpinn.solving import prepare


def beside(mesh: Mesh, gap: float) -> Mesh:
    """Return a mesh with a copy of it on its right that shares no nodes."""
    shift = np.zeros(mesh.dimension)
    shift[0] = np.ptp(mesh.nodes[:, 0]) + gap
    nodes = np.concatenate([mesh.nodes, mesh.nodes + shift])
    return make_mesh(nodes, np.concatenate([mesh.cells, mesh.cells + len(mesh.nodes)]), mesh.cell, mesh.order)


@pytest.mark.parametrize("mesh", [interval(cells=3), rectangle(cells=2), box(cells=1)], ids=["1", "2", "3"])
def test_two_copies_that_touch(mesh: Mesh) -> None:
    found = touching_parts(beside(mesh, 0.0))
    assert found is not None
    assert found[0] == 2
    assert found[1][0] == pytest.approx(1.0)
    assert touching_parts(beside(mesh, 0.1)) is None
    assert touching_parts(mesh) is None


def test_a_slit_is_one_part() -> None:
    """Nodes are doubled along a slit that ends inside: its sides touch, and belong together."""
    mesh = rectangle(cells=2)
    middle = int(np.flatnonzero((mesh.nodes == [0.5, 0.0]).all(axis=1))[0])
    cells = mesh.cells.copy()
    right = mesh.nodes[cells].mean(axis=1)[:, 0] > 0.5
    cells[right[:, None] & (cells == middle)] = len(mesh.nodes)
    assert touching_parts(make_mesh(np.concatenate([mesh.nodes, mesh.nodes[[middle]]]), cells, "triangle")) is None


def test_a_problem_on_them_is_refused() -> None:
    problem = make_problem(
        beside(rectangle(cells=2), 0.0),
        unknowns={"u": "scalar"},
        weak="inner(grad(u), grad(v))*dx - v*dx",
        boundary=[{"on": "all", "value": 0}],
    )
    with pytest.raises(InputError, match=r"2 separate parts that touch near x = 1, y = 0\.5 without common nodes"):
        prepare(problem)
