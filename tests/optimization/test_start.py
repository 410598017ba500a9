"""Starts of steps with curvature: the last layer solved, linear problems at their best combination of the features."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import vpinn
from vpinn.objective import curvature
from vpinn.optimization.start import solved_start
from vpinn.run import Setup, prepare

FORMS = {
    "energy": "0.5*inner(grad(u), grad(u))*dx - f*u*dx",
    "weak": "inner(grad(u), grad(v))*dx - f*v*dx",
    "strong": "-div(grad(u)) - f",
}


def prepared(form: str, layers: list[int], method: str = "gauss-newton", **more: Any) -> Setup:
    problem = vpinn.make_problem(
        {"shape": "rectangle", "cells": [3, 3], "cell": "quadrilateral"},
        unknowns={"u": "scalar"},
        expressions={"f": "8*pi**2*sin(2*pi*x)*sin(2*pi*y)"},
        boundary=[{"on": "all", "value": 0}],
        network={"layers": layers},
        solver={"method": method, "seed": 3},
        **{form: FORMS[form]},
        **more,
    )
    return prepare(problem)


@pytest.mark.parametrize("layers", [[30], [15, 15]])
@pytest.mark.parametrize("form", FORMS)
def test_the_last_layer_is_solved_for(form: str, layers: list[int]) -> None:
    """Its gradient is that of the damping, λ|c| with λ = 1e-3 in units of the curvature, and J is far below a random start's."""
    setup = prepared(form, layers)
    network, objective = setup.trial.network, setup.objective
    theta = solved_start(objective, network, 3)
    last = slice(network.size - layers[-1] - 1, network.size)
    gradient, found = objective.gradient(theta)[1][last], curvature(objective, theta)
    diagonal = found.diagonal[last]
    assert (gradient.abs() <= 1.01e-3 * diagonal * theta[last].abs() + 1e-9 * diagonal.max()).all()
    plain = objective.value(network.initial(torch.Generator().manual_seed(3)))
    nothing = objective.value(torch.zeros(network.size, dtype=torch.float64))
    assert objective.value(theta) - nothing <= min(0.0, plain - nothing)
    if form != "energy":
        assert objective.value(theta) <= 0.1 * nothing


def test_the_same_seed_starts_at_the_same_place_and_others_elsewhere() -> None:
    setup = prepared("strong", [12])
    one, two = (solved_start(setup.objective, setup.trial.network, seed) for seed in (3, 4))
    assert torch.equal(one, setup.start().theta)
    assert (one - two).abs().max() > 0.1


def test_others_start_at_random() -> None:
    for form, method, more in (
        ("strong", "lbfgs", {}),
        ("strong", "gauss-newton", {"batch": {"size": 20}}),
        ("energy", "gauss-newton", {}),
    ):
        setup = prepared(form, [8], method, **more)
        assert torch.equal(setup.start().theta, setup.trial.network.initial(torch.Generator().manual_seed(3)))
