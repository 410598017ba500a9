"""Test the orthonormal space: orthonormality, projection errors, and the exact solution of a steady problem."""

from __future__ import annotations

import numpy as np
import pytest

from vpinn.domain import CellPoints, Mesh
from vpinn.features.orthonormal import GalerkinSystem, Mixture, OrthonormalSpace, homogeneous, make_lifts, make_space
from vpinn.problem import Problem, make_problem

DEGREE = 20


def heat(cells: int = 3, **more: object) -> Problem:
    return make_problem(
        {"shape": "rectangle", "cells": cells, "time": [0, 1]},
        unknowns={"u": "scalar"},
        weak="dt(u)*v*dx + inner(grad(u), grad(v))*dx - 2*pi**2*sin(pi*x)*sin(pi*y)*v*dx",
        boundary=[{"on": "all", "value": 0}, {"on": "initial", "value": 0}],
        **more,
    )


def space_of(problem: Problem, kind: str, width: int, smallest: float = 1e-11) -> tuple[OrthonormalSpace, CellPoints]:
    assert isinstance(problem.domain, Mesh)
    every = CellPoints(problem.domain, DEGREE)
    trial, theta = Mixture(kind, width, 0).draw(homogeneous(problem), problem.domain, every.take(range(every.size)))
    return make_space(problem, trial, theta, every, smallest), every


@pytest.mark.parametrize("kind", ["sin", "tanh"])
def test_functions_are_orthonormal(kind: str) -> None:
    space, every = space_of(heat(), kind, 80, smallest=1e-4)
    points = every.take(range(every.size))
    values = space.jets(points, [()])[0][()]
    gram = (values * points.w[:, None]).T @ values
    assert np.abs(gram - np.eye(len(gram))).max() < 1e-12


def test_rank_is_cut_by_singular_values() -> None:
    ranks = [space_of(heat(), "sin", 80, smallest)[0].size for smallest in (1e-2, 1e-5, 1e-11)]
    assert ranks[0] < ranks[1] < ranks[2] <= 81
    space, _ = space_of(heat(), "sin", 80, 1e-5)
    assert (space.spectra[0] > 1e-5).sum() == space.size


def test_functions_vanish_where_values_are_given() -> None:
    from vpinn.domain import BoundaryPart

    problem = heat()
    space, _ = space_of(problem, "sin", 60)
    on_boundary = space.jets(BoundaryPart.of(problem.domain).on_each(), [()])[0][()]
    assert np.abs(on_boundary).max() < 1e-12


def test_projection_errors_fall_with_the_number_of_features() -> None:
    problem, errors = heat(), []
    for width in (20, 40, 80, 160):
        space, every = space_of(problem, "sin", width)
        points = every.take(range(every.size))
        x, y = points.x.T
        truth = np.sin(np.pi * x) * np.sin(np.pi * y) * np.exp(x - y)
        values, root = space.jets(points, [()])[0][()], np.sqrt(points.w)
        found = values @ np.linalg.lstsq(root[:, None] * values, root * truth, rcond=None)[0]
        errors.append(np.linalg.norm(root * (found - truth)) / np.linalg.norm(root * truth))
    assert errors[1] < errors[0] / 10
    assert errors[3] < 1e-9


def test_derivatives_are_those_of_differences() -> None:
    from vpinn.domain import located_points

    problem = heat()
    space, _ = space_of(problem, "sin", 40, 1e-4)
    x, h = np.array([[0.31, 0.47], [0.77, 0.12]]), 1e-5
    jets = space.jets(located_points(problem.domain, x)[0], [(), (0,), (0, 1)])[0]

    def values(shift: tuple[float, float]) -> np.ndarray:
        return space.jets(located_points(problem.domain, x + h * np.array(shift))[0], [()])[0][()]

    np.testing.assert_allclose(jets[0,], (values((1, 0)) - values((-1, 0))) / (2 * h), rtol=1e-5, atol=1e-5)
    mixed = (values((1, 1)) - values((1, -1)) - values((-1, 1)) + values((-1, -1))) / (4 * h * h)
    np.testing.assert_allclose(jets[0, 1], mixed, rtol=1e-3, atol=1e-2)


def test_galerkin_solves_the_steady_problem_as_least_squares_does() -> None:
    """The state that a heat equation tends to is the solution of Poisson's equation, sin(πx) sin(πy)."""
    problem = heat()
    space, every = space_of(problem, "sin", 120)
    system = GalerkinSystem(problem, space, make_lifts(problem, space.trial.background), DEGREE)
    zero = np.zeros(space.size)
    stiffness, _, mass = system.matrices(0.0, zero, zero)
    coefficients = -np.linalg.solve(stiffness, system.residual(0.0, zero, zero))
    points = every.take(range(every.size))
    found = space.jets(points, [()])[0][()] @ coefficients
    truth = np.sin(np.pi * points.x).prod(1)
    assert np.sqrt(points.w @ (found - truth) ** 2) < 1e-8
    assert np.abs(mass - np.eye(len(mass))).max() < 1e-4
    assert np.linalg.eigvalsh(stiffness)[0] == pytest.approx(2 * np.pi**2, rel=1e-8)


def test_parameters_are_those_of_the_same_field() -> None:
    from vpinn.trial import Evaluator

    problem = heat()
    space, every = space_of(problem, "sin", 60)
    coefficients = np.random.default_rng(0).standard_normal(space.size) * 0.5 ** np.arange(space.size)
    points = every.take(range(0, every.size, 7))
    wanted = space.jets(points, [()])[0][()] @ coefficients
    found = Evaluator.of(problem, space.trial, [problem.unknowns[0].function])(space.parameters([coefficients]), points)[0]
    np.testing.assert_allclose(found, wanted, atol=1e-7 * np.abs(wanted).max())
