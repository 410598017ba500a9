"""Test bodies without supports: rigid motions are removed if the loads balance, and the problem is refused otherwise."""

from __future__ import annotations

import numpy as np
import pytest

from vpinn.domain import Mesh, box, disk, rectangle
from vpinn.errors import InputError
from vpinn.finite_elements import Kernel, Level, MixedSpace, check_balance, motions, solve_fem
from vpinn.problem import Problem, make_problem
from vpinn.solving import solve

STRESS = "2*sym(grad({0})) + div({0})*Identity({1})"
PLANE = ["x*y + 0.3*y + 5", "y**2 - x**2/2 - 0.7*x - 2"]
SPATIAL = ["x*y + y + 5", "z**2 - x*z - 0.7*x", "x**2 + 3*y*x + y - 1"]


def loaded(mesh: Mesh, truth: list[str], more: str = "", **sections: object) -> Problem:
    """Return a body with the body force and the boundary traction of a known displacement."""
    d = mesh.dimension
    names = [f"w{k}" for k in range(d)]
    return make_problem(
        mesh,
        unknowns={"u": "vector"},
        expressions={
            **dict(zip(names, truth, strict=True)),
            "w": f"as_vector([{', '.join(names)}])",
            "s": STRESS.format("u", d),
            "q": STRESS.format("w", d),
        },
        weak=f"(inner(s, sym(grad(v))) + dot(div(q), v))*dx - dot(q*n, v)*ds{more}",
        reference={"exact": {"u": names}},
        **sections,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("mesh", "truth", "count"), [(rectangle(cells=2), PLANE, 3), (box(cells=1), SPATIAL, 6), (disk(cells=2), PLANE, 3)]
)
def test_open_motions_are_taken_out(mesh: Mesh, truth: list[str], count: int) -> None:
    """Quadratic displacements are found to rounding, up to three motions of a plane body and six of a spatial one."""
    problem = loaded(mesh, truth)
    assert len(Level.of(problem).motions) == count
    check_balance(problem)
    found = solve_fem(problem, 2 if mesh.order == 1 else 4)
    assert found.errors["u"]["relative_h1"] <= 1e-11
    kernel = Kernel.of(found.mixed, Level.of(problem).motions)
    held = np.concatenate(found.values)
    assert np.abs(kernel.without(held) - held).max() <= 1e-11


def test_a_support_in_one_direction_leaves_one_motion() -> None:
    problem = loaded(rectangle(cells=2), PLANE, boundary=[{"on": "left", "component": 0, "value": "w0"}])
    assert [motion.text for motion in Level.of(problem).motions] == ["move along y"]
    assert [motion.text for motion in Level.of(loaded(rectangle(cells=2), PLANE, " + 0.1*u[1]*v[1]*ds")).motions] == [
        "move along x"
    ]


def test_units_of_other_unknowns_do_not_open_a_constant() -> None:
    """A temperature with a heat transfer of 1 W/m²K beside a stiffness of 1e12 Pa is determined."""
    problem = make_problem(
        rectangle(cells=2),
        unknowns={"u": "vector", "T": "scalar"},
        weak="(1e12*inner(sym(grad(u)), sym(grad(v))) + inner(grad(T), grad(v_T)))*dx + (T - 3)*v_T*ds",
        boundary=[{"on": "left", "unknown": "u", "value": [0, 0]}],
    )
    assert Level.of(problem).motions == ()
    found = solve_fem(problem, 1).evaluate([[0.4, 0.3]])
    assert found["T"] == pytest.approx(3.0, rel=1e-12)


def test_moments_that_do_not_balance_are_refused() -> None:
    """Shear that turns the body, though its forces cancel: 1 on the right upwards, 1 on the left downwards."""
    problem = make_problem(
        rectangle(cells=2),
        unknowns={"u": "vector"},
        weak=f"inner({STRESS.format('u', 2)}, sym(grad(v)))*dx - v[1]*ds('right') + v[1]*ds('left')",
    )
    with pytest.raises(InputError, match="free to turn, and the moments of its loads do not balance by 1;"):
        check_balance(problem)
    with pytest.raises(InputError, match="leaves rigid motions undetermined"):
        solve_fem(problem, 2)


def test_pins_fix_all_motions() -> None:
    problem = loaded(box(cells=1), SPATIAL)
    kernel = Kernel.of(MixedSpace.of(box(cells=1), [2] * 3), motions(problem))
    assert np.linalg.cond(kernel.functions[:, kernel.pins]) < 20.0


@pytest.mark.slow
def test_a_body_under_tractions_by_default() -> None:
    """Elements solve it, without a failing check; displacement and estimate are right up to rigid motions."""
    truth = ["sin(2*x)*y", "cos(x)*exp(y/2)"]
    solution = solve(loaded(rectangle(cells=4), truth, solver={"tolerance": 1e-5}), threads=1)
    assert solution.metrics["method"] == "elements"
    assert solution.metrics["checks"] == []
    assert solution.error_estimate["effectivity"] == pytest.approx(1.0, abs=0.2)
    assert solution.errors["u"]["relative_l2"] < 1e-6
    assert solution.error_estimate["relative_l2"]["u"] == pytest.approx(solution.errors["u"]["relative_l2"], rel=0.5)
