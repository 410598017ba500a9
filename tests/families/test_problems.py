"""The worked families against what others know: scikit-fem, plane waves, and the torsion constants of rectangles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import vpinn
from vpinn.domain import gauss

FOLDER = Path(__file__).parents[2] / "problems"


def solved(name: str, tolerance: float) -> vpinn.Solution:
    return vpinn.solve(vpinn.read_problem(FOLDER / f"{name}.toml", [f"solver.tolerance={tolerance}"]))


@pytest.mark.slow
def test_thermal_block_agrees_with_scikit_fem() -> None:
    skfem = pytest.importorskip("skfem")
    from skfem.models.poisson import laplace

    solution = solved("thermal_block", 2e-3)
    mesh = skfem.MeshQuad.init_tensor(np.linspace(0, 1, 17), np.linspace(0, 1, 17)).with_boundaries(
        {"bottom": lambda x: x[1] < 1e-9, "top": lambda x: x[1] > 1 - 1e-9}
    )
    left = np.flatnonzero(mesh.p[0, mesh.t].mean(axis=0) < 0.5)
    right = np.flatnonzero(mesh.p[0, mesh.t].mean(axis=0) > 0.5)
    element = skfem.ElementQuad2()
    whole = [skfem.asm(laplace, skfem.Basis(mesh, element, elements=cells)) for cells in (left, right)]
    bottom, top = (skfem.FacetBasis(mesh, element, facets=name) for name in ("bottom", "top"))
    heat = skfem.LinearForm(lambda v, w: v).assemble(bottom)
    loss = skfem.BilinearForm(lambda u, v, w: u * v).assemble(top)
    for k, b in ((0.1, 2.0), (7.0, 0.3)):
        field = skfem.solve(k * whole[0] + whole[1] + b * loss, heat)
        member = solution.member({"k": k, "b": b})
        places = skfem.Basis(mesh, element).doflocs.T
        gap = member.evaluate(places)["u"] - field
        assert np.linalg.norm(gap) <= 1e-3 * np.linalg.norm(field)
        assert member.error_estimate["relative_bound"] <= 2e-3


@pytest.mark.slow
def test_plane_waves_are_met_within_their_bound() -> None:
    solution = solved("plane_waves", 1e-2)
    for values in ({"k": 1.0, "phi": 0.8}, {"k": 3.7, "phi": 0.31}):
        member = solution.member(values)
        assert member.errors["a"]["relative_h1"] <= member.error_estimate["relative_bound"] <= 1e-2


@pytest.mark.slow
def test_twisted_rectangles_have_the_torsion_constants_of_the_handbook() -> None:
    solution = solved("twisted_bars", 5e-3)
    rule = gauss("quadrilateral", 20)
    for width, constant in ((1.0, 0.1406), (2.0, 2 * 0.2287)):
        member = solution.member({"r": width, "s": 0.0})
        found = 2 * width * rule.weights @ member.evaluate(np.asarray(rule.points))["u"]
        assert found == pytest.approx(constant, abs=1.5e-4)
