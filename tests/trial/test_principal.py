"""Test principal parts of forms: energies, weak forms, tags, and forms that have none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from vpinn.domain import located_points, rectangle
from vpinn.problem import make_problem
from vpinn.trial.principal import principal_part

MESH = rectangle(cells=2)
PLACES = np.array([[0.2, 0.1], [0.8, 0.9]])
EXPRESSIONS = {
    "strain": "sym(grad(u))",
    "stress": "(1 + x)*tr(strain)*Identity(2) + 2*strain",
}


def test_energies_and_weak_forms_agree() -> None:
    """Plane strain with λ = 1 + x, μ = 1; terms of lower order and of the boundary are nothing."""
    unit = np.eye(2)
    energy = "0.5*inner(stress, strain)*dx + 0.5*inner(u, u)*dx - u[0]*ds"
    weak = "inner(stress, grad(v))*dx + u[0]*v[1]*dx + Dx(u[1], 0)*v[0]*dx - v[0]*ds"
    points, _ = located_points(MESH, PLACES)
    shear = np.einsum("ik,ab->iakb", unit, unit) + np.einsum("ib,ak->iakb", unit, unit)
    for form in ({"energy": energy}, {"weak": weak}):
        found = principal_part(make_problem(MESH, unknowns={"u": "vector"}, expressions=EXPRESSIONS, **form), points)
        assert found is not None
        expected = [(1 + x) * np.einsum("ia,kb->iakb", unit, unit) + shear for x in PLACES[:, 0]]
        assert np.allclose(found, expected, rtol=1e-15)


def test_nonlinear_and_tagged() -> None:
    """(1 + u² + |∇u|²)∇u is ∇u at u = 0; on tagged cells three times as much."""
    middle = MESH.nodes[MESH.vertices].mean(axis=1)
    mesh = replace(MESH, cell_tags={"right": np.flatnonzero(middle[:, 0] > 0.5)})
    flux = "inner((1 + u**2 + inner(grad(u), grad(u)))*grad(u), grad(v))"
    problem = make_problem(mesh, unknowns={"u": "scalar"}, weak=f"{flux}*dx + 2*inner(grad(u), grad(v))*dx('right')")
    found = principal_part(problem, located_points(mesh, PLACES)[0])
    assert found is not None
    assert np.allclose(found[:, 0, :, 0], [np.eye(2), 3 * np.eye(2)], rtol=1e-15)


def test_equations() -> None:
    """Plane strain with λ = 1 + x, μ = 1, symmetric in both derivatives, and a scalar equation with mixed ones."""
    points, _ = located_points(MESH, PLACES)
    found = principal_part(make_problem(MESH, unknowns={"u": "vector"}, expressions=EXPRESSIONS, strong="-div(stress)"), points)
    unit = np.eye(2)
    assert found is not None
    mixed = (np.einsum("ia,kb->iakb", unit, unit) + np.einsum("ib,ak->iakb", unit, unit)) / 2
    expected = [(2 + x) * mixed + np.einsum("ik,ab->iakb", unit, unit) for x in PLACES[:, 0]]
    assert np.allclose(found, expected, rtol=1e-15)
    scalar = make_problem(MESH, unknowns={"u": "scalar"}, strong="3*Dx(u, 0, 0) + Dx(u, 0, 1) + x*Dx(u, 1, 1) + u**2 - 1")
    found = principal_part(scalar, points)
    assert found is not None
    assert np.allclose(found[:, 0, :, 0], [[[-3, -0.5], [-0.5, -x]] for x in PLACES[:, 0]], rtol=1e-15)


@pytest.mark.parametrize(
    "form",
    [
        {"strong": "-div(grad(u)/x)"},
        {"weak": "div(grad(u))*v*dx"},
        {"weak": "inner(grad(u)/x, grad(v))*dx"},
        {"energy": "ln(inner(grad(u), grad(u)))*dx"},
    ],
    ids=["not finite equations", "second derivatives", "not finite", "no value at zero"],
)
def test_forms_without(form: dict[str, str]) -> None:
    problem = make_problem(MESH, unknowns={"u": "scalar"}, **form)  # type: ignore[arg-type]
    assert principal_part(problem, located_points(MESH, np.zeros((1, 2)))[0]) is None
