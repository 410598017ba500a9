"""Test what the signs of a form prove: that a problem has one solution, or that its energy has no least value."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

import vpinn
from vpinn.analysis.definite import unbounded_energy, unique_by_signs
from vpinn.domain import box, rectangle
from vpinn.problem import make_problem

POISSON = "inner(grad(u), grad(v))*dx"
LAYERS = "1e4*inner(grad(u), grad(v))*dx('a') + 1e-4*inner(grad(u), grad(v))*dx('b')"
ELASTIC = "inner(2*sym(grad(u)) + div(u)*Identity(2), sym(grad(v)))*dx"
HEATED = "2e11*inner(sym(grad(u)) - 1e-5*p*Identity(2), sym(grad(v)))*dx + 45*inner(grad(p), grad(v_p))*dx"
DOMAIN = {"shape": "rectangle", "cells": 4, "tags": {"a": "x < 0.5", "b": "x > 0.5"}}
LEFT = [{"on": "left", "value": 0}]
BODY = [{"on": "left", "unknown": "u", "value": [0, 0]}, {"on": "left", "unknown": "p", "value": 0}]
PIEZO_UNKNOWNS = {"u": "vector", "p": "scalar"}
PIEZO = (
    "1e11*inner(sym(grad(u)), sym(grad(v)))*dx + 15*Dx(p, 1)*sym(grad(v))[1, 1]*dx"
    " + 15*sym(grad(u))[1, 1]*Dx(v_p, 1)*dx - 1e-8*inner(grad(p), grad(v_p))*dx"
)
PLATE = [
    {"on": "left", "unknown": "u", "component": 0, "value": 0},
    {"on": "bottom", "unknown": "u", "component": 1, "value": 0},
    {"on": "bottom", "unknown": "p", "value": 0},
    {"on": "top", "unknown": "p", "value": 100},
]
UNIQUE: dict[str, dict[str, Any]] = {
    "layers of which the free one conducts 1e8 times better": {"weak": LAYERS, "boundary": [{"on": "right", "value": 0}]},
    "hardly any loss": {"weak": f"{POISSON} + 1e-8*u*v*ds", "boundary": []},
    "a joint": {"weak": f"{POISSON} + 1e-7*jump(u)*jump(v)*dS('a', 'b')", "boundary": LEFT},
    "heated steel": {"unknowns": {"u": "vector", "p": "scalar"}, "weak": HEATED, "boundary": BODY},
    "a piezoelectric plate in SI units, whose energy is a saddle": {"unknowns": PIEZO_UNKNOWNS, "weak": PIEZO, "boundary": PLATE},
    "on rollers": {
        "unknowns": {"u": "vector"},
        "weak": ELASTIC,
        "boundary": [{"on": "left", "component": 0, "value": 0}, {"on": "bottom", "component": 1, "value": 0}],
    },
}
UNKNOWN: dict[str, dict[str, Any]] = {
    "no condition": {"weak": POISSON, "boundary": []},
    "a free body": {"unknowns": {"u": "vector"}, "weak": ELASTIC, "boundary": [{"on": "left", "component": 0, "value": 0}]},
    "resonance": {"weak": f"{POISSON} - 2*pi**2*u*v*dx", "boundary": [{"on": "all", "value": 0}]},
    "transport": {"weak": f"{POISSON} + Dx(u, 0)*v*dx", "boundary": LEFT},
    "conformal maps": {
        "unknowns": {"u": "vector"},
        "weak": "inner(dev(sym(grad(u))), sym(grad(v)))*dx",
        "boundary": [{"on": "left", "value": [0, 0]}],
    },
    "only a sum": {
        "unknowns": {"u": "scalar", "p": "scalar"},
        "weak": "inner(grad(u + p), grad(v))*dx + 2*inner(grad(u + p), grad(v_p))*dx",
        "boundary": [{"on": "all", "unknown": name, "value": 0} for name in "up"],
    },
}


def stated(sections: dict[str, Any]) -> vpinn.Case:
    return make_problem(DOMAIN, **{"unknowns": {"u": "scalar"}, **sections})


@pytest.mark.parametrize("name", UNIQUE)
def test_one_solution_is_proved_however_far_coefficients_lie_apart(name: str) -> None:
    assert unique_by_signs(stated(UNIQUE[name]))


@pytest.mark.parametrize("name", UNKNOWN)
def test_nothing_is_proved_of_what_may_have_several(name: str) -> None:
    assert not unique_by_signs(stated(UNKNOWN[name]))


def test_rounding_of_many_cells_proves_nothing() -> None:
    """Factors of singular matrices have a least pivot of rounding: up to 1e-11, and 1e-5 where layers jump, of either sign."""
    for domain, weak, boundary in (
        (box(cells=16), POISSON, []),
        (rectangle(cells=60), "conditional(lt(x, 0.5), 1e8, 1)*inner(grad(u), grad(v))*dx", []),
    ):
        assert not unique_by_signs(make_problem(domain, unknowns={"u": "scalar"}, weak=weak, boundary=boundary))
    loss = f"{POISSON} + 1e-8*u*v*ds"
    assert unique_by_signs(make_problem(box(cells=16), unknowns={"u": "scalar"}, weak=loss, boundary=[]))


def test_rounding_is_no_falling_energy() -> None:
    """Of layers that nothing holds; a loss of the wrong sign is told in the same place."""
    layers, told = "0.5*conditional(lt(x, 0.5), 1e8, 1)*inner(grad(u), grad(u))*dx - (x - 0.5)*u*dx", []
    for more in ("", " - 10*u**2*ds('right')"):
        problem = make_problem(rectangle(cells=60), unknowns={"u": "scalar"}, energy=layers + more, boundary=[])
        told.append(unbounded_energy(SimpleNamespace(problem=problem)))  # type: ignore[arg-type]
    assert told[0] == ""
    assert told[1].startswith("it has no least value")


def test_a_good_conductor_behind_insulation_is_not_accused() -> None:
    """A flux of 50 through 1e4 and 1e-4: 0.5·50/1e-4 across the insulation."""
    wall = {"weak": f"{LAYERS} - 50*v*ds('left')", "boundary": [{"on": "right", "value": 0}]}
    solution = vpinn.solve(stated(wall), threads=1)
    assert not solution.metrics["checks"]
    assert solution.evaluate([[0.5, 0.3]])["u"][0] == pytest.approx(0.5 * 50 / 1e-4, rel=1e-6)


def test_a_piezoelectric_plate_is_solved() -> None:
    """The field of 100 V/m strains a free plate by -15·100/1e11."""
    plate = {"unknowns": PIEZO_UNKNOWNS, "weak": PIEZO, "boundary": PLATE}
    solution = vpinn.solve(stated(plate), threads=1)
    assert not solution.metrics["checks"]
    assert solution.evaluate([[0.3, 0.5]])["u"][0, 1] == pytest.approx(-0.5 * 15 * 100 / 1e11, rel=1e-6)


@pytest.mark.parametrize(
    ("energy", "told"),
    [
        ("0.5*inner(grad(u), grad(u))*dx - 10*u**2*ds('right') - u*dx", "it has no least value"),
        ("0.5*inner(grad(u), grad(u))*dx + 10*u**2*ds('right') - u*dx", ""),
        ("0.5*inner(grad(u), grad(u))*dx - 10*u**2*dx + u**4*dx", "the solution is no least value"),
    ],
)
def test_an_energy_without_a_least_value_there_is_told(energy: str, told: str) -> None:
    checks = vpinn.solve(stated({"energy": energy, "boundary": LEFT}), threads=1).metrics["checks"]
    found = [check for check in checks if check.startswith("energy: ")]
    assert (told in found[0]) if told else not found
