"""Test the comparison of a network with the finite element solution that a problem file asks for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import vpinn
from tests.objective.cases import bent
from vpinn.domain import Hypercube, rectangle
from vpinn.errors import InputError
from vpinn.problem import Problem, make_problem
from vpinn.solving import prepare


def asked(domain: Any, fem: dict[str, int], form: dict[str, str] | None = None, **sections: Any) -> Problem:
    form = form or {"weak": "inner(grad(u), grad(v))*dx + u**3*v*dx - v*dx"}
    boundary = sections.pop("boundary", [{"on": "all", "value": 0}])
    reference = {"fem": fem, **sections.pop("reference", {})}
    return make_problem(domain, unknowns={"u": "scalar"}, boundary=boundary, reference=reference, **form, **sections)


def test_distance_is_the_error_of_the_elements() -> None:
    """A network much closer to the solution than the elements are is as far from them as they are from it, on curved cells."""
    problem = asked(
        bent(rectangle(cells=3)),
        {"degree": 2, "refine": 2},
        {"weak": "inner(grad(u), grad(v))*dx + div(grad(truth))*v*dx"},
        expressions={"truth": "exp(x)*sin(y)"},
        boundary=[{"on": "all", "value": "truth"}],
        reference={"exact": {"u": "truth"}},
        solver={"method": "least-squares", "features": 120},
    )
    metrics = vpinn.solve(problem, threads=1).metrics
    assert metrics["checks"] == []
    entry = metrics["fem"]
    assert (entry["degree"], entry["refine"], entry["dofs"], entry["steps"]) == (2, 2, 625, 1)
    assert entry["seconds"] > 0
    assert metrics["errors"]["u"]["relative_l2"] <= 1e-7  # against the exact solution, where there is one
    for norm, bound in (("relative_l2", 3e-5), ("relative_h1", 3e-3)):
        assert entry["errors"]["u"][norm] <= bound
        np.testing.assert_allclose(entry["difference"]["u"][norm], entry["errors"]["u"][norm], rtol=1e-2)


def test_errors_are_against_the_elements_where_nothing_else_is_known() -> None:
    problem = asked(rectangle(cells=4, cell="quadrilateral"), {"degree": 4}, solver={"method": "least-squares", "features": 80})
    metrics = vpinn.solve(problem, threads=1).metrics
    assert metrics["errors"] == metrics["fem"]["difference"]
    assert metrics["errors"]["u"]["relative_l2"] <= 3e-4
    assert metrics["fem"]["errors"] == {}


def test_elements_that_fail_are_a_failing_check() -> None:
    """An equation without a solution: the run ends, and says what the elements ran into."""
    problem = asked(
        rectangle(cells=2), {"degree": 1}, {"energy": "(0.5*inner(grad(u), grad(u)) - 100*exp(u))*dx"}, solver={"steps": 1}
    )
    checks = vpinn.solve(problem, method="adam", threads=1).metrics["checks"]
    assert any(check.startswith("reference.fem: finite elements: Newton's method") for check in checks)


@pytest.mark.parametrize(
    ("domain", "form", "message"),
    [
        (Hypercube((0.0,) * 4, (1.0,) * 4), {"energy": "u**2*dx"}, "need a mesh"),
        (rectangle(cells=2), {"strong": "-div(grad(u)) - 1"}, "a weak form or an energy"),
        (rectangle(cells=2), {"energy": "div(grad(u))**2*dx"}, "second derivatives"),
    ],
)
def test_what_elements_cannot_solve_is_refused_before_training(domain: Any, form: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        prepare(asked(domain, {"degree": 2}, form))
