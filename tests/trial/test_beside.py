"""Test networks added to a coarse finite element solution: conditions, when they are chosen, what a run folder stores."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from objective.cases import two_materials

import vpinn
from vpinn.analysis.estimate import make_estimator
from vpinn.domain import CellPoints, FacetPoints, l_shape, rectangle
from vpinn.errors import InputError
from vpinn.problem import make_problem
from vpinn.run_folder import arrays_of_space, space_of
from vpinn.solving import load, prepare, solve
from vpinn.solving.beside import coarse_elements
from vpinn.trial import Evaluator


def joined(elements: Any = "auto", **changed: Any) -> vpinn.Problem:
    """Return a problem with conductivities 1 and 50 in two parts of a square, and u = 1 + x on its boundary."""
    settings = {
        "unknowns": {"u": "scalar"},
        "energy": "0.5*inner(grad(u), grad(u))*dx('steel') + 25*inner(grad(u), grad(u))*dx('wood') - u*dx",
        "boundary": [{"on": "all", "value": "1 + x"}],
        "network": {"elements": elements, "layers": [6]},
        "solver": {"method": "adam", "steps": 3},
    }
    return make_problem(two_materials(), **(settings | changed))


def fields(setup: Any, theta: torch.Tensor, points: Any) -> np.ndarray:
    """Return the values of u [1, n]."""
    evaluator = Evaluator.of(setup.problem, setup.trial, [u.function for u in setup.problem.unknowns])
    return np.asarray(evaluator(theta, points))


def test_without_the_network_they_are_the_solution_and_conditions_hold_with_it() -> None:
    setup = prepare(joined())
    problem = setup.problem
    assert setup.trial.beside is not None
    assert (setup.trial.beside.degree, setup.trial.beside.why) == (3, "the form differs between parts of the domain")
    theta = setup.trial.network.initial(torch.Generator().manual_seed(1))
    flat = torch.zeros_like(theta)
    inside = CellPoints(problem.domain, 6).take(range(60))  # type: ignore[arg-type]
    elements = vpinn.solve_fem(problem, 3).at(inside)["u"]
    scales = setup.trial.scales
    assert scales is not None
    assert scales.shifts == (0.0,)
    np.testing.assert_allclose(fields(setup, flat, inside)[0], elements, rtol=1e-12)
    mesh = problem.domain
    rim = FacetPoints(mesh, mesh.facets("all"), 6).take(range(40))  # type: ignore[arg-type]
    np.testing.assert_allclose(fields(setup, theta, rim)[0], 1 + rim.x[:, 0], rtol=1e-12)
    assert scales.sizes[0] < 0.1 * np.ptp(elements)  # the network's outputs are multiples of what is left to find


WEAK = "inner(grad(u), grad(v))*dx('steel') + 50*inner(grad(u), grad(v))*dx('wood') - v*dx"


@pytest.mark.parametrize("form", [{}, {"weak": WEAK, "energy": None}], ids=["energy", "weak"])
def test_a_run_ends_nearer_than_elements_of_a_degree_less(form: dict[str, Any]) -> None:
    problem = joined(**form)
    solution = solve(problem, threads=1)
    places = [[0.3, 0.2], [0.8, 0.7], [0.5, 0.5]]
    exact, elements = (vpinn.solve_fem(problem, degree).evaluate(places)["u"] for degree in (6, 2))
    assert np.abs(solution.evaluate(places)["u"] - exact).max() <= np.abs(elements - exact).max()
    assert solution.metrics["beside"] == {"degree": 3, "cells": 18, "why": "the form differs between parts of the domain"}


def part(source: str, cells: int = 8, **changed: Any) -> vpinn.Problem:
    """A mesh whose outline is not known, as one read from a file."""
    return make_problem(
        dataclasses.replace(rectangle(cells=cells), shape=None),
        unknowns={"u": "scalar"},
        weak=f"inner(grad(u), grad(v))*dx - ({source})*v*dx",
        boundary=[{"on": "all", "value": 0}],
        **({"solver": {"method": "adam"}, "network": {"layers": [6]}, "batch": {"size": 64}} | changed),
    )


@pytest.mark.slow
def test_they_stand_beside_a_network_where_random_features_leave_much() -> None:
    """Two narrow heaps on a part; a smooth field on few cells needs none. A quarter of the steps is left to do."""
    heaps = "exp(-400*((x - 0.3)**2 + (y - 0.7)**2)) - exp(-400*((x - 0.8)**2 + (y - 0.3)**2))"
    local, smooth = prepare(part(heaps)), prepare(part("sin(pi*x)*sin(pi*y)", 1))
    assert local.trial.beside is not None
    assert local.trial.beside.why == "their error estimate is below that of random features"
    assert smooth.trial.beside is None
    assert local.objective.test_space is not None
    assert local.objective.test_space.space.degree > local.trial.beside.degree  # tests of their degree would see nothing
    assert 4 * local.plan.schedule.steps == smooth.plan.schedule.steps
    asked = prepare(part(heaps, solver={"method": "adam", "steps": 7}))
    assert asked.plan.schedule.steps == 7


def test_their_degree_is_that_from_which_a_higher_one_gains_little() -> None:
    """A parabola is one of degree two; at a corner with an infinite gradient the next degree leaves less."""
    smooth = make_problem(
        rectangle(cells=2),
        unknowns={"u": "scalar"},
        weak="inner(grad(u), grad(v))*dx - 2*v*dx",
        boundary=[{"on": "all", "value": "x*(1 - x)"}],
    )
    corner = make_problem(
        l_shape(cells=4),
        unknowns={"u": "scalar"},
        weak="inner(grad(u), grad(v))*dx - v*dx",
        boundary=[{"on": "all", "value": 0}],
    )
    assert [coarse_elements(problem, 1.0).found.space.degree for problem in (smooth, corner)] == [2, 3]


@pytest.mark.slow
def test_cells_are_bisected_around_corners_where_a_higher_degree_gains_little() -> None:
    """Where heat leaves by a side next to a hot one, the flux at their corner is infinite."""
    problem = make_problem(
        dataclasses.replace(rectangle(cells=6), shape=None),
        unknowns={"u": "scalar"},
        energy="0.5*inner(grad(u), grad(u))*dx + 5*u**2*ds('right')",
        boundary=[{"on": "bottom", "value": "1"}],
        network={"layers": [6]},
        solver={"method": "gauss-newton", "steps": 2},
    )
    places = np.array([[0.9, 0.1], [0.5, 0.5], [0.97, 0.6]])
    exact = coarse_elements(problem)
    assert exact.relative < 1e-2 < coarse_elements(problem, 1.0).relative
    right = vpinn.solve_fem(exact.found.problem, 6).evaluate(places)["u"]
    solution = solve(problem, threads=1)
    assert solution.problem.domain.n_cells > problem.domain.n_cells
    found = solution.evaluate(places)["u"]
    coarse = vpinn.solve_fem(problem, 3).evaluate(places)["u"]
    assert np.abs(found - right).max() < 0.1 * np.abs(coarse - right).max()
    kept, trial = space_of(problem, *arrays_of_space(solution.trial))
    np.testing.assert_array_equal(vpinn.Solution(kept, trial, solution.theta).evaluate(places)["u"], found)


def test_a_run_folder_keeps_them(tmp_path: Path) -> None:
    text = (
        '[domain]\nshape = "l-shape"\ncells = 2\n[unknowns]\nu = "scalar"\n'
        '[form]\nenergy = "0.5*inner(grad(u), grad(u))*dx - u*dx"\n'
        '[[boundary]]\non = "all"\nvalue = 0\n[network]\nlayers = [6]\nelements = 1\n[solver]\nmethod = "adam"\nsteps = 4\n'
    )
    file = tmp_path / "corner.toml"
    file.write_text(text)
    problem = vpinn.read_problem(file)
    whole = solve(problem, tmp_path / "run", threads=1)
    places = [[-0.5, 0.5], [0.5, 0.5]]
    np.testing.assert_array_equal(load(tmp_path / "run").evaluate(places)["u"], whole.evaluate(places)["u"])
    assert whole.metrics["beside"] == {"degree": 1, "cells": 24, "why": "as the problem file asks"}


def test_none_where_they_are_not_wanted_or_the_solution_does_not_kink() -> None:
    assert prepare(joined(0)).trial.beside is None
    sides = {"energy": "0.5*inner(grad(u), grad(u))*dx - u*ds('top')"}
    assert prepare(joined(**sides)).trial.beside is None


def test_what_elements_cannot_solve_is_refused() -> None:
    strong = make_problem(
        rectangle(cells=2),
        unknowns={"u": "scalar"},
        strong="-div(grad(u)) - 1",
        boundary=[{"on": "all", "value": 0}],
        network={"elements": 2},
        solver={"method": "adam"},
    )
    with pytest.raises(InputError, match=r"network.elements = 2: finite elements need a weak form or an energy"):
        prepare(strong)


@pytest.mark.parametrize("trained", [1, 2])
def test_the_estimate_has_richer_tests_than_they_however_many_cells_there_are(
    trained: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tests of their own degree see nothing: what is left of the flux would be told as zero."""
    monkeypatch.setattr("vpinn.analysis.estimate.LARGEST", {1: 1, 2: 1, 3: 1})
    monkeypatch.setattr("vpinn.analysis.estimate.ENOUGH", 0)
    setup = prepare(joined())
    estimator = make_estimator(setup.problem, setup.trial, trained)
    assert estimator is not None
    flat = torch.zeros(setup.trial.network.size, dtype=torch.float64)
    assert estimator(flat).relative > 1e-3
