"""Fields and quantities of [output]: what is refused in them, and that they follow the names of the file."""

from __future__ import annotations

from typing import Any

import pytest

from vpinn.errors import InputError
from vpinn.problem import Problem, make_problem

SQUARE = {"shape": "rectangle", "cells": 2}


def stated(fields: dict[str, Any] | None = None, quantities: dict[str, str] | None = None, **more: Any) -> Problem:
    """Return a problem that asks for these fields and quantities."""
    sections: dict[str, Any] = {
        "domain": SQUARE,
        "unknowns": {"u": "scalar"},
        "energy": "0.5*inner(grad(u), grad(u))*dx - u*dx",
        "boundary": [{"on": "left", "value": 0}],
        "output": {"fields": fields or {}, "quantities": quantities or {}},
    }
    return make_problem(**{**sections, **more})


def test_later_ones_may_use_earlier_ones() -> None:
    found = stated({"flux": "-2*grad(u)", "size": "sqrt(dot(flux, flux))"}, {"heat": "dot(flux, n)*ds('left')"}).answers
    assert {name: field.ufl_shape for name, field in found.fields.items()} == {"flux": (2,), "size": ()}
    assert list(found.quantities) == ["heat"]


def test_a_field_may_be_a_named_expression_or_a_list() -> None:
    found = stated({"flux": "flux", "pair": ["u", 1.0]}, expressions={"flux": "-grad(u)"}).answers
    assert [field.ufl_shape for field in found.fields.values()] == [(2,), (2,)]


@pytest.mark.parametrize(
    ("fields", "quantities", "message"),
    [
        ({"flux": "-grad(v)"}, {}, "output.fields.flux: a field has no test functions, but v is the test function of u"),
        ({"flux": "dot(grad(u), n)"}, {}, "output.fields.flux: a field cannot contain the normal n"),
        ({"u": "2*u"}, {}, "output.fields.u: the unknown u has a field of this name already; choose another"),
        ({"grad_u": "2*u"}, {}, "the unknown u has a field of this name already"),
        ({"u_exact": "2*u"}, {}, "the unknown u has a field of this name already"),
        ({"a b": "2*u"}, {}, "'a b' cannot be a name"),
        ({"flux": "u*dx"}, {}, "dx and ds have no place in this expression"),
        ({"k": "2*u"}, {}, "'k' is defined twice; choose another name"),
        ({}, {"heat": "u"}, "output.quantities.heat: a form is a sum of integrals; multiply each term by dx or ds"),
        ({}, {"heat": "u*v*dx"}, "a quantity has no test functions, but v is that of u"),
        ({}, {"heat": "n[0]*dx"}, "the normal n exists on the boundary only; use it under ds, not under dx"),
        ({}, {"heat": "u*ds('rigth')"}, "did you mean right?"),
        ({}, {"heat": "u*delta(0.5, 0.5)"}, "vpinn evaluate RUN --at gives values at points"),
        ({}, {"heat": 3}, "output.quantities.heat must be a string, got 3"),
    ],
)
def test_what_is_refused(fields: dict[str, Any], quantities: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        stated(fields, quantities, constants={"k": 1.0})
    assert message in str(caught.value)


@pytest.mark.parametrize(("fields", "quantities"), [({"rate": "dt(u)"}, {}), ({}, {"rate": "dt(u)*dx"})])
def test_time_derivatives_are_refused(fields: dict[str, str], quantities: dict[str, str]) -> None:
    timed = {
        "domain": {"shape": "interval", "cells": 2, "time": [0, 1]},
        "energy": None,
        "weak": "dt(u)*v*dx + inner(grad(u), grad(v))*dx",
        "boundary": [{"on": "all", "value": 0}, {"on": "initial", "value": "x*(1 - x)"}],
    }
    with pytest.raises(InputError, match="is taken at an instant and has no time derivatives; leave out dt"):
        stated(fields, quantities, **timed)


def test_modes_have_no_quantities() -> None:
    modes = {"energy": None, "weak": "inner(grad(u), grad(v))*dx", "eigen": {"mass": "u*v*dx", "count": 1}}
    with pytest.raises(InputError, match="a mode is known up to a factor"):
        stated({}, {"mean": "u*dx"}, **modes)
