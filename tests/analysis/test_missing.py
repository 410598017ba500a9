"""Test that missing conditions of equations in strong form are told before the work, and that none are missed where all stand."""

from __future__ import annotations

from typing import Any

import pytest

from vpinn.analysis import missing_conditions
from vpinn.domain import box, disk, rectangle
from vpinn.errors import InputError
from vpinn.problem import make_problem
from vpinn.solving import solve

SQUARE, CUBE, DISK = rectangle(cells=2), box(cells=1), disk(cells=2)
VECTOR, TWO = {"u": "vector"}, {"u": "scalar", "p": "scalar"}
FLOW, MIXED = {"u": "vector", "p": "scalar"}, {"q": "vector", "u": "scalar"}
STRESS = "(2*sym(grad(u)) + div(u)*Identity({}))"
PLATE, HEAT = "div(grad(div(grad(u)))) - 1", "grad(u)[1] - grad(grad(u)[0])[0]"
STOKES, DARCY = ["-div(grad(u)) + grad(p)", "div(u)"], ["q + grad(u)", "div(q) - 1"]
BIHARMONIC = ["div(grad(u)) - p", "div(grad(p)) - 1"]
SLANTED = "-1e-6*div(grad(u)) + grad(u)[0] + 2*grad(u)[1] - 1"
WALLS = ["left", "top", "bottom"]


def value(on: str | list[str], unknown: str, given: Any = 0, component: int | None = None) -> dict[str, Any]:
    return {"on": on, "unknown": unknown, "value": given} | ({} if component is None else {"component": component})


def residual(on: str | list[str], text: str) -> dict[str, Any]:
    return {"on": on, "residual": text}


ROLLERS = [
    value(["left", "right"], "u", 0, 0),
    value("bottom", "u"),
    residual(["top", "back", "front"], f"dot({STRESS.format(3)}, n)"),
]
SMOOTH = [residual(["left", "right"], f"{STRESS.format(3)}[0, {i}]") for i in (1, 2)]
SHORT: dict[str, tuple[Any, dict[str, str], Any, list[dict[str, Any]], str]] = {
    "block": (
        CUBE,
        VECTOR,
        f"div{STRESS.format(3)}",
        [value([*WALLS, "right", "back"], "u")],
        "need 3 conditions near .* none is",
    ),
    "box of a flow": (CUBE, FLOW, STOKES, [value([*WALLS, "right", "back"], "u")], "need 3 conditions near .* none is given"),
    "rollers without shear": (CUBE, VECTOR, f"div{STRESS.format(3)}", ROLLERS, "need 3 conditions near x = .* 1 is given"),
    "outflow": (SQUARE, FLOW, STOKES, [value(WALLS, "u"), value("right", "p")], "need 2 conditions near x = 1, .* 1 is given"),
    "mixed": (SQUARE, MIXED, DARCY, [value(["left", "right"], "u")], "need 1 condition near .* none is given"),
    "two equations": (SQUARE, TWO, BIHARMONIC, [value("all", "u"), value(WALLS, "p")], "need 2 conditions near x = 1, .* 1 is"),
    "the same twice": (DISK, {"u": "scalar"}, PLATE, [value("all", "u"), residual("all", "2*u")], "need 2 conditions .* 1 is"),
    "thin layer": (SQUARE, {"u": "scalar"}, SLANTED, [value(["left", "bottom"], "u")], "need 1 condition near .* none is given"),
}
ENOUGH: dict[str, tuple[Any, dict[str, str], Any, list[dict[str, Any]]]] = {
    "block": (CUBE, VECTOR, f"div{STRESS.format(3)}", [*ROLLERS, *SMOOTH]),
    "flow": (SQUARE, FLOW, STOKES, [value(WALLS, "u"), residual("right", "dot(grad(u), n) - p*n")]),
    "outflow": (SQUARE, FLOW, STOKES, [value(WALLS, "u"), value("right", "p"), value("right", "u", 0, 1)]),
    "mixed": (SQUARE, MIXED, DARCY, [value("left", "u"), residual([*WALLS[1:], "right"], "dot(q, n)")]),
    "clamped in two equations": (SQUARE, TWO, BIHARMONIC, [value("all", "u"), residual("all", "dot(grad(u), n)")]),
    "clamped": (DISK, {"u": "scalar"}, PLATE, [value("all", "u"), residual("all", "dot(grad(u), n)")]),
    "supported": (SQUARE, {"u": "scalar"}, PLATE, [value("all", "u"), residual("all", "div(grad(u))")]),
    "heat": (SQUARE, {"u": "scalar"}, HEAT, [value(["left", "right", "bottom"], "u")]),
    "waves": (SQUARE, {"u": "scalar"}, "grad(grad(u)[1])[1] - grad(grad(u)[0])[0]", [value(["left", "right"], "u")]),
    "thin layer": (SQUARE, {"u": "scalar"}, SLANTED, [value("all", "u")]),
    "units": (
        SQUARE,
        {"T": "scalar", "u": "vector"},
        ["-1e-2*div(grad(T))", f"-2.1e11*div{STRESS.format(2)} + 1e6*grad(T)"],
        [value("all", "T", 300), value("all", "u")],
    ),
    "waves through the sides": (
        SQUARE,
        TWO,
        ["-div(grad(u)) - 100*u", "-div(grad(p)) - 100*p"],
        [residual("all", "dot(grad(u), n) + 10*p"), residual("all", "dot(grad(p), n) - 10*u - 1")],
    ),
    "Cauchy and Riemann": (SQUARE, TWO, ["grad(u)[0] - grad(p)[1]", "grad(u)[1] + grad(p)[0]"], [value("all", "u", "x")]),
    "curl of a curl": (
        SQUARE,
        VECTOR,
        "as_vector([grad(grad(u[1])[0] - grad(u[0])[1])[1] + u[0], -grad(grad(u[1])[0] - grad(u[0])[1])[0] + u[1]])",
        [residual("all", "u[0]*n[1] - u[1]*n[0]")],
    ),
    "nonlinear": (SQUARE, {"u": "scalar"}, "div(grad(u)) - u**3", [value("left", "u")]),
    "huge numbers": (SQUARE, {"u": "scalar"}, "1e300*div(grad(u)) - u", [value("all", "u")]),
}


@pytest.mark.parametrize("name", SHORT)
def test_missing_conditions_are_refused(name: str) -> None:
    domain, unknowns, strong, boundary, words = SHORT[name]
    with pytest.raises(InputError, match=f"not unique, one solution of many: the equations {words}"):
        solve(make_problem(domain, unknowns=unknowns, strong=strong, boundary=boundary), threads=1)


@pytest.mark.parametrize("name", ENOUGH)
def test_enough_conditions_are_not_accused(name: str) -> None:
    domain, unknowns, strong, boundary = ENOUGH[name]
    assert missing_conditions(make_problem(domain, unknowns=unknowns, strong=strong, boundary=boundary)) is None


def test_cauchys_problem_of_a_system() -> None:
    """It has at most one solution, so that it is told of a run, not refused."""
    both = [value("bottom", "u"), residual("bottom", f"dot({STRESS.format(2)}, n)"), value(["left", "right"], "u")]
    missing = missing_conditions(make_problem(SQUARE, unknowns=VECTOR, strong=f"div{STRESS.format(2)}", boundary=both))
    assert "hangs on digits nobody knows" in str(missing)
