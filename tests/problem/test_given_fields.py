"""Known coefficients from files: grids, scattered points, data at nodes and cells of a mesh, and files that do not fit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import meshio
import numpy as np
import pytest
from ufl.algorithms.analysis import extract_coefficients

import vpinn
from vpinn.domain import bare_points, rectangle
from vpinn.errors import InputError
from vpinn.finite_elements import solve_fem
from vpinn.problem import KnownFunction

Array = np.ndarray[Any, np.dtype[np.float64]]


def linear(x: Array) -> Array:
    """1 + 2x + 3y, which every interpolation of first order reproduces."""
    return 1.0 + x @ [2.0, 3.0]


def table(path: Path, x: Array, values: Array, header: str = "x,y,k") -> None:
    np.savetxt(path, np.column_stack([x, values]), delimiter=",", header=header, comments="", fmt="%.17g")


def grid(folder: Path) -> str:
    x = np.stack(np.meshgrid(np.linspace(0, 1, 4), [0.0, 0.2, 1.0]), axis=-1).reshape(-1, 2)
    order = np.random.default_rng(0).permutation(len(x))
    table(folder / "k.csv", x[order], linear(x[order]))
    return "k.csv"


def scattered(folder: Path) -> str:
    corners = np.array([[-1.0, -1.0], [2.0, -1.0], [2.0, 2.0], [-1.0, 2.0]])
    x = np.concatenate([np.random.default_rng(1).uniform(-0.5, 1.5, (200, 2)), corners])
    table(folder / "k.csv", x, linear(x))
    return "k.csv"


def nodes(folder: Path) -> str:
    x = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0], [0.4, 0.6]])
    cells = [("triangle", [[0, 1, 4], [1, 2, 4], [2, 3, 4], [3, 0, 4]])]
    meshio.Mesh(np.column_stack([x, np.zeros(5)]), cells, point_data={"k": linear(x)}).write(folder / "k.vtu")
    return "k.vtu"


@pytest.mark.parametrize("write", [grid, scattered, nodes])
def test_a_linear_field_is_reproduced_with_its_gradient(write: Callable[[Path], str], tmp_path: Path) -> None:
    problem = stated(tmp_path, write(tmp_path))
    field = field_of(problem)
    x = np.random.default_rng(2).uniform(0.0, 1.0, (50, 2))
    found = field.values.jets(bare_points(x), 1)
    assert found[()] == pytest.approx(linear(x), rel=1e-12)
    assert found[(0,)] == pytest.approx(np.full(50, 2.0), rel=1e-9)
    assert found[(1,)] == pytest.approx(np.full(50, 3.0), rel=1e-9)


def stated(folder: Path, file: str, **fields: Any) -> vpinn.Problem:
    return vpinn.make_problem(
        rectangle(cells=4),
        unknowns={"u": "scalar"},
        fields={"k": {"file": file, **fields}},
        energy="0.5*k*inner(grad(u), grad(u))*dx - u*dx",
        boundary=[{"on": "all", "value": 0}],
        folder=folder,
    )


def field_of(problem: vpinn.Problem) -> KnownFunction:
    (found,) = (one for one in extract_coefficients(problem.formulation.integrals) if isinstance(one, KnownFunction))
    return found


def test_a_field_is_a_coefficient_like_any_expression(tmp_path: Path) -> None:
    """The same problem with the field as an expression has the same solution."""
    known = vpinn.make_problem(
        rectangle(cells=4),
        unknowns={"u": "scalar"},
        energy="0.5*(1 + 2*x + 3*y)*inner(grad(u), grad(u))*dx - u*dx",
        boundary=[{"on": "all", "value": 0}],
    )
    x = np.random.default_rng(3).uniform(0.1, 0.9, (9, 2))
    problem = stated(tmp_path, grid(tmp_path))
    assert solve_fem(problem, 3).evaluate(x)["u"] == pytest.approx(solve_fem(known, 3).evaluate(x)["u"], rel=1e-10)


def test_values_of_cells(tmp_path: Path) -> None:
    x = np.array([[0.0, 0, 0], [0.5, 0, 0], [1, 0, 0], [1, 1, 0], [0.5, 1, 0], [0, 1, 0]])
    cells = [("quad", [[0, 1, 4, 5]]), ("quad", [[1, 2, 3, 4]])]
    meshio.Mesh(x, cells, cell_data={"conductivity": [[2.0], [5.0]]}).write(tmp_path / "k.vtu")
    field = field_of(stated(tmp_path, "k.vtu", name="conductivity"))
    found = field.values.jets(bare_points(np.array([[0.2, 0.5], [0.7, 0.1]])), 1)
    assert found[()].tolist() == [2.0, 5.0]
    assert found[(0,)].tolist() == [0.0, 0.0]


def short(folder: Path) -> str:
    x = np.stack(np.meshgrid([0.0, 0.5], [0.0, 1.0]), axis=-1).reshape(-1, 2)
    table(folder / "k.csv", x, linear(x))
    return "k.csv"


def holed(folder: Path) -> str:
    grid(folder)
    text = (folder / "k.csv").read_text().splitlines()
    (folder / "k.csv").write_text("\n".join([*text[:3], text[3].rpartition(",")[0] + ",nan", *text[4:]]))
    return "k.csv"


def other(folder: Path) -> str:
    table(folder / "k.csv", np.array([[0.0, 0.0], [1.0, 1.0]]), np.zeros(2), "x,y,q")
    return "k.csv"


def line(folder: Path) -> str:
    x = np.array([[0.0, 0.0], [0.5, 0.5], [1.0, 1.0]])
    table(folder / "k.csv", x, linear(x))
    return "k.csv"


def twice(folder: Path) -> str:
    x = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    table(folder / "k.csv", x, linear(x))
    return "k.csv"


@pytest.mark.parametrize(
    ("write", "name", "words"),
    [
        (short, None, r"k does not cover the domain: it has no value at \d+ of \d+ nodes and cell centres, such as \("),
        (holed, None, "values that are not finite"),
        (other, None, "has no column 'k'; its columns are x, y, q"),
        (line, None, "points that span no 2 dimensions"),
        (twice, None, "two values for one point"),
        (nodes, "q", "the file has no data 'q'; it has k"),
        (lambda folder: "none.csv", None, "no such file"),
    ],
)
def test_a_file_that_does_not_fit_is_told(write: Callable[[Path], str], name: str | None, words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=words) as caught:
        stated(tmp_path, write(tmp_path), **({} if name is None else {"name": name}))
    assert "\n" not in str(caught.value)
