"""Decide when steps on all points have converged: J has decreased too little over the last steps.

Gauss–Newton lowers J at every step, even if only by a rounding error, so that a criterion is needed. A relative error ε of the
field in the energy's norm is a gap of ε² in J's own unit (see ``dimensionless``). A decrease below ``SETTLED`` over ``WINDOW``
steps therefore means an error below 3e-7. A sum of squares ends at zero or at a positive minimum, so its decrease is also
compared with J itself. Where an energy has an error estimate, its square times the energy is the gap, which is used likewise.
Beside finite elements, whose error J's own unit measures, the energy is many such units.
Steps are counted, not seconds, so that runs can be repeated.
"""

from __future__ import annotations

import math

from vpinn.objective import Objective, is_sum_of_squares
from vpinn.optimization.method import Method
from vpinn.optimization.training import COLUMNS, Training

WINDOW = 20
"""Number of steps over which the decrease is measured."""
SETTLED = 1e-13
"""Decrease of J over these steps, in its own unit or relative to |J| where that is larger, below which it is rounding."""
FLOOR = 1e-2
"""Decrease, relative to a sum of squares or to an energy's estimated gap, below which there is no progress."""

_LOSS, _POINTS, _ESTIMATE = (COLUMNS.index(name) for name in ("loss", "batch_size", "estimate"))


def stagnates(training: Training, method: Method, objective: Objective) -> bool:
    """Return whether the last steps hardly lowered J; False for methods that do not end this way (``Method.settles``).

    Args:
        training: state after a step; its history holds J before every step, which is compared on equal points only.
        method: method that takes the steps.
        objective: what is minimised.
    """
    if not method.settles or len(training.history) <= WINDOW or math.isfinite(training.average):
        return False
    first, *_, last = rows = training.history[-WINDOW - 1 :]
    if len({row[_POINTS] for row in rows}) > 1:
        return False
    before, value = first[_LOSS] / objective.unit, last[_LOSS] / objective.unit
    squares = objective.test_space is not None or is_sum_of_squares(objective)
    gap = abs(value) if squares else estimated_gap(training, value)
    return before - value <= max(SETTLED * max(1.0, abs(value)), FLOOR * gap)


def estimated_gap(training: Training, value: float) -> float:
    """Return how far J is from its minimum by the last error estimate, in its own unit; 0 if there is none.

    Args:
        training: state after a step.
        value: J.
    """
    known = (row[_ESTIMATE] ** 2 for row in training.history[: -WINDOW - 2 : -1] if math.isfinite(row[_ESTIMATE]))
    return next(known, 0.0) * max(1.0, abs(value))
