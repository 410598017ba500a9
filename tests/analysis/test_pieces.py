"""Test that a piece of the mesh which nothing holds is told, and a mesh of one piece is not."""

from __future__ import annotations

import re
import tracemalloc
from typing import Any

import numpy as np
import pytest

from vpinn.analysis.pieces import loose_piece
from vpinn.domain import CellPoints, Mesh, make_mesh, rectangle
from vpinn.problem import make_problem

POISSON = "inner(grad(u), grad(v))*dx"
ELASTIC = "inner(2*sym(grad(u)) + div(u)*Identity(2), sym(grad(v)))*dx"
HELD = [{"on": "all", "where": "x < 0.55", "value": 0}]
BODY = [{"on": "all", "where": "x < 0.55", "value": [0, 0]}]
BOTH = [{"on": "all", "value": 0}]


def touching(gap: float) -> Mesh:
    """Return two squares beside each other, whose nodes along the seam are double."""
    one = rectangle(cells=2)
    nodes = np.concatenate([one.nodes, one.nodes + np.array([1.0 + gap, 0.0])])
    return make_mesh(nodes, np.concatenate([one.cells, one.cells + len(one.nodes)]), one.cell)


@pytest.mark.parametrize("gap", [0.0, 0.5])
@pytest.mark.parametrize(
    ("shape", "weak", "boundary", "told"),
    [
        ("scalar", POISSON, HELD, "2 pieces that share no node, and in the one about x = .* u is open up to a constant"),
        ("vector", ELASTIC, BODY, "u is free to move along x; merge double nodes of the mesh, or give a condition there"),
        ("scalar", POISSON, BOTH, ""),
        ("scalar", f"{POISSON} + 0.1*u*v*dx", HELD, ""),
    ],
)
def test_a_piece_that_nothing_holds_is_told(gap: float, shape: str, weak: str, boundary: list[dict[str, Any]], told: str) -> None:
    found = loose_piece(make_problem(touching(gap), unknowns={"u": shape}, weak=weak, boundary=boundary))
    assert re.search(told, found) if told else found == ""


def test_parts_of_one_mesh_are_joined() -> None:
    assert loose_piece(make_problem(rectangle(cells=2), unknowns={"u": "scalar"}, weak=POISSON, boundary=HELD)) == ""


def test_memory_on_a_mesh_of_many_cells() -> None:
    """Pieces and volumes of 240,000 cells take 150 bytes per cell at most: neither pairs of cells nor all points at once."""
    mesh = rectangle(cells=(400, 300), cell="triangle")
    problem, points = make_problem(mesh, unknowns={"u": "scalar"}, weak=POISSON, boundary=BOTH), CellPoints(mesh, 1)
    assert mesh.h.min() > 0.0
    tracemalloc.start()
    try:
        assert loose_piece(problem) == ""
        assert points.entity_volumes.sum() == pytest.approx(1.0)
        assert tracemalloc.get_traced_memory()[1] < 150 * mesh.n_cells
    finally:
        tracemalloc.stop()
