"""Test the language of time: t, dt, the time span, initial states, output times; and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import ufl

from vpinn.domain import located_points
from vpinn.errors import InputError
from vpinn.forms import Background, evaluate
from vpinn.problem import Problem, frozen, make_problem, output_times, parse_expression, stated_in
from vpinn.problem.scope import make_scope

HEAT = "dt(u)*v*dx + inner(grad(u), grad(v))*dx"
START = {"on": "initial", "value": "x"}


def stated(weak: str = HEAT, boundary: Any = (START,), time: Any = (0, 2), **more: Any) -> Problem:
    domain = {"shape": "interval", "cells": 4, **({} if time is None else {"time": time}), **more.pop("domain", {})}
    return make_problem(domain, unknowns=more.pop("unknowns", {"u": "scalar"}), weak=weak, boundary=boundary, **more)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"time": [2, 1]}, "time ends after it starts, got 2 to 1"),
        ({"time": [1, 1]}, "time ends after it starts"),
        ({"time": None}, "a time derivative needs time = [start, end]"),
        ({"time": None, "weak": "inner(grad(u), grad(v))*dx"}, "there is no start in a steady problem"),
        ({"boundary": ()}, "nothing says where u starts"),
        ({"boundary": [{**START, "rate": 1}]}, "has no second time derivative; leave out the rate"),
        ({"weak": "dt(dt(u))*v*dx + inner(grad(u), grad(v))*dx"}, "give its first derivative at the start as rate"),
        ({"weak": "dt(dt(dt(u)))*v*dx"}, "a third time derivative"),
        ({"weak": "u*dt(v)*dx"}, "test functions have no time derivative"),
        ({"weak": "inner(grad(u), grad(v))*dx"}, "no time derivative of u"),
        ({"boundary": [START, START]}, "has a state at the start already"),
        ({"boundary": [{"on": ["initial", "left"], "value": 0}]}, "the start of time stands alone"),
        ({"boundary": [START, {"on": "left", "value": "dt(u)"}]}, "cannot depend on the unknown u"),
        ({"boundary": [START, {"on": "left", "value": 0, "rate": 1}]}, "rate is given at the start"),
        ({"boundary": [START, {"on": "left", "value": 0, "impose": "nitsche"}]}, "values in time are imposed exactly"),
        ({"boundary": [{"on": "initial", "value": "u"}]}, "cannot depend on the unknown u"),
        ({"output": {"times": [0, 3]}}, "instants lie between start and end, 0 to 2, got 3"),
        ({"output": {"times": []}}, "at least one instant"),
        ({"batch": {"size": 10}}, "a march sees all points"),
        ({"domain": {"layers": 3}}, "a march chooses its steps"),
        ({"domain": {"layers": 3}, "time": None, "weak": "inner(grad(u), grad(v))*dx", "boundary": ()}, "problems in time"),
        ({"reference": {"fem": {"degree": {"u": 2}}}}, "elements in time take one degree"),
        ({"periodic": [{"from": "left", "to": "top"}]}, "top"),
        ({"periodic": [{"from": "left", "to": "left"}]}, "do not match"),
        ({"periodic": [{"from": "left", "to": "right", "unknown": "q"}]}, "there is no unknown 'q'"),
        ({"periodic": [{"from": "left", "to": "right"}], "boundary": [START, {"on": "all", "value": 0}]}, "on a periodic side"),
        (
            {
                "time": None,
                "weak": "inner(grad(u), grad(v))*dx",
                "boundary": (),
                "periodic": [{"from": "left", "to": "right"}],
            },
            "periodic sides are for problems in time so far",
        ),
        ({"network": {"enrich": ["x"]}}, "enrich functions are for steady problems"),
        ({"time": None, "weak": "inner(grad(u), grad(v))*dx", "boundary": (), "output": {"times": 3}}, "no instants"),
        (
            {"time": None, "weak": "inner(grad(u), grad(v))*dx", "boundary": (), "solver": {"method": "march"}},
            "needs a problem in time",
        ),
        (
            {
                "unknowns": {"u": "scalar", "p": "scalar"},
                "weak": f"{HEAT} + p*v*dx",
                "boundary": [{**START, "unknown": "u"}],
            },
            "does not contain the test function v_p of p",
        ),
        (
            {
                "unknowns": {"u": "scalar", "p": "scalar"},
                "weak": f"{HEAT} + u*v_p*dx",
                "boundary": [{**START, "unknown": "u"}],
            },
            "does not contain the unknown p; nothing would determine it",
        ),
        (
            {
                "unknowns": {"u": "scalar", "p": "scalar"},
                "weak": f"{HEAT} + p*v*dx + u*v_p*dx",
                "boundary": [{**START, "unknown": "u"}, {**START, "unknown": "p"}],
            },
            "the form has no time derivative of p, which its other equations determine",
        ),
    ],
)
def test_refused_in_one_line(change: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError) as caught:
        stated(**change)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_energy_is_refused() -> None:
    with pytest.raises(InputError, match="an energy has no time derivative"):
        make_problem({"shape": "interval", "time": [0, 1]}, unknowns={"u": "scalar"}, energy="u*u*dx", boundary=[START])


def test_a_march_without_cells_is_refused() -> None:
    with pytest.raises(InputError, match="a march needs cells"):
        make_problem(
            {"shape": "hypercube", "upper": [1.0, 1.0], "time": [0, 1]},
            unknowns={"u": "scalar"},
            strong="dt(u)",
            boundary=[START],
            solver={"method": "march"},
        )


@pytest.mark.parametrize(
    "text", ["exp(-t)*sin(x)", "t**3*x + sqrt(1 + t)", "grad(sin(t*x)*x)[0]", "conditional(lt(t, 1), t**2, x)"]
)
def test_time_derivative_of_an_expression_is_that_of_differences(text: str) -> None:
    problem = stated()
    clock = problem.clock
    assert clock is not None
    expression = parse_expression(text, make_scope(problem.symbols).timed(clock))
    points, _ = located_points(problem.domain, np.linspace(0.1, 0.9, 5)[:, None])

    def at(value: ufl.core.expr.Expr, t: float) -> np.ndarray:
        return evaluate([frozen(value, {clock.t: t})], points, Background(problem.domain))[0]

    h = 1e-5
    differences = (at(expression, 0.5 + h) - at(expression, 0.5 - h)) / (2 * h)
    np.testing.assert_allclose(at(clock.derivative(expression), 0.5), differences, rtol=1e-8, atol=1e-8)


def test_order_of_the_highest_time_derivative() -> None:
    first, second = stated(), stated("dt(dt(u))*v*dx + dt(u)*v*dx", [{**START, "rate": 0}])
    for problem, order in ((first, 1), (second, 2)):
        assert problem.clock is not None
        assert problem.clock.order(problem.unknowns[0].function, stated_in(problem.formulation)) == order


def test_instants_that_are_written_end_at_the_end() -> None:
    np.testing.assert_allclose(output_times(stated()), np.linspace(0, 2, 11))
    np.testing.assert_allclose(output_times(stated(output={"times": [1.5, 0.5]})), [0.5, 1.5, 2.0])
