"""Radau IIA: its order, equations of second order, constraints, and where it gives up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from vpinn.march.radau import Collapsed, Control, Derivatives, Radau
from vpinn.march.tableau import Tableau


@dataclass
class Dense:
    a0: np.ndarray
    a1: np.ndarray
    a2: np.ndarray

    def solver(self, shift: complex) -> Callable[[np.ndarray], np.ndarray]:
        matrix = self.a0 + shift * self.a1 + shift**2 * self.a2
        return lambda right: np.linalg.solve(matrix, right)

    def times(self, first: float, second: float, vector: np.ndarray) -> np.ndarray:
        return first * (self.a1 @ vector) + second * (self.a2 @ vector)


class Oscillator:
    """u″ + u = 0."""

    orders, linear = np.array([2]), True

    def residual(self, t: float, u: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return second + u

    def linearise(self, t: float, u: np.ndarray, first: np.ndarray, second: np.ndarray) -> Derivatives:
        return Dense(np.eye(1), np.zeros((1, 1)), np.eye(1))


class Multiplier:
    """u₁′ = −u₁ − p, u₂′ = 1 − 2u₂ − p with u₁ + u₂ = sin t: of index two."""

    orders, linear = np.array([1, 1, 0]), True

    def residual(self, t: float, u: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return np.array([first[0] + u[0] + u[2], first[1] + 2 * u[1] + u[2] - 1, u[0] + u[1] - np.sin(t)])

    def linearise(self, t: float, u: np.ndarray, first: np.ndarray, second: np.ndarray) -> Derivatives:
        return Dense(np.array([[1, 0, 1], [0, 2, 1], [1, 1, 0.0]]), np.diag([1.0, 1, 0]), np.zeros((3, 3)))


class Grows:
    """u′ = u²."""

    orders, linear = np.array([1]), False

    def residual(self, t: float, u: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return first - u**2

    def linearise(self, t: float, u: np.ndarray, first: np.ndarray, second: np.ndarray) -> Derivatives:
        return Dense(-2 * np.diag(u), np.eye(1), np.zeros((1, 1)))


def end(equations: object, until: float, u: list[float], rates: list[float], tolerance: float, largest: float = 9.0) -> Radau:
    control = Control(tolerance, np.ones(len(u)), largest)
    found = Radau(equations, 0.0, until, np.array(u), np.array(rates), control)  # type: ignore[arg-type]
    for _ in found.steps():
        pass
    return found


@pytest.mark.parametrize("stages", [3, 5])
def test_the_tableau_integrates_polynomials(stages: int) -> None:
    method = Tableau.of(stages)
    matrix, powers = np.linalg.inv(method.inverse), np.arange(2 * stages - 1)
    np.testing.assert_allclose(matrix[-1] @ method.c[:, None] ** powers, 1 / (powers + 1), atol=1e-12)
    z = np.random.default_rng(0).standard_normal(stages)
    parts = method.left @ z
    np.testing.assert_allclose(np.real(method.right @ parts), z, atol=1e-12)


@pytest.mark.parametrize(("tolerance", "order"), [(1e-3, 5), (1e-7, 9)])
def test_the_order_of_steps_of_one_length(tolerance: float, order: int) -> None:
    errors = []
    for largest in (1.0, 0.5):  # so loose a tolerance that the largest length holds
        control = Control(tolerance, np.full(1, 1e9), largest)
        found = Radau(Oscillator(), 0.0, 4.0, np.ones(1), np.zeros(1), control)
        taken = [step for step in found.steps() if step.h == largest]
        gap = [abs(step.values[-1, 0] - step.values[0, 0] * np.cos(step.h) - step.rates[0, 0] * np.sin(step.h)) for step in taken]
        errors.append(max(gap))
    assert np.log2(errors[0] / errors[1]) > order + 0.5  # of one step, one more than that of all


def test_a_second_order_equation_keeps_to_the_tolerance() -> None:
    for tolerance in (1e-5, 1e-9):
        steps = list(Radau(Oscillator(), 0.0, 10.0, np.ones(1), np.zeros(1), Control(tolerance, np.ones(1), 9.0)).steps())
        assert abs(steps[-1].values[-1, 0] - np.cos(10)) < 10 * tolerance
        assert abs(steps[-1].rates[-1, 0] + np.sin(10)) < 10 * tolerance


def test_a_constraint_holds_and_its_multiplier_is_found_from_the_start_on() -> None:
    steps = list(Radau(Multiplier(), 0.0, 3.0, np.array([0.5, -0.5, 0.0]), np.zeros(3), Control(1e-9, np.ones(3), 1.0)).steps())
    for step in steps:
        first, second, multiplier = step.values[-1]
        t = step.t + step.h
        assert first + second == pytest.approx(np.sin(t), abs=1e-13)
        assert multiplier == pytest.approx((1 - np.cos(t) - first - 2 * second) / 2, abs=1e-6)
    assert steps[0].values[0, 2] == pytest.approx((1 - 1 - 0.5 + 1) / 2, abs=1e-6)


def test_the_steps_of_a_solution_that_ceases_to_exist_collapse() -> None:
    found = Radau(Grows(), 0.0, 2.0, np.ones(1), np.zeros(1), Control(1e-6, np.ones(1), 1.0))
    with pytest.raises(Collapsed):
        list(found.steps())
    assert found.t == pytest.approx(1.0, abs=1e-4)
