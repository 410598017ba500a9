"""Test the rows of the curvature against gradients, differences and the exact second derivative of integrands."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from torch import Tensor

import vpinn
from vpinn.errors import InputError
from vpinn.objective import Objective, curvature, make_objective
from vpinn.placement import Placement
from vpinn.sampling import make_sampler
from vpinn.trial import make_trial

from .cases import CASES, make

LOW = [name for name in CASES if name != "strong: third order"]
SQUARES = [name for name in LOW if not name.startswith("energy")]
ENERGIES = [name for name in LOW if name.startswith("energy")]


def direction(theta: Tensor, seed: int = 3) -> Tensor:
    found = torch.randn(len(theta), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return found / torch.linalg.vector_norm(found)


@pytest.mark.parametrize("name", SQUARES)
def test_rows_of_squares_are_derivatives_of_what_is_squared(name: str) -> None:
    """J = ½Σ sρ², ∇J = Σ sρa, and ρ(θ + hδ) − ρ(θ − hδ) = 2h Aδ + O(h³)."""
    _, objective, theta = make(name)
    found = curvature(objective, theta)
    assert found.residual is not None
    value, gradient = objective.gradient(theta)
    assert 0.5 * float(found.signs @ found.residual**2) == pytest.approx(value, rel=1e-10)
    expected = found.rows.T @ (found.signs * found.residual)
    assert (gradient - expected).abs().max() <= 1e-9 * expected.abs().max()
    assert (found.image(theta) - found.residual).abs().max() <= 1e-12 * found.residual.abs().max()
    delta = direction(theta)
    slope = found.rows @ delta
    errors = []
    for h in (0.02, 0.01):
        central = (found.image(theta + h * delta) - found.image(theta - h * delta)) / (2 * h)
        errors.append(float((central - slope).abs().max()))
    assert errors[1] <= 0.27 * errors[0] or errors[1] <= 1e-8 * float(slope.abs().max())


def test_lengths_leave_the_curvature_of_an_energy_as_it_is() -> None:
    """Micrometres and gigametres: jets have units, 1/L apart, but G is the same; no eigenvalue is lost beside larger ones."""

    def gram(length: float) -> Tensor:
        problem = vpinn.make_problem(
            {"shape": "rectangle", "upper": [2 * length, length], "cells": [2, 2]},
            unknowns={"u": "scalar"},
            constants={"L": length},
            energy="0.5*(1 + x/L)*inner(grad(u), grad(u))*dx + 0.5*(u/L)**2*dx",
            boundary=[{"on": "all", "value": 0}],
        )
        trial = make_trial(problem, layers=(3,))
        theta = trial.network.initial(torch.Generator().manual_seed(1))
        return curvature(make_objective(problem, trial), theta).gram

    expected = gram(1.0)
    for length in (1e-9, 1e-6, 1e9):
        assert torch.allclose(gram(length), expected, rtol=0.0, atol=1e-11 * float(expected.diagonal().max()))


@pytest.mark.parametrize("name", SQUARES)
def test_rows_of_a_batch_are_those_of_its_own_square(name: str) -> None:
    """½Σ sρ² and Σ sρa over drawn points: J and ∇J of the batch, to rounding."""
    _, objective, theta = make(name)
    generator = np.random.default_rng(0)
    draws = [make_sampler("uniform", m.points, min(20, m.points.size)).draw(generator) for m in objective.batched]
    batch = [(m, m.batch(*draw)) for m, draw in zip(objective.batched, draws, strict=True)]
    found = curvature(objective, theta, batch)
    assert found.residual is not None
    value, gradient = objective.sampled(theta, batch)
    assert 0.5 * float(found.signs @ found.residual**2) == pytest.approx(value, rel=1e-10)
    assert (gradient - found.rows.T @ (found.signs * found.residual)).abs().max() <= 1e-9 * gradient.abs().max()
    assert (found.image(theta) - found.residual).abs().max() <= 1e-12 * found.residual.abs().max()


@pytest.mark.parametrize("name", ["energy: nonlinear", "weak: convection and reaction", "strong: system"])
def test_the_quadratic_model_is_of_third_order(name: str) -> None:
    """½‖y(θ + hδ) − y(θ)‖² = ½h² δᵀGδ + O(h³), y what the rows are derivatives of: order ≥ 2.9 between h and h/2."""
    _, objective, theta = make(name)
    delta = direction(theta)
    found = curvature(objective, theta)
    assert (found.signs > 0).all()
    start, curved = found.image(theta), float(delta @ found.gram @ delta)
    steps = (2e-3, 1e-3)
    errors = [abs(0.5 * float(((found.image(theta + h * delta) - start) ** 2).sum()) - 0.5 * h**2 * curved) for h in steps]
    assert math.log2(errors[0] / errors[1]) >= 2.9


@pytest.mark.parametrize("name", ENERGIES)
def test_curvature_of_energies_is_that_of_the_density_along_the_jets(name: str) -> None:
    """δᵀGδ = d²/dh² ∫ℓ(jets + h Jδ), the jets moved along a straight line: Jδ by central differences."""
    _, objective, theta = make(name)
    delta = direction(theta)
    found = curvature(objective, theta)
    assert found.residual is None
    expected = 0.0
    for measure in objective.measures:
        for points in measure.whole(10_000):
            places = (theta, theta + 1e-5 * delta, theta - 1e-5 * delta)
            jets, ahead, behind = (measure.network.jets(t, points.x, measure.derivatives) for t in places)
            step = torch.zeros((), dtype=torch.float64, requires_grad=True)
            moved = [jets[k] + step * (ahead[k] - behind[k]) / 2e-5 for k in measure.keys]
            density = measure.tape.moving([*points.fixed, *moved])[0]
            total = (points.w * density).sum()
            if total.requires_grad:
                (first,) = torch.autograd.grad(total, step, create_graph=True)
                if first.requires_grad:
                    expected += float(torch.autograd.grad(first, step)[0])
    along = found.rows @ delta
    assert float(found.signs @ along**2) == pytest.approx(expected, rel=1e-6, abs=1e-9)
    assert float(delta @ found.gram @ delta) == pytest.approx(expected, rel=1e-6, abs=1e-9)
    slope = (found.image(theta + 1e-5 * delta) - found.image(theta - 1e-5 * delta)) / 2e-5
    assert (slope - along).abs().max() <= 1e-6 * along.abs().max()


def test_rows_that_do_not_fit_are_summed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same G, to 1e-13, with and without keeping rows."""
    for name in ("energy: nitsche", "strong: poisson"):
        _, objective, theta = make(name)
        kept = curvature(objective, theta)
        with monkeypatch.context() as patch:
            patch.setitem(curvature.__globals__, "ROWS_BYTES", 0.0)
            summed = curvature(objective, theta)
        assert len(summed.rows) == 0
        assert (summed.gram - kept.gram).abs().max() <= 1e-13 * kept.gram.abs().max()


