"""Test that the weights of conditions that are not met exactly have the units of the problem, and why that matters."""

from __future__ import annotations

from typing import Any

import pytest

import vpinn
from vpinn.objective.penalty import nitsche_weight, penalty_weight, residual_weight
from vpinn.trial import make_trial

STIFFNESS, LENGTH = 2e11, 1e-3
FORMS = {
    "energy": {"energy": "k*(0.5*inner(grad(u), grad(u)) + 0*u)*dx"},
    "weak": {"weak": "k*inner(grad(u), grad(v))*dx"},
    "strong": {"strong": "-k*div(grad(u))"},
}


def posed(k: float, length: float, boundary: dict[str, Any], **form: Any) -> vpinn.Problem:
    return vpinn.make_problem(
        {"shape": "rectangle", "upper": [length, length], "cells": [2, 2]},
        unknowns={"u": "scalar"},
        constants={"k": k},
        boundary=[{"on": "left", **boundary}],
        **form,
    )


@pytest.mark.parametrize(("form", "power", "lengths"), [("energy", 1, 1), ("weak", 2, 1), ("strong", 2, 3)])
def test_penalties_have_the_units_of_the_problem(form: str, power: int, lengths: int) -> None:
    """β ∝ κ/L, κ²/L and κ²/L³: the energy, the squared dual norm and the squared residual of −∇·κ∇u per area and u²."""
    weights = []
    for k, length in ((1.0, 1.0), (STIFFNESS, LENGTH)):
        problem = posed(k, length, {"value": 0, "impose": "penalty"}, **FORMS[form])
        weights.append(penalty_weight(problem, make_trial(problem), problem.boundary[0], 0))
    assert weights[1] / weights[0] == pytest.approx(STIFFNESS**power / LENGTH**lengths, rel=1e-9)
    assert weights[0] == pytest.approx({"energy": 500 / 2**0.5, "weak": 50, "strong": 100}[form], rel=1e-12)


def test_nitsches_and_residuals_weights_have_them_too() -> None:
    """Nitsche's stabilisation is κ γ/h, whatever terms of order zero there are; ∂u/∂n − g counts κ²/L, κ ∂u/∂n − q only 1/L."""
    form = "(k*inner(grad(u), grad(v)) + 1e20*u*v)*dx"
    problem = posed(STIFFNESS, LENGTH, {"value": 0, "impose": "nitsche"}, weak=form)
    assert nitsche_weight(problem, make_trial(problem), problem.boundary[0], 0) == pytest.approx(20 * STIFFNESS, rel=1e-9)
    for slope, size in (("", STIFFNESS**2), ("k*", 1.0)):
        problem = posed(STIFFNESS, LENGTH, {"residual": f"{slope}dot(grad(u), n)"}, **FORMS["strong"])
        found = residual_weight(problem, make_trial(problem), problem.boundary[0])
        assert found == pytest.approx(100 * size / LENGTH, rel=1e-9)


@pytest.mark.slow
def test_steel_in_millimetres_is_held_where_it_is_clamped() -> None:
    """A disk held on its rim by weighted rows: those of a weight without units leave it free to turn, by half a per cent here."""
    problem = vpinn.make_problem(
        {"shape": "disk", "radius": LENGTH, "cells": 3},
        unknowns={"u": "vector"},
        constants={"s": LENGTH},
        expressions={
            "lam": 1.15e11,
            "mu": 7.7e10,
            "a": "1e-6*sin(2*x/s)*cos(y/s)",
            "b": "1e-6*cos(x/s)*y/s",
            "exact": "as_vector([a, b])",
            "f": "-div(lam*div(exact)*Identity(2) + 2*mu*sym(grad(exact)))",
        },
        weak="(lam*div(u)*div(v) + 2*mu*inner(sym(grad(u)), sym(grad(v))) - dot(f, v))*dx",
        boundary=[{"on": "all", "value": ["a", "b"], "impose": "penalty"}],
        reference={"exact": {"u": ["a", "b"]}},
        solver={"method": "least-squares", "features": 120},
    )
    found = vpinn.solve(problem, threads=1)
    assert found.errors["u"]["relative_l2"] <= 1e-8
