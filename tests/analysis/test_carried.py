"""Values that an equation does not carry to where they are given are told; values where it does are not accused."""

from __future__ import annotations

from typing import Any

import pytest

from vpinn.analysis.carried import uncarried_values
from vpinn.domain import interval, rectangle
from vpinn.problem import make_problem
from vpinn.solving import solve

LINE, SQUARE = interval(cells=8), rectangle(cells=4)
ALONG = "inner(grad(u)[0], grad(v)[0])*dx"
SIDE, BACK = "no derivative across this side", "at the outflow and not at the inflow"
BOTH, LATE = "at both ends", "at the outflow, too"


def told(domain: Any, relative: float = 0.02, on: Any = "all", **sections: Any) -> str:
    """What is said of a problem with zero on some sides, and a relative error estimate."""
    unknowns = sections.pop("unknowns", {"u": sections.pop("shape", "scalar")})
    zero = [0, 0] if unknowns["u"] == "vector" else 0
    boundary = sections.pop("boundary", [{"on": on, "value": zero}])
    return uncarried_values(make_problem(domain, unknowns=unknowns, boundary=boundary, **sections), relative)


@pytest.mark.parametrize(
    ("domain", "sections", "words"),
    [
        (SQUARE, {"weak": f"{ALONG} - v*dx"}, SIDE),
        (SQUARE, {"strong": "-grad(grad(u)[0])[0] - 1"}, SIDE),
        (SQUARE, {"strong": "grad(u)[0] - 1", "on": ["left", "top"]}, SIDE),
        (SQUARE, {"strong": "grad(u)[0] + 2*grad(u)[1] - 1"}, BOTH),
        (LINE, {"strong": "grad(u)[0] + u - 1"}, BOTH),
        (LINE, {"weak": "Dx(u, 0)*v*dx - v*dx"}, BOTH),
        (LINE, {"weak": "-u*Dx(v, 0)*dx - v*dx"}, BOTH),
        (SQUARE, {"strong": "grad(u)[1] + grad(grad(u)[0])[0]", "on": ["left", "right", "bottom"]}, BACK),
        (SQUARE, {"weak": f"-{ALONG} + Dx(u, 1)*v*dx", "on": ["left", "right", "bottom"]}, BACK),
        (SQUARE, {"strong": "grad(u)[1] - grad(grad(u)[0])[0]"}, LATE),
        (SQUARE, {"weak": "x*(1 - x)*Dx(u, 0)*Dx(v, 0)*dx + Dx(u, 1)*Dx(v, 1)*dx"}, SIDE),
        (SQUARE, {"weak": "div(u)*div(v)*dx", "shape": "vector"}, SIDE),
    ],
)
def test_values_that_nothing_carries(domain: Any, sections: dict[str, Any], words: str) -> None:
    assert words in told(domain, **sections)


@pytest.mark.parametrize(
    ("domain", "sections"),
    [
        (SQUARE, {"weak": f"{ALONG} - v*dx", "on": ["left", "right"]}),
        (SQUARE, {"weak": "1e-8*inner(grad(u), grad(v))*dx + Dx(u, 0)*v*dx"}),
        (SQUARE, {"weak": "(Dx(u, 0)*Dx(v, 0) + 1e-6*Dx(u, 1)*Dx(v, 1))*dx"}),
        (SQUARE, {"weak": "conditional(lt(x, 0.5), 1, 1e8)*inner(grad(u), grad(v))*dx"}),
        (SQUARE, {"strong": "grad(u)[1] - grad(grad(u)[0])[0]", "on": ["left", "right", "bottom"]}),
        (SQUARE, {"strong": "grad(u)[0] + 2*grad(u)[1] - 1", "on": ["left", "bottom"]}),
        (SQUARE, {"strong": "grad(u)[0] + 2*grad(u)[1] - 1", "on": ["right", "top"]}),
        (LINE, {"strong": "(x - 0.5)*grad(u)[0] + 3*u - 1"}),
        (LINE, {"strong": "grad(u)[0] + u - 1", "on": "right"}),
        (SQUARE, {"weak": "inner(sym(grad(u)), sym(grad(v)))*dx", "shape": "vector"}),
        (SQUARE, {"strong": "grad(grad(u)[0])[0] - grad(grad(u)[1])[1]"}),
        (LINE, {"weak": "u**2*Dx(u, 0)*Dx(v, 0)*dx"}),
        (
            SQUARE,
            {
                "unknowns": {"T": "scalar", "u": "scalar"},
                "weak": "(1e-2*inner(grad(T), grad(v)) + 2e13*inner(grad(u), grad(v_u)) - 1e8*T*Dx(v_u, 0))*dx",
                "boundary": [{"on": "all", "unknown": name, "value": 0} for name in ("T", "u")],
            },
        ),
        (
            SQUARE,
            {
                "weak": "div(u)*div(v)*dx + inner(u, v)*dx",
                "shape": "vector",
                "boundary": [
                    {"on": ["left", "right"], "component": 0, "value": 0},
                    {"on": ["top", "bottom"], "component": 1, "value": 0},
                ],
            },
        ),
    ],
)
def test_values_that_it_carries(domain: Any, sections: dict[str, Any]) -> None:
    assert told(domain, **sections) == ""


def test_values_too_many_that_agree_are_not_accused() -> None:
    """A small error estimate says that they are those of the solution; those given at the wrong end are told all the same."""
    assert told(SQUARE, 1e-8, weak=f"{ALONG} - v*dx") == ""
    assert told(LINE, 1e-8, strong="grad(u)[0] + u - 1") == ""
    backwards = {"strong": "grad(u)[1] + grad(grad(u)[0])[0]", "on": ["left", "right", "bottom"]}
    assert BACK in told(SQUARE, 1e-8, **backwards)


@pytest.mark.slow
def test_a_run_says_so() -> None:
    """−∂²u/∂x² = 1 with zero all around a square: it ended at 2 % without a word."""
    problem = make_problem(
        rectangle(cells=2),
        unknowns={"u": "scalar"},
        weak=f"{ALONG} - v*dx",
        boundary=[{"on": "all", "value": 0}],
        solver={"method": "elements"},
    )
    checks = solve(problem, threads=1).metrics["checks"]
    assert any(check.startswith("boundary values: the equation does not carry the values of u") for check in checks)
