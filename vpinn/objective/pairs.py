"""The U-statistic of a squared residual: an unbiased estimate of the square from one batch.

A batch of b independent draws estimates r by Σ hᵢ. Its square Σᵢⱼ hᵢᵀG⁻¹hⱼ is biased by the b pairs of a point with itself.
Leaving them out, and multiplying the b(b − 1) other pairs by b/(b − 1), makes it unbiased: ‖r̂‖² − S²/b (Hoeffding 1948).
Compared with the product of the two halves of the batch, it has the same mean and, if noise dominates, half the variance.
Different measures are drawn independently, so that products between them need no correction.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from vpinn.errors import InputError
from vpinn.forms import Value
from vpinn.objective.measure import Measure, Prepared
from vpinn.objective.test_space import TestSpace
from vpinn.workers import Group


def pair_products(
    space: TestSpace, parts: Sequence[tuple[Measure, Prepared]], theta: Tensor, outputs: int, own: bool = False
) -> tuple[float, Tensor]:
    """Return unbiased estimates of J = ∫ density + ½‖r‖² and ∇J [size].

    Args:
        space: test space, small enough that G⁻¹ is one dense matrix.
        parts: every measure with its batch of independent draws.
        theta: parameters [size].
        outputs: number of components of the test functions.
        own: whether to return this worker's part of ∇J.

    Raises:
        InputError: the test space is too large.
    """
    group = parts[0][0].placement.group
    sizes = group.sum(torch.from_numpy(np.array([len(points.w) for _, points in parts])))[0].tolist()
    factors = [b / (b - 1.0) if b > 1 else 1.0 for b in sizes]  # a single point is the whole measure and needs no correction
    recorded = [measure.record(theta, points) for measure, points in parts]
    value = 0.0
    residuals = []
    products = []
    for (measure, points), (jets, _), factor in zip(parts, recorded, factors, strict=True):
        _, coefficients = measure.evaluate(points, jets)
        residual = points.w.new_zeros(outputs, space.space.size)
        alone = points.w.new_zeros(0, len(points.w))
        if measure.contraction is not None and points.frame is not None:
            residual = measure.contraction.assemble(measure.tests, coefficients, points.w, points.frame, points.aligned, outputs)
            c = _columns(points, coefficients)
            alone = _alone(space, measure, points, coefficients) if factor > 1.0 else torch.zeros_like(c)
            value -= 0.5 * factor * float((points.w**2 * (c * alone).sum(0)).sum())
        residuals.append(residual)
        products.append(alone)
    residuals = list(group.sum(*residuals))
    whole, squares = space.riesz(torch.stack(residuals).sum(0)), 0.0
    gradient = torch.zeros_like(theta)
    for (measure, points), record, residual, alone, factor in zip(parts, recorded, residuals, products, factors, strict=True):
        dual = whole + (factor - 1.0) * space.riesz(residual)
        squares += 0.5 * float((residual * dual).sum())
        density, part = measure.pull_back(points, record, dual, less=factor * points.w * alone)
        value, gradient = value + float(density), gradient + part
    value, gradient = added(group, value, gradient, own)
    return squares + value, gradient


def added(group: Group, value: float, gradient: Tensor, own: bool = False) -> tuple[float, Tensor]:
    """Return a value and a gradient [size] added up over all workers; with ``own`` this worker's gradient itself."""
    if group.size == 1:
        return value, gradient
    whole, *sums = group.sum(gradient.new_full((1,), value), *([] if own else [gradient]))
    return float(whole), gradient if own else sums[0]


def _columns(points: Prepared, coefficients: Sequence[Value]) -> Tensor:
    return torch.stack([c if isinstance(c, Tensor) else torch.full_like(points.w, c) for c in coefficients])


def _alone(space: TestSpace, measure: Measure, points: Prepared, coefficients: Sequence[Value]) -> Tensor:
    """Return, for every point, G⁻¹h evaluated at the point itself for every test, divided by the point's weight [tests, n]."""
    assert measure.contraction is not None
    assert points.frame is not None
    c = _columns(points, coefficients)
    basis, dofs = measure.contraction.basis(measure.tests, points.frame)  # [tests, n, n_local], [n, n_local]
    result = torch.zeros_like(c)
    for component in {test.component for test in measure.tests}:
        inverse = space.inverse(component)
        if inverse is None:
            raise InputError(
                'batch.estimator = "u-statistic" needs a small test space; use "two-batch", or lower test_space.degree'
            )
        rows = [k for k, test in enumerate(measure.tests) if test.component == component]
        mine = torch.einsum("tn,tnl->nl", c[rows], basis[rows])
        blocks = inverse[dofs[:, :, None], dofs[:, None, :]]  # [n, n_local, n_local]
        result[rows] = torch.einsum("tnl,nlm,nm->tn", basis[rows], blocks, mine)
    return result
