"""Test the correction of a solution by richer elements where the form leaves something undetermined."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import torch

from vpinn.analysis import make_estimator
from vpinn.domain import rectangle
from vpinn.finite_elements import solve_fem
from vpinn.problem import Problem, make_problem
from vpinn.trial import elements_trial


def enclosed() -> Problem:
    """Return a steady flow that no fluid leaves, of the stream function sin²(πx) sin²(πy), with a pressure of mean zero."""
    return make_problem(
        rectangle(cells=4),
        unknowns={"u": "vector", "p": {"shape": "scalar", "test": "q"}},
        expressions={
            "U": "[2*pi*sin(pi*x)**2*sin(pi*y)*cos(pi*y), -2*pi*sin(pi*x)*cos(pi*x)*sin(pi*y)**2]",
            "P": "10*cos(pi*x)*cos(pi*y)",
        },
        weak="inner(grad(u) - grad(U), grad(v))*dx - (p - P)*div(v)*dx - q*div(u)*dx",
        boundary=[{"on": "all", "unknown": "u", "value": [0, 0]}],
        reference={"exact": {"u": "U", "p": "P"}},
    )


def test_the_level_of_a_pressure_is_taken_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is not, the matrix is singular, its factors are made twice, with three times the entries, and p is arbitrary."""
    module, orders = sys.modules["vpinn.finite_elements.newton"], list[str]()
    plain = module.SparseFactors

    def noted(matrix: Any, **how: Any) -> Any:
        orders.append(how["permc_spec"])
        return plain(matrix, **how)

    monkeypatch.setattr(module, "SparseFactors", noted)
    problem = enclosed()
    found = solve_fem(problem, 3)
    trial = elements_trial(problem, found.space, found.values)
    estimator = make_estimator(problem, trial, 3)
    assert estimator is not None
    estimate = estimator(torch.zeros(trial.network.size, dtype=torch.float64))
    assert estimate is not None
    assert set(orders) == {"MMD_AT_PLUS_A"}
    assert estimate.l2["p"] == pytest.approx(found.errors["p"]["relative_l2"], rel=0.1)
    assert estimate.l2["u"] == pytest.approx(found.errors["u"]["relative_l2"], rel=0.1)
