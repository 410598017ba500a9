"""Test gradients of single points and Hessian products against independent computations, on problems of every kind."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from objective.cases import CASES, make

from vpinn.errors import InputError
from vpinn.noise.gradients import point_gradients
from vpinn.optimization.spectrum import difference_product, leading, matrix

ORDER_TWO = sorted(name for name in CASES if name != "strong: third order")


@pytest.mark.parametrize("name", ORDER_TWO)
def test_they_add_up_to_the_derivative_by_all_weights(name: str) -> None:
    """Of (1 + ε)∫ density it is ∇J, of ½(1 + ε)²‖r‖² twice that: a central difference is exact."""
    _, objective, theta = make(name)
    parts = list(point_gradients(objective, theta))
    indices = [np.arange(m.points.size) for m in objective.measures]
    more, less = (
        objective.sampled(theta, [(m, m.batch(i, np.full(len(i), f))) for m, i in zip(objective.measures, indices, strict=True)])
        for f in (1.5, 0.5)
    )
    gradient = more[1] - less[1]
    total = sum(part.sum(0) for _, _, part in parts)
    assert (total - gradient).abs().max() <= 1e-11 * gradient.abs().max()
    assert sum(len(part) for _, _, part in parts) == objective.size


@pytest.mark.parametrize("name", ["energy: nonlinear", "energy: elasticity with tags", "strong: system"])
def test_of_a_density_they_are_those_of_single_points(name: str) -> None:
    _, objective, theta = make(name)
    for k, start, gradients in point_gradients(objective, theta):
        for row in (0, len(gradients) // 2):
            points = objective.measures[k].batch(np.array([start + row]), np.ones(1))
            _, one = objective.sampled(theta, [(objective.measures[k], points)])
            assert (gradients[row] - one).abs().max() <= 1e-12 * (1 + one.abs().max())


@pytest.mark.parametrize("name", ["weak: convection and reaction", "weak: stokes", "weak: nitsche"])
def test_of_a_weak_form_they_are_the_derivative_by_a_points_weight(name: str) -> None:
    """∇J with the weight of one point raised by ε is ∇J + εsᵢ + O(ε²): by central differences of the estimates themselves."""
    _, objective, theta = make(name)
    whole = [(m, m.batch(np.arange(m.points.size), np.ones(m.points.size))) for m in objective.measures]
    for k, start, gradients in point_gradients(objective, theta):
        row, slopes = len(gradients) // 3, []
        for sign in (1, -1):
            scale = np.ones(objective.measures[k].points.size)
            scale[start + row] += sign * 1e-3
            changed = list(whole)
            changed[k] = (objective.measures[k], objective.measures[k].batch(np.arange(len(scale)), scale))
            slopes.append(objective.sampled(theta, changed)[1])
        difference = (slopes[0] - slopes[1]) / 2e-3
        assert (gradients[row] - difference).abs().max() <= 1e-8 * (1e-3 + difference.abs().max())


@pytest.mark.parametrize("name", ORDER_TWO)
def test_hessian_products_by_taylor(name: str) -> None:
    """J(θ + hv) + J(θ − hv) − 2J(θ) − h²vᵀHv falls like h⁴, and the product is symmetric."""
    _, objective, theta = make(name)
    generator = torch.Generator().manual_seed(8)
    v, w = (torch.randn(len(theta), generator=generator, dtype=torch.float64) for _ in range(2))
    v, product = v / v.norm(), difference_product(objective.gradient, theta)
    hv, hw = product(v), product(w)
    assert float(w @ hv) == pytest.approx(float(v @ hw), rel=1e-6, abs=1e-8 * float(hv.norm()))
    values, bent = [objective.value(theta + s * v) for s in (-8e-2, -4e-2, 0.0, 4e-2, 8e-2)], float(v @ hv)
    wide, narrow = (values[4] + values[0] - 2 * values[2]) / 6.4e-3, (values[3] + values[1] - 2 * values[2]) / 1.6e-3
    assert (4 * narrow - wide) / 3 == pytest.approx(bent, rel=2e-3, abs=1e-3 * float(hv.norm()))


@pytest.mark.parametrize("name", ["energy: poisson", "weak: poisson"])
def test_spectra(name: str) -> None:
    _, objective, theta = make(name)
    product, size = difference_product(objective.gradient, theta), len(theta)
    values = np.linalg.eigvalsh(matrix(product, size))
    values = values[np.argsort(-np.abs(values))]
    exact = leading(product, size, 5, np.random.default_rng(0))
    assert exact.values == pytest.approx(values[:5], rel=1e-10)
    lanczos = leading(product, size, 3, np.random.default_rng(0), steps=min(size, 30))
    assert (np.abs(lanczos.values - values[:3]) <= lanczos.residuals + 1e-7 * abs(values[0])).all()
    assert lanczos.values[0] == pytest.approx(values[0], rel=1e-7)
    u = torch.from_numpy(lanczos.vectors[:, 0].copy())
    assert (product(u) - lanczos.values[0] * u).norm() <= 1e-6 * abs(values[0])


def test_what_cannot_be_had_is_refused() -> None:
    _, objective, theta = make("energy: poisson")
    with pytest.raises(InputError, match="a spectrum of 1000 eigenvalues was asked for, but the network has 59 weights"):
        leading(difference_product(objective.gradient, theta), len(theta), 1000, np.random.default_rng(0))
    _, objective, theta = make("strong: third order")
    with pytest.raises(InputError, match="up to order 2, and this form has order 3"):
        next(point_gradients(objective, theta))
