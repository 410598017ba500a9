"""Line search: choose the length of a step along a descent direction by the strong Wolfe conditions.

Source: Nocedal & Wright, Numerical Optimization (2006), algorithms 3.5 and 3.6.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from torch import Tensor

from vpinn.optimization.method import Closure, NonFiniteError

DECREASE = 1e-4
"""Constant c₁ of the sufficient decrease φ(t) ≤ φ(0) + c₁tφ'(0)."""
CURVATURE = 0.9
"""Constant c₂ of the curvature condition |φ'(t)| ≤ c₂|φ'(0)|."""


def search(
    theta: Tensor,
    direction: Tensor,
    start: tuple[float, Tensor],
    closure: Closure,
    fresh: bool,
    learning_rate: float,
    evaluations: int,
) -> tuple[float, float, Tensor] | None:
    """Search for a step length along a descent direction.

    Args:
        theta: parameters [size].
        direction: descent direction [size].
        start: J and ∇J [size] at θ.
        closure: θ → J and ∇J.
        fresh: whether the direction is that of steepest descent, whose length carries no information.
        learning_rate: factor of the first trial length, where it is below one.
        evaluations: most evaluations of J and ∇J.

    Returns:
        t of the step t·direction, with J and ∇J at its end; None where no trial lowered J sufficiently.

    Raises:
        NonFiniteError: J was finite at no trial along the direction of steepest descent.
    """
    value, gradient = start
    found: dict[float, tuple[float, Tensor]] = {}
    failures: list[NonFiniteError] = []

    def along(t: float) -> tuple[float, float]:
        try:
            found[t] = closure(theta + t * direction)
        except NonFiniteError as error:
            failures.append(error)
            return math.inf, math.inf
        return found[t][0], float(found[t][1] @ direction)

    first = min(1.0, 1.0 / max(closure.gradient_norm, 1e-300)) if fresh else 1.0
    t = wolfe(along, value, float(direction @ gradient), first * min(1.0, learning_rate), evaluations)
    if t is None:
        if fresh and not found:
            raise failures[0]
        return None
    return t, *found[t]


def wolfe(along: Callable[[float], tuple[float, float]], value: float, slope: float, first: float, most: int) -> float | None:
    """Return a step length that satisfies the strong Wolfe conditions, or else the best trial with sufficient decrease.

    Args:
        along: t → φ(t), φ'(t); infinite where the function has no value.
        value: φ(0).
        slope: φ'(0) < 0.
        first: first trial > 0.
        most: most evaluations.

    Returns:
        t, or None where no trial decreased φ sufficiently.
    """
    noise = 4 * np.finfo(np.float64).eps * abs(value)
    low = (0.0, value, slope)
    high: tuple[float, float, float] | None = None
    t, best = first, None
    for _ in range(most):
        phi, derivative = along(t)
        decreased = phi <= value + DECREASE * t * slope + noise
        if decreased and abs(derivative) <= CURVATURE * abs(slope):
            return t
        if decreased and (best is None or phi < best[1]):
            best = (t, phi)
        if not decreased or (low[0] > 0 and phi >= low[1]):
            high = (t, phi, derivative)
        else:
            if derivative * ((high[0] if high else math.inf) - low[0]) >= 0:
                high = low
            low = (t, phi, derivative)
        if high is None:
            guess = _cubic(0.0, value, slope, t, phi, derivative)
            t = min(10 * t, max(1.1 * t, guess)) if math.isfinite(guess) else 10 * t
            continue
        a, b = sorted((low[0], high[0]))
        if b - a <= 1e-12 * b:
            break
        t = _cubic(*low, *high) if math.isfinite(high[1]) else math.nan
        t = min(max(t, a + 0.1 * (b - a)), b - 0.1 * (b - a)) if math.isfinite(t) else 0.5 * (a + b)
    return None if best is None else best[0]


def _cubic(a: float, fa: float, da: float, b: float, fb: float, db: float) -> float:
    """Return the minimiser of the cubic with given values and slopes at a and b; nan where it has none."""
    d1 = da + db - 3 * (fa - fb) / (a - b)
    square = d1 * d1 - da * db
    if not square >= 0:
        return math.nan
    d2 = math.copysign(math.sqrt(square), b - a)
    bottom = db - da + 2 * d2
    return b - (b - a) * (db + d2 - d1) / bottom if bottom else math.nan
