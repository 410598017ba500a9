"""Obstacles and contact on elements: exact solutions, complementarity, estimates, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.sparse import csc_array, diags_array

import vpinn
from vpinn.domain import Mesh, box, disk, interval, rectangle
from vpinn.errors import InputError
from vpinn.finite_elements.active_set import Limits, constrained
from vpinn.finite_elements.newton import DIRECT, factorise
from vpinn.problem import Problem, make_problem

HILL = {"a": 0.5203934682189953}
ON_A_HILL = "conditional(x**2 + y**2 < a**2, 1 - x**2 - y**2, -a**2*ln((x**2 + y**2)/4))"
SIGNORINI = "-(x**2 + y**2)**0.75*cos(1.5*atan2(y, x))"


def membrane(domain: Mesh, bound: dict[str, Any], **sections: Any) -> Problem:
    """A membrane with an obstacle that nothing else pulls at."""
    stated: dict[str, Any] = {
        "unknowns": {"u": "scalar"},
        "energy": "0.5*inner(grad(u), grad(u))*dx",
        "boundary": [{"on": "all", "value": 0}],
        "obstacle": [bound],
    }
    return make_problem(domain, **{**stated, **sections})


def over_a_hill(cells: int, **sections: Any) -> Problem:
    """The membrane of problems/obstacle.toml."""
    bound, known = {"at_least": "1 - x**2 - y**2"}, {"exact": {"u": ON_A_HILL}}
    return membrane(disk(radius=2.0, cells=cells), bound, constants=HILL, reference=known, **sections)


@pytest.mark.parametrize(("degree", "bound"), [(1, 2e-2), (2, 4e-3), (4, 1.2e-3)])
def test_a_membrane_over_a_hill_is_exact_to_its_mesh(degree: int, bound: float) -> None:
    found = vpinn.solve_fem(over_a_hill(8), degree)
    assert found.errors["u"]["relative_l2"] < bound


def test_the_error_of_an_obstacle_problem_is_estimated() -> None:
    """By the correction that meets the obstacle, too: without it the force of contact would count as an error."""
    metrics = vpinn.solve(over_a_hill(6, solver={"tolerance": 2e-2}), threads=1).metrics
    assert metrics["method"] == "elements"
    assert 0.5 < metrics["error_estimate"]["effectivity"] < 2.0
    assert metrics["errors"]["u"]["relative_l2"] < 2e-2
    assert metrics["checks"] == []


def test_a_string_over_a_flat_step_is_straight_between_its_ends_and_the_step() -> None:
    problem = membrane(interval(cells=10), {"at_least": "conditional(abs(x - 0.5) < 0.15, 1, -1)"})
    x = np.array([0.1, 0.2, 0.35, 0.45, 0.5, 0.6, 0.8])
    right = np.where(x < 0.4, x / 0.4, np.where(x > 0.6, (1 - x) / 0.4, 1.0))
    np.testing.assert_allclose(vpinn.solve_fem(problem, 1).evaluate(x[:, None])["u"], right, atol=1e-12)


@pytest.mark.parametrize("degree", [1, 2, 3, 4])
def test_forces_push_where_the_bound_is_met_and_vanish_elsewhere(degree: int) -> None:
    """Of a load that presses the membrane against a floor and a ceiling; the sign of the stated form does not matter."""
    sections = {"weak": "-inner(grad(u), grad(v))*dx + 40*sin(2*pi*x)*v*dx", "energy": None}
    problem = membrane(rectangle(cells=6), {"at_least": -0.3, "at_most": 0.2}, **sections)
    found = vpinn.solve_fem(problem, degree)
    free = vpinn.solve_fem(membrane(rectangle(cells=6), {"at_least": -9, "at_most": 9}, **sections), degree)
    assert free.values.max() > 0.5
    nodes = found.space.locations()
    inner = (np.abs(nodes - 0.5) < 0.49).all(axis=1)
    values = found.values[0][inner]
    assert values.min() == pytest.approx(-0.3, abs=3e-2)  # nodes without a bound may be a little outside
    assert values.max() == pytest.approx(0.2, abs=3e-2)
    assert found.evaluate([[0.75, 0.5], [0.25, 0.5]])["u"] == pytest.approx([-0.3, 0.2], abs=5e-3)


@pytest.mark.parametrize("degree", [1, 2, 4])
def test_contact_on_a_side_ends_where_the_exact_solution_lifts_off(degree: int) -> None:
    problem = make_problem(
        rectangle((-1, 0), (1, 1), (12, 6)),
        unknowns={"u": "scalar"},
        energy="0.5*inner(grad(u), grad(u))*dx",
        boundary=[{"on": ["left", "right", "top"], "value": SIGNORINI}, {"on": "bottom", "at_most": 0}],
        reference={"exact": {"u": SIGNORINI}},
    )
    found = vpinn.solve_fem(problem, degree)
    assert found.errors["u"]["relative_l2"] < {1: 8e-3, 2: 3e-4, 4: 3e-5}[degree]
    assert np.abs(found.evaluate([[-0.75, 0.0], [-0.5, 0.0]])["u"]).max() < 1e-13


def block(support: list[dict[str, Any]], load: str = "0.01*u[1]*ds('top')") -> Problem:
    """An elastic block that a load presses on what stands below it."""
    return make_problem(
        rectangle((0, 0), (2, 1), (6, 3)),
        unknowns={"u": "vector"},
        energy=f"0.5*inner(eps + nu/(1 - nu)*tr(eps)*Identity(2), eps)*dx + {load}",
        expressions={"eps": "sym(grad(u))"},
        constants={"nu": 0.3},
        boundary=support,
    )


def test_a_block_that_contact_alone_holds_up_is_pressed_flat() -> None:
    """Nothing but the contact holds it against the load."""
    support = [{"on": "left", "component": 0, "value": 0}, {"on": "bottom", "component": 1, "at_least": -0.2}]
    found = vpinn.solve_fem(block(support), 2)
    top = found.evaluate([[0.5, 1.0], [1.5, 1.0]])["u"]
    bottom = found.evaluate([[0.5, 0.0], [1.5, 0.0]])["u"]
    np.testing.assert_allclose(bottom[:, 1], -0.2, atol=1e-12)
    np.testing.assert_allclose(top[:, 1], -0.2 - 0.01 / 1.3, atol=1e-12)  # σ = (1 + ν) ε, since the sides are free


def test_a_block_that_is_pulled_off_its_contact_has_no_solution() -> None:
    support = [{"on": "left", "component": 0, "value": 0}, {"on": "bottom", "component": 1, "at_least": -0.2}]
    with pytest.raises(InputError, match="singular"):
        vpinn.solve_fem(block(support, "-0.01*u[1]*ds('top')"), 2)


@pytest.mark.parametrize(
    ("bound", "told"),
    [
        ({"at_least": 0.5}, "the bound of u, 0.5, lies above the value that is given at x = "),
        ({"at_most": "-1 - x"}, "lies below the value that is given at x = "),
        ({"at_least": "x - 3", "at_most": "x - 4"}, "u is to be at least "),
        ({"at_least": "ln(x - 0.5)"}, "the bound is not finite everywhere"),
    ],
)
def test_bounds_that_nothing_meets_are_told(bound: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told) as error:
        vpinn.solve(membrane(rectangle(cells=4), bound), threads=1)
    assert "\n" not in error.value.message


def test_one_exchange_at_a_time_ends_where_all_at_once_run_in_circles() -> None:
    """A positive definite matrix that is no M-matrix (Ben Gharbia & Gilbert 2012): whole exchanges return to where they were."""
    matrix = np.array([[1.0, 0.0, 4 / 3], [4 / 3, 1.0, 0.0], [0.0, 4 / 3, 1.0]])  # a P-matrix; Newton–min cycles on it
    system = csc_array(matrix)
    n = 3

    def affine(u: np.ndarray[Any, Any], wanted: bool) -> tuple[np.ndarray[Any, Any], Any]:
        return matrix @ u - np.ones(n), system if wanted else None

    bounds = Limits(np.zeros(n), np.full(n, np.inf))
    found, free = constrained(affine, np.zeros(n), bounds, lambda part, which: factorise(part), np.array([False, True, True]))
    force = matrix @ found.values - 1.0
    assert found.values.min() >= 0.0
    assert force[~free].min(initial=0.0) >= -1e-12
    np.testing.assert_allclose(force[free], 0.0, atol=1e-12)


def test_an_active_set_is_that_of_complementarity() -> None:
    """A discrete string between a floor and a ceiling, by its conditions."""
    n, rng = 40, np.random.default_rng(5)
    matrix = diags_array([-np.ones(n - 1), 2 * np.ones(n), -np.ones(n - 1)], offsets=[-1, 0, 1]).tocsc()
    load = rng.normal(size=n)
    bounds = Limits(np.where(np.arange(n) % 2 == 0, -0.5, -np.inf), np.full(n, 0.8))

    def affine(u: np.ndarray[Any, Any], wanted: bool) -> tuple[np.ndarray[Any, Any], Any]:
        return matrix @ u - load, matrix if wanted else None

    found, free = constrained(affine, np.zeros(n), bounds, lambda part, which: factorise(part))
    u, force = found.values, matrix @ found.values - load
    assert (u >= bounds.lower - 1e-12).all()
    assert (u <= bounds.upper + 1e-12).all()
    np.testing.assert_allclose(force[free], 0.0, atol=1e-12)
    assert (force[~free & (u < 0)] >= -1e-12).all()
    assert (force[~free & (u > 0)] <= 1e-12).all()
    assert 0 < (~free).sum() < n


@pytest.mark.parametrize("cell", ["triangle", "quadrilateral"])
def test_a_minimal_surface_over_a_hill_is_the_same_by_any_degree(cell: str) -> None:
    """Newton's method inside the active set, from where the elements before touch the hill."""
    hill = {"at_least": "0.3 - 3*((x - 0.5)**2 + (y - 0.5)**2)"}
    problem = membrane(rectangle(cells=8, cell=cell), hill, energy="sqrt(1 + inner(grad(u), grad(u)))*dx")
    places = [[0.5, 0.5], [0.7, 0.5], [0.8, 0.5]]
    found = vpinn.solve_fem(problem, 3)
    richer = vpinn.solve_fem(problem, 4, near=found)
    np.testing.assert_allclose(found.evaluate(places)["u"], richer.evaluate(places)["u"], atol=4e-3)
    assert richer.evaluate([[0.5, 0.5]])["u"][0] == pytest.approx(0.3, abs=1e-3)


def test_obstacles_in_space_are_met_by_factors_and_by_iterations() -> None:
    """A ball pressed into a cube: the meshes differ, and so do the solvers."""
    hill = {"at_least": "0.5 - 4*((x - 0.5)**2 + (y - 0.5)**2 + (z - 0.5)**2)"}
    places = [[0.7, 0.5, 0.5], [0.9, 0.5, 0.5]]
    coarse, fine = (vpinn.solve_fem(membrane(box(cells=n), hill), 2) for n in (4, 8))
    assert coarse.dofs < DIRECT < fine.dofs
    np.testing.assert_allclose(coarse.evaluate(places)["u"], fine.evaluate(places)["u"], atol=1e-2)
