"""Recognise divergence of training, roll back to an earlier state, and choose the parameters that the run returns.

`diverged` decides whether the loss is far too high, `roll_back` returns to an earlier state with smaller steps, and
`final_parameters` compares the candidates at the end.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from vpinn.errors import DivergenceError
from vpinn.objective import Objective, candidate_values
from vpinn.optimization.method import Method, NonFiniteError
from vpinn.optimization.projection import ALL, affordable, few_points
from vpinn.optimization.training import Training
from vpinn.optimization.watch import Watch

ANCHOR = 100
"""Steps between the states to which a rollback can return."""
TRIES = 3
"""Rollbacks before the run gives up."""
SHRINK = 0.1
"""Factor of the step size at each rollback."""
FAR = 1000.0
"""Rise of J above its lowest value, relative to its scale (see ``_rise``), that counts as divergence."""
PARTED = 271_828
"""Seed of the points on which the final candidates are compared; unlikely to be one with which a user trains."""
LASTING = 3
"""Number of consecutive mini-batches that must show the rise, since a single one may be an outlier."""


def began_at(training: Training, value: float, gradient: Tensor | None) -> None:
    """Store J and its scale at the first step of a run: the largest of |J|, the unit of J and ‖∇J‖‖θ‖/√P.

    The last is the change of J if P weights change at random by their own size. It counts where J is near zero at the start, as
    an energy or the product of two batches may be.

    Args:
        training: state of the run; changed in place.
        value: J at the step.
        gradient: ∇J there [P], None for methods without gradients.
    """
    theta, first, _ = training.origin
    if math.isnan(first):
        slope = 0.0 if gradient is None else float(gradient.norm()) * float(theta.norm()) / math.sqrt(len(theta))
        training.origin = (theta, value, max(1.0, abs(value), slope))


def _rise(training: Training, value: float) -> float:
    """Return how far J is above its lowest value, relative to the larger of its scale at the start and its decrease so far.

    The result is dimensionless, and defined for negative J, too.
    """
    _, first, size = training.origin
    least = min(first, training.best[1])
    scale = max(size, first - least)
    return (value - least) / scale if scale > 0.0 else 0.0


def diverged(training: Training, value: float, drawn: bool) -> bool:
    """Return whether a finite J shows divergence: ``FAR`` above the lowest value, on mini-batches ``LASTING`` times in a row.

    Args:
        training: state of the run; changed in place.
        value: J at the step.
        drawn: whether J is that of a mini-batch.
    """
    training.astray = training.astray + 1 if _rise(training, value) > FAR else 0
    return training.astray >= (LASTING if drawn else 1)


def harmless(training: Training, value: float) -> bool:
    """Return whether a rollback may return to a state with this J: it is the first, or ``_rise`` is at most 1."""
    return _rise(training, value) <= 1.0 or training.step == 0


def roll_back(objective: Objective, training: Training, method: Method, error: NonFiniteError) -> None:
    """Return to the last anchor with smaller steps, or give up.

    What was averaged over the diverging steps (noise and loss) is forgotten, too.

    Args:
        objective: what is minimised.
        training: state of the run; changed in place.
        method: method that takes the steps.
        error: what was not finite, or far too high.

    Raises:
        DivergenceError: ``TRIES`` rollbacks have not helped.
    """
    training.rollbacks += 1
    training.astray = 0
    if training.rollbacks > TRIES:
        where = objective.non_finite(training.theta) if str(error) != "parameters" and error.value is None else ""
        what = "is not finite" if error.value is None else f"is {error.value:.1e}, up from {training.origin[1]:.1e} at the start"
        raise DivergenceError(
            f"training diverged at step {training.step + 1}: the {error} {what}{where}, after {TRIES} rollbacks with "
            f"smaller steps; {method.remedy}"
        )
    training.theta, training.state = training.anchor
    training.shrink *= SHRINK
    training.watch = Watch()
    if math.isfinite(training.average):
        training.average = training.best[1] if math.isfinite(training.best[1]) else training.origin[1]


def final_parameters(objective: Objective, training: Training, judge: Objective | None = None) -> tuple[Tensor, float]:
    """Return the best parameters of a run and their J.

    The candidates are the last parameters, those with the lowest loss, those at the last comparison with a finer quadrature rule,
    and those at the start. With very many quadrature points they are compared on a part of them, the same for all candidates.

    Args:
        objective: what was minimised, over all points.
        training: state at the end of the run.
        judge: the objective on a finer quadrature rule, on which candidates are compared then; None: ``objective``.

    Raises:
        DivergenceError: J is finite at none of the candidates but the start.
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
    """Return θ → J, over a part of very many points unless J is the square of a weak residual, which needs all of them."""
    if objective.size <= affordable(objective, ALL) or objective.test_space is not None:
        return objective.value
    parts = few_points(objective, np.random.default_rng(PARTED))
    return lambda theta: float(candidate_values(objective, theta[None], parts)[0])
