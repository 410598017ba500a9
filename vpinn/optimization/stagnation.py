"""When steps on all points gain nothing more: the fall of J over the last ones, in steps and not in seconds.

Gauss–Newton lowers J at every step, be it by a rounding error. A relative error ε of the field in the energy's own norm is a gap
of ε² in J's own unit (see ``dimensionless``), so that falls below ``SETTLED`` over ``WINDOW`` steps are errors below 3e-7.
Squares end at zero or at a floor: there the fall counts beside J, too. Where an error estimate is known, an energy's gap is its
square.
"""

from __future__ import annotations

import math

from vpinn.objective import Objective, is_sum_of_squares
from vpinn.optimization.method import Method
from vpinn.optimization.training import COLUMNS, Training

WINDOW = 20
"""Steps whose fall is looked at."""
SETTLED = 1e-13
"""Fall of J over them, in its own unit or relative to J where that is larger, below which it is rounding."""
FLOOR = 1e-2
"""Fall of squares, relative to them, or of an energy, relative to the gap that its estimate tells, that is no progress."""

_LOSS, _POINTS, _ESTIMATE = (COLUMNS.index(name) for name in ("loss", "batch_size", "estimate"))


def stagnates(training: Training, method: Method, objective: Objective) -> bool:
    """Return whether the last steps of a run gained next to nothing; False of methods that do not settle.

    Args:
        training: after a step. Its history tells J before every step, of which those on the same points compare.
        method: what takes the steps.
        objective: what it is trained on.
    """
    if not method.settles or len(training.history) <= WINDOW or math.isfinite(training.average):
        return False
    first, *_, last = rows = training.history[-WINDOW - 1 :]
    if len({row[_POINTS] for row in rows}) > 1:
        return False
    before, value = first[_LOSS] / objective.unit, last[_LOSS] / objective.unit
    if objective.test_space is not None or is_sum_of_squares(objective):
        gap = abs(value)
    else:
        gap = next((row[_ESTIMATE] ** 2 for row in reversed(rows) if math.isfinite(row[_ESTIMATE])), 0.0)
    return before - value <= max(SETTLED * max(1.0, abs(value)), FLOOR * gap)
