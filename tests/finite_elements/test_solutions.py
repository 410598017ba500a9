"""Test finite element solutions against known ones: polynomials, nonlinear and vector problems, natural conditions."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import skfem
from skfem.helpers import dot, grad

import vpinn
from tests.objective.cases import CELLS, bent, skewed
from vpinn.domain import Hypercube, disk, interval, rectangle, refine
from vpinn.errors import InputError
from vpinn.finite_elements import FiniteElementSolution, solve_fem
from vpinn.problem import Problem, make_problem


def stated(domain: Any, truth: Any, boundary: Any, more: dict[str, Any] | None = None, **form: str) -> Problem:
    expressions = {"truth": truth} if isinstance(truth, str) else {}
    exact = {"u": "truth"} if isinstance(truth, str) else truth
    sections = {"unknowns": {"u": "scalar"}, "expressions": {**expressions, **(more or {})}, "reference": {"exact": exact}}
    return make_problem(domain, boundary=boundary, **sections, **form)


def worst(found: FiniteElementSolution) -> float:
    return max(value for errors in found.errors.values() for value in errors.values())


@pytest.mark.parametrize(("kind", "degree"), [(kind, p) for kind in CELLS for p in (1, 2, 3)])
def test_patch(kind: str, degree: int) -> None:
    """Polynomials that a space holds are found to 1e-12 on skewed cells: of degree p, on second-order cells of degree p/2."""
    order = degree if "curved" not in kind else degree // 2
    mesh = CELLS[kind]()
    terms = {1: "x", 2: "x + 2*y - x*y", 3: "x + 2*y - z + x*y*z"}[mesh.dimension] if order else "0"
    truth = f"1 + ({terms})" if order < 2 else f"1 + ({' - '.join('xyz'[: mesh.dimension])})**{order}"
    if order == 1:
        truth = {1: "1 + x", 2: "1 + x - 2*y", 3: "1 + x - 2*y + z"}[mesh.dimension]
    found = solve_fem(
        stated(mesh, truth, [{"on": "all", "value": "truth"}], weak="inner(grad(u), grad(v))*dx + div(grad(truth))*v*dx"), degree
    )
    assert worst(found) <= 1e-12


@pytest.mark.parametrize("cell", ["triangle", "quadrilateral"])
def test_natural_conditions(cell: str) -> None:
    """Neumann above, Robin on the right: a quadratic is found to 1e-12 with degree 2, by weak form and by energy."""
    mesh = rectangle(cells=3, cell=cell)
    truth, on = "1 + x**2 - x*y + 2*y", [{"on": ["left", "bottom"], "value": "truth"}]
    more = {"top": "Dx(truth, 1)", "right": "Dx(truth, 0) + 3*truth"}
    weak = "inner(grad(u), grad(v))*dx + 2*v*dx - top*v*ds('top') + (3*u - right)*v*ds('right')"
    energy = "0.5*inner(grad(u), grad(u))*dx + 2*u*dx - top*u*ds('top') + (1.5*u**2 - right*u)*ds('right')"
    for form in ({"weak": weak}, {"energy": energy}):
        found = solve_fem(stated(mesh, truth, on, more, **form), 2)
        assert found.steps == 1
        assert worst(found) <= 1e-12


def test_flux_through_a_curved_boundary() -> None:
    """∂u/∂n on a bent outline, by the normal: third order in L², 3e-4 on the second mesh; the constant is pinned by + u."""
    errors = []
    for n in (3, 6):
        problem = stated(
            bent(rectangle(cells=n)),
            "exp(x)*sin(y)",
            [],
            weak="inner(grad(u), grad(v))*dx + (u - truth)*v*dx - dot(grad(truth), n)*v*ds",
        )
        errors.append(solve_fem(problem, 2).errors["u"]["relative_l2"])
    assert errors[1] <= 3e-4
    assert np.log2(errors[0] / errors[1]) == pytest.approx(3, abs=0.2)


@pytest.mark.parametrize("form", ["weak", "energy"])
def test_nonlinear(form: str) -> None:
    """−∇·(1 + u²)∇u + u³ = f, and a minimal surface: Newton ends in ten steps with the orders of a linear problem."""
    if form == "weak":
        truth, on = "1 + sin(2*x)*y", [{"on": "all", "value": "truth"}]
        more = {"f": "-div((1 + truth**2)*grad(truth)) + truth**3"}
        text = "(1 + u**2)*inner(grad(u), grad(v))*dx + (u**3 - f)*v*dx"
    else:
        truth, on, more = "ln(cos(x - 0.5)) - ln(cos(y - 0.5))", [{"on": "all", "value": "truth"}], {}
        text = "sqrt(1 + inner(grad(u), grad(u)))*dx"  # Scherk's surface
    errors = []
    for n in (4, 8):
        found = solve_fem(stated(rectangle(cells=n), truth, on, more, **{form: text}), 2)
        assert 2 <= found.steps <= 10
        errors.append(found.errors["u"]["relative_l2"])
    assert errors[1] <= 5e-4
    assert np.log2(errors[0] / errors[1]) == pytest.approx(3, abs=0.2)


def test_elasticity() -> None:
    """Timoshenko's cantilever is a cubic: degree 3 finds it to 1e-9 (displacements a hundred times the strains)."""
    problem = vpinn.read_problem("problems/elasticity.toml")
    found = solve_fem(problem, 3)
    assert worst(found) <= 1e-9
    coarse = solve_fem(problem, 2, refinements=1)
    assert coarse.errors["u"]["relative_l2"] <= 1e-4


