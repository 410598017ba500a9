"""Gauss–Newton on all weights: δ = −(G + λD)⁻¹∇J with the objective's curvature G, D its diagonal, λ by trust.

For an energy this is energy natural gradient descent, for squares and dual norms the Levenberg–Marquardt method. Every step is
bent along the curve that the weights' nonlinearity makes of it (geodesic acceleration): weights of a network lie in long
curved valleys, where straight steps must be short. A step on a mini-batch is judged by the next batch, which has not seen it:
one that fitted nothing but its own points is taken back, and what the two disagree by is the noise that batches grow by.
Sources: Müller & Zeinhofer 2023 (arXiv 2302.13163); Marquardt 1963 (D); Transtrum & Sethna 2012, Improvements to the
Levenberg–Marquardt algorithm (arXiv 1201.5885).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial

import torch
from torch import Tensor

from vpinn.interrupt import apart
from vpinn.objective import Curvature, Objective, curvature
from vpinn.optimization.method import Closure, Method, NonFiniteError, State, number
from vpinn.placement import HOST

Solve = Callable[[Tensor, Tensor | None], Tensor]
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
BLUR = 1e-14
"""Decrease relative to J below which differences of J are rounding errors, and gradients tell it better.

Not above: the trapezoidal rule for the gradients misjudges steps that are long for the curvature of the weights, and takes
them back. With 1e-12 energies of 501 weights stayed at relative errors of 3e-7, from 6 cpu s on.
"""

TAKEN_BACK = 50.0
"""Factor of λ after a step that another batch does not confirm."""
DOUBTED = 10.0
"""Factor of λ where another batch confirms less than half of what the step's own promised."""


@dataclass(frozen=True)
class GaussNewton(Method):
    """Damped Gauss–Newton steps; λ alone sets their length.

    The learning rate has no part in it but one: below one (after a rollback) it divides λ.

    Attributes:
        damping: λ of the first step > 0, relative to the diagonal of G.
    """

    damping: float = 1e-2
    name = "gauss-newton"
    curved = True
    judged = True
    settles = True
    descends = True
    double = True
    most = 5_000
    learning_rate = None
    steps = 200
    layers = (20, 20)
    remedy = 'try another solver.seed, or solver.method = "adam"'

    def initial(self, theta: Tensor) -> State:
        """Return the first λ."""
        return {"damping": torch.tensor(self.damping, dtype=torch.float64, device=HOST)}

    def step(
        self, theta: Tensor, state: State, closure: Closure, learning_rate: float, same: bool
    ) -> tuple[Tensor, State, float]:
        """Take one step; where no λ gives a decrease, θ stays."""
        value, gradient = found = closure(theta)
        damping, start, noise = float(state["damping"]), theta, math.nan
        if not same and "before" in state:
            damping, start, noise = _judged(theta, state, closure, value)
            found = (value, gradient) if start is theta else closure(start)
        new, kept = self._from(start, found, damping / learning_rate, closure)
        return new, kept if same else {**kept, "before": start, "noise": number(noise)}, value

    def _from(self, theta: Tensor, at: tuple[float, Tensor], damping: float, closure: Closure) -> tuple[Tensor, State]:
        """Return the parameters that a step from θ leads to, and λ with the decrease that its model predicts."""
        value, gradient = at
        model = _Model(closure.curvature(theta), theta, gradient)
        for tried in range(TRIES):
            found = model.step(damping)
            if found is not None:
                delta, predicted = found
                ratio = _decrease(closure, theta, delta, value, gradient, predicted, model.squares) / predicted
                if ratio > 0:
                    damping = _adapted(damping, ratio, tried > 0)
                    return theta + delta, {"damping": number(damping), "predicted": number(predicted)}
            damping *= 5
        return theta, {"damping": number(damping), "predicted": number(0.0)}


def promised_decrease(objective: Objective, theta: Tensor, damping: float) -> float | None:
    """Return the decrease of J that a step promises by the model on the objective's own points; None where G is not positive.

    Args:
        objective: of any formulation, in float64.
        theta: parameters [size], anywhere.
        damping: λ > 0, relative to the diagonal of G.
    """
    theta = objective.placement.put(theta)
    found = _Model(curvature(objective, theta), theta, objective.gradient(theta)[1]).step(damping)
    return None if found is None else found[1]


