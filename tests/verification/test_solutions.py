"""Test solutions of small problems against exact ones, by the relative L² error. Seeds are fixed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import vpinn
from vpinn.domain import Hypercube, disk, interval, rectangle

ZERO = [{"on": "all", "value": 0}]
POISSON = {
    "domain": rectangle(cells=4),
    "expressions": {"g": "sin(pi*x)*sin(pi*y)", "f": "-div(grad(g))"},
    "boundary": ZERO,
}
STRESS = "sym(grad({0})) + 0.6*div({0})*Identity(2)"

CASES: dict[str, tuple[dict[str, Any], int, float]] = {
    # sections, steps of L-BFGS, bound
    "energy": ({**POISSON, "energy": "0.5*inner(grad(u), grad(u))*dx - f*u*dx"}, 60, 2e-3),
    "weak": ({**POISSON, "weak": "inner(grad(u), grad(v))*dx - f*v*dx", "test_space": {"degree": 4}}, 60, 2e-3),
    "strong": ({**POISSON, "strong": "-div(grad(u)) - f"}, 60, 2e-3),
    "natural conditions": (
        {
            "domain": rectangle(cells=3, cell="quadrilateral"),
            "expressions": {"g": "sin(2*x)*exp(-y)", "f": "-div((1 + x)*grad(g)) + g"},
            "weak": "((1 + x)*inner(grad(u), grad(v)) + u*v - f*v)*dx"
            " - (1 + x)*dot(grad(g), n)*v*ds('right', 'top') - (u - g + (1 + x)*dot(grad(g), n))*v*ds('bottom')",
            "boundary": [{"on": "left", "value": "g"}],
            "test_space": {"degree": 3},
        },
        100,
        2e-3,
    ),
    "nonlinear, convection": (
        {
            "domain": interval(cells=12),
            "expressions": {"g": "exp(x)*sin(3*x)", "f": "-div(grad(g)) + 4*g*Dx(g, 0) + g**3"},
            "weak": "(inner(grad(u), grad(v)) + 4*u*Dx(u, 0)*v + u**3*v - f*v)*dx",
            "boundary": [{"on": "all", "value": "g"}],
            "test_space": {"degree": 4},
        },
        100,
        1e-3,
    ),
    "elasticity": (
        {
            "domain": rectangle(cells=3, cell="quadrilateral"),
            "unknowns": {"u": "vector"},
            "expressions": {
                "g": "as_vector([sin(2*x)*y, cos(x + y)])",
                "s": STRESS.format("g"),
            },
            "energy": f"0.5*inner({STRESS.format('u')}, sym(grad(u)))*dx + inner(div(s), u)*dx - inner(dot(s, n), u)*ds('right')",
            "boundary": [{"on": ["left", "bottom", "top"], "value": ["sin(2*x)*y", "cos(x + y)"]}],
        },
        150,
        2e-3,
    ),
    "nitsche on a disk": (
        {
            "domain": disk(cells=4),
            "expressions": {"g": "exp(x)*cos(y) + x**2", "f": "-div(grad(g))"},
            "energy": "0.5*inner(grad(u), grad(u))*dx - f*u*dx",
            "boundary": [{"on": "all", "value": "g", "impose": "nitsche"}],
        },
        150,
        2e-2,
    ),
    "four dimensions": (
        {
            "domain": Hypercube((0.0,) * 4, (1.0,) * 4),
            "expressions": {"g": "sin(x[0] + 0.5*x[1] - x[2] + 0.2*x[3])"},
            "strong": "-div(grad(u)) - (1 + 0.25 + 1 + 0.04)*g",
            "boundary": [{"on": "all", "value": "g"}],
            "quadrature": {"points": 300},
        },
        40,
        5e-3,
    ),
}


SLOW = ("four dimensions", "nitsche on a disk", "nonlinear, convection", "natural conditions", "strong")


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in CASES])
def test_by_quasi_newton_steps(name: str) -> None:
    sections, steps, bound = CASES[name]
    problem = vpinn.make_problem(
        **{
            "unknowns": {"u": "scalar"},
            "network": {"layers": [12, 12]},
            "reference": {"exact": {"u": "g"}},
            **sections,
        },
        solver={"method": "lbfgs", "steps": steps, "seed": 1},
    )
    solution = vpinn.solve(problem, threads=1)
    assert solution.errors["u"]["relative_l2"] <= bound
    assert solution.metrics["checks"] == []
    if name in ("energy", "weak", "strong"):
        assert 0.95 <= solution.error_estimate["effectivity"] <= 1.05
        history = solution.history
        assert history[-1, 2] < history[0, 2]
        x = np.array([[0.5, 0.5], [0.25, 0.5], [0.0, 0.3]])
        assert np.abs(solution.evaluate(x)["u"] - [1, np.sqrt(0.5), 0]).max() <= 0.01


@pytest.mark.parametrize("name", ["energy", "strong", "nonlinear, convection"])
def test_by_least_squares(name: str) -> None:
    """The default method, on 100 features."""
    sections, _, _ = CASES[name]
    problem = vpinn.make_problem(
        **{"unknowns": {"u": "scalar"}, "reference": {"exact": {"u": "g"}}, **sections},
        solver={"method": "least-squares", "features": 100, "seed": 1},
    )
    assert vpinn.solve(problem, threads=1).errors["u"]["relative_l2"] <= 1e-6


@pytest.mark.slow
def test_by_mini_batches() -> None:
    """Adam on less than a tenth of the points per step comes near the solution, too; a fixed seed."""
    sections, _, _ = CASES["energy"]
    problem = vpinn.make_problem(
        **sections,
        unknowns={"u": "scalar"},
        network={"layers": [12]},
        reference={"exact": {"u": "g"}},
        batch={"size": 64},
        solver={"method": "adam", "steps": 500, "learning_rate": 0.01, "schedule": "cosine", "seed": 1},
    )
    solution = vpinn.solve(problem, threads=1)
    assert solution.metrics["quadrature_points"] > 10 * 64
    assert solution.errors["u"]["relative_l2"] <= 0.05