def test_several_unknowns() -> None:
    """A vector and a scalar, coupled both ways and nonlinear, components prescribed apart: quadratics to 1e-11."""
    problem = make_problem(
        rectangle(cells=3),
        unknowns={"w": "vector", "p": "scalar"},
        expressions={"w0": "x*y", "w1": "1 - y**2", "p0": "x + y**2", "wt": "as_vector([w0, w1])"},
        weak="(inner(grad(w), grad(v)) + p*v[0] - 3*v[0]*w[1]*p + inner(grad(p), grad(v_p)) + w[0]*w[1]*v_p)*dx"
        " - (dot(-div(grad(wt)), v) + p0*v[0] - 3*v[0]*w1*p0 + (w0*w1 - div(grad(p0)))*v_p)*dx"
        " - Dx(w1, 0)*v[1]*ds('right')",
        boundary=[
            {"on": "all", "unknown": "w", "component": 0, "value": "w0"},
            {"on": ["left", "bottom", "top"], "unknown": "w", "component": 1, "value": "w1"},
            {"on": "all", "unknown": "p", "value": "p0"},
        ],
        reference={"exact": {"w": ["w0", "w1"], "p": "p0"}},
    )
    found = solve_fem(problem, 2)
    assert found.dofs == 3 * 49
    assert worst(found) <= 1e-11


def test_materials() -> None:
    """Conductivities 1 and 3 beside each other: u is linear with a kink where they meet, and found to 1e-13 with degree 1."""
    mesh = rectangle(cells=4)
    left = mesh.nodes[mesh.vertices].mean(axis=1)[:, 0] < 0.5
    problem = stated(
        dataclasses.replace(mesh, cell_tags={"wood": np.flatnonzero(left), "steel": np.flatnonzero(~left)}),
        "min_value(1.5*x, 0.5 + 0.5*x)",
        [{"on": "left", "value": 0}, {"on": "right", "value": 1}],
        weak="inner(grad(u), grad(v))*dx('wood') + 3*inner(grad(u), grad(v))*dx('steel')",
    )
    assert worst(solve_fem(problem, 1)) <= 1e-13


def test_boundary_values_by_the_normal() -> None:
    """Where u = n₀ = x on the unit circle, Laplace's solution is x, to the approximation of the circle by parabolas."""
    problem = stated(disk(cells=4), "x", [{"on": "all", "value": "n[0]"}], weak="inner(grad(u), grad(v))*dx")
    assert solve_fem(problem, 2).errors["u"]["relative_l2"] <= 2e-3


def test_boundary_values_count_on_the_boundary_only() -> None:
    inside = "conditional(And(And(gt(x, e), lt(x, 1 - e)), And(gt(y, e), lt(y, 1 - e))), 1000, x*y)"
    form = {"weak": "inner(grad(u), grad(v))*dx + u**3*v*dx", "more": {"e": "1e-12"}}  # nodes lie there to rounding
    one, other = (
        solve_fem(stated(rectangle(cells=3), "0", [{"on": "all", "value": text}], **form), 2).values for text in (inside, "x*y")
    )
    assert np.array_equal(one, other)


