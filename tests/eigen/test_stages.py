"""Eigenvalues of problems whose eigenvalues are known: errors and estimates of errors, degree by degree and at a corner."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch

import vpinn
from vpinn.domain import CellPoints
from vpinn.eigen import EigenStage, mode_problem, mode_trial, solve_in_stages
from vpinn.eigen.discrete import compare, discretise, nearest
from vpinn.errors import InputError
from vpinn.solution import Solution

LAPLACE: Mapping[str, Any] = {"unknowns": {"u": "scalar"}, "weak": "inner(grad(u), grad(v))*dx"}
HELD = [{"on": "all", "value": 0}]
SQUARE = np.sort([np.pi**2 * (i * i + j * j) for i in range(1, 8) for j in range(1, 8)])
L_SHAPE = np.array([9.6397238440219410, 15.197251926454343, 2 * np.pi**2])
"""Betcke & Trefethen, SIAM Review 47 (2005), 469–491: the first to 16 digits, the second to 14; the third is exact."""


def stated(domain: Mapping[str, Any], count: int, near: float = 0.0, mass: str = "u*v*dx", **sections: Any) -> vpinn.Problem:
    """Return an eigenproblem, by default of the Laplacian with zero values."""
    sections = {"boundary": HELD, **LAPLACE, **sections}
    return vpinn.make_problem(dict(domain), eigen={"mass": mass, "count": count, "near": near}, **sections)


def solved(problem: vpinn.Problem, tolerance: float = 1e-11) -> EigenStage:
    """Return the last stage."""
    return solve_in_stages(problem, tolerance, lambda: np.random.default_rng(0), lambda stage: True)[0]


def test_errors_fall_with_twice_the_degree_and_estimates_tell_them() -> None:
    wanted, errors = 6, []
    for cells in (3, 6):
        problem = stated({"shape": "rectangle", "cells": cells}, wanted)
        found = discretise(problem, 2, np.random.default_rng(0))
        error = found.pairs.values[nearest(found, wanted)] - SQUARE[:wanted]
        assert (error > 0.0).all()  # the principle of Courant and Fischer
        told = compare(found, discretise(problem, 4, np.random.default_rng(0)), wanted)
        np.testing.assert_allclose(told.differences, error, rtol=0.05)
        # the energy that the cells share is the sum of relative errors
        assert (told.cells**2).sum() == pytest.approx((told.differences / SQUARE[:wanted]).sum(), rel=0.25)
        errors.append(error[0])
    assert np.log2(errors[0] / errors[1]) == pytest.approx(4.0, abs=0.3)


def test_ten_eigenvalues_of_a_square() -> None:
    stage = solved(stated({"shape": "rectangle", "cells": 6, "cell": "quadrilateral"}, 10))
    np.testing.assert_allclose(stage.values, SQUARE[:10], rtol=1e-11)
    assert (np.abs(stage.values - SQUARE[:10]) <= 2.0 * stage.bounds).all()


def test_three_eigenvalues_of_an_l_shape() -> None:
    stage = solved(stated({"shape": "l-shape", "cells": 2}, 3), 1e-5)
    error = np.abs(stage.values - L_SHAPE)
    assert (error <= 1e-5 * L_SHAPE).all()
    assert 0.5 <= stage.bounds[0] / error[0] <= 2.0


def test_the_nearest_to_a_number_and_a_constant_that_is_open() -> None:
    problem = stated({"shape": "interval", "cells": 8}, 3, near=85.0)
    np.testing.assert_allclose(solved(problem).values, np.pi**2 * np.array([2, 3, 4]) ** 2, rtol=1e-11)
    open_ends = stated({"shape": "interval", "cells": 8}, 3, boundary=[])
    np.testing.assert_allclose(solved(open_ends).values, np.pi**2 * np.array([0, 1, 2]) ** 2, atol=1e-10)


def test_a_form_that_is_not_symmetric() -> None:
    drift = stated({"shape": "rectangle", "cells": 4}, 3, weak="(inner(grad(u), grad(v)) + 3*Dx(u, 0)*v)*dx")
    np.testing.assert_allclose(solved(drift, 1e-9).values, SQUARE[:3] + 9.0 / 4.0, rtol=1e-9)


@pytest.mark.slow
def test_a_flow() -> None:
    held = [{"on": "all", "unknown": "u", "value": [0, 0]}]
    flow = stated(
        {"shape": "rectangle", "cells": 3},
        1,
        mass="inner(u, v)*dx",
        unknowns={"u": "vector", "p": "scalar"},
        weak="(inner(grad(u), grad(v)) - p*div(v) - v_p*div(u))*dx",
        boundary=held,
    )
    stage = solved(flow, 1e-4)
    assert stage.values[0] == pytest.approx(52.344691168, rel=1e-4)  # Leriche & Labrosse, J. Comput. Phys. 200 (2004), 489–511


def test_complex_modes_satisfy_their_equations() -> None:
    turning = "(inner(grad(u), grad(v)) + 40*(y - 0.5)*Dx(u, 0)*v - 40*(x - 0.5)*Dx(u, 1)*v)*dx"
    problem = stated({"shape": "rectangle", "cells": 4}, 3, weak=turning)
    stage = solved(problem, 1e-6)
    assert np.iscomplexobj(stage.values)
    assert stage.values[1] == pytest.approx(stage.values[2].conjugate(), rel=1e-9)
    modes = mode_problem(stage.found.problem, list(stage.values))
    trial = mode_trial(modes, stage.found.mixed.highest, stage.found.nodal[stage.chosen])
    field = Solution(modes, trial, torch.zeros(trial.network.size, dtype=torch.float64))
    assert list(field.evaluate([[0.3, 0.4]]))[:3] == ["u_1_real", "u_1_imag", "u_2_real"]
    points = CellPoints(stage.found.mixed.mesh, 20)
    points = points.take(range(points.size))
    values, slopes = field.at(points), field.at(points, 1)
    x, y = points.x.T
    test = np.exp(x) * x * (1 - x) * y * (1 - y)
    test_slope = np.stack([np.exp(x) * (1 - x - x**2) * y * (1 - y), np.exp(x) * x * (1 - x) * (1 - 2 * y)], axis=1)
    for k, value in enumerate(stage.values, 1):
        mode, slope = (kind[f"u_{k}_real"] + 1j * kind[f"u_{k}_imag"] for kind in (values, slopes))
        turned = 40 * (y - 0.5) * slope[:, 0] - 40 * (x - 0.5) * slope[:, 1]
        left = points.w @ ((slope * test_slope).sum(1) + turned * test)
        assert left == pytest.approx(value * (points.w @ (mode * test)), abs=1e-5)


def test_too_many_eigenvalues_for_the_mesh() -> None:
    with pytest.raises(InputError, match="too few for 50 eigenvalues"):
        solved(stated({"shape": "interval", "cells": 2}, 50))


@pytest.mark.parametrize(
    ("mass", "told"), [("-u*v*dx", "positive"), ("(x - 0.5)*u*v*dx", "positive"), ("Dx(u, 0)*v*dx", "symmetric")]
)
def test_a_mass_form_that_is_none(mass: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        solved(stated({"shape": "interval", "cells": 8}, 3, mass=mass))