class _Model:
    """J(θ + δ) ≈ J + ∇Jᵀδ + ½δᵀGδ, in weights scaled so that G has a unit diagonal.

    With rows A of residuals ρ, ∇J = Aᵀρ, and fewer rows than weights the step is taken in their space, which is smaller:
    (AᵀA + λI)⁻¹Aᵀρ = Aᵀ(AAᵀ + λI)⁻¹ρ.

    Args:
        curvature: G at θ.
        theta: parameters [size].
        gradient: ∇J there [size].

    Attributes:
        squares: whether J is a sum of squares.
    """

    def __init__(self, curvature: Curvature, theta: Tensor, gradient: Tensor) -> None:
        self._curvature, self._theta, self._signs = curvature, theta, curvature.signs
        self._rows = curvature.rows
        positive = bool((self._signs > 0).all())
        self._kept = len(self._rows) > 0 and positive
        self._dual = self._kept and len(self._rows) < len(theta) and curvature.residual is not None
        diagonal = curvature.diagonal.abs()
        self.squares = curvature.residual is not None
        self._size = diagonal.clamp(min=FLOOR * (float(diagonal.max()) or 1.0)).sqrt()
        self._gradient = gradient / self._size
        self._triangle: Tensor | None = None
        self._start: Tensor | None = None

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
            bent = -0.5 * solve(self._back(bend), bend)
            if float(torch.linalg.vector_norm(bent)) <= BEND * float(torch.linalg.vector_norm(delta)):
                delta = delta + bent
        return delta / self._size, predicted

    def _forth(self, delta: Tensor) -> Tensor:
        """Return the rows times δ [rows]."""
        return self._rows @ (delta / self._size)

    def _back(self, r: Tensor) -> Tensor:
        """Return Σ sᵢrᵢaᵢ [size]."""
        return ((self._signs * r) @ self._rows) / self._size

    def _times(self, delta: Tensor) -> Tensor:
        """Return Gδ [size]."""
        return self._back(self._forth(delta)) if len(self._rows) else self._square @ delta

    def _bend(self, delta: Tensor) -> Tensor:
        """Return the second directional derivative [rows] of the rows' quantities along δ, by differences."""
        if self._start is None:
            self._start = self._curvature.image(self._theta)
        ahead = self._curvature.image(self._theta + PROBE * delta / self._size)
        return (2 / PROBE) * ((ahead - self._start) / PROBE - self._forth(delta))

    @cached_property
    def _square(self) -> Tensor:
        """G [size, size], or AAᵀ [rows, rows] where rows are fewer."""
        if not self._dual:
            return self._curvature.gram / self._size / self._size[:, None]
        scaled = self._rows / self._size
        return scaled @ scaled.T

    def _factorised(self, damping: float) -> Solve | None:
        """Return b → (G + λD)⁻¹b, None where the matrix is not positive."""
        exact = damping < ROUNDING and self._kept
        once = self._by_triangle(damping) if exact else self._by_cholesky(damping)
        if once is None:
            return None

        def solve(b: Tensor, r: Tensor | None) -> Tensor:
            if self._dual and r is not None:
                y = once(r)
                return self._back(y + once(r - self._forth(self._back(y)) - damping * y) if exact else y)
            found = once(b)
            if not exact:
                return found
            rest = b - self._times(found) if r is None else self._back(r - self._forth(found))
            return found + once(rest - damping * found)

        return solve

    def _by_cholesky(self, damping: float) -> Callable[[Tensor], Tensor] | None:
        damped = self._square.clone()
        damped.diagonal().add_(damping)
        factor, failed = apart(partial(torch.linalg.cholesky_ex, damped))
        return None if int(failed) else lambda b: torch.cholesky_solve(b[:, None], factor)[:, 0]

    def _by_triangle(self, damping: float) -> Callable[[Tensor], Tensor]:
        """Factorise the rows, whose condition is the root of G's; a second solve takes back the errors of the first.

        Source: Björck 1987, Stability analysis of the method of seminormal equations.
        """
        if self._triangle is None:
            tall = self._rows / self._size
            self._triangle = apart(partial(torch.linalg.qr, tall.T if self._dual else tall, mode="r"))[1]
        shift = math.sqrt(damping) * torch.eye(self._triangle.shape[1], dtype=self._size.dtype, device=self._size.device)
        triangle = apart(partial(torch.linalg.qr, torch.cat([self._triangle, shift]), mode="r"))[1]

        def once(b: Tensor) -> Tensor:
            inner = torch.linalg.solve_triangular(triangle.T, b[:, None], upper=False)
            solved: Tensor = torch.linalg.solve_triangular(triangle, inner, upper=True)[:, 0]
            return solved

        return once


def _decrease(
    closure: Closure, theta: Tensor, delta: Tensor, value: float, gradient: Tensor, predicted: float, squares: bool
) -> float:
    """Return J(θ) − J(θ + δ), by the trapezoidal rule for ∇J where the difference would be rounding errors.

    Squares vanish at a solution, so that their sum does not depend on how it is summed: it is had without its gradient.
    """
    if squares and predicted > BLUR * abs(value):
        return value - float(closure.compare((theta + delta)[None])[0])
    try:
        moved, ahead = closure(theta + delta)
    except NonFiniteError:
        return -math.inf
    if predicted > BLUR * abs(value):
        return value - moved
    return -0.5 * float((gradient + ahead) @ delta)


def _judged(theta: Tensor, state: State, closure: Closure, value: float) -> tuple[float, Tensor, float]:
    """Return λ, θ or the parameters before it, and the noise, from what the last step gained on a batch that it did not see.

    A batch whose gradient is g + e promises ½(g + e)ᵀG⁻¹(g + e), which is s + n on average with s = ½gᵀG⁻¹g and
    n = ½ tr G⁻¹Cov(e); of the step that it asks for another batch confirms s − n. The noise is n/s: the variance of the gradient
    over its square, as the norm test has it, but in the norm that the steps are measured in.
    """
    damping, predicted = float(state["damping"]), float(state["predicted"])
    gained = closure(state["before"])[0] - value
    noise = max(0.0, predicted - gained) / (predicted + gained) if predicted + gained > 0.0 else math.inf
    if gained <= 0:
        return damping * TAKEN_BACK, state["before"], noise
    return damping * (1.0 if gained > 0.5 * predicted else DOUBTED), theta, noise


def _adapted(damping: float, ratio: float, refused: bool) -> float:
    """Return the next λ from the ratio of true to predicted decrease, and whether a smaller one has just been refused."""
    factor = 0.1 if ratio > 0.75 else 0.5 if ratio > 0.25 else 2.0
    if refused and ratio > 0.25:
        factor = 0.5 if ratio > 0.75 else 1.0
    return max(SMALLEST, damping * factor)
