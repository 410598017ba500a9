"""Test the orders of convergence on every cell type, straight and curved, with an absolute bound for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest

from tests.objective.cases import bent, skewed
from vpinn.domain import Mesh, box, rectangle, refine
from vpinn.finite_elements import solve_fem
from vpinn.problem import make_problem


def halved(mesh: Mesh, n: int) -> Mesh:
    return refine(mesh) if n == 2 else mesh


MESHES: Mapping[str, Callable[[int], Mesh]] = {
    "triangles": lambda n: halved(skewed(rectangle(cells=4), 0.05), n),
    "quadrilaterals": lambda n: halved(skewed(rectangle(cells=3, cell="quadrilateral"), 0.05), n),
    "tetrahedra": lambda n: box(cells=2 * n),
    "hexahedra": lambda n: box(cells=2 * n, cell="hexahedron"),
    "curved triangles": lambda n: bent(rectangle(cells=4 * n)),
    "curved quadrilaterals": lambda n: bent(rectangle(cells=3 * n, cell="quadrilateral")),
    "curved tetrahedra": lambda n: bent(box(cells=2 * n), 0.03),
    "curved hexahedra": lambda n: bent(box(cells=2 * n, cell="hexahedron"), 0.03),
}
"""Meshes of cells of size h = 1/n; refined tetrahedra are of other shapes than their parents, which blurs orders."""
BOUNDS = (3e-2, 6e-4, 2e-5, 6e-7)
"""Relative L² error on the finer mesh, by degree."""


@pytest.mark.parametrize(
    ("kind", "degree"),
    [
        pytest.param(kind, degree, marks=() if degree in (1, most) else pytest.mark.slow)
        for kind in MESHES
        for most in (3 if "hedra" in kind else 4,)
        for degree in (1, 2, 3, 4)
    ],
)
def test_orders(kind: str, degree: int) -> None:
    """Degree p: p + 1 in L² and p in H¹, to ±0.1; diffusion that varies, convection, reaction, values on the boundary."""
    errors = []
    for n in (1, 2):
        mesh = MESHES[kind](n)
        problem = make_problem(
            mesh,
            unknowns={"u": "scalar"},
            expressions={
                "truth": "sin(2*x + y)*exp(y)" if mesh.dimension == 2 else "sin(x + y + z/2)*exp(z/2)",
                "k": "1 + x*y/2",
                "f": "-div(k*grad(truth)) + Dx(truth, 0) + truth",
            },
            weak="inner(k*grad(u), grad(v))*dx + (Dx(u, 0) + u - f)*v*dx",
            boundary=[{"on": "all", "value": "truth"}],
            reference={"exact": {"u": "truth"}},
        )
        found = solve_fem(problem, degree)
        assert found.steps == 1
        errors.append([found.errors["u"][name] for name in ("relative_l2", "relative_h1")])
    np.testing.assert_allclose(np.log2(np.array(errors[0]) / errors[1]), [degree + 1, degree], atol=0.1)
    assert errors[1][0] <= BOUNDS[degree - 1]
