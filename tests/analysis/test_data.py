"""Test that data are reported if and only if the quadrature points miss them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from vpinn.analysis.data import resolved_data, unseen_data
from vpinn.domain import CellPoints, FacetPoints, Mesh, PointSet, interval, rectangle
from vpinn.objective import make_objective
from vpinn.problem import Problem, make_problem
from vpinn.trial import make_trial

LINE, SQUARE = interval(cells=8), rectangle(cells=6, cell="quadrilateral")
ENERGY = "0.5*k*inner(grad(u), grad(u))*dx - f*u*dx"
SPIKE = "exp(-((x - 0.3721)/0.002)**2)"


def rules_of(problem: Problem) -> list[PointSet]:
    """Return the quadrature points of training by default."""
    return [measure.points for measure in make_objective(problem, make_trial(problem)).measures]


def told(mesh: Mesh, k: str = "1", f: str = "1", **sections: Any) -> str:
    problem = make_problem(
        mesh,
        **{
            "unknowns": {"u": "scalar"},
            "energy": ENERGY,
            "expressions": {"k": k, "f": f},
            "boundary": [{"on": "all", "value": 0}],
            **sections,
        },
    )
    found = unseen_data(problem, rules_of(problem))
    return "" if found is None else str(found)


@pytest.mark.parametrize(
    ("mesh", "data", "words"),
    [
        pytest.param(
            LINE, {"f": "exp(-0.5*((x - 0.37)/0.002)**2)"}, "of the source escapes the points, most near x = 0.312", id="narrow"
        ),
        pytest.param(
            SQUARE, {"f": "exp(-20000*((x - 0.2517)**2 + (y - 0.4171)**2))"}, "of the source escapes", id="narrow in 2-D"
        ),
        pytest.param(SQUARE, {"f": "conditional(lt(x + y/3, 0.6), 1, 0)"}, "of the source escapes", id="source that jumps"),
        pytest.param(interval(cells=17), {"k": "conditional(lt(x, 0.5), 1, 10)"}, "jumps inside a cell near x = 0.5", id="joint"),
        pytest.param(SQUARE, {"k": "conditional(lt(x + y/3, 0.6), 1, 2)"}, "jumps inside a cell", id="oblique joint"),
        pytest.param(
            SQUARE,
            {"boundary": [{"on": "top", "value": SPIKE}]},
            "boundary value escapes the points, most near x = 0.4",
            id="value",
        ),
        pytest.param(
            SQUARE, {"energy": f"{ENERGY} - {SPIKE}*u*ds('top')"}, "of the boundary flux escapes the points, most near", id="flux"
        ),
    ],
)
def test_what_the_points_do_not_see(mesh: Mesh, data: dict[str, str], words: str) -> None:
    assert words in told(mesh, **data)


@pytest.mark.parametrize(
    ("mesh", "data"),
    [
        pytest.param(LINE, {"f": "sin(20*x)"}, id="waves"),
        pytest.param(interval(cells=16), {"k": "conditional(lt(x, 0.5), 1, 1000)"}, id="joint between cells"),
        pytest.param(SQUARE, {"k": "1 + 0.9*sin(6*pi*x)*sin(6*pi*y)"}, id="coefficient that oscillates"),
        pytest.param(SQUARE, {"f": "abs(x - 0.55)"}, id="kink"),
        pytest.param(SQUARE, {"f": "1e9*exp(x)", "k": "1e-6*exp(-y)"}, id="units"),
        pytest.param(SQUARE, {"boundary": [{"on": "all", "value": "sin(9*x)*abs(y - 0.3)"}]}, id="values"),
        pytest.param(SQUARE, {"energy": f"{ENERGY} - conditional(lt(x, 0.5), 1, 3)*u*ds"}, id="flux that jumps between facets"),
    ],
)
def test_what_they_see(mesh: Mesh, data: dict[str, str]) -> None:
    assert told(mesh, **data) == ""


def test_systems_and_equations() -> None:
    """A vector's stress and an equation's source are looked at, too."""
    k = {"k": "conditional(lt(x, 0.45), 1, 5)", "f": "1"}
    elastic = {"unknowns": {"u": "vector"}, "weak": "k*inner(sym(grad(u)), sym(grad(v)))*dx - v[0]*dx", "expressions": k}
    boundary = [{"on": "all", "value": [0, 0]}]
    problem = make_problem(SQUARE, boundary=boundary, **elastic)
    assert "jumps inside a cell" in str(unseen_data(problem, rules_of(problem)))
    source = {"strong": "div(grad(u)) + f", "f": "exp(-0.5*((x - 0.37)/0.002)**2)"}
    problem = make_problem(
        LINE,
        unknowns={"u": "scalar"},
        strong=source["strong"],
        expressions={"f": source["f"]},
        boundary=[{"on": "all", "value": 0}],
    )
    assert "of the source escapes" in str(unseen_data(problem, rules_of(problem)))


PEAK = "exp(-0.5*((x - 0.37)/0.002)**2)/(0.002*sqrt(2*pi))"


def test_cells_are_bisected_until_a_rule_sees_the_data() -> None:
    """A unit load of width 0.002, of which eight cells see nothing: its tail in the next cell counts, too."""
    problem = make_problem(
        LINE,
        unknowns={"u": "scalar"},
        energy=ENERGY,
        expressions={"k": "1", "f": PEAK},
        boundary=[{"on": "all", "value": 0}],
    )

    def rule(mesh: Mesh) -> CellPoints:
        return CellPoints(mesh, 6)

    def load(mesh: Mesh) -> float:
        points = rule(mesh)
        taken = points.take(range(points.size))
        z = (taken.x[:, 0] - 0.37) / 0.002
        return float(taken.w @ np.exp(-0.5 * z**2) / (0.002 * np.sqrt(2 * np.pi)))

    fine = resolved_data(problem, rule).domain
    assert isinstance(fine, Mesh)
    assert abs(load(LINE) - 1.0) > 0.2
    assert load(fine) == pytest.approx(1.0, abs=1e-3)
    assert fine.n_cells < 40


def test_cells_are_bisected_until_they_see_boundary_values() -> None:
    """A spike on one side; the integral of what elements have there is that of the spike."""
    problem = make_problem(
        rectangle(cells=6),
        unknowns={"u": "scalar"},
        energy=ENERGY,
        boundary=[{"on": "top", "value": SPIKE}],
        expressions={"k": "1", "f": "0"},
    )
    fine = resolved_data(problem, lambda mesh: CellPoints(mesh, 6)).domain
    assert isinstance(fine, Mesh)
    points = FacetPoints(fine, fine.facets("top"), 6)
    taken = points.take(range(points.size))
    seen = taken.w @ np.exp(-(((taken.x[:, 0] - 0.3721) / 0.002) ** 2))
    assert seen == pytest.approx(0.002 * np.sqrt(np.pi), rel=1e-3)


def test_data_that_are_seen_leave_the_mesh_as_it_is() -> None:
    problem = make_problem(
        SQUARE,
        unknowns={"u": "scalar"},
        energy=ENERGY,
        expressions={"k": "1 + x", "f": "sin(3*x)*cos(2*y)"},
        boundary=[{"on": "all", "value": 0}],
    )
    assert resolved_data(problem, lambda mesh: CellPoints(mesh, 6)).domain is SQUARE
