"""Test elements of several unknowns: degrees chosen from the form, and convergence orders of velocity and pressure of flows."""

from __future__ import annotations

import numpy as np
import pytest

import vpinn
from vpinn.domain import CellPoints, Mesh, box, rectangle
from vpinn.errors import InputError
from vpinn.finite_elements import MixedSpace, lower, lowest_degree, solve_fem
from vpinn.finite_elements.form import integrands, offsets
from vpinn.problem import Problem, make_problem
from vpinn.solving.preparation import prepare

STOKES = "(nu*inner(grad(u), grad(v)) - p*div(v) + v_p*div(u))*dx"
FLOW = {"u": "vector", "p": "scalar"}
PAIR = {"a": "scalar", "b": "scalar"}


def stated(weak: str, unknowns: dict[str, object], **sections: object) -> Problem:
    return make_problem(rectangle(cells=4), unknowns=unknowns, weak=weak, constants={"nu": 1.0}, **sections)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("weak", "unknowns", "less"),
    [
        (STOKES, FLOW, (False, False, True)),
        (STOKES.replace("nu*", "dot(dot(grad(u), u), v) + nu*"), FLOW, (False, False, True)),
        ("(nu*inner(grad(u), grad(v)) + dot(grad(p), v) + v_p*div(u))*dx", FLOW, (False, False, True)),
        ("(nu*inner(grad(u), grad(v)) - p*div(v) - v_p*(div(u) + p/1e4))*dx", FLOW, (False, False, True)),  # hardly compressible
        ("(dot(u, v) - p*div(v) + v_p*div(u) - v_p)*dx", FLOW, (False, False, True)),  # Darcy
        # the three components of a flow in one vector
        (
            "(inner(grad(w[0]), grad(v[0])) + inner(grad(w[1]), grad(v[1])) - w[2]*(Dx(v[0], 0) + Dx(v[1], 1))"
            " + v[2]*(Dx(w[0], 0) + Dx(w[1], 1)))*dx",
            {"w": {"shape": 3, "test": "v"}},
            (False, False, True),
        ),
        # a stabilised pressure, and a plate's deflection beside its moment, are held by their gradients
        (STOKES.replace(" + v_p", " + 0.01*inner(grad(p), grad(v_p)) + v_p"), FLOW, (False, False, False)),
        ("(inner(grad(b), grad(v)) - v + b*v_b - inner(grad(a), grad(v_b)))*dx", PAIR, (False, False)),
        ("(inner(grad(a), grad(v)) + b*v + inner(grad(b), grad(v_b)) - a*v_b)*dx", PAIR, (False, False)),
        ("(inner(grad(a), grad(v)) + b*v + b*v_b - a*v_b)*dx", PAIR, (False, False)),
        ("(inner(grad(a), grad(v)) - v + b*v_b - Dx(a, 0)*v_b)*dx", PAIR, (False, True)),  # b = ∂a/∂x
        ("inner(sym(grad(u)), sym(grad(v)))*dx", {"u": "vector"}, (False, False)),
    ],
)
def test_multipliers_are_found_in_the_form(weak: str, unknowns: dict[str, object], less: tuple[bool, ...]) -> None:
    problem = stated(weak, unknowns)
    slopes = [pair for part in integrands(problem) for pair in part.slopes]
    assert lower(offsets(problem)[-1], slopes, problem.symbols.dimension) == less
    assert lowest_degree(problem) == 1 + any(less)


@pytest.mark.parametrize("mesh", [rectangle(cells=3), rectangle(cells=2, cell="quadrilateral"), box(cells=1)])
def test_lower_degrees_lie_within_the_highest(mesh: Mesh) -> None:
    """A function of degree 2 beside one of degree 3: the same values everywhere, held by either."""
    mixed = MixedSpace.of(mesh, (3, 2))
    values = np.cos(np.arange(mixed.size) ** 2)
    held = mixed.embedded(values)
    cells = np.arange(mesh.n_cells)
    points = np.tile([0.2, 0.3, 0.1][: mesh.dimension], (mesh.n_cells, 1))
    for component, space in enumerate(mixed.spaces):
        own = space.evaluate(values[mixed.numbers(component)], cells, points)
        np.testing.assert_allclose(mixed.highest.evaluate(held[component], cells, points), own, atol=1e-13)


def flow(n: int, nu: float = 1.0, unit: float = 1.0) -> Problem:
    """Return the problem of a flow in a box, with velocities in units of ``unit`` m/s."""
    return make_problem(
        rectangle(cells=n),
        unknowns=FLOW,
        constants={"nu": nu, "s": unit},
        expressions={
            "a": "s*sin(pi*x)**2*sin(2*pi*y)",
            "b": "-s*sin(2*pi*x)*sin(pi*y)**2",
            "q": "nu*s*(7 + cos(pi*x)*y)",
            "f": "-nu*div(grad(as_vector([a, b]))) + grad(q)",
        },
        weak=STOKES + " - dot(f, v)*dx",
        boundary=[{"on": "all", "unknown": "u", "value": [0, 0]}],
        reference={"exact": {"u": ["a", "b"], "p": "q"}},
    )


