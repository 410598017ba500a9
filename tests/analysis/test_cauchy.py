"""Test that Cauchy's problem of an elliptic equation is told by name, and nothing else is."""

from __future__ import annotations

from typing import Any

import pytest

from vpinn.analysis.cauchy import cauchy_sides, initial_values
from vpinn.domain import interval, rectangle
from vpinn.problem import make_problem
from vpinn.solving import solve

SQUARE = rectangle(cells=4)
LAPLACE = "div(grad(u))"
BOTTOM = [{"on": "bottom", "value": 0}, {"on": "bottom", "residual": "grad(u)[1] - x"}]
SIDES = [{"on": ["left", "right"], "value": 0}]


def told(strong: str, boundary: list[dict[str, Any]], domain: Any = SQUARE, **more: Any) -> str:
    return cauchy_sides(make_problem(domain, **{"unknowns": {"u": "scalar"}, "strong": strong, "boundary": boundary, **more}))


def test_value_and_flux_on_one_side_and_nothing_on_another() -> None:
    line = told(LAPLACE, [*BOTTOM, *SIDES])
    assert line.startswith("Cauchy's problem: value and flux of u are given on bottom, nothing near x =")
    assert "y = 1," in line
    assert told("-(2 + x)*grad(grad(u)[0])[0] - grad(grad(u)[1])[1] - u", BOTTOM)


def test_a_run_tells_it() -> None:
    """Beside what it says of functions that can nearly be added."""
    problem = make_problem(
        rectangle(cells=2),
        unknowns={"u": "scalar"},
        strong=LAPLACE,
        boundary=[*BOTTOM, *SIDES],
        network={"layers": [6]},
        solver={"method": "adam", "steps": 2},
    )
    checks = solve(problem, threads=1).metrics["checks"]
    assert any(check.startswith("boundary values: Cauchy's problem: value and flux of u") for check in checks)


def test_initial_values_on_an_interval_are_told_as_such() -> None:
    """Of a nonlinear equation that a step leaves unsolved; free functions beside a field that is no solution are not told."""
    ends = {"on": "left", "value": 1}
    stated = {"unknowns": {"u": "scalar"}, "strong": "grad(u)[0] - 9*u*(2 - u)", "network": {"layers": [3]}}
    domain = {"shape": "interval", "upper": 20, "cells": 2}
    problem = make_problem(domain, **stated, boundary=[ends], solver={"method": "adam", "steps": 1})
    checks = solve(problem, threads=1).metrics["checks"]
    assert any("write x as time: [domain] with cells = 1 and time = [0, 20], dt(u)" in check for check in checks)
    assert not any(check.startswith("uniqueness") for check in checks)
    for other in ({**stated, "strong": "grad(u)[0] - 9*u"}, stated):
        boundary = [ends] if other is not stated else [ends, {"on": "right", "value": 2}]
        assert initial_values(make_problem(domain, **other, boundary=boundary)) == ""


@pytest.mark.parametrize(
    ("strong", "boundary", "domain"),
    [
        pytest.param(LAPLACE, [*BOTTOM, *SIDES, {"on": "top", "value": 0}], SQUARE, id="too many, none missing"),
        pytest.param(LAPLACE, [BOTTOM[0], *SIDES], SQUARE, id="missing, none too many"),
        pytest.param("grad(grad(u)[1])[1] - grad(grad(u)[0])[0]", [*BOTTOM, *SIDES], SQUARE, id="waves"),
        pytest.param("grad(u)[1] - grad(grad(u)[0])[0]", [BOTTOM[0], *SIDES], SQUARE, id="heat"),
        pytest.param(LAPLACE, [SIDES[0] | {"on": "left"}, {"on": "left", "residual": "grad(u)[0]"}], interval(cells=4), id="1-D"),
    ],
)
def test_others_are_none(strong: str, boundary: list[dict[str, Any]], domain: Any) -> None:
    assert told(strong, boundary, domain) == ""
    assert told(LAPLACE, [], unknowns={"u": "vector"}) == ""
