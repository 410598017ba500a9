"""Nonlinear problems with several solutions are told, those with one are not accused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from vpinn.analysis.several import another_solution
from vpinn.domain import interval, rectangle
from vpinn.finite_elements import solve_fem
from vpinn.problem import make_problem
from vpinn.solution import Solution
from vpinn.solving import solve
from vpinn.trial import elements_trial

LINE, SQUARE = interval(cells=8), rectangle(cells=4)
POISSON = "inner(grad(u), grad(v))*dx"
FLOW = "inner(grad(u), grad(v))*dx + 10*dot(dot(grad(u), u), v)*dx - p*div(v)*dx - v_p*div(u)*dx"


def told(domain: Any, size: float = 0.0, **sections: Any) -> str:
    """What is said of the solution that elements find from zero, with a value all around."""
    boundary = sections.pop("boundary", [{"on": "all", "value": size}])
    problem = make_problem(domain, **{"unknowns": {"u": "scalar"}, **sections}, boundary=boundary)
    found = solve_fem(problem, 3)
    trial = elements_trial(problem, found.space, found.values)
    return another_solution(Solution(problem, trial, torch.zeros(trial.network.size, dtype=torch.float64)))


@pytest.mark.parametrize(
    ("domain", "weak", "other"),
    [
        (LINE, f"{POISSON} - 40*(u - u**3)*v*dx", 0.9533),
        (LINE, f"{POISSON} - exp(u)*v*dx", 4.0914),
        (LINE, f"{POISSON} - 1e6*exp(u/1e6)*v*dx", 4.0914e6),
        (LINE, f"{POISSON} - 1e-6*exp(1e6*u)*v*dx", 4.0914e-6),
        (SQUARE, f"{POISSON} - 5*exp(u)*v*dx", None),
        (SQUARE, f"{POISSON} - 40*(u - u**3)*v*dx - 0.1*v*dx", None),
        (interval(cells=16, upper=8.0), f"{POISSON} - sin(u)*v*dx", None),
    ],
)
def test_another_solution_is_found(domain: Any, weak: str, other: float | None) -> None:
    """−u″ = 40(u − u³) gave its zero solution without a word. Bratu's upper solution has ln cosh²(10.93870/4) in the middle."""
    text = told(domain, weak=weak)
    assert "one solution of several" in text
    if other is not None:
        assert np.isclose(abs(float(text.split("with u = ")[1].split()[0])), other, rtol=2e-2)


@pytest.mark.parametrize(
    ("domain", "sections"),
    [
        (LINE, {"weak": f"{POISSON} + (u**3 - 50*x)*v*dx"}),
        (LINE, {"weak": f"{POISSON} + (exp(u) - 20*x)*v*dx"}),
        (LINE, {"weak": f"{POISSON} - 9*(u - u**3)*v*dx"}),
        (SQUARE, {"weak": "(1 + u**2)*inner(grad(u), grad(v))*dx - 30*v*dx"}),
        (SQUARE, {"weak": "inner(grad(u), grad(v))/sqrt(1 + inner(grad(u), grad(u)))*dx", "size": "x**2"}),
        (LINE, {"weak": "inner(grad(u), grad(v))*dx + 20*u*Dx(u, 0)*v*dx", "size": "1 - 2*x"}),
        (
            SQUARE,
            {
                "unknowns": {"u": "vector", "p": "scalar"},
                "weak": FLOW,
                "boundary": [
                    {"on": "left", "unknown": "u", "value": ["y*(1 - y)", 0]},
                    {"on": ["top", "bottom"], "unknown": "u", "value": [0, 0]},
                ],
            },
        ),
    ],
)
def test_the_only_solution_is_not_accused(domain: Any, sections: dict[str, Any]) -> None:
    assert told(domain, **sections) == ""


def test_a_solution_that_is_rounding_hides_no_other() -> None:
    problem = make_problem(
        LINE, unknowns={"u": "scalar"}, weak=f"{POISSON} - 40*(u - u**3)*v*dx", boundary=[{"on": "all", "value": 0}]
    )
    found = solve_fem(problem, 3)
    noise = 1e-17 * np.cos(np.arange(found.values.size)).reshape(found.values.shape)
    trial = elements_trial(problem, found.space, noise)
    assert another_solution(Solution(problem, trial, torch.zeros(trial.network.size, dtype=torch.float64)))


def test_a_run_says_so_unless_the_solution_that_is_meant_is_stated() -> None:
    sections: dict[str, Any] = {
        "unknowns": {"u": "scalar"},
        "strong": "-div(grad(u)) - 40*(u - u**3)",
        "boundary": [{"on": "all", "value": 0}],
        "solver": {"method": "least-squares", "features": 30},
    }
    checks = solve(make_problem(LINE, **sections), threads=1).metrics["checks"]
    assert any(check.startswith("uniqueness: not unique, one solution of several") for check in checks)
    stated = make_problem(LINE, **sections, reference={"exact": {"u": 0}})
    assert not solve(stated, threads=1).metrics["checks"]
