"""Test the equations and natural conditions of bending energies against solutions in closed form. Seeds are fixed."""

from __future__ import annotations

from typing import Any

import pytest

from vpinn.domain import interval, rectangle
from vpinn.errors import InputError
from vpinn.objective import bends, bent
from vpinn.problem import Problem, make_problem
from vpinn.solving import solve

PLATE = "0.5*({nu}*div(grad(u))**2 + (1 - {nu})*inner(grad(grad(u)), grad(grad(u))))*dx"
HELD = [{"on": "all", "value": 0}]


def beam(energy: str, exact: str, boundary: list[dict[str, Any]]) -> Problem:
    return make_problem(
        interval(cells=8), unknowns={"u": "scalar"}, energy=energy, boundary=boundary, reference={"exact": {"u": exact}}
    )


@pytest.mark.parametrize(
    ("energy", "exact", "boundary"),
    [
        pytest.param("0.5*div(grad(u))**2*dx - u*dx", "(x**4 - 2*x**3 + x)/24", HELD, id="simply supported"),
        pytest.param(
            "0.5*div(grad(u))**2*dx - u*dx + 0.5e6*dot(grad(u), n)**2*ds('left')",
            "(x**4 - 4*x**3 + 6*x**2)/24",
            [{"on": "left", "value": 0}],
            id="cantilever under its weight",
        ),
        pytest.param(
            "0.5*div(grad(u))**2*dx - 2*u*ds('right') + 0.5e6*dot(grad(u), n)**2*ds('left')",
            "x**2 - x**3/3",
            [{"on": "left", "value": 0}],
            id="load at the end",
        ),
        pytest.param(
            "0.5*div(grad(u))**2*dx + 0.5*inner(grad(u), grad(u))*dx - (pi**4 + pi**2)*sin(pi*x)*u*dx",
            "sin(pi*x)",
            HELD,
            id="under tension",
        ),
        pytest.param(
            "0.5*div(grad(u))**2*dx - u*dx",
            "(x**4 - 2*x**3 + x)/24 + x/10",
            [{"on": "left", "value": 0}, {"on": "right", "value": 0.1}],
            id="one support raised",
        ),
        pytest.param("0.5*div(grad(u))**2*dx - 3*dot(grad(u), n)*ds('right')", "(x**3 - x)/2", HELD, id="moment at an end"),
    ],
)
def test_beams(energy: str, exact: str, boundary: list[dict[str, Any]]) -> None:
    """Free ends have no moment and no shear, and loads there are theirs; penalties of 1e6 leave 1e-5 at most."""
    solution = solve(beam(energy, exact, boundary), threads=1)
    assert solution.metrics["method"] == "least-squares"
    assert solution.errors["u"]["relative_l2"] <= 2e-5
    assert not solution.metrics["checks"]


def test_a_plate_whose_sides_are_held_one_by_one() -> None:
    """It is held all around, and no condition takes shear forces."""
    sides = [{"on": side, "value": 0} for side in ("left", "right", "bottom", "top")]
    plates = [
        bent(make_problem(rectangle(cells=2), unknowns={"u": "scalar"}, energy=PLATE.format(nu=0.3), boundary=boundary))
        for boundary in (HELD, sides)
    ]
    assert len(plates[0].boundary) + 3 == len(plates[1].boundary)


@pytest.mark.parametrize("nu", [0.3, pytest.param(1.0, marks=pytest.mark.slow)])
@pytest.mark.slow
def test_simply_supported_plate(nu: float) -> None:
    """Straight sides without moments bend a plate as they would without ν: u = sin πx sin πy for the load 4π⁴u."""
    g = "sin(pi*x)*sin(pi*y)"
    problem = make_problem(
        rectangle(cells=4),
        unknowns={"u": "scalar"},
        energy=f"{PLATE.format(nu=nu)} - 4*pi**4*{g}*u*dx",
        boundary=HELD,
        reference={"exact": {"u": g}},
    )
    solution = solve(problem, threads=1)
    assert solution.errors["u"]["relative_l2"] <= 1e-7
    assert not solution.metrics["checks"]


def test_trained_networks_have_an_estimate_too() -> None:
    problem = make_problem(
        interval(cells=8),
        unknowns={"u": "scalar"},
        energy="0.5*div(grad(u))**2*dx - u*dx",
        boundary=HELD,
        reference={"exact": {"u": "(x**4 - 2*x**3 + x)/24"}},
        network={"layers": [10]},
        solver={"steps": 40},
    )
    solution = solve(problem, method="lbfgs", threads=1)
    assert solution.metrics["error_estimate"]["effectivity"] == pytest.approx(1.0, abs=0.05)


def test_free_edges_of_plates_are_told() -> None:
    problem = make_problem(rectangle(cells=2), unknowns={"u": "scalar"}, energy=f"{PLATE.format(nu=0.3)} - u*dx", boundary=[])
    assert bends(problem)
    with pytest.raises(InputError, match="u is free on a part of the boundary of a bending energy"):
        bent(problem)
