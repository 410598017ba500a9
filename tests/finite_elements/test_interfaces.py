"""Test terms over interfaces: contact resistance, sources on a surface, springs between bodies, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import vpinn
from vpinn.domain import bisect
from vpinn.errors import InputError
from vpinn.finite_elements import solve_fem
from vpinn.problem import Problem, make_problem

TAGS = {"a": "x < 0.5", "b": "x > 0.5"}
LINE = {"shape": "interval", "cells": 4, "tags": TAGS}
SQUARE = {"shape": "rectangle", "cells": [4, 2], "tags": TAGS}
CUBE = {"shape": "box", "cells": [2, 2, 2], "tags": TAGS}
ENDS = [{"on": "left", "value": 1}, {"on": "right", "value": 0}]
WEAK = "inner(grad(u), grad(v))*dx('a') + 3*inner(grad(u), grad(v))*dx('b') + h_c*jump(u)*jump(v)*dS('a', 'b')"
ENERGY = "0.5*inner(grad(u), grad(u))*dx('a') + 1.5*inner(grad(u), grad(u))*dx('b') + 0.5*h_c*jump(u)**2*dS('a', 'b')"


def resisted(domain: Any, h: float, **form: str) -> Problem:
    """Return heat through a wall of conductivity 1 and 3, whose halves conduct h between them."""
    return make_problem(domain, unknowns={"u": "scalar"}, constants={"h_c": h}, boundary=ENDS, **form)


def at(problem: Problem, *x: float, degree: int = 2) -> np.ndarray[Any, Any]:
    points = np.full((len(x), problem.domain.dimension), 0.3)
    points[:, 0] = x
    return solve_fem(problem, degree).evaluate(points)["u"]


@pytest.mark.parametrize("domain", [LINE, SQUARE, {**SQUARE, "cell": "quadrilateral"}, CUBE], ids=["1", "2", "quads", "3"])
@pytest.mark.parametrize("h", [1e-3, 2.0, 1e4])
def test_the_resistance_drops_the_exact_share(domain: dict[str, Any], h: float) -> None:
    """The flux is one over the sum of resistances, 0.5/1 + 1/h + 0.5/3; the drop at the joint is flux/h."""
    flux = 1 / (0.5 + 1 / h + 0.5 / 3)
    found = at(resisted(domain, h, weak=WEAK), 0.25, 0.5 - 1e-7, 0.5 + 1e-7, 0.75)
    assert np.allclose(found, [1 - 0.25 * flux, 1 - 0.5 * flux, flux * 0.5 / 3, flux * 0.25 / 3], rtol=1e-6, atol=1e-9)


def test_energy_and_weak_form_agree() -> None:
    one, other = (solve_fem(resisted(SQUARE, 2.0, **form), 3) for form in ({"weak": WEAK}, {"energy": ENERGY}))
    assert np.allclose(one.values, other.values, atol=1e-12)


def test_swapping_the_groups_turns_jump_and_normal() -> None:
    """n·jump(v) is the same in both orders. With the flux h·jump(u) − 1 across h = 2, 1 = q/2 + (q + 1)/2 + q/6."""
    pushed = WEAK + " - n[0]*jump(v)*dS('a', 'b')"
    turned = pushed.replace("dS('a', 'b')", "dS('b', 'a')")
    for weak in (pushed, turned):
        found = at(resisted(SQUARE, 2.0, weak=weak), 0.5 - 1e-7, 0.5 + 1e-7)
        assert np.allclose(found, [1 - 0.5 * 3 / 7, 0.5 / 3 * 3 / 7], atol=1e-6)


def test_a_source_on_a_surface_bends_a_continuous_unknown() -> None:
    """−u″ = δ(x − ½) with zero ends: u = x/2 up to the middle. avg(v) and v are the same, as nothing lets u jump."""
    for load in ("v", "avg(v)"):
        weak = f"inner(grad(u), grad(v))*dx - {load}*dS('a', 'b')"
        problem = make_problem(SQUARE, unknowns={"u": "scalar"}, weak=weak, boundary=[{"on": ["left", "right"], "value": 0}])
        assert not problem.domain.joints  # type: ignore[union-attr]
        assert np.allclose(at(problem, 0.25, 0.5, 0.9), [0.125, 0.25, 0.05], atol=1e-12)


def test_radiation_across_a_gap_is_solved_by_newton() -> None:
    weak = "inner(grad(u), grad(v))*dx + 0.5*jump(u**4)*jump(v)*dS('a', 'b')"
    left, right = at(make_problem(SQUARE, unknowns={"u": "scalar"}, weak=weak, boundary=ENDS), 0.5 - 1e-7, 0.5 + 1e-7)
    assert 2 * (1 - left) == pytest.approx(2 * right, rel=1e-5)
    assert 2 * right == pytest.approx(0.5 * (left**4 - right**4), rel=1e-5)


def test_springs_join_two_bodies() -> None:
    """A bar of modulus 1 in two halves, pulled at its end: the halves part by the force over the stiffness of the springs."""
    energy = "0.5*inner(grad(u), grad(u))*dx + 0.5*10*inner(jump(u), jump(u))*dS('a', 'b') - u[0]*ds('right')"
    problem = make_problem(SQUARE, unknowns={"u": "vector"}, energy=energy, boundary=[{"on": "left", "value": [0, 0]}])
    assert np.allclose(at(problem, 0.5 - 1e-7, 0.5 + 1e-7, 1.0)[:, 0], [0.5, 0.6, 1.1], atol=1e-6)


def test_averages_with_jumps_are_of_both_sides() -> None:
    """A source of strength 1 in avg(v) goes to both sides in halves, so that without resistance in series u is symmetric."""
    weak = "inner(grad(u), grad(v))*dx + 2*jump(u)*jump(v)*dS('a', 'b') - avg(v)*dS('a', 'b')"
    problem = make_problem(SQUARE, unknowns={"u": "scalar"}, weak=weak, boundary=[{"on": ["left", "right"], "value": 0}])
    assert np.allclose(at(problem, 0.5 - 1e-7, 0.5 + 1e-7), 0.25, atol=1e-6)


@pytest.mark.slow
def test_the_estimate_sees_the_error_at_the_end_of_a_joint() -> None:
    """A joint that ends inside leaves √r there; the estimate is of the size of the distance from elements on smaller cells."""
    tags = {"a": "y < 0.5 and x < 0.5", "b": "y > 0.5 and x < 0.5"}
    weak = "inner(grad(u), grad(v))*dx + 1e-6*jump(u)*jump(v)*dS('a', 'b')"
    ends = [{"on": "bottom", "value": 0}, {"on": "top", "value": 1}]
    domain = {"shape": "rectangle", "cells": [4, 4], "tags": tags}
    problem = make_problem(domain, unknowns={"u": "scalar"}, weak=weak, boundary=ends, solver={"method": "elements"})
    solution = vpinn.solve(problem, threads=1)
    estimate = solution.metrics["error_estimate"]
    assert estimate is not None
    assert 1e-3 < estimate["relative_energy"] < 1e-2
    assert solution.problem.domain.n_cells > problem.domain.n_cells  # cells at the end were bisected
    x = np.array([[0.1, 0.4], [0.4, 0.52], [0.7, 0.6]])
    right = solve_fem(problem, 6, 3).evaluate(x)["u"]
    assert np.allclose(solution.evaluate(x)["u"], right, atol=3e-3)


def test_a_refined_mesh_has_the_joint_too() -> None:
    problem = resisted(SQUARE, 2.0, weak=WEAK)
    fine = bisect(problem.domain.with_cells(), np.array([0, 3, 7]))
    assert np.allclose(at(replace(problem, domain=fine), 0.4, 0.6), at(problem, 0.4, 0.6), atol=1e-10)


@pytest.mark.parametrize(
    ("weak", "said"),
    [
        ("inner(grad(u), grad(v))*dx + jump(u)*v*dx", "multiply them by dS"),
        ("inner(grad(u), grad(v))*dx + jump(u)*jump(v)*dS('a')", r"dS takes two groups of cells, as in dS\('a', 'b'\)"),
        ("inner(grad(u), grad(v))*dx + jump(u)*jump(v)*dS", "as in dS"),
        ("inner(grad(u), grad(v))*dx + jump(u)*jump(v)*dS('a', 'c')", "there is no group 'c'"),
        ("inner(grad(u), grad(v))*dx + jump(2)*jump(v)*dS('a', 'b')", "an unknown or a test function"),
        ("inner(grad(u), grad(v))*dx + jump(jump(u))*jump(v)*dS('a', 'b')", "another jump"),
        ("inner(grad(u), grad(v))*dx + jmp(u)*jump(v)*dS('a', 'b')", "did you mean jump"),
        ("inner(grad(u), grad(v))*dx + jump(v)*dS('a', 'b')", "no term joins both sides"),
        ("inner(grad(u), grad(v))*dx + (0*jump(u)*jump(v) + avg(v))*dS('a', 'b')", "the factor of the jump is 0"),
        (
            "inner(grad(u), grad(v))*dx + jump(u)*jump(v)*dS('a', 'b') + jump(u)*jump(v)*dS('b', 'a')",
            "are one interface",
        ),
    ],
)
def test_what_cannot_stand_is_refused(weak: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        make_problem(SQUARE, unknowns={"u": "scalar"}, weak=weak, boundary=ENDS)


def test_an_unknown_that_no_term_joins_is_refused() -> None:
    weak = "inner(grad(u), grad(v))*dx + inner(grad(p), grad(q))*dx + jump(u)*jump(v)*dS('a', 'b')"
    with pytest.raises(InputError, match="p may jump on dS"):
        make_problem(SQUARE, unknowns={"u": "scalar", "p": {"shape": "scalar", "test": "q"}}, weak=weak)


@pytest.mark.parametrize("solver", [{"method": "adam"}, {"method": "least-squares"}])
def test_networks_and_features_are_refused(solver: dict[str, Any]) -> None:
    problem = make_problem(SQUARE, unknowns={"u": "scalar"}, constants={"h_c": 2}, weak=WEAK, boundary=ENDS, solver=solver)
    with pytest.raises(InputError, match="a term over an interface"):
        vpinn.solve(problem, threads=1)
