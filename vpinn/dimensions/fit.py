"""Least squares streamed over drawn points: coefficients of functions of few coordinates, and what they leave on other points."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.linalg import solve_triangular
from scipy.linalg.lapack import dtrcon
from torch import Tensor

from vpinn.dimensions.equations import Array, PointEquations, PointRows
from vpinn.features.least_squares import solve_columns
from vpinn.interrupt import apart
from vpinn.objective.triangle import Triangle
from vpinn.placement import host
from vpinn.trial import FewCoordinates

BYTES = 3.2e7
"""Memory of the rows that are computed at a time."""
CONDITIONED = 1e-11
"""Reciprocal condition number of the triangular factor above which it is solved directly; below it, dependent functions are left
out by a rank-revealing factorisation."""
NEWTON, GAIN = 20, 1e-3
"""Most Newton steps of a nonlinear problem, and relative gain of the residual below which no further step is taken."""
UNSEEN = 2**38
"""Number of the first point that no fit uses."""


@dataclass(frozen=True)
class Left:
    """What parameters leave of the equations on some points.

    Attributes:
        norm: root of the mean square of the weighted residuals.
        relative: ``norm`` over that of zero parameters, dimensionless.
        interval: 95 % confidence interval of ``relative``, from the scatter between points.
        points: number of those points inside the domain.
    """

    norm: float
    relative: float
    interval: tuple[float, float]
    points: int


@dataclass(frozen=True)
class SumFit:
    """Coefficients that make the residual smallest.

    Attributes:
        network: sum of functions of few coordinates.
        theta: its parameters [network.size].
        norm: root of the mean square of the weighted residuals on the points of the fit.
        points: number of points inside the domain.
    """

    network: FewCoordinates
    theta: Tensor
    norm: float
    points: int


def count_of(one: PointEquations, points: int) -> int:
    """Return how many points equations or conditions take, for a number of points inside the domain."""
    return max(64, points // one.part)


def weighted(equations: Sequence[PointEquations], network: FewCoordinates) -> tuple[PointEquations, ...]:
    """Return equations and conditions with weights by which a function changes both alike, on average over all functions."""
    zero = network.initial(torch.Generator())
    sizes = []
    for one in equations:
        _, columns = one.at(network, zero, one.taken(0, 4 * 64)).columns(network)
        sizes.append(float((columns**2).mean()))
    inside = sizes[0]
    return tuple(replace(one, weight=inside / (size or 1.0)) for one, size in zip(equations, sizes, strict=True))


def solve(equations: Sequence[PointEquations], network: FewCoordinates, start: Tensor, points: int) -> SumFit:
    """Minimise the mean square of the residuals over the coefficients: one step for a linear problem, else Newton steps.

    Args:
        equations: equations and conditions with their weights.
        network: the functions.
        start: parameters to linearise at [network.size].
        points: number of points inside the domain, the first of the set.
    """
    if all(one.linear for one in equations):
        zero = torch.zeros_like(start)
        theta, norm = _step(equations, network, zero, points)
        return SumFit(network, theta, norm, points)
    theta, norm = start, left_by(equations, network, start, 0, points)[0]
    for _ in range(NEWTON):
        found, _ = _step(equations, network, theta, points)
        for halving in range(10):
            moved = theta + (found - theta) / 2**halving
            reached = left_by(equations, network, moved, 0, points)[0]
            if reached < norm:
                break
        else:
            break
        gain = norm - reached
        theta, norm = moved, reached
        if gain <= GAIN * norm:
            break
    return SumFit(network, theta, norm, points)


def _step(equations: Sequence[PointEquations], network: FewCoordinates, at: Tensor, points: int) -> tuple[Tensor, float]:
    """Return the parameters that solve the linearised equations in least squares, and the norm that these then have."""
    k = network.weights
    triangle = Triangle(k + 1)
    for one in equations:
        for residual, columns in _rows(one, network, at, 0, count_of(one, points)):
            constant = residual - columns @ host(at[:k])
            triangle.add(np.concatenate([columns, constant[:, None]], axis=1))
    factor = triangle.reduced()
    matrix, right = factor[:, :k], -factor[:, k]
    sizes = np.linalg.norm(matrix, axis=0)
    sizes[sizes == 0.0] = 1.0
    upper = np.asfortranarray(matrix[:k] / sizes)
    square = len(upper) == k and len(factor) == k + 1
    if square and not np.tril(upper, -1).any() and apart(lambda: dtrcon(upper)[0]) > CONDITIONED:
        found = solve_triangular(upper, right[:k], check_finite=False) / sizes
    else:
        found = solve_columns(matrix, right)
    theta = at.clone()
    theta[:k] = torch.from_numpy(found)
    return theta, float(np.linalg.norm(matrix @ found - right))


def _rows(one: PointEquations, network: FewCoordinates, theta: Tensor, first: int, count: int) -> Iterator[tuple[Array, Array]]:
    """Yield weighted residuals and columns, divided by the root of the number of points, part by part."""
    step = max(64, int(BYTES / (8 * one.count * (network.weights + 1 + len(one.slopes)))))
    for start in range(first, first + count, step):
        points = one.taken(start, min(step, first + count - start))
        residual, columns = one.at(network, theta, points).columns(network)
        yield residual / math.sqrt(count), columns / math.sqrt(count)


def residuals(
    equations: Sequence[PointEquations], network: FewCoordinates, theta: Tensor, first: int, points: int
) -> list[PointRows]:
    """Return residuals and derivatives of all equations at points from a number on."""
    return [one.at(network, theta, one.taken(first, count_of(one, points))) for one in equations]


def left_by(
    equations: Sequence[PointEquations], network: FewCoordinates, theta: Tensor, first: int, points: int
) -> tuple[float, float]:
    """Return the root of the mean square of the weighted residuals, and the standard deviation of the mean square."""
    return mean_square([one.weight * found.values**2 for one, found in _pairs(equations, network, theta, first, points)])


def mean_square(squares: Sequence[Array]) -> tuple[float, float]:
    """Return the root of the sum of means of squares, each [count, n], and the standard deviation of that sum."""
    sums = [part.sum(axis=0) for part in squares]
    variance = sum(float(part.var()) / len(part) for part in sums)
    return math.sqrt(sum(float(part.mean()) for part in sums)), math.sqrt(variance)


def unseen(equations: Sequence[PointEquations], fit: SumFit, first: int, points: int) -> tuple[Left, list[PointRows]]:
    """Return what a fit leaves on other points, and the residuals there.

    Args:
        equations: equations and conditions with their weights.
        fit: the fit.
        first: number of the first point, ``UNSEEN`` or more.
        points: number of points inside the domain.
    """
    found = residuals(equations, fit.network, fit.theta, first, points)
    norm, deviation = mean_square([part.weight * part.values**2 for part in found])
    nothing = fit.network.having(())
    zero = torch.zeros(nothing.size, dtype=torch.float64, device=fit.theta.device)
    whole = left_by(equations, nothing, zero, first, points)[0] or 1.0
    ends = [math.sqrt(max(0.0, norm**2 + side * 1.96 * deviation)) / whole for side in (-1, 1)]
    return Left(norm, norm / whole, (ends[0], ends[1]), points), found


def _pairs(
    equations: Sequence[PointEquations], network: FewCoordinates, theta: Tensor, first: int, points: int
) -> list[tuple[PointEquations, PointRows]]:
    return list(zip(equations, residuals(equations, network, theta, first, points), strict=True))
