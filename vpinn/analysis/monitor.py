"""What is watched while a run trains: the true error where it is known, and the estimate where a tolerance asks for it."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from vpinn.analysis.errors import TrueError, independent_points
from vpinn.analysis.estimate import Estimator
from vpinn.problem import Problem
from vpinn.trial import Trial

WATCHED_DEGREE = 12
"""Quadrature degree of the errors."""


def make_monitor(problem: Problem, trial: Trial, estimator: Estimator | None) -> Callable[[Tensor], dict[str, float]] | None:
    """Return parameters → "error", relative L² and the largest of all unknowns, and "estimate"; None where neither is asked.

    Args:
        problem: the problem, whose exact solution is compared with.
        trial: its trial space.
        estimator: of the error; None: nothing stops on its estimate.
    """
    truth = TrueError(problem, trial, independent_points(problem, WATCHED_DEGREE)) if problem.exact else None
    if truth is None and estimator is None:
        return None

    def monitor(theta: Tensor) -> dict[str, float]:
        values = {} if truth is None else {"error": max(e["relative_l2"] for e in truth(theta).values())}
        if estimator is not None and (estimate := estimator(theta)) is not None:
            values["estimate"] = estimate.relative
        return values

    return monitor


def true_error(problem: Problem, trial: Trial) -> Callable[[Tensor], float] | None:
    """Return parameters → relative L² error, the largest of all unknowns; None where no exact solution is known."""
    monitor = make_monitor(problem, trial, None)
    return None if monitor is None else lambda theta: monitor(theta)["error"]
