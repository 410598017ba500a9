"""Record stages of least squares in a training state: one row of the history per stage, and the best stage as its parameters."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from vpinn.analysis import make_monitor
from vpinn.features import Stage
from vpinn.optimization import Training, history_row
from vpinn.problem import Case


def row_of(problem: Case, stage: Stage, step: int) -> tuple[float, ...]:
    """Return the row of the history for one stage."""
    watch = make_monitor(problem, stage.trial, None)
    return history_row(
        step=step,
        seconds=stage.seconds,
        loss=0.5 * stage.fit.residual**2,
        learning_rate=stage.recipe.scale,
        batch_size=stage.fit.points or stage.objective.size,
        residual=stage.relative,
        **({} if watch is None else {"error": watch(stage.fit.theta)["error"]}),
    )


def settle(training: Training, stages: Sequence[Stage], leading: Iterable[Stage]) -> Stage:
    """Write the best stage into the training state, and return it.

    Args:
        training: State of the run.
        stages: All stages so far.
        leading: The best stage of each trial space.
    """
    best = min(leading, key=lambda stage: stage.relative)
    training.step, training.theta = len(stages), best.fit.theta
    training.best = best.fit.theta, 0.5 * best.fit.residual**2
    training.anchor, training.origin = (best.fit.theta, {}), (best.fit.theta, math.nan, math.nan)
    return best
