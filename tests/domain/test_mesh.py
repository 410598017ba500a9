from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from vpinn.domain import CellPoints, interval, make_mesh, rectangle
from vpinn.errors import InputError

from .meshes import SHAPED

SQUARE = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
TWO = np.array([[0, 1, 3], [0, 3, 2]])


@pytest.mark.parametrize("name", SHAPED)
def test_every_facet_of_exactly_one_cell_is_on_the_boundary(name: str):
    mesh = SHAPED[name]()
    seen: dict[tuple[int, ...], list[tuple[int, int]]] = {}
    for cell, nodes in enumerate(mesh.vertices):
        for local, facet in enumerate(mesh.reference.facets):
            seen.setdefault(tuple(sorted(nodes[facet])), []).append((cell, local))
    expected = sorted(owners[0] for owners in seen.values() if len(owners) == 1)
    assert [tuple(row) for row in mesh.boundary.tolist()] == expected
    assert sorted(np.concatenate(list(mesh.facet_tags.values()))) == list(range(len(mesh.boundary)))


def test_cells_turned_over_are_turned_back():
    for name in ("interval", "triangles", "quadrilaterals", "tetrahedra", "hexahedra", "disk"):
        mesh = SHAPED[name]()
        mirrored = mesh.nodes * ([-1.0] + [1.0] * (mesh.dimension - 1))
        again = make_mesh(mirrored, mesh.cells, mesh.cell, mesh.order)
        assert abs(CellPoints(again, 4).volume - CellPoints(mesh, 4).volume) < 1e-12
        assert len(again.boundary) == len(mesh.boundary)


def test_orphan_nodes_and_a_constant_third_coordinate_are_dropped():
    nodes = np.column_stack([SQUARE, np.full(4, 7.0)])
    mesh = make_mesh(np.concatenate([np.full((2, 3), 99.0), nodes]), TWO + 2, "triangle", facet_groups={"left": [[4, 2]]})
    assert mesh.nodes.shape == (4, 2)
    assert mesh.facet_vertices(mesh.facets("left")).tolist() in ([[0, 2]], [[2, 0]])


def test_facet_groups_inside_the_domain_are_no_boundary_tags():
    mesh = make_mesh(SQUARE, TWO, "triangle", facet_groups={"cut": [[0, 3]], "both": [[0, 3], [1, 0]]})
    assert mesh.tags == ("both", "all")
    assert len(mesh.facets("both")) == 1
    with pytest.raises(InputError, match=r"'cut' has no facet on the boundary; available tags: both, all"):
        mesh.facets(("both", "cut"))


def test_tags_can_be_joined_and_unknown_ones_are_named():
    mesh = rectangle(cells=2)
    assert np.array_equal(mesh.facets(["left", "right", "left"]), np.union1d(mesh.facets("left"), mesh.facets("right")))
    assert len(mesh.facets("all")) == 8
    assert len(mesh.facets([])) == 0
    with pytest.raises(InputError, match="'inlet' does not exist; available tags: left, right, bottom, top, all"):
        mesh.facets("inlet")


BAD = {
    "no cells": (SQUARE, np.empty((0, 3), dtype=int), "triangle", 1, "no usable cells"),
    "wrong number of nodes": (SQUARE, [[0, 1]], "triangle", 1, "no usable cells"),
    "unknown type": (SQUARE, TWO, "prism", 1, "choose one of"),
    "order": (SQUARE, TWO, "triangle", 3, "order must be 1 or 2"),
    "index too large": (SQUARE, [[0, 1, 4]], "triangle", 1, "outside 0 … 3"),
    "negative index": (SQUARE, [[0, 1, -1]], "triangle", 1, "outside 0 … 3"),
    "nan": (SQUARE * [1.0, np.nan], TWO, "triangle", 1, "not finite"),
    "infinite": (np.where(SQUARE == 1, np.inf, 0), TWO, "triangle", 1, "not finite"),
    "flat": (SQUARE[:1], [[0, 0, 0]], "triangle", 1, "must differ"),
    "repeated node": (SQUARE, [[0, 1, 1]], "triangle", 1, "empty"),
    "collinear": (np.array([[0.1, 0.1], [0.2, 0.2], [0.7, 0.7], [0, 1]]), [[0, 1, 2], [0, 1, 3]], "triangle", 1, "triangle 0 at"),
    "bow tie": (SQUARE, [[0, 1, 3, 2]], "quadrilateral", 1, "fold over"),
    "concave": (np.array([[0, 0], [1, 0], [0, 1], [0.3, 0.3]]), [[0, 1, 2, 3]], "quadrilateral", 1, "fold over"),
    "repeated cell": (SQUARE, [[0, 1, 3], [3, 0, 1]], "triangle", 1, "cells 0 and 1 have the same vertices"),
    "three at an edge": (
        np.array([[0, 0], [1, 0], [0, 1], [0.5, 2], [0.3, -1]]),
        [[0, 1, 2], [0, 1, 3], [0, 1, 4]],
        "triangle",
        1,
        "more than two cells",
    ),
    "surface": (np.column_stack([SQUARE, [0, 0, 0, 1]]), TWO, "triangle", 1, "surface in 3 dimensions"),
    "too few coordinates": (SQUARE[:, :1], TWO, "triangle", 1, "points with 2 coordinates"),
    "tangled curve": (
        np.array([[0, 0], [1, 0], [0, 1], [0.5, 0.5], [0, 0.5], [0.5, 0.9]]),
        [[0, 1, 2, 3, 4, 5]],
        "triangle",
        2,
        "fold over",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_invalid_meshes_are_refused_in_one_line(case: str):
    nodes, cells, cell, order, message = BAD[case]
    with pytest.raises(InputError, match=message) as caught:
        make_mesh(nodes, cells, cell, order)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("groups", "tags", "message"),
    [
        ({"a": [[1, 2]]}, {}, "not facets of any cell"),
        ({"a": [[1, 9]]}, {}, "nodes that are not in the mesh"),
        ({"all": [[0, 1]]}, {}, "rename it"),
        ({}, {"steel": np.array([5])}, "cells that are not in the mesh"),
    ],
)
def test_groups_that_do_not_fit_are_refused(groups, tags, message: str):
    with pytest.raises(InputError, match=message):
        make_mesh(SQUARE, TWO, "triangle", 1, groups, tags)


def test_meshes_cannot_be_changed():
    mesh = rectangle(cells=2)
    with pytest.raises(ValueError, match="read-only"):
        mesh.nodes[0] = 0.0
    with pytest.raises(ValueError, match="read-only"):
        mesh.facet_tags["left"][0] = 0


def test_the_stage_needs_neither_torch_nor_meshio():
    heavy = "{'torch', 'ufl', 'pydantic', 'meshio', 'skfem', 'scipy.stats'}"
    code = f"import sys, vpinn.domain; raise SystemExit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-P", "-c", code], check=False).returncode == 0


def test_aspect_counts_cells_in_each_direction() -> None:
    assert rectangle(upper=(20.0, 1.0), cells=(80, 5)).aspect == pytest.approx([4.0, 0.25])
    assert rectangle(upper=(20.0, 1e-3), cells=(8, 8), cell="quadrilateral").aspect == pytest.approx([1.0, 1.0])
    assert interval(cells=7).aspect == pytest.approx([1.0])
