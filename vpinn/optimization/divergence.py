"""What happens where training diverges, and which of the parameters that it went through are handed back."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from vpinn.errors import DivergenceError
from vpinn.objective import Objective, candidate_values
from vpinn.optimization.method import Method, NonFiniteError
from vpinn.optimization.projection import ALL, few_points
from vpinn.optimization.training import Training

ANCHOR = 100
"""Steps between states that a rollback can return to."""
TRIES = 3
"""Rollbacks before giving up."""
SHRINK = 0.1
"""Factor of the step size at a rollback."""
FAR = 1000.0
"""Rise of the loss above its least value, in units of its size, that is a divergence."""
PARTED = 271_828
"""Seed of the points that parameters are compared on, other than any a user is likely to train with."""
LASTING = 3
"""Mini-batches in a row that show it; a single one may be an outlier."""


def began_at(training: Training, value: float, gradient: Tensor | None) -> None:
    """Note J and its size at the first step of a run: the largest of |J|, J's unit and ‖∇J‖‖θ‖/√P.

    The last is what J changes by where weights change by their own size at random. It counts where J begins near zero, as an
    energy or the product of two batches may.

    Args:
        training: changed in place.
        value: J at the step.
        gradient: ∇J there [P], None where the method takes none.
    """
    theta, first, _ = training.origin
    if math.isnan(first):
        slope = 0.0 if gradient is None else float(gradient.norm()) * float(theta.norm()) / math.sqrt(len(theta))
        training.origin = (theta, value, max(1.0, abs(value), slope))


def _rise(training: Training, value: float) -> float:
    """Return how far J is above the least, in units of max(size at the start, fall so far), which has no sign."""
    _, first, size = training.origin
    least = min(first, training.best[1])
    scale = max(size, first - least)
    return (value - least) / scale if scale > 0.0 else 0.0


def diverged(training: Training, value: float, drawn: bool) -> bool:
    """Return whether a finite J says that training diverges: ``FAR`` above the least, with mini-batches ``LASTING`` times.

    Args:
        training: changed in place.
        value: J at the step.
        drawn: whether J is that of a mini-batch.
    """
    training.astray = training.astray + 1 if _rise(training, value) > FAR else 0
    return training.astray >= (LASTING if drawn else 1)


def harmless(training: Training, value: float) -> bool:
    """Return whether a rollback may return to where J is so high: no higher than the fall so far, or the size at the start."""
    return _rise(training, value) <= 1.0 or training.step == 0


def roll_back(objective: Objective, training: Training, method: Method, error: NonFiniteError) -> None:
    """Return to the anchor with smaller steps, or give up.

    Raises:
        DivergenceError: ``TRIES`` rollbacks have not helped.
    """
    training.rollbacks += 1
    training.astray = 0
    if training.rollbacks > TRIES:
        where = objective.non_finite(training.theta) if str(error) != "parameters" and error.value is None else ""
        what = "is not finite" if error.value is None else f"is {error.value:.1e}, after {training.origin[1]:.1e} at the start,"
        raise DivergenceError(
            f"training diverged at step {training.step + 1}: the {error} {what}{where}, after {TRIES} rollbacks with "
            f"smaller steps; {method.remedy}"
        )
    training.theta, training.state = training.anchor
    training.shrink *= SHRINK


def final_parameters(objective: Objective, training: Training, judge: Objective | None = None) -> tuple[Tensor, float]:
    """Return the best of the last parameters, those of the lowest loss, of the last look at a finer rule and of the start, and J.

    Of very many points a part, the same for all of them, tells which is best.

    Args:
        objective: what was minimised, over all points.
        training: the state at the end.
        judge: the same on the finer rule, which then says what is best.

    Raises:
        DivergenceError: none of those that training led to has a J.
    """
    score, tried = _part(objective) if judge is None else judge.value, [training.theta]
    for theta in (training.best[0], *([training.rule.theta] if training.rule else [])):
        if not any(torch.equal(theta, other) for other in tried):
            tried.append(theta)
    scored = [(value, k) for k, theta in enumerate(tried) if math.isfinite(value := score(theta))]
    if not scored:
        raise DivergenceError(
            f"after step {training.step} the loss over all points is not finite{objective.non_finite(training.theta)}; "
            "start anew with smaller steps, or from another solver.seed"
        )
    tried.append(training.origin[0])
    if math.isfinite(value := score(tried[-1])):
        scored.append((value, len(tried) - 1))
    value, k = min(scored)
    return tried[k], value if score == objective.value else objective.value(tried[k])


def _part(objective: Objective) -> Callable[[Tensor], float]:
    """Return J over a part of very many points, over all where they are fewer; a residual is squared over all of them."""
    if objective.size <= ALL or objective.test_space is not None:
        return objective.value
    parts = few_points(objective, np.random.default_rng(PARTED))
    return lambda theta: float(candidate_values(objective, theta[None], parts)[0])
