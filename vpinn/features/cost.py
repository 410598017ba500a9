"""Expected seconds of least squares, counted from the sizes of matrices, not measured, so that runs can be repeated exactly."""

from __future__ import annotations

from vpinn.features.resolution import ROWS
from vpinn.features.stages import Stage
from vpinn.objective import Objective

TRIED, FACTORISED, EVALUATED = 3, 1e-9, 1e-7
"""TRIED: recipes that a stage tries, with one step each. FACTORISED and EVALUATED: seconds of a step on one core, per row and
pair of columns, and per point and column.
"""


def stage_seconds(stage: Stage, width: int) -> float:
    """Return the expected seconds of a stage with ``width`` features per component and as many Newton steps as ``stage``."""
    objective, columns = stage.objective, width * stage.trial.network.outputs
    rows = objective.size if objective.test_space is None else int(ROWS * columns)
    return (TRIED + max(0, stage.fit.steps - 1)) * counted_seconds(objective, columns, rows)


def counted_seconds(objective: Objective, columns: int, rows: int = 0) -> float:
    """Return the expected seconds of one step.

    Args:
        objective: objective of the step.
        columns: number of columns, ≥ 1.
        rows: number of rows, where they are more than those of the objective.
    """
    here = objective.size if objective.test_space is None else objective.test_space.size
    rows = max(here, rows)
    return columns * (FACTORISED * rows * columns + EVALUATED * objective.size * rows / here)
