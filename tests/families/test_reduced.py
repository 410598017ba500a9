"""Reduced spaces: queries against elements of the member, bounds against errors, restoring, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import vpinn
from vpinn.errors import InputError
from vpinn.families import Family, FamilyStage, judge, resonant, solve_in_stages, unused
from vpinn.finite_elements import relative_errors, solve_fem
from vpinn.problem import Problem, member

BLOCK: dict[str, Any] = {
    "domain": {"shape": "rectangle", "cells": [2, 2], "cell": "quadrilateral"},
    "unknowns": {"u": "scalar"},
    "parameters": {"k": {"lower": 0.2, "upper": 5, "scale": "log"}, "b": [0.5, 2]},
    "weak": "inner(grad(u), grad(v))*dx + (k - 1)*Dx(u, 1)*Dx(v, 1)*dx + b*u*v*ds('top') - cos(pi*x)*v*dx",
    "boundary": [{"on": "bottom", "value": "b*cos(2*pi*x) + b**2"}],
}
WAVES: dict[str, Any] = {
    "domain": {"shape": "interval", "cells": 4},
    "unknowns": {"a": "scalar", "c": "scalar"},
    "parameters": {"k": [1, 6]},
    "weak": "Dx(a, 0)*Dx(v, 0)*dx - k**2*a*v*dx - (k*c)*v*ds + Dx(c, 0)*Dx(v_c, 0)*dx - k**2*c*v_c*dx + k*a*v_c*ds "
    "+ 2*k*sin(k*x)*v*ds('right') - 2*k*cos(k*x)*v_c*ds('right')",
    "reference": {"exact": {"a": "cos(k*x)", "c": "sin(k*x)"}},
}
STRETCHED: dict[str, Any] = {
    "domain": {"shape": "interval", "cells": 4},
    "unknowns": {"u": "scalar"},
    "parameters": {"m": [0.0, 1.5]},
    "weak": "exp(m*x)*Dx(u, 0)*Dx(v, 0)*dx - (pi**2*exp(m*x)*sin(pi*x) - m*pi*exp(m*x)*cos(pi*x))*v*dx",
    "boundary": [{"on": "all", "value": 0}],
    "reference": {"exact": {"u": "sin(pi*x)"}},
}


def solved(stated: dict[str, Any], tolerance: float) -> tuple[Problem, FamilyStage, str]:
    problem = vpinn.make_problem(**stated)
    stage, why = solve_in_stages(problem, tolerance, np.random.default_rng(0), lambda stage: True)
    return problem, stage, why


@pytest.mark.parametrize(
    ("stated", "coercive", "largest"),
    [(BLOCK, True, 3.0), (WAVES, False, 4.0), (STRETCHED, False, 2.5)],
    ids=["block", "waves", "stretched"],
)
def test_bounds_hold_on_members_not_used(stated: dict[str, Any], coercive: bool, largest: float) -> None:
    problem, stage, why = solved(stated, 1e-3)
    assert why == "tolerance"
    assert stage.relative <= 1e-3
    assert stage.chosen.space.coercive == coercive
    assert problem.parameters is not None
    found = judge(stage, unused(problem.parameters, 6, np.random.default_rng(7)))
    assert all(1.0 - 1e-6 <= one.effectivity <= largest for one in found), [one.effectivity for one in found]
    assert max(one.bound for one in found) <= 1e-3
    assert resonant(stage.chosen.space, problem.parameters) is None


@pytest.mark.parametrize(("k", "at"), [([5.0, 15.0], np.pi**2), ([50.0, 70.0], None)])
def test_a_resonance_between_members_is_found(k: list[float], at: float | None) -> None:
    """−u″ − ku = 1 has no solution at k = π², which no member that is solved hits, and one for every k between 4π² and 9π²."""
    stated = {
        "domain": {"shape": "interval", "cells": 4},
        "unknowns": {"u": "scalar"},
        "parameters": {"k": k},
        "weak": "Dx(u, 0)*Dx(v, 0)*dx - k*u*v*dx - v*dx",
        "boundary": [{"on": "all", "value": 0}],
    }
    problem, stage, _ = solved(stated, 1e-4)
    assert problem.parameters is not None
    found = resonant(stage.chosen.space, problem.parameters)
    assert found is None if at is None else found == pytest.approx([at], rel=1e-5)


@pytest.mark.parametrize("stated", [BLOCK, WAVES], ids=["block", "waves"])
def test_a_query_is_the_member_as_elements_have_it(stated: dict[str, Any]) -> None:
    problem, stage, _ = solved(stated, 1e-3)
    family = Family.of(stage)
    for values in unused(family.parameters, 2, np.random.default_rng(5)):
        _, trial, answers = family.query(values)
        truth = solve_fem(member(problem, values), 8)
        fields = vpinn.Solution(member(family.problem, values), trial, _zeros(trial))
        errors = relative_errors(lambda points, order, fields=fields: _moved(fields, points, order), truth.at, truth.points)
        assert all(error["relative_h1"] <= 3 * answers.relative[0] for error in errors.values())


def _zeros(trial: Any) -> Any:
    import torch

    return torch.zeros(trial.network.size, dtype=torch.float64)


def _moved(fields: vpinn.Solution, points: Any, order: int) -> Any:
    """The solution at points of another mesh, by their coordinates."""
    return fields.gradient(points.x) if order else fields.evaluate(points.x)


def test_the_exact_solution_is_met_where_coefficients_are_interpolated() -> None:
    problem = vpinn.make_problem(**STRETCHED)
    solution = vpinn.solve(problem)
    (told,) = solution.metrics["family"]["interpolated"]
    assert 3 <= told["terms"] <= 20
    assert told["error"] < 1e-8
    for m in (0.0, 0.7, 1.5):
        found = solution.member({"m": m})
        assert found.errors["u"]["relative_l2"] < 1e-7
        assert found.errors["u"]["relative_h1"] <= 1.5 * found.error_estimate["relative_bound"]


def test_queries_do_not_grow_with_the_mesh() -> None:
    sizes = []
    for cells in (2, 6):
        stated = {**BLOCK, "domain": {**BLOCK["domain"], "cells": [cells, cells]}}
        space = solved(stated, 0.05)[1].chosen.space
        sizes.append(max(array.size for name, array in space.arrays().items()))
    assert max(sizes) < 5000
    assert sizes[1] < 3 * sizes[0]


def test_a_family_is_restored_from_its_arrays() -> None:
    _problem, stage, _ = solved(STRETCHED, 1e-3)
    family = Family.of(stage)
    arrays, meta = family.arrays()
    again = Family.restored(vpinn.make_problem(**STRETCHED), arrays, meta)
    values = np.array([[0.3], [1.1]])
    np.testing.assert_array_equal(again.space.solve(values).shares, family.space.solve(values).shares)
    np.testing.assert_array_equal(again.space.solve(values).relative, family.space.solve(values).relative)
    other = vpinn.make_problem(**{**STRETCHED, "weak": STRETCHED["weak"].replace("exp(m*x)*Dx", "exp(m*x)*m*Dx")})
    with pytest.raises(ValueError, match="others"):
        Family.restored(other, {**arrays, "family.middle": 2 * arrays["family.middle"]}, meta)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"parameters": {"m": [2, 1]}}, "a range ends above its start, got 2 to 1"),
        ({"parameters": {"m": {"lower": 0, "upper": 1, "scale": "log"}}}, "positive"),
        ({"parameters": {name: [0, 1] for name in "abcdefg"}}, "at most 6 parameters, got 7"),
        ({"parameters": {"x": [0, 1]}}, "fixed meaning"),
        ({"reference": {"fem": {"degree": 2}}}, "one member"),
        ({"weak": "(1 + m*u**2)*Dx(u, 0)*Dx(v, 0)*dx - v*dx"}, "nonlinear"),
        ({"boundary": [{"on": "all", "value": "sin(m*x)"}]}, "sum of products"),
        ({"solver": {"method": "adam"}}, 'method "reduced"'),
        ({"weak": "m*Dx(u, 0)*Dx(v, 0)*dx - v*dx", "boundary": []}, "singular"),
        ({"weak": "Dx(u, 0)*Dx(v, 0)/m*dx - v*dx", "parameters": {"m": [0, 1]}}, "not finite at parameters 0;"),
        ({"weak": "m**2*Dx(u, 0)*Dx(v, 0)*dx - v*dx", "parameters": {"m": [1, 1e300]}}, "no value where the parameters are"),
    ],
)
def test_what_has_no_reduced_space_is_told_in_a_line(changed: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        vpinn.solve(vpinn.make_problem(**{**STRETCHED, **changed}))


def test_values_outside_the_range_are_refused() -> None:
    solution = vpinn.solve(vpinn.make_problem(**{**STRETCHED, "solver": {"tolerance": 1e-2}}))
    with pytest.raises(InputError, match=r"m = 2 is outside the range of the family, 0 to 1.5"):
        solution.member({"m": 2.0})
    with pytest.raises(InputError, match="no value for the parameter m"):
        solution.member({})
    with pytest.raises(InputError, match="'k' is not a parameter"):
        solution.member({"m": 1.0, "k": 1.0})