def test_evaluation_at_points() -> None:
    mesh = skewed(rectangle(cells=3), 0.05)
    problem = stated(mesh, "1 + x**2 - x*y", [{"on": "all", "value": "truth"}], weak="inner(grad(u), grad(v))*dx + 2*v*dx")
    found = solve_fem(problem, 2, refinements=1)
    x = np.array([[0.3, 0.4], [0.8, 0.6], [9.0, 9.0]])
    np.testing.assert_allclose(found.evaluate(x)["u"][:2], 1 + x[:2, 0] ** 2 - x[:2, 0] * x[:2, 1], atol=1e-12)
    np.testing.assert_allclose(found.gradient(x)["u"][:2], np.stack([2 * x[:2, 0] - x[:2, 1], -x[:2, 0]], 1), atol=1e-11)
    assert np.isnan(found.evaluate(x)["u"][2])
    with pytest.raises(InputError, match="2 coordinates"):
        found.evaluate([[1.0, 2.0, 3.0]])


def test_agrees_with_scikit_fem() -> None:
    """The same space, a coefficient that both integrate to rounding: nodal values agree to 1e-12."""
    mesh = rectangle(cells=8)
    form = "inner((1 + x)*grad(u), grad(v))*dx - exp(x*y)*v*dx"
    found = solve_fem(stated(mesh, "0", [{"on": "all", "value": 0}], weak=form), 2)

    basis = skfem.Basis(skfem.MeshTri(mesh.nodes.T, mesh.cells.T), skfem.ElementTriP2(), intorder=12)
    matrix = skfem.BilinearForm(lambda u, v, w: (1 + w.x[0]) * dot(grad(u), grad(v))).assemble(basis)
    load = skfem.LinearForm(lambda v, w: np.exp(w.x[0] * w.x[1]) * v).assemble(basis)
    theirs = skfem.solve(*skfem.condense(matrix, load, D=basis.get_dofs()))
    values = found.evaluate(basis.doflocs.T)["u"]
    assert np.abs(values - theirs).max() <= 1e-7 * np.abs(theirs).max()  # our rule integrates exp(xy) to degree 6


POISSON = "inner(grad(u), grad(v))*dx - v*dx"


@pytest.mark.parametrize(
    ("problem", "degree", "refinements", "message"),
    [
        (lambda: stated(rectangle(cells=2), "0", [], strong="-div(grad(u)) - 1"), 2, 0, "a weak form or an energy"),
        (lambda: stated(Hypercube((0.0,) * 3, (1.0,) * 3), "0", [], energy="u**2*dx"), 2, 0, "need a mesh"),
        (lambda: stated(rectangle(cells=2), "0", [], energy="div(grad(u))**2*dx"), 2, 0, "second derivatives"),
        (lambda: stated(rectangle(cells=2), "0", [], weak=POISSON), 2, 0, "singular"),
        (lambda: stated(rectangle(cells=2), "0", [], weak=POISSON), 2, 8, "lower refine or degree"),
        (lambda: stated(rectangle(cells=2), "0", [], weak=POISSON), 11, 0, "degrees 1 to 10"),
        (lambda: stated(interval(cells=2), "0", [{"on": "all", "value": "ln(x)"}], weak=POISSON), 2, 0, "not finite"),
    ],
)
def test_refusals(problem: Any, degree: int, refinements: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        solve_fem(problem(), degree, refinements)


def test_prescribed_everywhere() -> None:
    found = solve_fem(stated(rectangle(cells=1), "x", [{"on": "all", "value": "x"}], weak=POISSON), 1)
    assert (found.steps, found.dofs) == (0, 4)
    np.testing.assert_allclose(found.evaluate([[0.25, 0.5]])["u"], 0.25, atol=1e-15)


def test_refinement_is_that_of_the_mesh() -> None:
    problem = stated(rectangle(cells=2), "0", [{"on": "all", "value": 0}], weak=POISSON)
    fine = dataclasses.replace(problem, domain=refine(problem.domain))  # type: ignore[arg-type]
    assert np.array_equal(solve_fem(problem, 2, 1).values, solve_fem(fine, 2).values)
