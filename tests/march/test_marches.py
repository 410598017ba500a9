"""Marches against exact solutions: accuracy, effectivity, exactness in time, energy, and where they collapse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import vpinn
import vpinn.march.integrate
from vpinn.domain import CellPoints, Mesh
from vpinn.errors import DivergenceError, InputError
from vpinn.march import FeatureMarches
from vpinn.problem import Problem, make_problem

EXACT = {
    "heat": ("exp(-pi**2*t)*sin(pi*x)", "dt(u)*v*dx + inner(grad(u), grad(v))*dx", [0, 0.2]),
    "driven": (
        "sin(3*t)*cos(x) + t*x",
        "dt(u)*v*dx + inner(grad(u), grad(v))*dx - (dt(u_exact) - div(grad(u_exact)))*v*dx",
        [0, 1],
    ),
    "nonlinear": (
        "exp(-t)*sin(pi*x)",
        "dt(u)*v*dx + (1 + u**2)*inner(grad(u), grad(v))*dx - (dt(u_exact) - div((1 + u_exact**2)*grad(u_exact)))*v*dx",
        [0, 0.5],
    ),
    "capacity": (
        "(1 + t)*x*(1 - x)",
        "(2 + u)*dt(u)*v*dx + inner(grad(u), grad(v))*dx - ((2 + u_exact)*dt(u_exact) - div(grad(u_exact)))*v*dx",
        [0, 0.5],
    ),
    "wave": ("cos(2*pi*t)*sin(2*pi*x)", "dt(dt(u))*v*dx + inner(grad(u), grad(v))*dx", [0, 1.3]),
    "damped": (
        "exp(-t)*cos(t)*sin(pi*x)",
        "dt(dt(u))*v*dx + 2*dt(u)*v*dx + inner(grad(u), grad(v))*dx - (pi**2 - 2)*exp(-t)*cos(t)*sin(pi*x)*v*dx",
        [0, 1],
    ),
}


def stated(name: str, **more: Any) -> Problem:
    exact, weak, time = EXACT[name]
    second = "dt(dt(" in weak
    return make_problem(
        {"shape": "interval", "cells": 4, "time": time},
        unknowns={"u": "scalar"},
        expressions={"u_exact": exact},
        weak=weak,
        boundary=[
            {"on": "all", "value": "u_exact"},
            {"on": "initial", "value": "u_exact", **({"rate": "dt(u_exact)"} if second else {})},
        ],
        reference={"exact": {"u": "u_exact"}},
        output={"times": 4},
        **more,
    )


@pytest.mark.parametrize("name", EXACT)
def test_reaches_its_tolerance_and_knows_its_error(name: str) -> None:
    metrics = vpinn.solve(stated(name, solver={"tolerance": 1e-5}), threads=1).metrics
    assert metrics["checks"] == []
    assert metrics["stopped"] == "tolerance"
    assert metrics["errors"]["u"]["relative_h1"] < 2e-5
    assert 0.5 <= metrics["error_estimate"]["effectivity"] <= 2.0


def test_a_system_of_two_unknowns_and_a_vector() -> None:
    """w′ = A w with rotation, and a scalar that follows it."""
    problem = make_problem(
        {"shape": "interval", "cells": 1, "time": [0, 2]},
        unknowns={"w": 2, "s": "scalar"},
        strong=["dt(w) - [w[1], -w[0]]", "dt(s) - w[0]"],
        boundary=[{"on": "initial", "unknown": "w", "value": [0, 1]}, {"on": "initial", "unknown": "s", "value": 1}],
        solver={"tolerance": 1e-7},
    )
    found = vpinn.solve(problem, threads=1).evaluate([[0.3, 2.0], [0.9, 1.0]])
    np.testing.assert_allclose(found["w"], [[np.sin(2), np.cos(2)], [np.sin(1), np.cos(1)]], atol=1e-6)
    np.testing.assert_allclose(found["s"], [2 - np.cos(2), 2 - np.cos(1)], atol=1e-6)


@pytest.mark.slow
def test_a_wave_keeps_its_energy_and_phase_over_a_thousand_periods() -> None:
    problem = make_problem(
        {"shape": "interval", "cells": 4, "time": [0, 1000]},
        unknowns={"u": "scalar"},
        weak="dt(dt(u))*v*dx + inner(grad(u), grad(v))*dx",
        boundary=[{"on": "all", "value": 0}, {"on": "initial", "value": "sin(2*pi*x)", "rate": 0}],
        output={"times": [999.75, 1000.0]},
        solver={"features": 60, "tolerance": 1e-6},
    )
    found = vpinn.solve(problem, threads=1)
    x = np.linspace(0.05, 0.95, 7)
    for t in (999.75, 1000.0):
        values = found.evaluate(np.column_stack([x, np.full(7, t)]))["u"]
        np.testing.assert_allclose(values, np.cos(2 * np.pi * t) * np.sin(2 * np.pi * x), atol=1e-5)


@pytest.mark.parametrize("weak", [EXACT["heat"][1], EXACT["wave"][1]])
def test_modes_agree_with_steps(weak: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rate = {"rate": 0} if "dt(dt(" in weak else {}
    problem = make_problem(
        {"shape": "interval", "cells": 4, "time": [0, 0.3]},
        unknowns={"u": "scalar"},
        weak=f"{weak} - x*v*dx",
        boundary=[{"on": "left", "value": 0}, {"on": "initial", "value": "sin(pi*x/2)", **rate}],
        solver={"tolerance": 1e-8, "features": 40},
        output={"times": [0.1, 0.2]},
    )
    assert isinstance(problem.domain, Mesh)
    points = CellPoints(problem.domain, 9).take(range(20))
    fields = []
    for exact in (True, False):
        if not exact:
            monkeypatch.setattr(vpinn.march.integrate, "_modes", lambda system, state, t: None)
        stage = FeatureMarches(problem).run()
        assert stage is not None
        assert stage.marched.exact == exact
        fields.append(np.stack([stage.at(points)(t) for t in (0.1, 0.17, 0.3)]))
    np.testing.assert_allclose(fields[0][:, 0, 0], fields[1][:, 0, 0], atol=1e-5)


@pytest.mark.slow
def test_a_solution_that_ceases_to_exist_is_told_with_time_and_place() -> None:
    problem = make_problem(
        {"shape": "interval", "cells": 4, "time": [0, 5]},
        unknowns={"u": "scalar"},
        weak="dt(u)*v*dx - u**2*v*dx",
        boundary=[{"on": "initial", "value": "1 + 0.1*x"}],
    )
    with pytest.raises(DivergenceError, match=r"too small at t = 0\.9\d* near \(") as caught:
        vpinn.solve(problem, threads=1)
    assert caught.value.exit_code == 3


def test_a_free_side_of_equations_of_second_order_is_refused() -> None:
    problem = make_problem(
        {"shape": "interval", "cells": 4, "time": [0, 1]},
        unknowns={"u": "scalar"},
        strong="dt(u) - div(grad(u))",
        boundary=[{"on": "left", "value": 0}, {"on": "initial", "value": 0}],
    )
    with pytest.raises(InputError, match="u is free on a part of the boundary"):
        vpinn.solve(problem, threads=1)


def test_a_singular_mass_matrix_is_told() -> None:
    problem = make_problem(
        {"shape": "interval", "cells": 4, "time": [0, 1]},
        unknowns={"u": "scalar", "p": "scalar"},
        weak="(dt(u) + dt(p))*v*dx + (dt(u) + dt(p) + u)*v_p*dx",
        boundary=[{"on": "initial", "unknown": "u", "value": 0}, {"on": "initial", "unknown": "p", "value": 0}],
    )
    with pytest.raises(InputError, match="their matrix is singular"):
        vpinn.solve(problem, threads=1)


def test_a_source_that_is_off_at_the_start_moves_what_is_at_rest() -> None:
    """U = (1 − cos t) sin(πx): neither state nor source is other than zero at t = 0."""
    problem = make_problem(
        {"shape": "interval", "cells": 4, "time": [0, 1]},
        unknowns={"u": "scalar"},
        weak="dt(u)*v*dx + inner(grad(u), grad(v))*dx - (sin(t) + pi**2*(1 - cos(t)))*sin(pi*x)*v*dx",
        boundary=[{"on": "all", "value": 0}, {"on": "initial", "value": 0}],
        solver={"features": 30, "tolerance": 1e-4},
    )
    found = vpinn.solve(problem, threads=1).evaluate([[0.5, 1.0]])["u"]
    np.testing.assert_allclose(found, 1 - np.cos(1), rtol=1e-4)


def test_small_eigenvalues_are_known_to_rounding_beside_large_ones() -> None:
    """Eigenvalues from 1e2 to 1e14, as of bending, of functions that rise in roughness; the largest one rounds to about 1e-2."""
    generator, size = np.random.default_rng(0), 24
    exact = np.logspace(2, 14, size)
    change = np.eye(size) + np.triu(generator.normal(size=(size, size)), 1) / size
    mass, stiffness = change.T @ change, change.T @ (exact[:, None] * change)
    values, vectors = vpinn.march.integrate._eigenpairs((stiffness + stiffness.T) / 2, mass)
    np.testing.assert_allclose(values[:6], exact[:6], rtol=1e-11)
    np.testing.assert_allclose(vectors.T @ mass @ vectors, np.eye(size), atol=1e-9)


def test_heat_that_flows_up_is_told() -> None:
    """The sign of diffusion is wrong, so that rough modes grow by exp(λt) with λ of 1e5 and more."""
    problem = make_problem(
        {"shape": "interval", "cells": 6, "time": [0, 0.5]},
        unknowns={"u": "scalar"},
        weak="dt(u)*v*dx - inner(grad(u), grad(v))*dx",
        boundary=[{"on": "all", "value": 0}, {"on": "initial", "value": "x*(1 - x)"}],
    )
    with pytest.raises(InputError, match="the solution grows beyond all numbers"):
        vpinn.solve(problem, threads=1)


@pytest.mark.slow
def test_a_thousand_periods_of_a_wave() -> None:
    """Errors of the phase would grow with every period; the estimate knows the error at the end, too."""
    problem = make_problem(
        {"shape": "interval", "cells": 4, "time": [0, 2000]},
        unknowns={"u": "scalar"},
        expressions={"e": "sin(pi*x)*cos(pi*t)"},
        weak="dt(dt(u))*v*dx + inner(grad(u), grad(v))*dx",
        boundary=[{"on": "all", "value": 0}, {"on": "initial", "value": "e", "rate": 0}],
        reference={"exact": {"u": "e"}},
    )
    solution = vpinn.solve(problem, threads=1)
    assert solution.errors["u"]["relative_l2_final"] < 1e-8
    assert 0.5 <= solution.error_estimate["effectivity_final"] <= 2.0
