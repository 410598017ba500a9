"""Parts of the boundary that move as one: their motion, where it meets given values, its error estimate, and what is refused."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import vpinn
from vpinn.problem import make_problem

ELASTIC = {"eps": "sym(grad(u))", "s": "E/(1 - nu**2)*((1 - nu)*eps + nu*tr(eps)*Identity(2))"}
BEAM = {"shape": "rectangle", "upper": [4, 1], "cells": [8, 2]}


def elastic(load: str, boundary: list[dict[str, Any]], **more: Any) -> vpinn.Problem:
    """Return an elastic strip under a load, without lateral contraction."""
    energy = f"0.5*inner(s, eps)*dx - {load}"
    constants = {"E": 1000, "nu": 0}
    return make_problem(
        BEAM, unknowns={"u": "vector"}, constants=constants, expressions=ELASTIC, energy=energy, boundary=boundary, **more
    )


def test_a_rigid_end_under_a_moment_turns() -> None:
    """A moment of ¼ bends the strip to a circle, exactly: the curvature is M/EI = 0.003."""
    roller, end = {"on": "left", "component": 0, "value": 0}, {"on": "right", "tie": "rigid"}
    problem = elastic("u[0]*conditional(y > 0.5, 1, -1)*ds('right')", [roller, end], point=[{"at": [0, 0], "component": 1}])
    found = vpinn.solve_fem(problem, 2).evaluate([[4, 0], [4, 0.5], [4, 1]])["u"]
    np.testing.assert_allclose(found, [[-0.006, -0.024], [0, -0.024], [0.006, -0.024]], atol=1e-14)


def test_a_tied_part_meets_given_values() -> None:
    """Held at one end, a rigid side turns about that; one of equal values takes the value there, and a second one is refused."""
    clamp = {"on": "left", "value": [0, "0.01*y"]}
    top = vpinn.solve_fem(elastic("u[1]*ds('right')", [clamp, {"on": "top", "tie": "rigid"}]), 2)
    x = np.array([[0.0, 1.0], [1.5, 1.0], [4.0, 1.0]])
    values = top.evaluate(x)["u"]
    np.testing.assert_allclose(values[0], [0, 0.01], atol=1e-15)
    slope = (values[2, 1] - 0.01) / 4.0
    assert slope > 1e-5
    np.testing.assert_allclose(values[:, 0], 0.0, atol=1e-15)
    np.testing.assert_allclose(values[:, 1], 0.01 + slope * x[:, 0], atol=1e-13)
    equal = vpinn.solve_fem(elastic("u[1]*ds('right')", [clamp, {"on": "top", "tie": "equal"}]), 2)
    np.testing.assert_allclose(equal.evaluate(x)["u"], [[0, 0.01]] * 3, atol=1e-15)
    sides = [clamp, {"on": "right", "value": [0, 0.02]}, {"on": "top", "tie": "equal"}]
    with pytest.raises(vpinn.InputError, match="no common motion"):
        vpinn.solve_fem(elastic("u[1]*dx", sides), 2)


def test_two_rigid_ends_of_a_free_body_part_and_its_mean_motion_is_zero() -> None:
    ends = [{"on": "left", "tie": "rigid"}, {"on": "right", "tie": "rigid"}]
    found = vpinn.solve_fem(elastic("u[0]*ds('right') + u[0]*ds('left')", ends), 1).evaluate([[0, 0], [4, 1]])["u"]
    np.testing.assert_allclose(found, [[-0.002, 0], [0.002, 0]], atol=1e-14)


def test_the_error_estimate_of_a_floating_electrode_is_near_the_error() -> None:
    """The charge on the right is given, and its potential comes out; the correction is constant there, too."""
    problem = make_problem(
        {"shape": "rectangle", "upper": [2, 1], "cells": [4, 3]},
        unknowns={"u": "scalar"},
        expressions={"truth": "x + sin(pi*x/2)*cos(pi*y)", "f": "-div(grad(truth))"},
        weak="inner(grad(u), grad(v))*dx - f*v*dx - 2*y*v*ds('right')",
        boundary=[{"on": "left", "value": 0}, {"on": "right", "tie": "equal"}],
        reference={"exact": {"u": "truth"}},
        solver={"tolerance": 1e-2},
    )
    solution = vpinn.solve(problem, threads=1)
    assert solution.metrics["method"] == "elements"
    assert not solution.metrics["checks"]
    assert solution.metrics["error_estimate"]["relative_energy"] > 1e-6
    assert 0.8 < solution.metrics["error_estimate"]["effectivity"] < 1.25
    right = solution.evaluate([[2, 0], [2, 0.4], [2, 1]])["u"]
    np.testing.assert_allclose(right, right[0], rtol=1e-14)
    assert right[0] == pytest.approx(2.0, rel=1e-3)


def test_a_tied_face_in_space_is_found_by_iterations() -> None:
    """So many functions are not factorised; the face u = 1 with the flux of u = x through it is exact."""
    problem = make_problem(
        {"shape": "box", "cells": 8},
        unknowns={"u": "scalar"},
        weak="inner(grad(u), grad(v))*dx - 2*y*v*ds('right')",
        boundary=[{"on": "left", "value": 0}, {"on": "right", "tie": "equal"}],
    )
    found = vpinn.solve_fem(problem, 2)
    assert found.dofs > 4000
    np.testing.assert_allclose(found.evaluate([[1, 0.1, 0.2], [1, 1, 1], [0.3, 0.5, 0.5]])["u"], [1, 1, 0.3], rtol=1e-8)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"boundary": [{"on": "left", "tie": "rigid"}]}, "no displacement with a component for every axis"),
        ({"boundary": [{"on": "left", "tie": "equal"}, {"on": "left", "value": 0}]}, "already has a value on left"),
        ({"boundary": [{"on": "left", "tie": "equal", "value": 0}]}, "exactly one of value, residual and tie"),
        ({"boundary": [{"on": "left", "tie": "equal", "weight": 2}]}, "tie holds at the nodes of elements"),
        ({"boundary": [{"on": "left", "tie": "equal"}, {"on": "top", "at_least": 0}]}, "beside no contact"),
        (
            {"boundary": [{"on": "left", "tie": "equal"}], "solver": {"method": "adam"}},
            "needs the nodes of finite elements",
        ),
        ({"boundary": [{"on": "left", "tie": "equal"}, {"on": "top", "tie": "equal"}]}, "two ties share a node"),
    ],
)
def test_what_a_tie_cannot_be_is_told(more: dict[str, Any], told: str) -> None:
    stated = {"unknowns": {"u": "scalar"}, "weak": "inner(grad(u), grad(v))*dx + u*v*dx - v*dx"}
    with pytest.raises(vpinn.InputError, match=re.escape(told)):
        vpinn.solve(make_problem({"shape": "rectangle", "cells": 2}, **stated, **more), threads=1)
