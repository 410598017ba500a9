"""Test groups of cells and parts of sides that conditions mark: which they contain, solutions with them, and refusals."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import vpinn
from vpinn.domain import Hypercube, Mesh
from vpinn.errors import InputError
from vpinn.problem import make_problem

JOINED = "0.5*inner(grad(u), grad(u))*dx('soft') + 25*inner(grad(u), grad(u))*dx('hard')"
ENDS = [{"on": "left", "value": 0}, {"on": "right", "value": 1}]


def stated(boundary: Any = ENDS, tags: dict[str, str] | None = None, energy: str | None = None, **domain: Any) -> vpinn.Problem:
    """Return the problem of a form on a rectangle of 8 × 4 cells."""
    made = {"shape": "rectangle", "cells": [8, 4]} | domain | ({} if tags is None else {"tags": tags})
    return make_problem(
        made,
        unknowns={"u": "scalar"},
        constants={"middle": 0.5},
        energy=energy or "0.5*inner(grad(u), grad(u))*dx",
        boundary=boundary,
    )


def test_groups_of_cells_are_those_whose_centres_fulfil_the_condition_and_kink_the_solution() -> None:
    problem = stated(tags={"soft": "x < middle", "hard": "not x < middle"}, energy=JOINED)
    mesh = problem.domain
    assert isinstance(mesh, Mesh)
    centres = mesh.nodes[mesh.vertices].mean(axis=1)
    np.testing.assert_array_equal(mesh.cell_tags["soft"], np.flatnonzero(centres[:, 0] < 0.5))
    assert len(mesh.cell_tags["soft"]) + len(mesh.cell_tags["hard"]) == mesh.n_cells
    flux = 1 / (0.5 + 0.5 / 50)  # two resistances in a row
    found = vpinn.solve_fem(problem, 1).evaluate([[0.25, 0.3], [0.75, 0.8]])["u"]
    np.testing.assert_allclose(found, [0.25 * flux, 0.5 * flux + 0.25 * flux / 50], rtol=1e-12)


def test_a_condition_holds_on_its_piece_alone() -> None:
    """Two pieces that are all of a side are the side; a piece by itself is longer inside than the half that it misses."""
    pieces = [{"on": "top", "where": where, "value": "1 + x"} for where in ("x > middle", "x < middle")]
    rest = {"on": ["left", "right", "bottom"], "value": "1 + x"}
    whole = stated([*pieces, rest])
    places = [[0.2, 0.7], [0.9, 0.1]]
    np.testing.assert_allclose(vpinn.solve_fem(whole, 2).evaluate(places)["u"], [1.2, 1.9], rtol=1e-12)
    mesh = whole.domain
    assert isinstance(mesh, Mesh)
    right = mesh.facet_tags["top where x > middle"]
    assert len(right) == 4
    assert mesh.nodes[mesh.facet_vertices(right)][..., 0].min() == 0.5
    assert mesh.nodes[mesh.facet_vertices(right)][..., 1].min() == 1.0


@pytest.mark.parametrize("method", ["least-squares", "elements", pytest.param("adam", marks=pytest.mark.slow)])
def test_every_method_meets_it(method: str) -> None:
    piece = {"on": "all", "where": "n[1] > 0.5 or n[1] < -0.5", "value": "2*y"}
    problem = stated([piece, {"on": ["left", "right"], "where": "y > middle", "value": "2*y"}])
    solver = {"solver.method": method} | ({"solver.steps": 300} if method == "adam" else {})
    data = {**problem.source.data, "solver": {key.partition(".")[2]: value for key, value in solver.items()}}
    unknowns, energy = data.pop("unknowns"), data.pop("form")["energy"]
    problem = make_problem(data.pop("domain"), unknowns=unknowns, energy=energy, boundary=data.pop("boundary"), **data)
    found = vpinn.solve(problem, threads=1).evaluate([[0.3, 0.25], [0.6, 0.8]])["u"]
    np.testing.assert_allclose(found, [0.5, 1.6], rtol=0.02 if method == "adam" else 1e-6)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"tags": {"core": "x > 2"}}, "domain.tags.core: 'x > 2' holds at the centre of no cell"),
        ({"tags": {"core": "x + 1"}}, "domain.tags.core: .*expected a condition"),
        ({"tags": {"core": "u > 0"}}, "domain.tags.core: unknown name 'u'"),
        ({"tags": {"all": "x > 0"}}, "domain.tags.all: the domain has a group of cells 'all' already"),
        (
            {"boundary": [{"on": "top", "where": "x > 0.3", "value": 0}]},
            "boundary.0.where: 'x > 0.3' changes inside a facet near",
        ),
        ({"boundary": [{"on": "top", "where": "y < 0.5", "value": 0}]}, "boundary.0.where: 'y < 0.5' holds nowhere on top"),
        (
            {"boundary": [{"on": "top", "value": 0}, {"on": "top", "where": "x > middle", "value": 1}]},
            "boundary.1.on: u already has a value on top where x > middle",
        ),
        (
            {"boundary": [{"on": "top", "where": w, "value": 0} for w in ("x > 0.25", "x < middle")]},
            "boundary.1.on: u already has a value on top where x < middle",
        ),
    ],
)
def test_what_marks_nothing_or_too_much_is_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        stated(**changed)


def test_a_hypercube_has_no_parts() -> None:
    with pytest.raises(InputError, match=r"boundary.0.where: a hypercube has no cells"):
        make_problem(
            Hypercube([0.0] * 4, [1.0] * 4),
            unknowns={"u": "scalar"},
            strong="-div(grad(u)) - 1",
            boundary=[{"on": "left", "where": "y > 0.5", "value": 0}],
        )


STRIPS = {"rest": "x < 0.3 or x > 0.7", "strip": "x > 0.3 and x < 0.7"}
POISSON = "inner(grad(u), grad(v))*dx"


@pytest.mark.parametrize(
    ("weak", "what"),
    [
        (f"{POISSON}('rest') - v*dx('rest') + inner(grad(p), grad(q))*dx", "unknown u on the cells of 'strip' (24 of 64 cells)"),
        (f"{POISSON}('rest') - v*dx + inner(grad(p), grad(q))*dx", "unknown u on the cells of 'strip'"),
        (f"{POISSON} + u*v*dx('rest') + inner(grad(p), grad(q))*dx('strip')", "unknown p on the cells of 'rest'"),
        (
            f"{POISSON} + inner(grad(p), grad(v))*dx + inner(grad(p), grad(q))*dx('strip')",
            "test function q on the cells of 'rest'",
        ),
    ],
)
def test_cells_without_a_term_for_an_unknown_are_told(weak: str, what: str) -> None:
    with pytest.raises(InputError, match=f"no term with the {re.escape(what)}.*nothing determines"):
        two_unknowns(weak)


def test_terms_that_cover_all_cells_together_or_in_other_equations_are_taken() -> None:
    two_unknowns(f"{POISSON}('rest') + 5*{POISSON}('strip') + inner(grad(p), grad(q))*dx - v*dx('strip')")
    two_unknowns("inner(grad(p), grad(v))*dx + u*v*dx('rest') + inner(grad(u), grad(q))*dx - q*dx('rest')")


def two_unknowns(weak: str) -> vpinn.Problem:
    """Return the problem of a weak form of u and p with test functions v and q on a square of three strips."""
    unknowns = {"u": "scalar", "p": {"shape": "scalar", "test": "q"}}
    domain = {"shape": "rectangle", "cells": [8, 4], "tags": STRIPS}
    return make_problem(domain, unknowns=unknowns, weak=weak, boundary=[{"on": "left", "unknown": u, "value": 0} for u in "up"])