def test_nitsche_has_rows_of_either_sign() -> None:
    _, objective, theta = make("energy: nitsche")
    assert set(curvature(objective, theta).signs.tolist()) >= {-1.0, 1.0}


def test_drawn_points_estimate_the_curvature_without_bias() -> None:
    """The mean of δᵀGδ over 100 batches lies within four standard errors of that of all points."""
    _, objective, theta = make("strong: poisson")
    delta = direction(theta)
    exact = float(delta @ curvature(objective, theta).gram @ delta)
    generator = np.random.default_rng(0)
    for name in ("uniform", "stratified"):
        sampler = make_sampler(name, objective.measures[0].points, 12)
        found = []
        for _ in range(100):
            parts = [(objective.measures[0], objective.measures[0].batch(*sampler.draw(generator)))]
            drawn = curvature(objective, theta, parts)
            assert drawn.rows.shape == (12, len(theta))
            found.append(float(drawn.signs @ (drawn.rows @ delta) ** 2))
        error = np.std(found) / math.sqrt(len(found))
        assert abs(np.mean(found) - exact) <= 4 * error
        assert error <= 0.15 * exact


def test_threads_change_nothing() -> None:
    _, objective, theta = make("weak: convection and reaction")
    other: Objective = dataclasses.replace(objective, placement=Placement(threads=3))
    one, two = curvature(objective, theta), curvature(other, theta)
    assert (one.gram - two.gram).abs().max() <= 1e-13 * one.gram.abs().max()


def test_third_derivatives_are_refused() -> None:
    _, objective, theta = make("strong: third order")
    with pytest.raises(InputError, match="up to order two only"):
        curvature(objective, theta)
