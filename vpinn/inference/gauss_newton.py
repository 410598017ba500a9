"""Gauss–Newton for the coefficients, with noise and priors chosen by evidence in every step, and damped steps.

Damping is that of Levenberg and Marquardt (Moré 1978): (H + λ diag H) δ = −g with the curvature H, and λ = 0 where the
full step lowers the objective ½ Σ ((data − prediction)/noise)² + ½ Σ precision · c².
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vpinn.errors import InputError, VpinnError
from vpinn.inference.evidence import Linear
from vpinn.inference.forward import Forward, Prediction
from vpinn.inference.prior import Prior

Array = NDArray[np.float64]
STEPS = 60
"""Largest number of steps."""
CLOSE = 1e-3
"""Root mean square of a step, in standard deviations of the coefficients, at which iterations end."""
SETTLED = 1e-2
"""Change of the logarithms of noise and prior below which both count as converged."""
LAMBDAS = (0.0, 1e-3, 1e-2, 1e-1, 1.0, 1e1, 1e2, 1e3, 1e4, 1e6, 1e8)
"""Values of the damping λ, tried in this order until the objective falls."""
FARTHEST = 5.0
"""Largest change in one step of the coefficient of a number with bounds, whose value depends on it exponentially."""
BLIND = 1e-12
"""The measurements count as independent of an unknown if their derivative, relative to their size, is below this."""
SLIGHT = 1e-6
"""Predicted decrease of the objective, relative to it, below which coefficients count as converged if the full step does not
lower it: difference quotients have errors, from which damped steps would follow without end."""
STALLED = 2
"""Steps in a row that lower the objective by no more than that, at which iterations end."""
ROUNDING = 1e-11
"""Decrease of the objective, relative to it, below which it counts as rounding."""


@dataclass(frozen=True, eq=False)
class Fitted:
    """Coefficients that explain the data, with the linear model around them.

    Attributes:
        prediction: the solution for these coefficients.
        linear: the measurements, linearised at these coefficients.
        chosen: logarithms of noise and of the numbers of priors, see ``Prior``.
        steps: number of steps taken.
        converged: whether the last step was small, so that the coefficients are those of largest density.
    """

    prediction: Prediction
    linear: Linear
    chosen: Array
    steps: int
    converged: bool = True


def fit(
    forward: Forward,
    start: Array,
    chosen: Array | None = None,
    note: Callable[[int, float], None] = lambda step, value: None,
    leave: Callable[[Fitted], bool] = lambda found: False,
) -> Fitted:
    """Return the coefficients of largest posterior density, and noise and priors by evidence.

    Args:
        forward: model of the measurements.
        start: first guess of the coefficients [P].
        chosen: first guess of the logarithms of noise and priors; None: that of the prior.
        note: called after every step with its number and the objective.
        leave: called from the second step on with the unfinished fit; if it returns true, the iteration ends.

    Raises:
        VpinnError: there is no solution for the first guess.
    """
    prior, data = Prior.of(forward), forward.data
    at = forward.predict(start)
    damping, stalled = 0, 0
    bounded = _bounded(forward)
    numbers = prior.start if chosen is None else prior.within(chosen)
    for step in range(1, STEPS + 1):
        slopes = forward.jacobian(at)
        if step == 1:
            _check_seen(forward, prior, slopes, at)
        linear = Linear(slopes, data - at.values + slopes @ at.coefficients, forward.sections, prior)
        before, numbers = numbers, linear.chosen(numbers)
        rows, right = linear.weighted(numbers)
        now = _objective(at, linear, data, numbers)
        note(step, now)
        gap = right - rows @ at.coefficients
        full = _step(rows, gap, 0.0)
        close = float(np.linalg.norm(rows @ full)) <= CLOSE * np.sqrt(len(full))
        settled = bool((np.abs(numbers - before) <= SETTLED).all())
        if step > 1 and leave(Fitted(at, linear, numbers, step)):
            break
        if close and (settled or step == STEPS):
            return Fitted(_polished(forward, at, full, now, linear, numbers), linear, numbers, step)
        slight = float(gap @ (rows @ full)) <= SLIGHT * now
        taken = None
        for number in range(1) if slight else range(max(damping - 2, 0), len(LAMBDAS)):
            moved = _limited(rows, gap, LAMBDAS[number], bounded)
            try:
                with np.errstate(all="ignore"):
                    ahead = forward.predict(at.coefficients + moved, at)
            except VpinnError:
                continue
            after = _objective(ahead, linear, data, numbers)
            if np.isfinite(after) and after <= now - 1e-4 * abs(float(gap @ (rows @ moved))) + ROUNDING * now:
                taken, damping = ahead, number
                break
        if taken is None:
            return Fitted(at, linear, numbers, step, close or slight)
        stalled = stalled + 1 if settled and now - after <= SLIGHT * max(now, 1.0) else 0
        at = taken
        if stalled == STALLED:  # along what the data do not tell; the linear model is that of the step before, which is as good
            return Fitted(at, linear, numbers, step)
    return Fitted(at, linear, numbers, step, False)


def _check_seen(forward: Forward, prior: Prior, slopes: Array, at: Prediction) -> None:
    """Refuse measurements that do not depend on an unknown without a prior.

    Raises:
        InputError: there is such an unknown; the message names it.
    """
    size = max(float(np.abs(at.values).max()), float(np.abs(forward.data).max()))
    for one in forward.inverse.inferred:
        part = forward.parts[one.name]
        if np.abs(slopes[:, part]).max() <= BLIND * size and not prior.fixed[part].all():
            raise InputError(f"the measurements do not depend on {one.name}; measure one that does, or give a prior", one.where)


def _bounded(forward: Forward) -> NDArray[np.bool_]:
    """Return which coefficients belong to unknowns with bounds, whose values depend on them exponentially [P]."""
    found = np.zeros(forward.size, dtype=bool)
    for one in forward.inverse.inferred:
        found[forward.parts[one.name]] = one.section.lower is not None or one.section.upper is not None
    return found


def _polished(forward: Forward, at: Prediction, full: Array, now: float, linear: Linear, numbers: Array) -> Prediction:
    """Return the solution after one more small step, unless that gains nothing."""
    try:
        ahead = forward.predict(at.coefficients + full, at)
    except VpinnError:
        return at
    return ahead if _objective(ahead, linear, forward.data, numbers) <= now else at


def _step(rows: Array, right: Array, damping: float) -> Array:
    """Return the least squares solution of rows · δ = right, with rows √λ · (norm of each column) below."""
    sizes = np.linalg.norm(rows, axis=0)
    sizes[sizes == 0.0] = 1.0
    scaled, whole = rows / sizes, right
    if damping:
        scaled = np.vstack([scaled, np.sqrt(damping) * np.eye(len(sizes))])
        whole = np.concatenate([right, np.zeros(len(sizes))])
    found = np.linalg.lstsq(scaled, whole, rcond=1e-13)[0]
    return np.asarray(found / sizes)


def _limited(rows: Array, right: Array, damping: float, bounded: NDArray[np.bool_]) -> Array:
    """Return the step with every ``bounded`` coefficient moved by ``FARTHEST`` at most, and the others fitted to that."""
    moved = _step(rows, right, damping)
    over = bounded & (np.abs(moved) > FARTHEST)
    while over.any():
        moved[over] = np.clip(moved[over], -FARTHEST, FARTHEST)
        if over.all():
            break
        moved[~over] = _step(rows[:, ~over], right - rows[:, over] @ moved[over], damping)
        more = bounded & ~over & (np.abs(moved) > FARTHEST)
        if not more.any():
            break
        over |= more
    return moved


def _objective(at: Prediction, linear: Linear, data: Array, chosen: Array) -> float:
    """Return ½ Σ ((data − prediction)/noise)² + ½ Σ precision · c²."""
    prior = linear.prior
    noise = np.repeat(prior.noises(chosen), [part.stop - part.start for part in linear.sections])
    misfit = (data - at.values) / noise
    return 0.5 * float(misfit @ misfit + prior.precisions(chosen) @ at.coefficients**2)
