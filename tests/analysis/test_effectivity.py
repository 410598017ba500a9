"""The error estimate against the true error: what fails the check, and what excuses an estimate that is far from it."""

from __future__ import annotations

from typing import Any

import pytest

import vpinn
from vpinn.analysis import Estimate, effectivity
from vpinn.analysis.effectivity import distrust, relative_error

WAVE = "sin(pi*x)*sin(pi*y)"
ENERGY = f"0.5*inner(grad(u), grad(u))*dx - 2*pi**2*{WAVE}*u*dx"
FIXED = [{"on": "all", "value": 0}]


def solved(energy: str = ENERGY, boundary: Any = FIXED, **solver: Any) -> vpinn.Solution:
    problem = vpinn.make_problem(
        {"shape": "rectangle", "cells": [2, 2]},
        unknowns={"u": "scalar"},
        energy=energy,
        boundary=boundary,
        solver=solver or {"method": "elements"},
        reference={"exact": {"u": WAVE}},
    )
    return vpinn.solve(problem, threads=1)


@pytest.fixture(scope="module")
def solution() -> vpinn.Solution:
    return solved()


@pytest.mark.parametrize(
    ("estimate", "true", "tolerance", "own", "fails"),
    [
        (1e-2, 2e-2, None, 0.0, False),
        (1e-2, 6e-2, None, 0.0, True),
        (1e-2, 1e-3, None, 0.0, True),
        (3e-6, 2e-7, None, 0.0, False),  # right to five digits
        (1e-9, 9e-4, None, 0.0, True),
        (1e-9, 9e-4, 1e-3, 0.0, False),  # right to the tolerance asked for
        (1e-9, 9e-4, None, 9e-4, False),  # the exact solution has an error of its own
        (1e-9, 9e-4, None, 1e-5, True),
        (1e-9, 9e-3, None, 9e-3, True),  # too large an error of its own
        (1e-13, 1e-12, None, 0.0, False),
    ],
)
def test_what_is_trusted(
    estimate: float,
    true: float,
    tolerance: float | None,
    own: float,
    fails: bool,
    solution: vpinn.Solution,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(effectivity, "own_error", lambda solution: own)
    if tolerance:
        solution = solved(method="elements", tolerance=tolerance)
    assert bool(distrust(solution, Estimate(estimate, estimate, None, {}, None), true)) == fails


def test_an_estimate_of_zero_is_no_rounding() -> None:
    assert relative_error(0.3, Estimate(0.0, 0.0, None, {}, None), {"u": {"relative_h1": 0.2}}) == 0.2
    assert relative_error(0.3, Estimate(0.5, 1.0, None, {}, None), {}) == pytest.approx(0.6)


def test_penalties_are_measured_by_the_exact_solution() -> None:
    """Its own error is that of the penalty: (n·∇u)/β on the rim, which is excused only while it is small."""
    way = {"method": "least-squares", "features": 120}
    small, large = (solved(f"{ENERGY} + 0.5*{beta}*u**2*ds", [], **way) for beta in ("1e4", "1e2"))
    assert small.metrics["checks"] == []
    assert "the exact solution itself is 1." in large.metrics["checks"][0]


def test_a_nonlinear_problem_without_a_solution_is_told_that_none_was_found() -> None:
    stated = {"energy": "0.5*Dx(u, 0)**2*dx - u**3/3*dx - 60*u*dx", "boundary": [{"on": "all", "value": 0}]}
    solution = vpinn.solve(vpinn.make_problem({"shape": "interval", "cells": 8}, unknowns={"u": "scalar"}, **stated))
    assert any("no solution was found" in check for check in solution.metrics["checks"])
