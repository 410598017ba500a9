"""Test that problems are reported if and only if they have no unique solution. Seeds are fixed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from vpinn.analysis import Freedom, free_beforehand
from vpinn.analysis.uniqueness import free_functions
from vpinn.domain import Hypercube, bisect, box, disk, interval, rectangle
from vpinn.errors import InputError
from vpinn.finite_elements import check_balance
from vpinn.problem import make_problem
from vpinn.solving import solve
from vpinn.trial import make_trial

LINE, SQUARE, CUBE = interval(cells=16), rectangle(cells=4), box(cells=2)
SQUARES = rectangle(cells=4, cell="quadrilateral")
POISSON = "inner(grad(u), grad(v))*dx"
ELASTIC = "inner(2*sym(grad(u)) + div(u)*Identity(2), sym(grad(v)))*dx"
SOLID = "inner(2*sym(grad(u)) + div(u)*Identity(3), sym(grad(v)))*dx"
STOKES = "inner(grad(u), grad(v))*dx - p*div(v)*dx - div(u)*v_p*dx"
DISK = 2.404825557695773  # first zero of the Bessel function J0
VECTOR = {"u": "vector"}


def on(*conditions: tuple[Any, Any]) -> list[dict[str, Any]]:
    return [{"on": tag, "value": value} for tag, value in conditions]


def residuals(*conditions: tuple[str, str]) -> list[dict[str, Any]]:
    return [{"on": tag, "residual": residual} for tag, residual in conditions]


def rollers(*conditions: tuple[str, int]) -> list[dict[str, Any]]:
    return [{"on": tag, "component": component, "value": 0} for tag, component in conditions]


WATTS_AND_PASCALS = "(1e-2*inner(grad(T), grad(v)) + 2.1e13*inner(grad(u), grad(v_u)))*dx"
OPEN: dict[str, tuple[Any, dict[str, Any], str]] = {
    "resonance in 1-D": (LINE, {"weak": "inner(grad(u), grad(v))*dx - pi**2*u*v*dx", "boundary": on(("all", 0))}, "mode"),
    "resonance of a square": (SQUARE, {"weak": f"{POISSON} - 2*pi**2*u*v*dx", "boundary": on(("all", 0))}, "mode"),
    "its equation": (SQUARE, {"strong": "div(grad(u)) + 2*pi**2*u", "boundary": on(("all", 0))}, "mode"),
    "second resonance": (SQUARE, {"weak": f"{POISSON} - 5*pi**2*u*v*dx", "boundary": on(("all", 0))}, "mode"),
    "drum": (disk(cells=3), {"weak": f"{POISSON} - {DISK**2}*u*v*dx", "boundary": on(("all", 0))}, "mode"),
    "resonance of two parts": (
        LINE,
        {"weak": "conditional(lt(x, 0.25), 1e-6, 1)*(inner(grad(u), grad(v)) - 4*pi**2*u*v)*dx", "boundary": on(("all", 0))},
        "mode",
    ),
    "free ends in resonance": (LINE, {"weak": f"{POISSON} - pi**2*u*v*dx", "boundary": []}, "mode"),
    "two Robin ends": (
        LINE,
        {"strong": "div(grad(u))", "boundary": residuals(("left", "dot(grad(u), n) + u"), ("right", "dot(grad(u), n) - 0.5*u"))},
        "mode",
    ),
    "slope forgotten": (LINE, {"strong": "div(grad(u)) + u", "boundary": on(("left", 1))}, "mode"),
    "beam without slopes": (LINE, {"strong": "div(grad(div(grad(u))))", "boundary": on(("all", 0))}, "mode"),
    "third order, two conditions": (LINE, {"strong": "div(grad(div(grad(u))))", "boundary": on(("left", 0))}, "mode|functions"),
    "plate without moments": (SQUARES, {"strong": "div(grad(div(grad(u)))) - 1", "boundary": on(("all", 0))}, "functions"),
    "harmonic, one side": (SQUARE, {"strong": "div(grad(u))", "boundary": on(("left", 0))}, "mode|functions"),
    "no inflow": (SQUARE, {"strong": "grad(u)[0]", "boundary": []}, "functions"),
    "inflow elsewhere": (SQUARE, {"strong": "grad(u)[0]", "boundary": on(("bottom", 0))}, "mode|functions"),
    "one direction alone": (
        SQUARE,
        {"strong": "grad(grad(u)[0])[0]", "boundary": on(("bottom", 0), ("top", 0))},
        "mode|functions",
    ),
    "an equation twice": (
        SQUARE,
        {
            "unknowns": {"u": "scalar", "p": "scalar"},
            "strong": ["div(grad(u)) + p", "2*div(grad(u)) + 2*p"],
            "boundary": [{"on": "all", "unknown": name, "value": 0} for name in "up"],
        },
        "functions",
    ),
    "system of first order": (
        LINE,
        {
            "unknowns": {"y_": "scalar", "z_": "scalar"},
            "strong": ["grad(y_)[0] - z_", "grad(z_)[0] + y_"],
            "boundary": [{"on": "left", "unknown": "y_", "value": 1}],
        },
        "mode",
    ),
    "free body": (SQUARE, {"unknowns": VECTOR, "weak": ELASTIC, "boundary": []}, "free to turn"),
    "beam in resonance": (
        LINE,
        {
            "strong": "div(grad(div(grad(u)))) - pi**4*u",
            "boundary": [*on(("all", 0)), *residuals(("all", "div(grad(u))"))],
        },
        "mode",
    ),
    "solid on its bottom": (CUBE, {"unknowns": VECTOR, "weak": SOLID, "boundary": rollers(("bottom", 1))}, "free to turn about"),
    "cube without top and bottom": (
        CUBE,
        {"strong": "div(grad(u))", "boundary": on((["left", "right", "front", "back"], 0))},
        "functions",
    ),
    "resonance of a cube": (CUBE, {"strong": "div(grad(u)) + 3*pi**2*u", "boundary": on(("all", 0))}, "mode"),
    "sheets that exchange no heat, of steel": (
        SQUARE,
        {
            "unknowns": {"T": "scalar", "u": "scalar"},
            "weak": "(1e-2*Dx(T, 0)*Dx(v, 0) + 2.1e13*inner(grad(u), grad(v_u)))*dx",
            "boundary": [{"on": "top", "unknown": "T", "value": 0}, {"on": "all", "unknown": "u", "value": 0}],
        },
        "added to T",
    ),
    "free equations": (
        SQUARE,
        {"unknowns": VECTOR, "strong": "div(sym(grad(u)))", "boundary": residuals(("all", "dot(sym(grad(u)), n)"))},
        "free to",
    ),
}
UNIQUE: dict[str, tuple[Any, dict[str, Any]]] = {
    "Poisson": (SQUARE, {"weak": POISSON, "boundary": on(("all", 0))}),
    "one fixed side": (SQUARE, {"weak": POISSON, "boundary": on(("left", 0))}),
    "pure Neumann, level set": (SQUARE, {"weak": POISSON, "boundary": []}),
    "near resonance": (LINE, {"weak": f"{POISSON} - 1.001*pi**2*u*v*dx", "boundary": on(("all", 0))}),
    "Helmholtz": (rectangle(cells=8), {"weak": f"{POISSON} - 400*u*v*dx", "boundary": on(("all", 0))}),
    "weak convection to the air": (SQUARE, {"weak": f"{POISSON} + 1e-6*u*v*ds", "boundary": []}),
    "small units": (SQUARE, {"weak": f"1e-12*{POISSON}", "boundary": on(("all", 0))}),
    "layers": (SQUARE, {"weak": f"1e-3*{POISSON} + (Dx(u, 0) + 2*Dx(u, 1))*v*dx", "boundary": on(("all", 0))}),
    "strong reaction": (SQUARE, {"weak": f"{POISSON} + 1e6*u*v*dx", "boundary": []}),
    "anisotropic": (SQUARE, {"weak": "(Dx(u, 0)*Dx(v, 0) + 1e-3*Dx(u, 1)*Dx(v, 1))*dx", "boundary": on(("all", 0))}),
    "materials": (SQUARE, {"weak": "conditional(lt(x, 0.5), 1, 1000)*inner(grad(u), grad(v))*dx", "boundary": on(("left", 0))}),
    "insulator": (LINE, {"weak": "conditional(lt(x, 0.25), 1e-6, 1)*inner(grad(u), grad(v))*dx", "boundary": on(("all", 0))}),
    "equation of an insulator": (LINE, {"strong": "-conditional(lt(x, 0.25), 1e-7, 1)*div(grad(u))", "boundary": on(("all", 0))}),
    "cantilever of steel": (SQUARE, {"unknowns": VECTOR, "weak": f"2.1e11*{ELASTIC}", "boundary": on(("left", [0, 0]))}),
    "watts beside pascals": (
        SQUARE,
        {
            "unknowns": {"T": "scalar", "u": "scalar"},
            "weak": WATTS_AND_PASCALS,
            "boundary": [{"on": "left", "unknown": name, "value": 0} for name in ("T", "u")],
        },
    ),
    "two rollers": (SQUARE, {"unknowns": VECTOR, "weak": ELASTIC, "boundary": rollers(("left", 0), ("bottom", 1))}),
    "solid": (CUBE, {"unknowns": VECTOR, "weak": SOLID, "boundary": on(("bottom", [0, 0, 0]))}),
    "enclosed flow": (
        SQUARE,
        {
            "unknowns": {"u": "vector", "p": "scalar"},
            "weak": STOKES,
            "boundary": [{"on": "all", "unknown": "u", "value": [0, 0]}],
        },
    ),
    "channel": (
        SQUARE,
        {
            "unknowns": {"u": "vector", "p": "scalar"},
            "weak": STOKES,
            "boundary": [{"on": ["left", "top", "bottom"], "unknown": "u", "value": [0, 0]}],
        },
    ),
    "strip of few cells": (
        rectangle(upper=(20.0, 1.0), cells=(40, 2), cell="quadrilateral"),
        {"weak": POISSON, "boundary": on(("all", 0))},
    ),
    "cube": (CUBE, {"strong": "div(grad(u))", "boundary": on(("all", 0))}),
    "beam": (LINE, {"strong": "div(grad(div(grad(u))))", "boundary": [*on(("all", 0)), *residuals(("all", "div(grad(u))"))]}),
    "initial values": (LINE, {"strong": "div(grad(u)) + u", "boundary": [*on(("left", 1)), *residuals(("left", "grad(u)[0]"))]}),
    "decay": (LINE, {"strong": "grad(u)[0] + 30*u", "boundary": on(("left", 1))}),
    "inflow": (SQUARE, {"strong": "grad(u)[0]", "boundary": on(("left", 1))}),
    "hypercube": (Hypercube((0.0,) * 2, (1.0,) * 2), {"strong": "div(grad(u))", "boundary": on(("all", 0))}),
}


def found(domain: Any, sections: dict[str, Any]) -> str:
    """Return what is reported about a linear problem, linearised at zero."""
    problem = make_problem(domain, **{"unknowns": {"u": "scalar"}, **sections})
    trial = make_trial(problem, rows=True)
    free = free_functions(problem, trial, torch.zeros(trial.network.size, dtype=torch.float64))
    return "" if free is None else str(free)


LONG = ("plate without moments", "cube without top and bottom")
MISSING = (*LONG, "harmonic, one side")
"""Problems that are refused before the work, see ``missing``."""


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.slow) if name in LONG else name for name in OPEN])
def test_open_problems_are_told(name: str) -> None:
    domain, sections, words = OPEN[name]
    told = found(domain, sections)
    assert any(word in told for word in words.split("|")), told


@pytest.mark.parametrize("name", UNIQUE)
def test_problems_with_one_answer_are_not_accused(name: str) -> None:
    assert found(*UNIQUE[name]) == ""


@pytest.mark.slow
@pytest.mark.parametrize("name", [*OPEN, *UNIQUE])
def test_runs_by_default(name: str) -> None:
    """Whole runs: what is open is never called solved, and what has one answer is not accused.

    Of a body that nothing holds, with loads that balance, elements take the motions out and say so.
    """
    domain, sections, *_ = (OPEN | UNIQUE)[name]
    problem = make_problem(domain, **{"unknowns": {"u": "scalar"}, **sections})
    if name in MISSING:
        with pytest.raises(InputError, match="not unique, one solution of many"):
            solve(problem, threads=1)
        return
    metrics = solve(problem, threads=1).metrics
    accused = any(check.startswith("uniqueness") for check in metrics["checks"])
    if name in ("free body", "solid on its bottom"):
        assert not metrics["checks"]
        assert "remove its rigid motions" in metrics["method_reason"]
    else:
        assert accused == (name in OPEN)


def test_data_drive_a_mode() -> None:
    """−u″ − π²u = f has solutions where f is orthogonal to sin πx, one of many, and none where it is not."""
    form = "inner(grad(u), grad(v))*dx - pi**2*u*v*dx - {}*v*dx"
    checks = [
        solve(make_problem(LINE, unknowns={"u": "scalar"}, weak=form.format(f), boundary=on(("all", 0))), threads=1).metrics[
            "checks"
        ]
        for f in ("sin(2*pi*x)", "sin(pi*x)")
    ]
    assert any(check.startswith("uniqueness: not unique") and "any multiple of a mode" in check for check in checks[0])
    assert any(check.startswith("uniqueness: no solution") and "do not balance" in check for check in checks[1])


def test_the_zero_of_an_eigenproblem_is_one_solution_of_many() -> None:
    """Its residual is zero at all points, so that nothing is left to balance."""
    mode = make_problem(
        LINE,
        unknowns={"u": "scalar"},
        strong="-div(grad(u)) - pi**2*u",
        boundary=on(("all", 0)),
        solver={"method": "least-squares", "features": 60},
    )
    checks = solve(mode, threads=1).metrics["checks"]
    assert any(check.startswith("uniqueness: not unique") and "any multiple of a mode" in check for check in checks)


@pytest.mark.parametrize(
    ("sections", "told"),
    [
        ({"weak": f"{POISSON} - cos(pi*x)*v*dx"}, ["u is known up to a constant; its mean is set to 0"]),
        (
            {"unknowns": VECTOR, "weak": f"{ELASTIC} - v[1]*ds('top') + v[1]*ds('bottom')"},
            ["u is free to move along x and free to move along y and free to turn; the mean of these motions is set to 0"],
        ),
        ({"weak": f"{POISSON} - v*dx", "boundary": on(("left", 0))}, []),
    ],
)
def test_what_is_set_to_zero_is_told(sections: dict[str, Any], told: list[str]) -> None:
    problem = make_problem(SQUARE, **{"unknowns": {"u": "scalar"}, "boundary": [], **sections})
    metrics = solve(problem, threads=1).metrics
    assert metrics.get("fixed", []) == told
    assert not metrics["checks"]


@pytest.mark.parametrize(("upper", "source", "flux", "gap"), [((1, 1), "1", "0", "1"), ((3, 2), "(1 + x/2)", "1/4", "13")])
@pytest.mark.slow
def test_equations_tell_by_how_much_data_do_not_balance(upper: tuple[int, int], source: str, flux: str, gap: str) -> None:
    """∫f + ∮g, whatever the weights of the conditions."""
    open_problem = make_problem(
        rectangle(upper=upper, cells=8),
        unknowns={"u": "scalar"},
        strong=f"-div(grad(u)) - {source}",
        boundary=[{"on": "all", "residual": f"dot(grad(u), n) - {flux}"}],
        solver={"method": "least-squares", "features": 60},
    )
    checks = solve(open_problem, threads=1).metrics["checks"]
    assert f"uniqueness: no solution: u is open up to a constant, and source and flux do not balance by {gap}" in checks


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"weak": f"{POISSON} - v*dx"}, "no solution: u is open up to a constant, and source and flux do not balance by 1;"),
        ({"weak": f"{POISSON} - v*dx + 0.26*v*ds"}, "do not balance by 0.04;"),
        ({"unknowns": VECTOR, "weak": f"{ELASTIC} - v[1]*ds('top')"}, "no supports hold u: the body is free to move along y"),
        (
            {"unknowns": VECTOR, "weak": f"{ELASTIC} - v[1]*ds('top')", "boundary": rollers(("left", 0))},
            "its loads along y do not balance by 1;",
        ),
    ],
)
def test_data_that_do_not_balance_are_refused(sections: dict[str, Any], message: str) -> None:
    problem = make_problem(SQUARE, **{"unknowns": {"u": "scalar"}, **sections})
    with pytest.raises(InputError, match=message):
        check_balance(problem)


@pytest.mark.parametrize(
    "sections",
    [
        {"weak": f"{POISSON} - cos(pi*x)*v*dx"},
        {"weak": f"{POISSON} - v*dx + 0.25*v*ds"},
        {"weak": f"{POISSON} - v*dx", "boundary": on(("left", 0))},
        {"weak": f"{POISSON} + (Dx(u, 0) + u)*v*dx - v*dx"},
        {"unknowns": VECTOR, "weak": f"{ELASTIC} - v[1]*ds('top') + v[1]*ds('bottom')"},
    ],
)
def test_data_that_balance_are_not(sections: dict[str, Any]) -> None:
    check_balance(make_problem(SQUARE, **{"unknowns": {"u": "scalar"}, **sections}))


@pytest.mark.slow
def test_large_cells_of_a_graded_mesh_accuse_nobody() -> None:
    """Tests of degree one on few large cells beside many small ones do not see features that are finer than these cells."""
    mesh, place = rectangle(cells=6), np.array([0.31, 0.47])
    for reach in (0.1, 0.1, 0.06, 0.06, 0.03, 0.03, 0.02, 0.02, 0.01, 0.01):
        gap = np.linalg.norm(mesh.nodes[mesh.vertices].mean(axis=1) - place, axis=1)
        mesh = bisect(mesh, np.flatnonzero(gap < np.maximum(reach, gap.min())))
    problem = make_problem(mesh, unknowns={"u": "scalar"}, weak=f"{POISSON} - v*dx", boundary=on(("all", 0)))
    trial = make_trial(problem, rows=True)
    theta = trial.network.initial(torch.Generator().manual_seed(0))
    assert mesh.n_cells > 1_500
    assert free_functions(problem, trial, theta) is None


@pytest.mark.parametrize(
    ("dimension", "boundary", "expected"),
    [(2, [("all", 0)], Freedom.NONE), (2, [("left", 0), ("right", 0)], Freedom.MANY), (6, [("all", 0)], Freedom.UNKNOWN)],
)
def test_what_cannot_be_determined_before_the_work_is_not_taken_for_nothing(
    dimension: int, boundary: list[tuple[str, int]], expected: Freedom
) -> None:
    domain = Hypercube((0.0,) * dimension, (1.0,) * dimension)
    problem = make_problem(domain, unknowns={"u": "scalar"}, strong="div(grad(u))", boundary=on(*boundary))
    assert free_beforehand(problem, make_trial(problem, rows=True)) is expected
