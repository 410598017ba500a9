"""Gauss–Newton on all weights: δ = −(G + λD)⁻¹∇J with the objective's curvature G, D its diagonal, λ by trust.

For an energy this is energy natural gradient descent, for squares and dual norms the Levenberg–Marquardt method. Every step is
bent along the curve that the weights' nonlinearity makes of it (geodesic acceleration): weights of a network lie in long
curved valleys, where straight steps must be short. Sources: Müller & Zeinhofer 2023 (arXiv 2302.13163); Marquardt 1963 (D);
Transtrum & Sethna 2012, Improvements to the Levenberg–Marquardt algorithm (arXiv 1201.5885).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve, qr, solve_triangular
from torch import Tensor

from vpinn.objective import Curvature
from vpinn.optimization.lbfgs import number
from vpinn.optimization.method import Closure, Method, NonFiniteError, State

Array = NDArray[np.float64]
Solve = Callable[[Array, Array | None], Array]
"""b, and r with b = Σ sᵢrᵢaᵢ where there is one → (G + λD)⁻¹b."""

FLOOR = 1e-2
"""Smallest entry of D as a share of the largest: weights that little depends on take no long steps to where points are few."""
ROUNDING = 1e-13
"""λ below which the rounding errors of G, relative to its unit diagonal, would count, and rows are factorised instead."""
SMALLEST = 1e-28
"""Smallest λ."""
TRIES = 25
"""Most λ that one step tries."""
PROBE = 0.1
"""Share of the step after which the second directional derivative is measured."""
BEND = 0.75
"""Longest correction relative to the step."""
BLUR = 1e-9
"""Decrease relative to J below which differences of J are rounding errors, and gradients tell it better."""


@dataclass(frozen=True)
class GaussNewton(Method):
    """Damped Gauss–Newton steps; λ alone sets their length.

    The learning rate has no part in it but one: below one (after a rollback) it divides λ.

    Attributes:
        damping: λ of the first step > 0, relative to the diagonal of G.
    """

    damping: float = 1e-2
    name = "gauss-newton"
    full = True
    double = True
    most = 5_000
    learning_rate = None
    steps = 200

    def initial(self, theta: Tensor) -> State:
        """Return the first λ."""
        return {"damping": torch.tensor(self.damping, dtype=torch.float64)}

    def step(
        self, theta: Tensor, state: State, closure: Closure, learning_rate: float, same: bool
    ) -> tuple[Tensor, State, float]:
        """Take one step; where no λ gives a decrease, θ stays."""
        value, gradient = closure(theta)
        model = _Model(closure.curvature(theta), theta, gradient)
        damping = float(state["damping"]) / learning_rate
        for _ in range(TRIES):
            found = model.step(damping)
            if found is not None:
                delta, predicted = found
                ratio = _decrease(closure, theta, delta, value, gradient, predicted) / predicted
                if ratio > 0:
                    return theta + delta, {"damping": number(_adapted(damping, ratio))}, value
            damping *= 5
        return theta, {"damping": number(damping)}, value


class _Model:
    """J(θ + δ) ≈ J + ∇Jᵀδ + ½δᵀGδ, in weights scaled so that G has a unit diagonal.

    Args:
        curvature: G at θ.
        theta: parameters [size].
        gradient: ∇J there [size].
    """

    def __init__(self, curvature: Curvature, theta: Tensor, gradient: Tensor) -> None:
        self._curvature, self._theta, self._signs = curvature, theta, curvature.signs
        rows, gram = curvature.rows, curvature.gram
        diagonal = np.abs(gram.diagonal())
        self._size = np.sqrt(np.maximum(diagonal, FLOOR * (diagonal.max() or 1.0)))
        self._rows = rows / self._size
        self._gram = gram / self._size / self._size[:, None]
        self._gradient: Array = gradient.numpy() / self._size
        self._triangle: Array | None = None
        self._start: Array | None = None

    def step(self, damping: float) -> tuple[Tensor, float] | None:
        """Return δ and the decrease that the model predicts; None where G + λD is not positive."""
        solve = self._factorised(damping)
        if solve is None:
            return None
        delta = -solve(self._gradient, self._curvature.residual)
        predicted = -float(self._gradient @ delta + 0.5 * delta @ self._times(delta))
        if not predicted > 0:
            return None
        if len(self._rows):
            bend = self._bend(delta)
            bent = -0.5 * solve(self._rows.T @ (self._signs * bend), bend)
            if np.linalg.norm(bent) <= BEND * np.linalg.norm(delta):
                delta = delta + bent
        return torch.from_numpy(delta / self._size), predicted

    def _times(self, delta: Array) -> Array:
        """Return Gδ [size]."""
        if not len(self._rows):
            product: Array = self._gram @ delta
            return product
        product = self._rows.T @ (self._signs * (self._rows @ delta))
        return product

    def _bend(self, delta: Array) -> Array:
        """Return the second directional derivative [rows] of the rows' quantities along δ, by differences."""
        if self._start is None:
            self._start = self._curvature.image(self._theta)
        ahead = self._curvature.image(self._theta + torch.from_numpy(PROBE * delta / self._size))
        bend: Array = (2 / PROBE) * ((ahead - self._start) / PROBE - self._rows @ delta)
        return bend

    def _factorised(self, damping: float) -> Solve | None:
        """Return b → (G + λD)⁻¹b, None where the matrix is not positive."""
        if damping < ROUNDING and len(self._rows) and (self._signs > 0).all():
            return self._by_triangle(damping)
        damped = self._gram.copy()
        damped.flat[:: len(damped) + 1] += damping
        try:
            factor = cho_factor(damped, overwrite_a=True, check_finite=False)
        except LinAlgError:
            return None
        return lambda b, r: cho_solve(factor, b, check_finite=False)

    def _by_triangle(self, damping: float) -> Solve:
        """Factorise the rows, whose condition is the root of G's; a second solve takes back the errors of the first.

        Source: Björck 1987, Stability analysis of the method of seminormal equations.
        """
        if self._triangle is None:
            self._triangle = _triangle(self._rows)
        triangle = _triangle(np.concatenate([self._triangle, math.sqrt(damping) * np.eye(self._rows.shape[1])]))

        def once(b: Array) -> Array:
            inner = solve_triangular(triangle, b, trans=1, check_finite=False)
            solved: Array = solve_triangular(triangle, inner, check_finite=False)
            return solved

        def solve(b: Array, r: Array | None) -> Array:
            found = once(b)
            rest = b - self._times(found) if r is None else self._rows.T @ (r - self._rows @ found)
            return found + once(rest - damping * found)

        return solve


def _triangle(rows: Array) -> Array:
    """Return R of rows = QR, with rows of zeros where there are fewer than columns."""
    triangle: Array = qr(rows, mode="r", check_finite=False)[0][: rows.shape[1]]
    return triangle


def _decrease(closure: Closure, theta: Tensor, delta: Tensor, value: float, gradient: Tensor, predicted: float) -> float:
    """Return J(θ) − J(θ + δ), by the trapezoidal rule for ∇J where the difference would be rounding errors."""
    try:
        moved, ahead = closure(theta + delta)
    except NonFiniteError:
        return -math.inf
    if predicted > BLUR * abs(value):
        return value - moved
    return -0.5 * float((gradient + ahead) @ delta)


def _adapted(damping: float, ratio: float) -> float:
    """Return the next λ from the ratio of true to predicted decrease."""
    factor = 0.1 if ratio > 0.75 else 0.5 if ratio > 0.25 else 2.0
    return max(SMALLEST, damping * factor)
