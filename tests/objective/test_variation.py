"""Test equations in weak form, integrated by parts."""

from __future__ import annotations

from typing import Any

import pytest
import ufl

import vpinn
from vpinn.domain import CellPoints, Mesh
from vpinn.forms import Background, evaluate, integrals
from vpinn.objective import weakened
from vpinn.problem import Problem, Weak

EQUATIONS = [
    "-div(grad(u)) - 1",
    "2*(x*u - 3*div((1 + x*y)*grad(u))) + exp(u)",
    "-div((1 + u**2)*grad(u)) + div(as_vector([u, x*u])) - div(grad(x**3*y))",
]
SQUARE: dict[str, Any] = {"shape": "rectangle", "cells": 2, "cell": "quadrilateral"}
HELD: list[dict[str, Any]] = [{"on": "all", "value": 0}]


def problem_of(strong: str, domain: dict[str, Any] = SQUARE, boundary: list[dict[str, Any]] = HELD) -> Problem:
    return vpinn.make_problem(domain, unknowns={"u": "scalar"}, strong=strong, boundary=boundary)


def integrate(problem: Problem) -> float:
    """Return F(u; v) for a smooth u and a v that vanishes on the boundary."""
    x, y = problem.symbols.x
    (unknown,) = problem.unknowns
    values = {unknown.function: x * (1 - y) + 0.3 * x**2, unknown.test: x * (1 - x) * y * (1 - y) * (1 + x + y**2)}
    density = sum(ufl.replace(part.integrand, values) for part in integrals(problem.variation))
    assert isinstance(problem.domain, Mesh)
    rule = CellPoints(problem.domain, 24)
    points = rule.take(range(rule.size))
    return float((evaluate([density], points, Background(problem.domain))[0] * points.w).sum())


@pytest.mark.parametrize("strong", EQUATIONS)
def test_both_forms_agree_where_tests_vanish_on_the_boundary(strong: str) -> None:
    problem = problem_of(strong)
    weak = weakened(problem)
    assert isinstance(weak.formulation, Weak)
    assert abs(integrate(problem)) > 1e-3
    assert abs(integrate(weak) - integrate(problem)) <= 1e-12


@pytest.mark.parametrize(
    "problem",
    [
        problem_of("u - x"),
        problem_of("-div(grad(u))", boundary=[{"on": ["left", "right", "top"], "value": 0}]),
        problem_of("-div(grad(u))", domain={"shape": "hypercube", "lower": [0, 0], "upper": [1, 1]}),
    ],
    ids=["no flux", "a free side", "no mesh"],
)
def test_other_equations_stay_as_they_are(problem: Problem) -> None:
    assert weakened(problem) is problem
