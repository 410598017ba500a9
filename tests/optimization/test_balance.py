"""Test that the equations of a system get equal weight, whatever units they are written in."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import vpinn
from vpinn.objective import make_objective
from vpinn.optimization.balance import SIMILAR, _sizes, balanced_start
from vpinn.placement import HERE
from vpinn.problem import Case
from vpinn.solving import prepare
from vpinn.solving.steps import Steps
from vpinn.trial import make_trial


def system(form: str, factor: float, **more: Any) -> Case:
    """Heat with a source, and a second equation without data of its own in which the temperature is the load."""
    forms: dict[str, Any] = {
        "strong": ["-div(grad(T)) - 1e4", f"{factor!r}*(-div(grad(u)) - 1e-5*T)"],
        "weak": f"inner(grad(T), grad(v))*dx - 1e4*v*dx + {factor!r}*(inner(grad(u), grad(v_u)) - 1e-5*T*v_u)*dx",
        "energy": f"0.5*inner(grad(T), grad(T))*dx - 1e4*T*dx + {factor!r}*(0.5*inner(grad(u), grad(u)) - u)*dx",
    }
    return vpinn.make_problem(
        {"shape": "rectangle", "cells": [2, 2], "cell": "quadrilateral"},
        unknowns={"T": "scalar", "u": "scalar"},
        boundary=[{"on": "all", "unknown": name, "value": 0} for name in ("T", "u")],
        network={"layers": [8]},
        **{form: forms[form]},
        **more,
    )


@pytest.mark.parametrize("form", ["strong", "weak"])
def test_units_of_one_equation_change_nothing(form: str) -> None:
    """Pascals beside watts: numbers 2e11 times larger in the second equation, and the same J and ∇J at the start."""
    setups = [prepare(system(form, factor, solver={"method": "adam"})) for factor in (1.0, 2e11)]
    plain, large = (setup.objective.gradient(setup.start().theta) for setup in setups)
    assert large[0] == pytest.approx(plain[0], rel=1e-9)
    np.testing.assert_allclose(large[1], plain[1], rtol=1e-6, atol=1e-9 * float(plain[1].abs().max()))
    scales = [setup.trial.scales.sizes for setup in setups if setup.trial.scales is not None]
    assert scales[1] == pytest.approx(scales[0], rel=1e-9)
    problem, start = setups[1].problem, setups[1].begun
    assert start is not None
    sizes = _sizes(problem, start.trial, start.objective, start.plain)
    assert sizes.max() <= SIMILAR * sizes.min()


def test_a_single_equation_and_an_energy_are_left_as_they_are() -> None:
    alone = vpinn.make_problem({"shape": "interval", "cells": 2}, unknowns={"u": "scalar"}, strong="-div(grad(u)) - 1")
    for problem in (alone, system("energy", 2e11)):
        assert balanced_start(problem, make_trial(problem), _made, HERE)[0] is problem


@pytest.mark.slow
def test_a_pressure_whose_constant_is_open_stays_small() -> None:
    """The constant has no curvature but rounding; large, it would swallow digits and make the relative estimate look tiny."""
    stated = vpinn.make_problem(
        {"shape": "rectangle", "cells": [2, 2], "cell": "quadrilateral"},
        unknowns={"u": "vector", "p": "scalar"},
        weak="(inner(grad(u), grad(v)) - p*div(v) + v_p*div(u))*dx",
        boundary=[{"on": "all", "unknown": "u", "value": ["y*(1 - y)", "0"]}],
        network={"layers": [8]},
        solver={"method": "adam", "tolerance": 1e-7},
    )
    setup = prepare(stated)
    assert setup.trial.scales is not None
    assert abs(setup.trial.scales.shifts[2]) <= 10.0
    theta, monitor = setup.start().theta, Steps(setup)._monitor
    assert monitor is not None
    shifted = theta.clone()
    shifted[-1] += 1e6
    found = monitor(theta)["estimate"]
    assert found > 0.1
    assert monitor(shifted)["estimate"] == pytest.approx(found, rel=1e-6)


def _made(problem: Case, trial: Any, placement: Any, unit: float) -> Any:
    return make_objective(problem, trial, placement, unit=unit)
