"""Test residuals that must be zero, residuals that are computed by hand, and their dual norm.

Without essential conditions the unknown u is zero if all parameters are zero. So a form written for w = u + g is evaluated at w =
g, with every test function. With an essential condition of value g on a mesh, u is the lift of g.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from vpinn.domain import LagrangeSpace, Mesh, interval, make_mesh, rectangle
from vpinn.errors import InputError
from vpinn.objective import DualNorm, Objective, TestSpace, make_objective, test_space
from vpinn.placement import HERE, Placement
from vpinn.problem import make_problem
from vpinn.trial import Trial, make_trial

from .cases import CELLS, problem_of, two_materials

HALF_PLANE = {1: ("x", "1"), 2: ("x + 2*y", "as_vector([1, 2])"), 3: ("x + 2*y - z", "as_vector([1, 2, -1])")}


def made(domain: Mesh, **sections: Any) -> tuple[Trial, Objective]:
    problem = make_problem(domain, **{"unknowns": {"u": "scalar"}, "network": {"layers": [4]}, **sections})
    trial = make_trial(problem)
    return trial, make_objective(problem, trial)


def zeros(trial: Trial) -> Tensor:
    return torch.zeros(trial.network.size, dtype=torch.float64)


def free_entries(objective: Objective, residual: Tensor) -> Tensor:
    """Return the entries of a residual that belong to free test functions."""
    assert objective.test_space is not None
    return torch.cat([row[free] for row, free in zip(residual, map(torch.from_numpy, objective.test_space.free), strict=True)])


@pytest.mark.parametrize("name", CELLS)
def test_patch(name: str) -> None:
    """A linear function, which is the lift of its boundary values, solves Laplace's equation on any mesh."""
    mesh = CELLS[name]()
    linear, _ = HALF_PLANE[mesh.dimension]
    degree = {"curved hexahedra": 2, "hexahedra": 2}.get(name, 3)
    trial, objective = made(
        mesh,
        weak="inner(grad(u), grad(v))*dx",
        boundary=[{"on": "all", "value": linear}],
        test_space={"degree": degree},
        quadrature={"degree": 14},
    )
    residual = free_entries(objective, objective.residual(zeros(trial)))
    assert len(residual) > 0
    assert float(residual.abs().max()) <= 1e-12
    # and not because nothing is tested: the parameters move it
    theta = trial.network.initial(torch.Generator().manual_seed(1))
    assert float(free_entries(objective, objective.residual(theta)).abs().max()) > 1e-3


@pytest.mark.parametrize("name", CELLS)
def test_patch_with_natural_conditions(name: str) -> None:
    """∫∇g·∇v − ∫(∇g·n)v = 0 for a linear g and every test function, those on the boundary among them."""
    mesh = CELLS[name]()
    linear, slope = HALF_PLANE[mesh.dimension]
    flux = f"dot({slope}, n)" if mesh.dimension > 1 else "n[0]"
    trial, objective = made(
        mesh,
        expressions={"w": f"u + {linear}"},
        weak=f"inner(grad(w), grad(v))*dx - {flux}*v*ds",
        test_space={"degree": 2},
        quadrature={"degree": 14},
    )
    residual = objective.residual(zeros(trial))
    assert residual.shape == (1, objective.test_space.size)  # type: ignore[union-attr]
    assert float(residual.abs().max()) <= 1e-12


@pytest.mark.parametrize("name", ["triangles", "hexahedra", "curved quadrilaterals"])
def test_patch_of_elasticity(name: str) -> None:
    mesh = CELLS[name]()
    d = mesh.dimension
    shift = "as_vector([x + 2*y, 3*x - y])" if d == 2 else "as_vector([x + 2*y, 3*x - y + z, z - x])"
    trial, objective = made(
        mesh,
        unknowns={"u": "vector"},
        expressions={"w": f"u + {shift}", "s": f"sym(grad(w)) + 0.7*div(w)*Identity({d})"},
        weak="inner(s, sym(grad(v)))*dx - dot(dot(s, n), v)*ds",
        test_space={"degree": 2},
        quadrature={"degree": 12},
    )
    residual = objective.residual(zeros(trial))
    assert residual.shape[0] == d
    assert float(residual.abs().max()) <= 1e-12


