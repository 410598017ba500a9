"""The Hessian of an objective without forming it: exact products, and its trace (Hutchinson)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from vpinn.noise.gradients import chunks, integrands, streams
from vpinn.objective import Objective
from vpinn.objective.measure import Measure, Prepared, integral
from vpinn.optimization.spectrum import Product


def hessian_product(objective: Objective, theta: Tensor) -> Product:
    """Return v ↦ Hv for the Hessian of J at θ over all points, exact to rounding.

    A density takes reverse over reverse mode. Of ½rᵀG⁻¹r, H = JᵀG⁻¹J + Σ_j y_j ∇²r_j with y = G⁻¹r: Jv by two
    reverse sweeps first, then both terms by two more.

    Args:
        objective: of forms up to order two.
        theta: parameters [size].
    """
    space = objective.test_space
    dual = None if space is None else space.riesz(objective.residual(theta))

    def product(v: Tensor) -> Tensor:
        moved = None if space is None else space.riesz(_residual_along(objective, theta, v))
        result = torch.zeros_like(theta)
        for _, _, measure, points in chunks(objective):
            leaf = theta.detach().requires_grad_()
            density, residual = _terms(objective, measure, points, leaf)
            value = integral(points.w, density)
            if residual is not None and dual is not None:
                value = value + (residual * dual).sum()
            if not value.requires_grad:
                continue
            (slope,) = torch.autograd.grad(value, leaf, create_graph=True)
            along = (slope * v).sum()
            if along.requires_grad:
                result += torch.autograd.grad(along, leaf, retain_graph=True)[0]
            if residual is not None and residual.requires_grad and moved is not None:
                result += torch.autograd.grad((residual * moved).sum(), leaf)[0]
        return result

    return product


def _terms(objective: Objective, measure: Measure, points: Prepared, theta: Tensor) -> tuple[Tensor | float, Tensor | None]:
    density, coefficients = integrands(measure, points, streams(measure.network, theta, points.x, measure.derivatives))
    if not measure.tests or measure.contraction is None or points.frame is None:
        return density, None
    residual = measure.contraction.assemble(
        measure.tests, coefficients, points.w, points.frame, points.aligned, objective.outputs
    )
    return density, residual


def _residual_along(objective: Objective, theta: Tensor, v: Tensor) -> Tensor:
    """Return Jv [outputs, space.size]: the derivative of vᵀJᵀu by u, which is linear in u."""
    total: Tensor | None = None
    for _, _, measure, points in chunks(objective):
        leaf = theta.detach().requires_grad_()
        _, residual = _terms(objective, measure, points, leaf)
        if residual is None or not residual.requires_grad:
            continue
        u = torch.zeros_like(residual).requires_grad_()
        (pulled,) = torch.autograd.grad((residual * u).sum(), leaf, create_graph=True)
        (along,) = torch.autograd.grad((pulled * v).sum(), u)
        total = along if total is None else total + along
    assert total is not None
    return total


def trace(product: Product, size: int, probes: int, generator: np.random.Generator) -> tuple[float, float]:
    """Return tr H and its standard error by random signs (Hutchinson 1990).

    Args:
        product: v ↦ Hv.
        size: number of weights.
        probes: random vectors, ≥ 2.
        generator: of the signs.
    """
    signs = generator.choice([-1.0, 1.0], size=(probes, size))
    found = np.array([v @ product(torch.from_numpy(v)).numpy() for v in signs])
    return float(found.mean()), float(found.std(ddof=1) / np.sqrt(probes))
