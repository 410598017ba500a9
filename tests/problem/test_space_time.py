"""Test problems in time as steady ones over space and time: expressions keep their values, and parts their places."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import ufl

from vpinn.domain import bare_points
from vpinn.errors import InputError
from vpinn.forms import Background, evaluate, integrals
from vpinn.problem import Problem, make_problem, over_time

EXACT = "exp(-t)*sin(x)*y + t*x"
RECTANGLE = {"shape": "rectangle", "cells": 2, "time": [0.5, 2.0]}


def stated(domain: Any = RECTANGLE, **more: Any) -> Problem:
    form = {} if "strong" in more else {"weak": "dt(u)*v*dx + inner(grad(u), grad(v))*dx - f*v*dx + u*v*ds('left') - t*v*ds"}
    settings = {
        "unknowns": {"u": "scalar"},
        "expressions": {"e": EXACT, "f": "dt(e) - div(grad(e))"},
        "boundary": [{"on": "all", "value": "e"}, {"on": "initial", "value": "e"}],
        "reference": {"exact": {"u": "e"}},
    }
    return make_problem(domain, **{**settings, **form, **more})


def values(expression: Any, problem: Problem, x: np.ndarray) -> np.ndarray:
    return evaluate([expression], bare_points(x), Background(problem.domain))[0]


def test_the_equation_holds_for_the_exact_solution() -> None:
    """The strong form, with the exact solution in place of the unknown, vanishes at every place and instant."""
    equation = "dt(u) + 2*dt(dt(u)) - div((1 + t*x)*grad(u)) + dot(as_vector([y, t]), grad(dt(u))) - g"
    known = {"e": EXACT, "g": "dt(e) + 2*dt(dt(e)) - div((1 + t*x)*grad(e)) + dot(as_vector([y, t]), grad(dt(e)))"}
    start = [{"on": "initial", "value": "e", "rate": "dt(e)"}]
    problem = over_time(stated(strong=[equation], expressions=known, boundary=start))
    x = np.random.default_rng(0).uniform((0, 0, 0.5), (1, 1, 2), (20, 3))
    truth = problem.exact["u"]
    found = [ufl.replace(one, {problem.unknown("u").function: truth}) for one in problem.formulation.equations]
    assert np.abs(values(found[0], problem, x)).max() < 1e-12
    np.testing.assert_allclose(values(truth, problem, x), np.exp(-x[:, 2]) * np.sin(x[:, 0]) * x[:, 1] + x[:, 2] * x[:, 0])
    (rate,) = [c.residual for c in problem.boundary if c.residual is not None]
    assert np.abs(values(ufl.replace(rate, {problem.unknown("u").function: truth}), problem, x)).max() < 1e-12


def test_parts_are_where_they_were_at_all_times() -> None:
    problem = over_time(stated())
    assert problem.clock is None
    assert problem.coordinates == ("x", "y", "t")
    assert over_time(problem) is problem
    sides = ("left", "right", "bottom", "top")
    assert [(c.on, c.unknown) for c in problem.boundary] == [(sides, "u"), (("initial",), "u")]
    tags = {tuple(problem.tags[i] for i in part.tags) for part in integrals(problem.formulation.integrals)}
    assert tags == {(), ("left",), sides}


def test_a_field_and_a_vector_keep_their_components() -> None:
    weak = "inner(dt(w), v)*dx + inner(grad(w), grad(v))*dx + div(w)*div(v)*dx"
    start = [{"on": "initial", "value": ["x", "t*y"]}]
    problem = over_time(stated(unknowns={"w": "vector"}, expressions={}, weak=weak, boundary=start, reference={}))
    assert problem.unknown("w").components == 2
    x = np.array([[0.25, 0.5, 1.5]])
    assert [float(values(problem.boundary[0].value[k], problem, x)[0]) for k in (0, 1)] == [0.25, 0.75]


def test_layers_are_those_asked_for() -> None:
    for layers, cells in ((None, 8 * 4 * 3), (7, 8 * 7 * 3)):
        problem = over_time(stated({**RECTANGLE, **({} if layers is None else {"layers": layers})}, solver={"method": "adam"}))
        assert problem.domain.n_cells == cells


def test_periodic_sides_are_refused() -> None:
    with pytest.raises(InputError, match="periodic sides in time are for marches"):
        over_time(stated(periodic=[{"from": "left", "to": "right"}], boundary=[{"on": "initial", "value": "e"}]))
