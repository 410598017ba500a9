"""Gauss–Newton on all weights: δ = −(G + λD)⁻¹∇J with the curvature G of the objective, its diagonal D, and a damping λ.

For an energy this is energy natural gradient descent, for squares and dual norms the Levenberg–Marquardt method. λ is adapted
to the ratio of actual to predicted decrease. Each step is bent along the curve on which the linearised quantities would stay
straight (geodesic acceleration), because the weights of a network lie in long curved valleys, where straight steps must be
short. A step on a mini-batch is judged by the next batch: it is taken back if J does not decrease there, and the difference
between the predicted and the confirmed decrease measures the noise, by which batches grow. `GaussNewton` is the method.

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
from vpinn.workers import stacked_triangle

Solve = Callable[[Tensor, Tensor | None], Tensor]
"""Solves (G + λD)x = b [size]; takes b, and r [rows] where b = Σ sᵢrᵢaᵢ is a combination of the rows aᵢ, else None."""

FLOOR = 1e-2
"""Smallest entry of D relative to the largest, so that weights on which J hardly depends take no long steps."""
ROUNDING = 1e-13
"""λ below which rounding errors of G, scaled to a unit diagonal, would count, so that its rows are factorised instead."""
SMALLEST = 1e-28
"""Smallest λ."""
TRIES = 25
"""Most values of λ that one step tries."""
PROBE = 0.1
"""Fraction of the step at which the second directional derivative is measured by differences."""
BEND = 0.75
"""Largest length of the correction by geodesic acceleration relative to the step; longer corrections are left out."""
BLUR = 1e-14
"""Decrease relative to J below which differences of J are rounding errors, and the decrease is computed from gradients.

A larger value would apply the trapezoidal rule for the gradient to long steps, which it misjudges and takes back.
"""

TAKEN_BACK = 50.0
"""Factor of λ after a step that does not lower J on the next batch."""
DOUBTED = 10.0
"""Factor of λ where the next batch confirms less than half of the predicted decrease."""


@dataclass(frozen=True)
class GaussNewton(Method):
    """Damped Gauss–Newton steps, whose length is set by λ.

    The learning rate is used only after a rollback, when it is below one: it then divides λ.

    Attributes:
        damping: λ of the first step, relative to the diagonal of G, > 0.
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
        """Return the state before the first step: λ."""
        return {"damping": torch.tensor(self.damping, dtype=torch.float64, device=HOST)}

    def step(
        self, theta: Tensor, state: State, closure: Closure, learning_rate: float, same: bool
    ) -> tuple[Tensor, State, float]:
        """Take one step; θ stays if no λ lowers J."""
        value, gradient = found = closure(theta)
        damping = float(state["damping"])
        start = theta
        noise = math.nan
        if not same and "before" in state:
            damping, start, noise = _judged(theta, state, closure, value)
            found = (value, gradient) if start is theta else closure(start)
        new, kept = self._from(start, found, damping / learning_rate, closure)
        return new, kept if same else {**kept, "before": start, "noise": number(noise)}, value

    def _from(self, theta: Tensor, at: tuple[float, Tensor], damping: float, closure: Closure) -> tuple[Tensor, State]:
        """Return the parameters after a step from θ, and the state with the new λ and the predicted decrease of J."""
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
    """Return the decrease of J that one step predicts on the objective's own points; None where G + λD is not positive definite.

    Args:
        objective: objective of any formulation, in float64.
        theta: parameters on any device [size].
        damping: λ > 0, relative to the diagonal of G.
    """
    theta = objective.placement.put(theta)
    found = _Model(curvature(objective, theta), theta, objective.gradient(theta)[1]).step(damping)
    return None if found is None else found[1]


