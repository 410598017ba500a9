"""Test Newton's method on small systems."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csc_array

from vpinn.errors import DivergenceError, InputError
from vpinn.finite_elements.newton import factorise, newton

Array = NDArray[np.float64]


def diagonal(function: Callable[[Array], Array], slope: Callable[[Array], Array]) -> Callable[[Array, bool], tuple[Array, Any]]:
    return lambda u, matrix: (function(u), csc_array(np.diag(slope(u))) if matrix else None)


def test_backtracking() -> None:
    """The root of arctan u from u = 10, where full steps run away."""
    found = newton(diagonal(np.arctan, lambda u: 1 / (1 + u**2)), np.array([10.0, -3.0]))
    assert np.abs(found.values).max() <= 1e-12
    assert 3 <= found.steps <= 30


def test_quadratic_convergence() -> None:
    found = newton(diagonal(lambda u: u**3 - 8, lambda u: 3 * u**2), np.array([3.0]))
    assert found.values == pytest.approx(2.0, rel=1e-15)
    assert found.steps <= 6


def test_does_not_depend_on_units() -> None:
    """Equations in other units give the same iterates."""
    scales = np.array([1e-8, 1e8])
    plain = newton(diagonal(lambda u: np.exp(u) - 2, np.exp), np.array([5.0, -2.0]))
    scaled = newton(diagonal(lambda u: scales * (np.exp(u) - 2), lambda u: scales * np.exp(u)), np.array([5.0, -2.0]))
    np.testing.assert_allclose(scaled.values, plain.values, rtol=1e-14)
    assert scaled.steps == plain.steps


def test_no_root_is_said() -> None:
    with pytest.raises(DivergenceError, match="Newton"):
        newton(diagonal(lambda u: u**2 + 1, lambda u: 2 * u), np.array([0.7]))


def test_pivoting_takes_over() -> None:
    """A saddle point with zeros on the diagonal."""
    matrix = np.array([[2.0, 0, 1], [0, 3, -1], [1, -1, 0]])
    right = np.array([1.0, 2, 3])
    np.testing.assert_allclose(matrix @ factorise(csc_array(matrix))(right), right, atol=1e-14)


@pytest.mark.parametrize("matrix", [np.zeros((2, 2)), np.array([[1.0, -1], [-1, 1 + 1e-16]]), np.diag([1.0, np.nan])])
def test_singular_matrices_are_refused(matrix: Array) -> None:
    with pytest.raises(InputError, match="singular"):
        factorise(csc_array(matrix))


@pytest.mark.parametrize("unit", [1e-12, 1.0, 1e12])
def test_saddle_points_in_any_units(unit: float) -> None:
    """Large and small entries beside zeros on the diagonal: right, and singular only where a multiplier is loose."""
    generator = np.random.default_rng(0)
    stiff = np.diag(np.linspace(1, 3, 30)) * unit
    constraints = generator.normal(size=(30, 8))
    matrix = np.block([[stiff, constraints], [constraints.T, np.zeros((8, 8))]])
    right = np.concatenate([unit * generator.normal(size=30), generator.normal(size=8)])
    found, expected = factorise(csc_array(matrix))(right), np.linalg.solve(matrix / unit, right / unit)
    np.testing.assert_allclose(found[:30], expected[:30], rtol=1e-9)
    loose = matrix.copy()
    loose[:30, 37], loose[37, :30] = loose[:30, 36], loose[36, :30]
    with pytest.raises(InputError, match="singular"):
        factorise(csc_array(loose))
