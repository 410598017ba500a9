"""Test whether singular functions at corners and very few random features are better than finite elements.

This is tried where choosing among many features would take too long.
"""

from __future__ import annotations

from collections.abc import Iterable

from vpinn.features import Objectives, Recipe, counted_seconds, objective_for, pilot
from vpinn.problem import Case
from vpinn.trial import Trial

FEW = 20
"""Number of random features in addition to the singular functions."""
PLAIN = Recipe("tanh", 1.0)
"""Recipe of these features."""
SOME = 0.5
"""Counted seconds that the test may take."""


def cornered(problem: Case, objectives: Objectives, trials: Iterable[Trial], relative: float) -> Trial | None:
    """Return the trial space with singular functions at corners; None if it does not promise to be better than elements.

    Args:
        problem: The problem to solve.
        objectives: Objectives of least squares.
        trials: Trial spaces of least squares.
        relative: Relative error estimate of finite elements.
    """
    trial = next((trial for trial in trials if trial.corners), None)
    if trial is None:
        return None
    objective = objective_for(objectives, trial, FEW)
    if counted_seconds(objective, FEW * trial.network.outputs) > SOME:
        return None
    step = pilot(objective, trial.network, FEW, problem.settings.solver.seed, problem.domain, PLAIN)
    return trial if step.predicted < relative * step.before else None
