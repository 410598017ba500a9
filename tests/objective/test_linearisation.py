"""Test the residual as rows, and its derivative by the last layer, against value and gradient of the objective."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
import ufl

from vpinn.domain import LagrangeSpace, rectangle
from vpinn.errors import InputError
from vpinn.objective import DualNorm, TestSpace, linearisation, make_objective, whitening
from vpinn.objective.linearisation import linearise
from vpinn.placement import HERE
from vpinn.problem import Weak, make_problem
from vpinn.sampling import make_sampler
from vpinn.trial import make_trial

from .cases import CASES, CELLS, make, start


class Stack(linearisation.Triangle):
    """Keeps all rows unreduced, so that rows at neighbouring parameters can be subtracted; triangular factors cannot."""

    def add(self, rows: np.ndarray) -> None:
        self._waiting.append(rows)

    def reduced(self) -> np.ndarray:
        return np.concatenate(self._waiting)


SQUARES = [name for name in CASES if not name.startswith("energy") and name != "strong: third order"]


@pytest.mark.parametrize("name", SQUARES)
def test_rows_are_the_objective_and_columns_its_derivative(name: str) -> None:
    """J = ½‖ρ‖², and columnsᵀρ is the part of ∇J that belongs to the last layer."""
    trial, objective, theta = make(name, network={"layers": [7]})
    rows = linearise(objective, trial.network, theta)
    value, gradient = objective.gradient(theta)
    assert 0.5 * float(rows.residual @ rows.residual) == pytest.approx(value, rel=1e-10)
    outputs, width = trial.network.outputs, 8
    assert rows.columns.shape == (len(rows.residual), outputs * width)
    weight, bias = trial.network.unpack(gradient)[-1]
    expected = torch.cat([weight, bias[:, None]], 1).reshape(-1).numpy()
    found = rows.columns.T @ rows.residual
    assert np.abs(found - expected).max() <= 1e-9 * np.abs(expected).max()


@pytest.mark.parametrize("rule", ["gauss", "stochastic-gauss"])
def test_interior_tests_seen_from_the_boundary(rule: str) -> None:
    """Slopes of interior functions do not vanish on the boundary; points of random rules are no whole cells."""
    problem = make_problem(
        CELLS["triangles"](),
        unknowns={"u": "scalar"},
        weak="inner(grad(u), grad(v))*dx - v*dx - dot(grad(v), n)*(u - x)*ds + 40*(u - x)*v*ds",
        network={"layers": [7]},
        test_space={"degree": 4},
        quadrature={"rule": rule},
    )
    trial = make_trial(problem)
    objective, theta = make_objective(problem, trial), start(trial)
    rows = linearise(objective, trial.network, theta)
    value, gradient = objective.gradient(theta)
    weight, bias = trial.network.unpack(gradient)[-1]
    expected = torch.cat([weight, bias[:, None]], 1).reshape(-1).numpy()
    assert 0.5 * float(rows.residual @ rows.residual) == pytest.approx(value, rel=1e-10)
    assert np.abs(rows.columns.T @ rows.residual - expected).max() <= 1e-9 * np.abs(expected).max()


@pytest.mark.parametrize("name", ["weak: poisson", "weak: materials", "strong: system", "weak: nitsche"])
def test_columns_against_differences(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linearisation, "Triangle", Stack)
    trial, objective, theta = make(name, network={"layers": [5]})
    rows = linearise(objective, trial.network, theta)
    generator = np.random.default_rng(0)
    change = generator.normal(size=rows.columns.shape[1])
    errors = []
    for h in (1e-2, 5e-3):
        sides = []
        for sign in (1, -1):
            moved = theta.clone()
            weight, bias = trial.network.unpack(moved)[-1]
            block = torch.from_numpy(sign * h * change).view(trial.network.outputs, -1)
            weight += block[:, :-1]
            bias += block[:, -1]
            sides.append(linearise(objective, trial.network, moved).residual)
        slope = (sides[0] - sides[1]) / (2 * h)
        errors.append(np.abs(slope - rows.columns @ change).max() / np.abs(slope).max())
    linear = name in ("weak: poisson", "weak: nitsche")
    assert errors[1] <= (1e-9 if linear else 1e-4)
    assert linear or errors[1] <= 0.3 * errors[0]


def test_products_of_drawn_columns_are_unbiased() -> None:
    """E RᵀR = AᵀA for the triangle of a batch: of the entries, the means over 80 batches of 24 points, ± 4.5 standard errors."""
    trial, objective, theta = make("strong: system", network={"layers": [3]})
    whole = linearise(objective, trial.network, theta)
    expected = whole.columns.T @ whole.columns
    generator, samplers = np.random.default_rng(4), [make_sampler("stratified", m.points, 24) for m in objective.batched]
    found = []
    for _ in range(80):
        batch = [(m, m.batch(*s.draw(generator))) for m, s in zip(objective.batched, samplers, strict=True)]
        columns = linearise(objective, trial.network, theta, batch).columns
        found.append(columns.T @ columns)
    mean, error = np.mean(found, axis=0), np.std(found, axis=0, ddof=1) / np.sqrt(80)
    rounding = 1e-12 * np.abs(expected).max()
    assert (np.abs(mean - expected) <= 4.5 * error + rounding).all()
    assert error.max() >= 1e6 * rounding


def test_every_fourth_point_stands_for_four() -> None:
    """Thinned points: weights four times as large."""
    _, objective, _ = make("strong: system", network={"layers": [3]})
    (measure, *_) = objective.measures
    parts = list(measure.thinned(8, 4))
    assert sum(len(p.w) for p in parts) == -(-measure.points.size // 4)
    whole = next(iter(measure.whole(measure.points.size)))
    assert torch.equal(torch.cat([p.w for p in parts]), 4 * whole.w[::4])
    assert torch.equal(torch.cat([p.x for p in parts]), whole.x[::4])


def test_an_energy_has_no_rows() -> None:
    trial, objective, theta = make("energy: poisson", network={"layers": [5]})
    with pytest.raises(InputError, match="least squares needs a weak or a strong form"):
        linearise(objective, trial.network, theta)


@pytest.mark.parametrize("essential", [True, False])
def test_whitened_columns_have_the_dual_norm(essential: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a dense and by a sparse factor: all products of columns are those with G⁻¹."""
    space = LagrangeSpace(CELLS["curved quadrilaterals"](), 3)
    fixed = space.boundary_dofs(space.mesh.facets("all")) if essential else np.empty(0, np.int64)
    free = np.setdiff1d(np.arange(space.size), fixed)
    columns = np.random.default_rng(0).normal(size=(space.size, 4))
    for limit in (10_000, 0):
        monkeypatch.setattr(whitening, "DENSE_FACTOR", limit)
        norm = DualNorm(space, free, essential, HERE)
        white = norm.whitening(torch.from_numpy(columns)).numpy()
        assert white.shape == (len(free), 4)
        products = columns[free].T @ np.stack([norm.riesz(torch.from_numpy(c.copy())).numpy() for c in columns[free].T], axis=1)
        assert np.abs(white.T @ white - products).max() <= 1e-10 * np.abs(products).max()


