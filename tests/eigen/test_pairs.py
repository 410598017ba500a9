"""Eigenpairs of sparse matrices: those nearest to a number, whatever the matrices, and which mass matrices are refused."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import eigvals
from scipy.sparse import block_array, csc_array, diags_array

from vpinn.eigen.pairs import check_mass, eigenpairs
from vpinn.errors import InputError
from vpinn.finite_elements import factorise

SIZE = 60


def matrices(turn: float = 0.0) -> tuple[csc_array, csc_array]:
    """Return K and M of an interval by hand: second differences and varying weights, of two copies that turn into each other."""
    half = SIZE // 2
    line = diags_array([-np.ones(half - 1), 2.0 * np.ones(half), -np.ones(half - 1)], offsets=(-1, 0, 1))
    turned = diags_array(turn * np.linspace(1.0, 2.0, half))
    weights = 1.0 + np.arange(SIZE) / SIZE
    return csc_array(block_array([[line, turned], [-turned, 2.0 * line]])), diags_array(weights, format="csc")


@pytest.mark.parametrize("near", [0.0, 0.7, -3.0])
@pytest.mark.parametrize("turn", [0.0, 0.2])
def test_pairs_are_those_nearest_to_the_number(near: float, turn: float) -> None:
    stiffness, mass = matrices(turn)
    found = eigenpairs(stiffness, mass, 5, near, factorise, np.random.default_rng(0))
    every = eigvals(stiffness.toarray(), mass.toarray())
    expected = np.sort(np.abs(every - near))[:5]
    np.testing.assert_allclose(np.sort(np.abs(found.values - near)), expected, rtol=1e-9)
    left = stiffness @ found.vectors - mass @ found.vectors * found.values
    assert np.abs(left).max() < 1e-9
    np.testing.assert_allclose(np.einsum("nk,nk->k", found.vectors.conj(), mass @ found.vectors), 1.0, rtol=1e-12)
    assert np.isrealobj(found.values) == (turn == 0.0)


def test_rounding_is_seen_when_entries_are_rounded() -> None:
    stiffness, mass = matrices()
    exact = eigenpairs(stiffness, mass, 3, 0.0, factorise, np.random.default_rng(0))
    changes, generator = [], np.random.default_rng(1)
    for _ in range(200):
        noise = 1.0 + 1e-8 * generator.standard_normal(stiffness.nnz)
        moved = csc_array((stiffness.data * noise, stiffness.indices, stiffness.indptr), shape=stiffness.shape)
        values = np.linalg.eigvals(moved.toarray() / mass.diagonal()[:, None])
        changes.append(np.sort(values.real)[:3] - exact.values)
    # the entries of K alone were changed, by 1e-8 of themselves, and not by ε
    expected = exact.rounding * 1e-8 / np.finfo(float).eps
    measured = np.std(changes, axis=0)
    assert (measured <= 1.2 * expected).all()
    assert (measured >= 0.5 * expected).all()


def test_a_number_that_is_an_eigenvalue_is_no_obstacle() -> None:
    stiffness = diags_array(
        [-np.ones(SIZE - 1), np.r_[1.0, 2.0 * np.ones(SIZE - 2), 1.0], -np.ones(SIZE - 1)], offsets=(-1, 0, 1), format="csc"
    )
    mass = diags_array(np.ones(SIZE), format="csc")
    found = eigenpairs(stiffness, mass, 3, 0.0, factorise, np.random.default_rng(0))
    np.testing.assert_allclose(found.values, 2.0 - 2.0 * np.cos(np.pi * np.arange(3) / SIZE), atol=1e-13)


def test_a_mass_matrix_may_be_singular() -> None:
    stiffness, mass = matrices()
    weights = mass.diagonal() * (np.arange(SIZE) % 3 > 0)
    mass = diags_array(weights, format="csc")
    found = eigenpairs(stiffness, mass, 4, 0.0, factorise, np.random.default_rng(0))
    every = eigvals(np.linalg.solve(stiffness.toarray(), mass.toarray()))
    np.testing.assert_allclose(1.0 / found.values, np.sort(every.real)[::-1][:4], rtol=1e-10)


@pytest.mark.parametrize("entries", [{(3, 3): -1.0}, {(0, 5): 0.4}, {(0, 5): 4.0, (5, 0): 4.0}])
def test_a_mass_matrix_is_symmetric_and_not_negative(entries: dict[tuple[int, int], float]) -> None:
    changed = matrices()[1].tolil()
    for place, value in entries.items():
        changed[place] = value
    with pytest.raises(InputError, match=r"symmetric|positive"):
        check_mass(csc_array(changed), np.random.default_rng(0))
