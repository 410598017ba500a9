"""Marches on elements: order in space, parts with holes, algebraic unknowns, periodic sides, effectivity."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vpinn
from vpinn.domain import CellPoints, Mesh
from vpinn.errors import InputError
from vpinn.march import ElementEquations, ElementMarch, ElementMarches, MarchJournal, exact_field, gap_between
from vpinn.march.element_steps import Stepping, march_elements
from vpinn.problem import Problem, make_problem
from vpinn.solving import solve

PROBLEMS = Path(__file__).parents[2] / "problems"
DRIVEN = {
    "expressions": {"u_exact": "exp(-t)*sin(2*x + y) + x*t", "f": "dt(u_exact) - div((1 + u_exact**2)*grad(u_exact))"},
    "weak": "dt(u)*v*dx + (1 + u**2)*inner(grad(u), grad(v))*dx - f*v*dx",
}
FLOW = "inner(dt(w) + dot(grad(w), w), v)*dx + 0.1*inner(grad(w), grad(v))*dx - p*div(v)*dx + div(w)*v_p*dx"


def marched(problem: Problem, degree: int, tolerance: float = 1e-8) -> ElementMarch:
    equations = ElementEquations(problem, degree)
    found = march_elements(equations, Stepping(tolerance, lambda t: True))
    assert isinstance(problem.domain, Mesh)
    opened = tuple(motion.components[0] for motion in equations.opened)
    points = CellPoints(problem.domain, 2 * degree + 4)
    return ElementMarch(problem, found, points, mixed=equations.mixed, opened=opened)


def errors(problem: Problem, march: ElementMarch) -> dict[str, Any]:
    points = march.points.take(range(march.points.size))
    names = [u.name for u in problem.unknowns if u.name in problem.exact]
    exact = exact_field(problem, points, march.opened)
    assert problem.clock is not None
    times = [problem.clock.start, problem.clock.end]
    return dict(gap_between(problem, march.at(points), exact, names, points.w, times).unknowns)


def driven(cells: int, **more: Any) -> Problem:
    return make_problem(
        {"shape": "disk", "cells": cells, "time": [0, 0.4]},
        unknowns={"u": "scalar"},
        boundary=[{"on": "all", "value": "u_exact"}, {"on": "initial", "value": "u_exact"}],
        reference={"exact": {"u": "u_exact"}},
        **DRIVEN,
        **more,
    )


@pytest.mark.parametrize("degree", [2, 3])
def test_the_order_in_space(degree: int) -> None:
    found = [errors(driven(cells), marched(driven(cells), degree))["u"] for cells in (2, 4)]
    assert np.log2(found[0]["relative_h1"] / found[1]["relative_h1"]) > degree - 0.3
    assert np.log2(found[0]["relative_l2"] / found[1]["relative_l2"]) > degree + 0.6


def test_a_disk_reaches_its_tolerance_and_knows_its_error() -> None:
    metrics = vpinn.solve(driven(2, solver={"tolerance": 1e-4}), threads=1).metrics
    assert metrics["stopped"] == "tolerance"
    assert metrics["errors"]["u"]["relative_h1"] < 1e-4
    assert 0.5 <= metrics["error_estimate"]["effectivity"] <= 2.0
    assert 0.5 <= metrics["error_estimate"]["effectivity_final"] <= 2.0


def test_a_wave_on_elements_keeps_its_energy() -> None:
    problem = make_problem(
        {"shape": "disk", "cells": 2, "time": [0, 2]},
        unknowns={"u": "scalar"},
        weak="dt(dt(u))*v*dx + inner(grad(u), grad(v))*dx",
        boundary=[{"on": "all", "value": 0}, {"on": "initial", "value": "(1 - x**2 - y**2)**2", "rate": "x*(1 - x**2 - y**2)"}],
    )
    equations = ElementEquations(problem, 3)
    course = march_elements(equations, Stepping(1e-9, lambda t: True)).course
    space, step = equations.mixed.highest, 1e-4
    mass, stiffness = space.mass(), space.stiffness()

    def energy(t: float) -> float:
        u, rate = course(t), (course(t + step) - course(t - step)) / (2 * step)
        return float(u @ stiffness @ u + rate @ mass @ rate)

    assert energy(1.7) == pytest.approx(energy(0.1), rel=1e-6)


def vortices(cells: int) -> Problem:
    return make_problem(
        {"shape": "rectangle", "upper": [np.pi, np.pi], "cells": cells, "time": [0, 0.5]},
        unknowns={"w": "vector", "p": "scalar"},
        expressions={
            "w_exact": "as_vector([sin(x)*cos(y), -cos(x)*sin(y)])*exp(-0.2*t)",
            "p_exact": "0.25*(cos(2*x) + cos(2*y))*exp(-0.4*t) + t",
        },
        weak=FLOW,
        boundary=[
            {"on": "all", "unknown": "w", "value": "w_exact"},
            {"on": "initial", "unknown": "w", "value": "w_exact"},
        ],
        reference={"exact": {"w": "w_exact", "p": "p_exact"}},
    )


@pytest.mark.slow
def test_the_pressure_of_a_flow_has_the_order_of_its_elements() -> None:
    """Also at the start, where nothing states it; its level is open, and its mean zero."""
    found, at_start = [], []
    for cells in (3, 6):
        problem = vortices(cells)
        march = marched(problem, 4)
        assert march.opened == (2,)
        found.append(errors(problem, march))
        points = march.points.take(range(march.points.size))
        gap = march.at(points)(0.0)[2, 0] - exact_field(problem, points, (2,))(0.0)[2, 0]
        at_start.append(float(np.sqrt(points.w @ gap**2)))
    for name, order in (("w", 4.5), ("p", 3.5)):
        assert np.log2(found[0][name]["relative_l2"] / found[1][name]["relative_l2"]) > order
    assert np.log2(at_start[0] / at_start[1]) > 3.5


def circle(factor: int, shape: str) -> Problem:
    period = 2 if factor == 1 else 1
    return make_problem(
        {"shape": "interval", "cells": 6, "time": [0, 0.7]},
        unknowns={"u": "scalar"},
        weak="dt(u)*v*dx + Dx(u, 0)*v*dx",
        periodic=[{"from": "left", "to": "right", "factor": factor}],
        expressions={"u_exact": f"sin({period}*pi*(x - t)){shape}"},
        boundary=[{"on": "initial", "value": "u_exact"}],
        reference={"exact": {"u": "u_exact"}},
        solver={"tolerance": 1e-6},
        output={"times": 3},
    )


@pytest.mark.parametrize(("factor", "shape"), [(1, " + 0.3"), (-1, "")])
def test_what_leaves_on_one_side_comes_in_on_the_other(factor: int, shape: str) -> None:
    solution = vpinn.solve(circle(factor, shape), threads=1)
    assert solution.metrics["errors"]["u"]["relative_h1"] < 2e-6
    assert 0.5 <= solution.metrics["error_estimate"]["effectivity"] <= 2.0
    ends = solution.evaluate([[0.0, 0.33], [1.0, 0.33]])["u"]
    assert ends[1] == pytest.approx(factor * ends[0], abs=1e-12)


def test_periodic_in_both_directions_with_a_corner_in_common() -> None:
    found = []
    for cells in (3, 6):
        problem = torus(cells)
        found.append(errors(problem, marched(problem, 4))["u"]["relative_l2"])
    assert np.log2(found[0] / found[1]) > 4.0


def torus(cells: int) -> Problem:
    return make_problem(
        {"shape": "rectangle", "cells": cells, "time": [0, 0.3]},
        unknowns={"u": "scalar"},
        expressions={"u_exact": "sin(2*pi*(x - t))*cos(2*pi*y) + 1"},
        weak="dt(u)*v*dx + Dx(u, 0)*v*dx",
        periodic=[{"from": "left", "to": "right"}, {"from": "bottom", "to": "top"}],
        boundary=[{"on": "initial", "value": "u_exact"}],
        reference={"exact": {"u": "u_exact"}},
    )


def test_sides_that_do_not_match_are_refused() -> None:
    with pytest.raises(InputError, match="do not match"):
        make_problem(
            {"shape": "rectangle", "cells": [2, 3], "time": [0, 1]},
            unknowns={"u": "scalar"},
            weak="dt(u)*v*dx",
            periodic=[{"from": "left", "to": "bottom"}],
            boundary=[{"on": "initial", "value": 0}],
        )


def test_a_form_that_leaves_an_algebraic_unknown_open_is_told() -> None:
    problem = make_problem(
        {"shape": "interval", "cells": 3, "time": [0, 1]},
        unknowns={"u": "scalar", "p": "scalar"},
        weak="(dt(u) + p)*v*dx + (dt(u) + p)*v_p*dx",
        boundary=[{"on": "initial", "unknown": "u", "value": "x"}],
    )
    with pytest.raises(InputError, match="singular"):
        vpinn.solve(problem, threads=1)


@pytest.mark.parametrize("mean", [0.0, 1.0])
def test_the_source_of_a_potential_on_a_ring_must_balance(mean: float) -> None:
    """−φ″ = c with the charge c = m + cos 2πx has a periodic solution, cos 2πx/4π², only for m = 0."""
    problem = make_problem(
        {"shape": "interval", "cells": 8, "time": [0, 0.1]},
        unknowns={"c": "scalar", "p": "scalar"},
        weak="dt(c)*v*dx + Dx(p, 0)*Dx(v_p, 0)*dx - c*v_p*dx",
        periodic=[{"from": "left", "to": "right"}],
        boundary=[{"on": "initial", "unknown": "c", "value": f"{mean} + cos(2*pi*x)"}],
    )
    if mean:
        with pytest.raises(InputError, match="no solution: p is open up to a constant, and source and flux do not balance"):
            vpinn.solve(problem, threads=1)
    else:
        found = vpinn.solve(problem, threads=1).evaluate([[0.0, 0.1]])["p"][0]
        assert found == pytest.approx(1 / (4 * np.pi**2), rel=1e-5)


def test_a_part_from_a_mesh_file_comes_back_from_its_folder(tmp_path: Path) -> None:
    problem = vpinn.read_problem(PROBLEMS / "heat_part.toml", ["solver.tolerance=0.1"])
    assert problem.reference is not None
    solution = solve(problem, tmp_path / "run", threads=1)
    assert solution.metrics["error_estimate"]["relative_energy"] < 0.05
    assert solution.metrics["errors"]["T"]["relative_l2"] < 2e-3
    points = problem.reference.points
    np.testing.assert_array_equal(vpinn.load(tmp_path / "run").evaluate(points)["T"], solution.evaluate(points)["T"])


@pytest.mark.slow
def test_elements_are_the_yardstick_of_a_march_on_features() -> None:
    problem = make_problem(
        {"shape": "rectangle", "cells": 3, "time": [0, 0.1]},
        unknowns={"u": "scalar"},
        weak="dt(u)*v*dx + inner(grad(u), grad(v))*dx",
        boundary=[{"on": "all", "value": 0}, {"on": "initial", "value": "sin(pi*x)*sin(2*pi*y)"}],
        reference={"fem": {"degree": 8, "refine": 1}},
        solver={"features": 60, "tolerance": 1e-3},
        output={"times": 2},
    )
    metrics = vpinn.solve(problem, threads=1).metrics
    assert metrics["errors_against"] == "elements"
    told = metrics["error_estimate"]["relative_l2"]["u"]
    assert 0.5 <= told / metrics["errors"]["u"]["relative_l2"] <= 2.0


@pytest.mark.slow
def test_a_bisected_mesh_comes_back_from_its_folder(tmp_path: Path) -> None:
    settings = ["solver.tolerance=2e-2", "domain.cells=20", "domain.time=[0, 0.6]", "output.times=[0.5]"]
    problem = replace(vpinn.read_problem(PROBLEMS / "burgers.toml", settings), reference=None)
    solution = solve(problem, tmp_path / "run", threads=1)
    assert solution.metrics["cells"] > 20
    points = np.column_stack([np.linspace(-0.9, 0.9, 50), np.full(50, 0.5)])
    np.testing.assert_array_equal(vpinn.load(tmp_path / "run").evaluate(points)["u"], solution.evaluate(points)["u"])


def test_a_run_that_goes_on_with_what_it_had_ends_with_the_same_bits(tmp_path: Path) -> None:
    problem = driven(2, solver={"tolerance": 1e-2})
    whole = ElementMarches(problem)
    first = whole.run()
    assert first is not None
    made = len(whole.journal.marches)
    assert made > 1
    again = ElementMarches(problem)
    again.journal = MarchJournal(whole.tolerance, whole.journal.marches[:1])
    second = again.run()
    assert second is not None
    assert len(again.journal.marches) == made
    np.testing.assert_array_equal(first.marched.course.values, second.marched.course.values)
    assert first.estimate is not None
    assert second.estimate is not None
    assert first.estimate.unknowns == second.estimate.unknowns
    folder = tmp_path / "run"
    before = solve(problem, folder, threads=1).evaluate([[0.1, 0.2, 0.3]])["u"]
    np.testing.assert_array_equal(solve(problem, folder, threads=1, resume=True).evaluate([[0.1, 0.2, 0.3]])["u"], before)