def test_the_residual_of_the_truth_falls_with_the_degree_of_the_rule() -> None:
    """A manufactured solution on curved cells, with convection and tagged natural conditions."""
    truth, flux = "sin(2*x)*exp(y)", "(1 + x)*dot(grad(g), n)*v"
    sections = {
        "expressions": {"g": truth, "w": "u + g", "f": "-div((1 + x)*grad(g)) + Dx(g, 0) + g**3"},
        "weak": "((1 + x)*inner(grad(w), grad(v)) + Dx(w, 0)*v + w**3*v - f*v)*dx"
        f" - {flux}*ds('left', 'top') - {flux}*ds('right') - {flux}*ds('bottom')",
        "test_space": {"degree": 3},
    }
    sizes = []
    for degree in (4, 8, 12, 24):
        trial, objective = made(CELLS["curved triangles"](), **sections, quadrature={"degree": degree})
        sizes.append(float(objective.residual(zeros(trial)).abs().max()))
    assert sizes[0] > 1e-6
    assert sizes[1] < 0.1 * sizes[0]
    assert sizes[2] < 0.1 * sizes[1]
    assert sizes[3] <= 1e-13


def test_each_tag_has_its_own_term() -> None:
    """∫_tag v for the sum of all test functions, which is one, is the measure of the tag."""
    for tag, length in (("left", 1.0), ("top", 1.0), (("left", "bottom"), 2.0), ((), 4.0)):
        names = ", ".join(f"'{t}'" for t in ([tag] if isinstance(tag, str) else tag))
        measure = f"ds({names})" if names else "ds"
        trial, objective = made(rectangle(cells=2), weak=f"u*v*dx - v*{measure}", test_space={"degree": 2})
        assert float(objective.residual(zeros(trial)).sum()) == pytest.approx(-length, rel=1e-13)
    trial, objective = made(two_materials(), weak="u*v*dx - v*dx('wood') - 3*v*dx('steel')", test_space={"degree": 1})
    wood = float(np.isin(np.arange(18), two_materials().cell_tags["wood"]).mean())
    assert float(objective.residual(zeros(trial)).sum()) == pytest.approx(-wood - 3 * (1 - wood), rel=1e-13)


def test_components_stand_in_order() -> None:
    trial, objective = made(
        rectangle(cells=2),
        unknowns={"p": "scalar", "w": "vector"},
        weak="p*v*dx - 1*v*dx + inner(w, v_w)*dx - 2*v_w[0]*dx - 3*v_w[1]*ds",
        test_space={"degree": 1},
    )
    assert objective.residual(zeros(trial)).sum(dim=1).tolist() == pytest.approx([-1, -2, -12], rel=1e-13)


def test_the_loss_is_half_the_squared_error_in_the_energy_norm() -> None:
    """−Δu = f whose solution x(1 − x)y(1 − y) lies in the test space: ‖r(0)‖ = ‖∇u‖ = √(1/45)."""
    trial, objective = made(
        rectangle(cells=2, cell="quadrilateral"),
        weak="inner(grad(u), grad(v))*dx - 2*(x*(1 - x) + y*(1 - y))*v*dx",
        boundary=[{"on": "all", "value": 0}],
        test_space={"degree": 2},
    )
    assert objective.value(zeros(trial)) == pytest.approx(0.5 / 45, rel=1e-12)


