"""The [eigen] section: which forms and conditions it takes, and what it says of others."""

from __future__ import annotations

from typing import Any

import pytest

import vpinn
from vpinn.errors import InputError

GRADIENTS = "inner(grad(u), grad(v))*dx"


def stated(weak: str = GRADIENTS, value: float | str = 0, eigen: dict[str, Any] | None = None, **sections: Any) -> vpinn.Problem:
    """Return an eigenproblem on a square."""
    return vpinn.make_problem(
        {"shape": "rectangle", "cells": 2},
        unknowns={"u": "scalar"},
        weak=weak,
        boundary=[{"on": "all", "value": value}],
        eigen={"mass": "u*v*dx"} if eigen is None else eigen,
        **sections,
    )


def test_defaults() -> None:
    eigen = stated().eigen
    assert eigen is not None
    assert (eigen.count, eigen.near) == (6, 0.0)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"weak": GRADIENTS + " - v*dx"}, "the weak form of an eigenproblem has no sources"),
        ({"weak": "u**2*v*dx"}, "the weak form of an eigenproblem is linear in the unknowns"),
        ({"weak": GRADIENTS + " + u/u*v*dx"}, "the weak form of an eigenproblem is linear in the unknowns"),
        ({"eigen": {"mass": "v*dx"}}, "a mass form has no sources"),
        ({"eigen": {"mass": "u*u*v*dx"}}, "a mass form is linear in the unknowns"),
        ({"eigen": {"mass": "u*dx"}}, "a mass form is linear in the test functions"),
        ({"eigen": {"mass": "u*v*dx", "count": 0}}, "eigen.count"),
        ({"eigen": {}}, "eigen.mass"),
        ({"value": 1}, "modes of an eigenproblem are zero where they are held"),
        ({"value": "x"}, "modes of an eigenproblem are zero where they are held"),
        ({"reference": {"exact": {"u": "x"}}}, "reference.exact holds for one solution"),
        ({"solver": {"method": "adam"}}, 'eigenproblems are solved by finite elements, got method "adam"'),
    ],
)
def test_what_is_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        stated(**changes)


def test_an_energy_is_refused() -> None:
    with pytest.raises(InputError, match="needs a weak form for a, got energy"):
        vpinn.make_problem(
            {"shape": "interval", "cells": 2}, unknowns={"u": "scalar"}, energy="u**2*dx", eigen={"mass": "u*v*dx"}
        )


def test_time_is_refused() -> None:
    with pytest.raises(InputError, match="an eigenproblem does not depend on time"):
        vpinn.make_problem(
            {"shape": "interval", "cells": 2, "time": (0, 1)},
            unknowns={"u": "scalar"},
            weak="dt(u)*v*dx + u*v*dx",
            boundary=[{"on": "initial", "value": 1}],
            eigen={"mass": "u*v*dx"},
        )
