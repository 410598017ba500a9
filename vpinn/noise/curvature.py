"""The Hessian of an objective without forming it: products, leading eigenvalues (Lanczos), trace (Hutchinson).

Products are exact, or differences of exact gradients: these cost two gradients, which the network's hand-written sweeps make
ten times as fast as differentiating twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vpinn.errors import InputError
from vpinn.noise.gradients import chunks, integrands, streams
from vpinn.objective import Objective
from vpinn.objective.measure import Measure, Prepared, integral

Array = NDArray[np.float64]
Product = Callable[[Tensor], Tensor]
EXACT = 400
"""Weights up to which the whole Hessian is formed."""


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


def difference_product(objective: Objective, theta: Tensor, step: float = 1e-5) -> Product:
    """Return v ↦ (∇J(θ + hv) − ∇J(θ − hv))/2h for |hv| = step·‖θ‖: a tenth of the work, and as exact as ten digits or so.

    Args:
        objective: of any order.
        theta: parameters [size].
        step: relative step; its square and the unit roundoff over it are the errors.
    """

    def product(v: Tensor) -> Tensor:
        h = step * float(theta.norm()) / max(float(v.norm()), 1e-300)
        return (objective.gradient(theta + h * v)[1] - objective.gradient(theta - h * v)[1]) / (2.0 * h)

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


@dataclass(frozen=True)
class Spectrum:
    """Leading eigenpairs, largest magnitude first.

    Attributes:
        values: [k].
        vectors: columns [size, k].
        residuals: ‖Hu − λu‖ of each [k], a bound on the error of its eigenvalue.
    """

    values: Array
    vectors: Array
    residuals: Array


def leading(product: Product, size: int, count: int, generator: np.random.Generator, steps: int | None = None) -> Spectrum:
    """Return the eigenvalues of largest magnitude by Lanczos with full reorthogonalisation; by the whole matrix where small.

    Args:
        product: v ↦ Hv, symmetric.
        size: number of weights P.
        count: eigenpairs asked for, 1 ≤ count ≤ P.
        generator: of the first vector.
        steps: of Lanczos, count to P; default 2·count + 20.

    Raises:
        InputError: fewer weights than eigenpairs asked for.
    """
    if count > size:
        raise InputError(f"a spectrum of {count} eigenvalues was asked for, but the network has {size} weights; ask for fewer")
    if steps is None and size <= EXACT:
        values, vectors = np.linalg.eigh(matrix(product, size))
        chosen = np.argsort(-np.abs(values))[:count]
        return Spectrum(values[chosen], vectors[:, chosen], np.zeros(count))
    steps = min(size, steps or 2 * count + 20)
    basis = np.zeros((steps, size))
    diagonal, off = np.zeros(steps), np.zeros(steps)
    q = generator.standard_normal(size)
    q /= np.linalg.norm(q)
    for k in range(steps):
        basis[k] = q
        image = product(torch.from_numpy(q)).numpy()
        diagonal[k] = image @ q
        for _ in range(2):  # twice is enough (Giraud et al. 2005)
            image = image - basis[: k + 1].T @ (basis[: k + 1] @ image)
        off[k] = np.linalg.norm(image)
        if off[k] <= 1e-13 * np.abs(diagonal[: k + 1]).max():
            steps = k + 1
            break
        q = image / off[k]
    values, small = np.linalg.eigh(np.diag(diagonal[:steps]) + np.diag(off[: steps - 1], 1) + np.diag(off[: steps - 1], -1))
    chosen = np.argsort(-np.abs(values))[:count]
    return Spectrum(values[chosen], basis[:steps].T @ small[:, chosen], np.abs(off[steps - 1] * small[-1, chosen]))


def matrix(product: Product, size: int) -> Array:
    """Return the Hessian [size, size], one product per weight."""
    unit = torch.eye(size, dtype=torch.float64)
    columns = np.stack([product(row).numpy() for row in unit])
    return np.asarray(0.5 * (columns + columns.T))


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