@pytest.mark.parametrize("form", ["energy", "weak"])
@pytest.mark.parametrize("unknown", ["scalar", "vector"])
def test_nitsche_is_consistent(form: str, unknown: str) -> None:
    """At the solution its terms leave every residual, and the gradient of the energy, zero."""
    scalar = unknown == "scalar"
    truth = "sin(x)*y" if scalar else "as_vector([sin(x)*y, x**2 - y])"
    stress = "(1 + y)*grad(w)" if scalar else "sym(grad(w)) + 0.4*div(w)*Identity(2)"
    source = "-div((1 + y)*grad(g))" if scalar else "-div(sym(grad(g)) + 0.4*div(g)*Identity(2))"
    energy = "0.5*inner(s, grad(w))*dx" if scalar else "0.5*inner(s, sym(grad(w)))*dx"
    weak = "inner(s, grad(v))*dx" if scalar else "inner(s, sym(grad(v)))*dx"
    trial, objective = made(
        CELLS["curved quadrilaterals"](),
        unknowns={"u": unknown},
        expressions={"g": truth, "w": "u + g", "s": stress, "f": source},
        boundary=[{"on": "all", "value": 0 if scalar else [0, 0], "impose": "nitsche"}],
        quadrature={"degree": 24},
        **({"energy": energy + " - inner(f, w)*dx"} if form == "energy" else {"weak": weak + " - inner(f, v)*dx"}),
        **({"test_space": {"degree": 2}} if form == "weak" else {}),
    )
    assert [i.how for i in trial.imposed] == ["nitsche"] * trial.network.outputs
    theta = trial.network.initial(torch.Generator().manual_seed(3))
    width = trial.network.layers[-2] + 1
    theta[-width * trial.network.outputs :] = 0.0  # the last layer: u = 0, whatever the features
    if form == "weak":
        assert float(objective.residual(theta).abs().max()) <= 1e-12
    else:
        gradient = objective.gradient(theta)[1]
        assert float(gradient.abs().max()) <= 1e-10
        theta[-1] = 1.0
        assert float(objective.gradient(theta)[1].abs().max()) > 1


def test_boundary_terms_by_hand() -> None:
    """The constant u = c on the unit square against a value of zero: ½βc²·4 of a penalty, ½(γ/h)c²·4 of Nitsche with no flux."""
    c = 0.3
    values = {}
    for impose, weight in (("penalty", None), ("penalty", 7.0), ("nitsche", None), ("nitsche", 7.0)):
        condition = {"on": "all", "value": 0, "impose": impose} | ({} if weight is None else {"weight": weight})
        trial, objective = made(
            rectangle(cells=4, cell="quadrilateral"), energy="0.5*inner(grad(u), grad(u))*dx", boundary=[condition]
        )
        theta = zeros(trial)
        theta[-1] = c
        values[impose, weight] = objective.value(theta) / (0.5 * c**2 * 4)
    h = math.sqrt(2) / 4
    assert values == pytest.approx(
        {("penalty", None): 500 / math.sqrt(2), ("penalty", 7.0): 7.0, ("nitsche", None): 20 / h, ("nitsche", 7.0): 7.0 / h},
        rel=1e-12,
    )