@pytest.mark.parametrize("degree", [2, 3, pytest.param(4, marks=pytest.mark.slow)])
def test_orders_of_stokes(degree: int) -> None:
    """Taylor–Hood: velocity of order k + 1 in L² and k in H¹; the pressure's k is exceeded on regular meshes."""
    (u0, p0), (u1, p1) = ([found.errors[name] for name in "up"] for found in (solve_fem(flow(n), degree) for n in (8, 16)))
    assert np.log2(u0["relative_l2"] / u1["relative_l2"]) == pytest.approx(degree + 1, abs=0.15)
    assert np.log2(u0["relative_h1"] / u1["relative_h1"]) == pytest.approx(degree, abs=0.1)
    assert np.log2(p0["relative_l2"] / p1["relative_l2"]) >= degree - 0.1
    assert p1["relative_l2"] <= 2e-2 * 0.1 ** (degree - 2)


@pytest.mark.parametrize("degree", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_orders_of_kovasznay(degree: int) -> None:
    """Navier–Stokes at Re = 40 against Kovasznay's solution: k + 1 and k of the velocity, k of the pressure."""
    problem = vpinn.read_problem("problems/kovasznay.toml")
    coarse, fine = (solve_fem(problem, degree, refinements) for refinements in (1, 2))
    assert fine.degrees == {"u": degree, "p": degree - 1}
    for name, norm, order in (("u", "relative_l2", degree + 1), ("u", "relative_h1", degree), ("p", "relative_l2", degree)):
        assert np.log2(coarse.errors[name][norm] / fine.errors[name][norm]) == pytest.approx(order, abs=0.15)
    assert fine.errors["p"]["relative_l2"] <= 1e-3


@pytest.mark.parametrize(("nu", "unit"), [(1e-6, 1.0), (1e6, 1.0), (1e-3, 1e-8), (1e5, 1e8)])
def test_units_of_a_flow_do_not_matter(nu: float, unit: float) -> None:
    """A well-posed flow is never called singular, whatever its viscosity and its units."""
    plain, other = (solve_fem(one, 2).errors["p"]["relative_l2"] for one in (flow(4), flow(4, nu, unit)))
    assert other == pytest.approx(plain, rel=1e-5)


def test_outlet_pressure() -> None:
    """A pressure given at the ends drives a channel: Poiseuille's flow is found to rounding, by degrees 2 and 1."""
    problem = stated(
        STOKES + " + p*dot(n, v)*ds - nu*dot(dot(grad(u), n), v)*ds",
        FLOW,
        boundary=[
            {"on": ["bottom", "top"], "unknown": "u", "value": [0, 0]},
            {"on": ["left", "right"], "unknown": "u", "component": 1, "value": 0},
            {"on": ["left", "right"], "unknown": "p", "value": "1 - x"},
        ],
        reference={"exact": {"u": ["y*(1 - y)/2", 0], "p": "1 - x"}},
    )
    errors = solve_fem(problem, 2).errors
    assert max(value for one in errors.values() for value in one.values()) <= 1e-11


def test_degrees_can_be_named() -> None:
    problem = flow(4)
    found = solve_fem(problem, {"u": 3, "p": 1})
    assert found.degrees == {"u": 3, "p": 1}
    assert found.dofs == 2 * 169 + 25
    assert found.errors["p"]["relative_l2"] < 0.1


@pytest.mark.parametrize(
    ("degree", "words"), [({"u": 2, "q": 1}, "'q'"), ({"u": 2}, "for p"), (0, "degree"), ({"u": 2.5}, "degree")]
)
def test_named_degrees_of_a_file_are_checked_before_the_work(degree: object, words: str) -> None:
    boundary = [{"on": "all", "unknown": "u", "value": [0, 0]}]
    with pytest.raises(InputError, match=words):
        prepare(stated(STOKES, FLOW, boundary=boundary, reference={"fem": {"degree": degree}}))
    prepare(stated(STOKES, FLOW, boundary=boundary, reference={"fem": {"degree": {"u": 2, "p": 1}}}))


@pytest.mark.parametrize(
    ("degree", "words"),
    [
        ({"u": 2, "q": 1}, "there is no unknown 'q'; name u, p"),
        ({"u": 2}, "no degree for p"),
        ({"u": 12, "p": 1}, "got 12"),
        (1, "degree 0 for p"),
    ],
)
def test_degrees_that_cannot_be(degree: int | dict[str, int], words: str) -> None:
    with pytest.raises(InputError, match=words):
        solve_fem(flow(2), degree)


@pytest.mark.parametrize("kind", [float, complex])
def test_functions_are_the_same_in_elements_of_higher_degrees(kind: type) -> None:
    mesh = rectangle(cells=[2, 3], cell="triangle")
    low, high = MixedSpace.of(mesh, [2, 1]), MixedSpace.of(mesh, [4, 3])
    generator = np.random.default_rng(0)
    values = generator.standard_normal((2, low.size)).astype(kind)
    values += kind(1j if kind is complex else 0) * generator.standard_normal(low.size)
    raised = low.raised(values, high)
    points = CellPoints(mesh, 6).take(range(40))
    for component, (space, richer) in enumerate(zip(low.spaces, high.spaces, strict=True)):
        for before, after in zip(values, raised, strict=True):
            for part in (np.real, np.imag):
                one = space.evaluate(part(before[low.numbers(component)]).copy(), points.cell, points.reference)
                other = richer.evaluate(part(after[high.numbers(component)]).copy(), points.cell, points.reference)
                np.testing.assert_allclose(one, other, atol=1e-13)
