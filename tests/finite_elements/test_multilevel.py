"""Test the iterative solver: solutions of factorisation, a number of iterations independent of the mesh, when it is not used."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.sparse import coo_array, csc_array

from vpinn.domain import Mesh, box, rectangle
from vpinn.finite_elements import MixedSpace, solve_fem
from vpinn.finite_elements.multilevel import Levels, conjugate_gradients
from vpinn.finite_elements.newton import factorise
from vpinn.finite_elements.pattern import Pattern, joined
from vpinn.problem import make_problem


def system(n: int, degree: int, shift: float = 0.0, jump: float = 1.0) -> tuple[csc_array, Any, np.ndarray[Any, Any]]:
    """Return matrix, coarse functions and right side of −∇·k∇u − shift·u on a cube, with k larger by ``jump`` in some cells."""
    mesh = box(cells=n)
    mixed = MixedSpace.of(mesh, [degree])
    space = mixed.highest
    stiff = np.where(np.arange(mesh.n_cells) % 3 == 0, jump, 1.0)
    matrix = -shift * space.mass()
    for cells, local in space.cell_stiffness():
        rows, columns = (
            np.broadcast_to(space.dofs[cells][one], local.shape).ravel() for one in (np.s_[:, :, None], np.s_[:, None, :])
        )
        matrix += coo_array(((local * stiff[cells, None, None]).ravel(), (rows, columns)), shape=matrix.shape)
    free = np.ones(space.size, bool)
    free[space.boundary_dofs(mesh.facets(["bottom"]))] = False
    load = (space.mass() @ np.cos(np.arange(space.size) ** 2.0))[free]
    return csc_array(matrix)[free][:, free], mixed.hats(free), load


@pytest.mark.parametrize(("degree", "jump"), [(2, 1.0), (3, 1.0), (2, 1e6)])
def test_iterations_find_what_factors_do(degree: int, jump: float) -> None:
    matrix, hats, load = system(3, degree, jump=jump)
    solve = conjugate_gradients(matrix, hats, factorise, 1e-11)
    assert solve is not None
    expected = factorise(matrix)(load)
    np.testing.assert_allclose(solve(load), expected, atol=1e-8 * np.abs(expected).max())
    np.testing.assert_allclose(solve(0.0 * load), 0.0)


def test_iterations_do_not_grow_with_the_number_of_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = []
    cycle = Levels.cycle

    def counted(levels: Levels, right: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        counts[-1] += 1
        return cycle(levels, right)

    monkeypatch.setattr(Levels, "cycle", counted)
    for n in (3, 7):
        matrix, hats, load = system(n, 2)
        solve = conjugate_gradients(matrix, hats, factorise, 1e-8)
        assert solve is not None
        counts.append(0)
        solve(load)
    assert counts[1] <= 1.3 * counts[0] <= 30


def test_factors_take_over_where_a_matrix_is_indefinite() -> None:
    """Helmholtz above its first eigenvalues: symmetric, with a positive diagonal, and still solved."""
    matrix, hats, load = system(4, 2, shift=40.0)
    solve = conjugate_gradients(matrix, hats, factorise, 1e-11)
    assert solve is not None
    np.testing.assert_allclose(matrix @ solve(load), load, atol=1e-9)


def test_matrices_that_have_no_iterations() -> None:
    matrix, hats, _ = system(2, 2)
    lopsided = csc_array(matrix * 1.0)
    lopsided.data[1] += 0.1 * abs(matrix).max()
    assert conjugate_gradients(lopsided, hats, factorise, 1e-8) is None
    assert conjugate_gradients(-matrix, hats, factorise, 1e-8) is None


@pytest.mark.parametrize("mesh", [rectangle(cells=3), rectangle(cells=2, cell="quadrilateral"), box(cells=2)])
def test_hats_are_the_functions_of_degree_one(mesh: Mesh) -> None:
    """Linear functions are combinations of hats, at all nodes of any degree, where their vertices are free."""
    mixed = MixedSpace.of(mesh, (3, 2))
    hats = mixed.hats(np.ones(mixed.size, bool))
    vertices = np.unique(mesh.vertices)
    assert hats.shape == (mixed.size, 2 * len(vertices))
    corners = np.concatenate([space.locations()[: len(vertices)] for space in mixed.spaces])
    np.testing.assert_allclose(hats @ corners, np.concatenate([space.locations() for space in mixed.spaces]), atol=1e-12)


@pytest.mark.parametrize("degree", [2, 3])
def test_quadratics_are_found_by_iterations(degree: int) -> None:
    """Elasticity on a cube, more functions than are factorised: a quadratic displacement to nine digits."""
    names = ["x*y + z**2", "y**2 - x*z", "x**2 + y"]
    problem = make_problem(
        box(cells=8 if degree == 2 else 5),
        unknowns={"u": "vector"},
        expressions={
            "w": "as_vector([x*y + z**2, y**2 - x*z, x**2 + y])",
            "s": "2*sym(grad(u)) + div(u)*Identity(3)",
            "q": "2*sym(grad(w)) + div(w)*Identity(3)",
        },
        weak="(inner(s, sym(grad(v))) + dot(div(q), v))*dx - dot(q*n, v)*ds('right')",
        boundary=[{"on": ["left", "front", "back", "bottom", "top"], "value": names}],
        reference={"exact": {"u": names}},
    )
    found = solve_fem(problem, degree)
    assert found.dofs > 4_000
    assert found.errors["u"]["relative_h1"] <= 1e-9


def test_blocks_are_joined_without_what_has_no_number() -> None:
    """Cell matrices of two spaces, added and joined, against a dense sum."""
    mixed = MixedSpace.of(rectangle(cells=2), (2, 1))
    generator = np.random.default_rng(0)
    free = generator.random(mixed.size) < 0.7
    numbering = np.where(free, np.cumsum(free) - 1, -1)
    numbers = [numbering[mixed.numbers(c)] for c in range(2)]
    dense, blocks = np.zeros((mixed.size, mixed.size)), {}
    cells = np.arange(mixed.mesh.n_cells)
    for c, other in ((0, 0), (1, 0), (0, 1)):
        tests, trials = mixed.spaces[c], mixed.spaces[other]
        local = generator.normal(size=(len(cells), tests.dofs.shape[1], trials.dofs.shape[1]))
        pattern = Pattern.of(tests, trials)
        blocks[c, other] = pattern, pattern.zeros()
        for part in (cells[:3], cells[3:]):
            pattern.add(blocks[c, other][1], part, torch.from_numpy(local[part]))
        rows, columns = mixed.first[c] + tests.dofs[:, :, None], mixed.first[other] + trials.dofs[:, None, :]
        np.add.at(dense, (np.broadcast_to(rows, local.shape), np.broadcast_to(columns, local.shape)), local)
    found = joined(blocks, numbers, numbers, int(free.sum()))
    np.testing.assert_allclose(found.toarray(), dense[free][:, free], atol=1e-13)
    assert found.has_sorted_indices