@pytest.mark.parametrize("essential", [True, False])
def test_dual_norms(essential: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """G⁻¹ by a dense inverse and by a sparse factorisation, against a dense solve of its own."""
    space = LagrangeSpace(CELLS["curved quadrilaterals"](), 3)
    fixed = space.boundary_dofs(space.mesh.facets("all")) if essential else np.empty(0, np.int64)
    free = np.setdiff1d(np.arange(space.size), fixed)
    gram = (space.stiffness() if essential else space.stiffness() + space.mass()).toarray()[np.ix_(free, free)]
    r = torch.from_numpy(np.random.default_rng(0).normal(size=len(free)))
    expected = torch.from_numpy(np.linalg.solve(gram, r.numpy()))
    for limit in (10_000, 0):
        monkeypatch.setattr(test_space, "DENSE", limit)
        found = DualNorm(space, free, essential, HERE).riesz(r)
        assert (found - expected).abs().max() <= 1e-10 * expected.abs().max()
        single = DualNorm(space, free, essential, Placement(dtype=torch.float32)).riesz(r.float())
        assert single.dtype == torch.float32
        assert (single - expected).abs().max() <= 1e-3 * expected.abs().max()


def test_the_norm_holds_nitsches_stabilisation() -> None:
    """‖v‖² = ‖∇v‖² + (γ/h)‖v‖²_∂: the functional (γ/h)∫v over the boundary is represented by the constant one, whatever h."""
    for cells in (2, 5):
        trial, objective = made(
            rectangle(cells=cells, cell="quadrilateral"),
            weak="inner(grad(u), grad(v))*dx",
            boundary=[{"on": "all", "value": 1, "impose": "nitsche", "weight": 7.0}],
            test_space={"degree": 3},
        )
        assert objective.test_space is not None
        residual = objective.residual(zeros(trial))  # of u = 0: −(γ/h)∫v
        assert float(-residual.sum()) == pytest.approx(7.0 * 4 * cells / math.sqrt(2), rel=1e-12)
        assert (objective.test_space.riesz(residual) + 1.0).abs().max() <= 1e-10


def test_a_body_that_nothing_holds_has_the_norm_of_h1() -> None:
    """Two squares apart, one held on its boundary: ∫v over the other is represented by one there, as ‖1‖² = ∫1."""
    one = rectangle(cells=2, cell="quadrilateral")
    nodes = np.concatenate([one.nodes, one.nodes + np.array([3.0, 0.0])])
    space = LagrangeSpace(make_mesh(nodes, np.concatenate([one.cells, one.cells + len(one.nodes)]), one.cell, 1), 2)
    right = space.locations()[:, 0] > 2
    left = np.intersect1d(space.boundary_dofs(space.mesh.facets("all")), np.flatnonzero(~right))
    load = torch.from_numpy(space.mass() @ right.astype(float))
    found = TestSpace(space, (left,), HERE).riesz(load[None])[0].numpy()
    assert np.abs(found - right).max() <= 1e-12


def test_functions_left_out_stay_zero() -> None:
    space = LagrangeSpace(rectangle(cells=2), 2)
    left = space.boundary_dofs(space.mesh.facets("left"))
    tests = TestSpace(space, (left, np.empty(0, np.int64)), HERE)
    assert tests.size == 2 * space.size - len(left)
    found = tests.riesz(torch.ones(2, space.size, dtype=torch.float64))
    assert not found[0, left].any()
    assert found[0, np.setdiff1d(np.arange(space.size), left)].abs().min() > 0
    none = TestSpace(space, (np.arange(space.size),), HERE)
    with pytest.raises(InputError, match="no function left inside"):
        none.riesz(torch.ones(1, space.size, dtype=torch.float64))


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"weak": "div(grad(u))*div(grad(v))*dx"}, "integrate by parts"),
        ({"weak": "u*v*dx", "quadrature": {"rule": "sobol"}}, 'needs quadrature.rule = "gauss" or'),
        ({"strong": "div(grad(u))", "boundary": [{"on": "left", "value": 0, "impose": "nitsche"}]}, "Nitsche"),
    ],
)
def test_what_a_formulation_cannot_honour_is_refused(sections: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        made(rectangle(cells=2), **sections)
    assert "\n" not in str(caught.value)


def test_second_derivatives_of_a_mesh_distance_are_refused() -> None:
    mesh = CELLS["triangles"]()
    trial, objective = made(mesh, energy="div(grad(u))**2*dx", boundary=[{"on": "all", "value": 0}])
    with pytest.raises(InputError, match="use penalty or nitsche") as caught:
        objective.value(zeros(trial))
    assert "\n" not in str(caught.value)


def test_defaults() -> None:
    estimators = []
    for name, changed in (("weak: poisson", {}), ("energy: poisson", {}), ("weak: poisson", {"batch": {"estimator": "plain"}})):
        problem = problem_of(name, **changed)
        estimators.append(make_objective(problem, make_trial(problem)).estimator)
    assert estimators == ["two-batch", "plain", "plain"]
    _, objective = made(interval(cells=50), weak="inner(grad(u), grad(v))*dx", boundary=[{"on": "all", "value": 0}])
    assert objective.test_space is not None
    degree = objective.test_space.space.degree
    assert degree == 8  # 400 functions: a thousand are out of reach of degree 8
    assert objective.measures[0].points.degree == 2 * degree + 3  # type: ignore[attr-defined]
    assert objective.size == objective.measures[0].points.size
