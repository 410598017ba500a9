"""Seconds of least squares as they are counted, not measured, so that runs can be repeated to the last bit."""

from __future__ import annotations

from vpinn.features.resolution import ROWS
from vpinn.features.stages import Stage
from vpinn.objective import Objective

TRIED, FACTORISED, EVALUATED = 3, 1e-9, 1e-7
"""Recipes that a stage tries, with one step each, and seconds of a step per row and two columns, and per point and column, on
one core."""


def stage_seconds(stage: Stage, width: int) -> float:
    """Return what a stage with ``width`` features per component is expected to take, with as many Newton steps as this one."""
    objective, columns = stage.objective, width * stage.trial.network.outputs
    rows = objective.size if objective.test_space is None else int(ROWS * columns)
    return (TRIED + max(0, stage.fit.steps - 1)) * counted_seconds(objective, columns, rows)


def counted_seconds(objective: Objective, columns: int, rows: int = 0) -> float:
    """Return the seconds of a step with so many columns, and at least so many rows, as they are counted."""
    here = objective.size if objective.test_space is None else objective.test_space.size
    rows = max(here, rows)
    return columns * (FACTORISED * rows * columns + EVALUATED * objective.size * rows / here)
