"""Test which trial spaces are tried, and which test functions they need."""

from __future__ import annotations

import dataclasses

import pytest

from vpinn.domain import rectangle
from vpinn.features.resolution import Objectives, affordable, least_degree
from vpinn.features.stream import Stream
from vpinn.features.trial_spaces import CLOSE, compare_spaces
from vpinn.placement import HERE
from vpinn.problem import Problem, make_problem
from vpinn.trial import make_trial

WEAK = "inner(grad(u), grad(v))*dx - sin(3*x)*v*dx"


def meshed(cells: int, value: str = "0") -> Problem:
    """Return Poisson's equation on a square whose shape is given by its mesh only."""
    domain = dataclasses.replace(rectangle(cells=cells, cell="quadrilateral"), shape=None)
    return make_problem(domain, unknowns={"u": "scalar"}, boundary=[{"on": "all", "value": value}], weak=WEAK)


@pytest.mark.parametrize(
    ("cells", "value", "degree", "worth"),
    [(20, "0", 6, False), (69, "0", 4, False), (70, "0", 1, True), (70, "x", 4, False)],
    ids=["fields of degree four", "fields of degree two", "a fine mesh", "a lift"],
)
def test_tests_see_what_the_mesh_functions_in_a_trial_space_miss(cells: int, value: str, degree: int, worth: bool) -> None:
    """On meshes with a test of degree one for all the columns there may be, a distance needs no more; a lift does."""
    problem = meshed(cells, value)
    trial = make_trial(problem)
    assert least_degree(trial) == degree
    assert affordable(problem, trial, 120) is worth


def test_the_better_space_comes_first_and_one_far_behind_is_left_out() -> None:
    """Weighted rows beside a distance that few features follow much better."""
    problem = meshed(3)
    weighted, exact = make_trial(problem, rows=True), make_trial(problem)
    found = compare_spaces(Objectives(problem, HERE), (weighted, exact), Stream(lambda objective: (), 0), 30)
    assert found[0].trial is exact
    assert all(candidate.step.predicted <= CLOSE * found[0].step.predicted for candidate in found)