def test_components_are_whitened_one_by_one() -> None:
    space = LagrangeSpace(rectangle(cells=2), 2)
    left = space.boundary_dofs(space.mesh.facets("left"))
    tests = TestSpace(space, (left, np.empty(0, np.int64)), HERE)
    r = torch.from_numpy(np.random.default_rng(0).normal(size=(2, space.size)))
    white = tests.whiten(r[:, :, None])
    assert white.shape == (tests.size, 1)
    assert float((white**2).sum()) == pytest.approx(float((r * tests.riesz(r)).sum()), rel=1e-12)


BY_HAND: list[tuple[dict[str, Any], str]] = [
    (
        {"energy": "(0.5*(1 + x)*inner(grad(u), grad(u)) + 0.25*u**4 - y*u)*dx - 0.5*u**2*ds('top')"},
        "((1 + x)*inner(grad(u), grad(v)) + u**3*v - y*v)*dx - u*v*ds('top')",
    ),
    ({"strong": "-div(grad(u)) + u**2 - x"}, "(-div(grad(u)) + u**2 - x)*v*dx"),
    ({"weak": "u*v*dx - inner(grad(u), grad(v))*dx"}, "u*v*dx - inner(grad(u), grad(v))*dx"),
]


@pytest.mark.parametrize(("sections", "weak"), BY_HAND)
def test_variations_by_hand(sections: dict[str, Any], weak: str) -> None:
    common: dict[str, Any] = {"unknowns": {"u": "scalar"}, "network": {"layers": [5]}, "boundary": [{"on": "left", "value": 0}]}
    problem = make_problem(rectangle(cells=2), **common, **sections)
    residuals = []
    for form in (lambda names: problem.variation, weak):
        stated = make_problem(rectangle(cells=2), **common, weak=weak, test_space={"degree": 3}, quadrature={"degree": 9})
        if callable(form):
            u, v = problem.unknowns[0], stated.unknowns[0]
            replaced = ufl.replace(form(None), {u.function: v.function, u.test: v.test, problem.symbols.x: stated.symbols.x})
            stated = dataclasses.replace(stated, formulation=Weak(replaced))
        trial = make_trial(stated)
        residuals.append(make_objective(stated, trial).residual(start(trial)))
    assert residuals[1].abs().max() > 1e-3
    assert (residuals[0] - residuals[1]).abs().max() <= 1e-13 * residuals[1].abs().max()


@pytest.mark.parametrize("sizes", [[3], [40, 7, 500, 1], [4000, 4000]])
def test_streamed_rows_have_the_same_products(sizes: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that never stand in memory together: RᵀR = AᵀA and the least-squares solution to 1e-10, at most 2k + k rows held."""
    monkeypatch.setattr("vpinn.objective.triangle.CHUNK_BYTES", 1e3)
    generator, width = np.random.default_rng(0), 12
    blocks = [generator.normal(size=(n, width)) * np.logspace(-6, 6, width) for n in sizes]
    triangle, most = linearisation.Triangle(width), 0
    for block in blocks:
        triangle.add(block)
        most = max(most, triangle.kept)
    reduced, dense = triangle.reduced(), np.concatenate(blocks)
    assert most <= 3 * width
    assert len(reduced) <= max(width, sizes[0])
    scale = np.linalg.norm(dense, axis=0)
    assert np.abs(reduced.T @ reduced / np.outer(scale, scale) - dense.T @ dense / np.outer(scale, scale)).max() <= 1e-12
    if len(dense) > width:
        ours, theirs = (
            np.linalg.lstsq(rows[:, 1:] / scale[1:], rows[:, 0] / scale[0], rcond=None)[0] for rows in (reduced, dense)
        )
        assert np.abs(ours - theirs).max() <= 1e-10 * np.abs(theirs).max()
