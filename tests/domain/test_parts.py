"""Test that parts of a mesh that touch without common nodes are found, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from vpinn.domain import Mesh, box, disk, hanging_node, interval, l_shape, make_mesh, rectangle, touching_parts
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


def split(mesh: Mesh, cell: int, edge: tuple[int, int], share: float = 0.5) -> Mesh:
    """Return a mesh with one cell cut in two at an edge, and none of its neighbours."""
    a, b = edge
    new = (1 - share) * mesh.nodes[mesh.cells[cell, a]] + share * mesh.nodes[mesh.cells[cell, b]]
    halves = np.stack([mesh.cells[cell], mesh.cells[cell]])
    halves[0, a], halves[1, b] = len(mesh.nodes), len(mesh.nodes)
    cells = np.concatenate([np.delete(mesh.cells, cell, axis=0), halves])
    return make_mesh(np.concatenate([mesh.nodes, new[None]]), cells, mesh.cell)


@pytest.mark.parametrize("share", [0.5, 0.01])
def test_a_node_that_hangs_in_the_plane(share: float) -> None:
    mesh = rectangle(cells=3)
    middle = np.abs(mesh.nodes[mesh.vertices].mean(axis=1) - 0.5).max(axis=1).argmin()
    hanging = split(mesh, int(middle), (0, 1), share)
    place = hanging_node(hanging)
    assert place is not None
    assert place == pytest.approx(hanging.nodes[-1])


def test_a_node_that_hangs_in_space() -> None:
    mesh = box(cells=2)
    inner = (np.abs(mesh.nodes[mesh.vertices] - 0.5) < 1e-9).all(axis=2)  # the vertex in the middle of the box
    cell = int(np.flatnonzero(inner.any(axis=1))[0])
    ends = int(inner[cell].argmax()), int((~inner[cell]).argmax())
    hanging = split(mesh, cell, ends)
    assert hanging_node(hanging) == pytest.approx(hanging.nodes[-1])


@pytest.mark.parametrize(
    "mesh",
    [
        interval(cells=3),
        rectangle(cells=3),
        rectangle(cells=2, cell="quadrilateral"),
        box(cells=2),
        box(cells=2, cell="hexahedron"),
        disk(cells=4),
        l_shape(cells=4),
    ],
)
def test_no_node_hangs_where_cells_are_joined(mesh: Mesh) -> None:
    assert hanging_node(mesh) is None


def test_a_node_that_hangs_is_told_before_the_work() -> None:
    problem = make_problem(
        split(rectangle(cells=3), 4, (0, 1)),
        unknowns={"u": "scalar"},
        energy="0.5*inner(grad(u), grad(u))*dx - u*dx",
        boundary=[{"on": "all", "value": 0}],
    )
    with pytest.raises(InputError, match="hangs on the side of a larger cell"):
        prepare(problem)