class _Model:
    """Quadratic model J(θ + δ) ≈ J + ∇Jᵀδ + ½δᵀGδ, in weights scaled so that G has a unit diagonal.

    With rows A of the residuals ρ, ∇J = Aᵀρ. If there are fewer rows than weights, the smaller system is solved:
    (AᵀA + λI)⁻¹Aᵀρ = Aᵀ(AAᵀ + λI)⁻¹ρ.

    Args:
        curvature: G at θ.
        theta: parameters [size].
        gradient: ∇J at θ [size].

    Attributes:
        squares: whether J is a sum of squares.
    """

    def __init__(self, curvature: Curvature, theta: Tensor, gradient: Tensor) -> None:
        self._theta = theta
        self._kept = curvature.count > 0 and curvature.positive
        self._dual = self._kept and curvature.count < len(theta) and curvature.residual is not None
        self._curvature = curvature = curvature.gathered() if self._dual else curvature
        self._signs = curvature.signs
        self._rows = curvature.rows
        diagonal = curvature.diagonal.abs()
        self.squares = curvature.residual is not None
        self._size = diagonal.clamp(min=FLOOR * (float(diagonal.max()) or 1.0)).sqrt()
        self._gradient = gradient / self._size
        self._triangle: Tensor | None = None
        self._start: Tensor | None = None

    def step(self, damping: float) -> tuple[Tensor, float] | None:
        """Return δ [size] and the decrease that the model predicts; None where G + λD is not positive definite."""
        solve = self._factorised(damping)
        if solve is None:
            return None
        delta = -solve(self._gradient, self._curvature.residual)
        predicted = -float(self._gradient @ delta + 0.5 * delta @ self._times(delta))
        if not predicted > 0:
            return None
        if self._curvature.count:
            bend = self._bend(delta)
            bent = -0.5 * solve(self._back(bend), bend)
            if float(torch.linalg.vector_norm(bent)) <= BEND * float(torch.linalg.vector_norm(delta)):
                delta = delta + bent
        return delta / self._size, predicted

    def _forth(self, delta: Tensor) -> Tensor:
        """Return the products of this worker's rows with δ [rows]."""
        return self._rows @ (delta / self._size)

    def _back(self, r: Tensor) -> Tensor:
        """Return the combination Σ sᵢrᵢaᵢ of the rows of all workers, from r [rows], as [size]."""
        return self._curvature.group.sum((self._signs * r) @ self._rows)[0] / self._size

    def _times(self, delta: Tensor) -> Tensor:
        """Return Gδ [size]."""
        return self._back(self._forth(delta)) if self._curvature.count else self._square @ delta

    def _bend(self, delta: Tensor) -> Tensor:
        """Return the second derivative [rows] along δ of the quantities that G is made of, by differences."""
        if self._start is None:
            self._start = self._curvature.image(self._theta)
        ahead = self._curvature.image(self._theta + PROBE * delta / self._size)
        return (2 / PROBE) * ((ahead - self._start) / PROBE - self._forth(delta))

    @cached_property
    def _square(self) -> Tensor:
        """G [size, size], or AAᵀ [rows, rows] where the smaller system is solved."""
        if not self._dual:
            return self._curvature.gram / self._size / self._size[:, None]
        scaled = self._rows / self._size
        return scaled @ scaled.T

    def _factorised(self, damping: float) -> Solve | None:
        """Return a function that solves with G + λD, with one step of iterative refinement where rows are factorised.

        None is returned where the matrix is not positive definite.
        """
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
        """Return b → (G + λD)⁻¹b from a Cholesky factorisation, None where the matrix is not positive definite."""
        damped = self._square.clone()
        damped.diagonal().add_(damping)
        factor, failed = apart(partial(torch.linalg.cholesky_ex, damped))
        return None if int(failed) else lambda b: torch.cholesky_solve(b[:, None], factor)[:, 0]

    def _by_triangle(self, damping: float) -> Callable[[Tensor], Tensor]:
        """Return b → (G + λD)⁻¹b from a QR factorisation of the rows, whose condition number is only the root of that of G.

        A second solve corrects the error of the first (Björck 1987, Stability analysis of the method of seminormal equations).
        """
        if self._triangle is None:
            tall = self._rows / self._size
            own: Tensor = apart(partial(torch.linalg.qr, tall.T if self._dual else tall, mode="r"))[1]
            self._triangle = stacked_triangle(self._curvature.group, own)
        shift = math.sqrt(damping) * torch.eye(self._triangle.shape[1], dtype=self._size.dtype, device=self._size.device)
        triangle = apart(partial(torch.linalg.qr, torch.cat([self._triangle, shift]), mode="r"))[1]
        return lambda b: torch.cholesky_solve(b[:, None], triangle, upper=True)[:, 0]


def _decrease(
    closure: Closure, theta: Tensor, delta: Tensor, value: float, gradient: Tensor, predicted: float, squares: bool
) -> float:
    """Return J(θ) − J(θ + δ), by the trapezoidal rule for ∇J where the difference would be a rounding error.

    For a sum of squares the value is computed without its gradient, which is cheaper; as squares vanish at a solution, the
    order of summation does not matter.
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
    """Judge the last step by J on a new batch: return the new λ, the parameters to go on from, and the noise of the last batch.

    A batch with the gradient g + e predicts the decrease ½(g + e)ᵀG⁻¹(g + e), which is s + n on average, with s = ½gᵀG⁻¹g and
    n = ½ tr G⁻¹Cov(e). On another batch its step lowers J by s − n on average. The noise is n/s, the variance of the gradient
    over its square as in the norm test, but in the norm of G⁻¹, in which the steps are measured; dimensionless, ≥ 0.
    """
    damping, predicted = float(state["damping"]), float(state["predicted"])
    gained = closure(state["before"])[0] - value
    noise = max(0.0, predicted - gained) / (predicted + gained) if predicted + gained > 0.0 else math.inf
    if gained <= 0:
        return damping * TAKEN_BACK, state["before"], noise
    return damping * (1.0 if gained > 0.5 * predicted else DOUBTED), theta, noise


def _adapted(damping: float, ratio: float, refused: bool) -> float:
    """Return the next λ.

    Args:
        damping: λ of the step.
        ratio: actual over predicted decrease of J.
        refused: whether a smaller λ has just been refused.
    """
    factor = 0.1 if ratio > 0.75 else 0.5
    factor = factor if ratio > 0.25 else 2.0
    if refused and ratio > 0.25:
        factor = 0.5 if ratio > 0.75 else 1.0
    return max(SMALLEST, damping * factor)
