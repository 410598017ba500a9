"""Test that boundary values that disagree where two conditions meet are reported with their position."""

from __future__ import annotations

from typing import Any

from vpinn.analysis import clashing_values
from vpinn.domain import rectangle
from vpinn.problem import make_problem
from vpinn.solving import solve

MESH = rectangle(cells=4)


def told(*boundary: dict[str, Any], unknown: str = "scalar") -> str | None:
    energy = "0.5*inner(grad(u), grad(u))*dx"
    return clashing_values(make_problem(MESH, unknowns={"u": unknown}, energy=energy, boundary=list(boundary)))


def test_values_that_meet_and_differ() -> None:
    text = told({"on": "left", "value": 0}, {"on": "bottom", "value": "2 - x"})
    assert text is not None
    assert "u is 0 on left and 2 on bottom at the corner (0, 0)" in text


def test_values_that_agree_or_do_not_meet() -> None:
    assert told({"on": "left", "value": 0}, {"on": "bottom", "value": "x"}) is None
    assert told({"on": "left", "value": 0}, {"on": "right", "value": 5}) is None


def test_components_are_told_apart() -> None:
    assert told({"on": "left", "value": [0, 1]}, {"on": "bottom", "component": 0, "value": "x"}, unknown="vector") is None
    assert told({"on": "left", "value": [0, 1]}, {"on": "bottom", "component": 1, "value": "x"}, unknown="vector") is not None


def test_the_closing_checks_say_so_and_the_rest_is_right() -> None:
    """One side of a square at 1, the others at 0: the middle is at 1/4, by symmetry."""
    boundary = [{"on": ["left", "right", "bottom"], "value": 0}, {"on": "top", "value": 1}]
    problem = make_problem(MESH, unknowns={"u": "scalar"}, energy="0.5*inner(grad(u), grad(u))*dx", boundary=boundary)
    solution = solve(problem, threads=1)
    assert any(check.startswith("boundary values: u is 0 on left") for check in solution.metrics["checks"])
    assert abs(solution.evaluate([[0.5, 0.5]])["u"][0] - 0.25) < 1e-3
