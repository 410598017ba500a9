"""Whether functions of corners solve a problem with very few features beside them, where a look at more would take too long."""

from __future__ import annotations

from collections.abc import Iterable

from vpinn.features import Objectives, Recipe, counted_seconds, objective_for, pilot
from vpinn.problem import Problem
from vpinn.trial import Trial

FEW = 20
"""Features beside functions of corners."""
PLAIN = Recipe("tanh", 1.0)
"""How they are drawn."""
SOME = 0.5
"""Seconds, as they are counted, that this may take."""


def cornered(problem: Problem, objectives: Objectives, trials: Iterable[Trial], relative: float) -> Trial | None:
    """Return the trial space with functions of corners, None unless it leaves less with very few features than elements do.

    Args:
        problem: the problem.
        objectives: of least squares on it.
        trials: its trial spaces.
        relative: error estimate of elements.
    """
    trial = next((trial for trial in trials if trial.corners), None)
    if trial is None:
        return None
    objective = objective_for(objectives, trial, FEW)
    if counted_seconds(objective, FEW * trial.network.outputs) > SOME:
        return None
    step = pilot(objective, trial.network, FEW, problem.settings.solver.seed, problem.domain, PLAIN)
    return trial if step.predicted < relative * step.before else None
