"""Evaluate the true error, if the exact solution is known, and the error estimate, if the run stops at one, during training."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from vpinn.analysis.errors import TrueError, independent_points
from vpinn.analysis.estimate import Estimator
from vpinn.problem import Case
from vpinn.trial import Trial

WATCHED_DEGREE = 12
"""Degree of the quadrature for the true error."""


def make_monitor(problem: Case, trial: Trial, estimator: Estimator | None) -> Callable[[Tensor], dict[str, float]] | None:
    """Return a function of the parameters that computes the errors to record during training; None if there are none.

    The function returns "error", the largest relative L² error of all unknowns, and "estimate", the relative error estimate.

    Args:
        problem: problem, with or without an exact solution.
        trial: its trial space.
        estimator: error estimator; None: the run does not stop at an estimate.
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


def true_error(problem: Case, trial: Trial) -> Callable[[Tensor], float] | None:
    """Return the function from parameters to the largest relative L² error of all unknowns; None without an exact solution."""
    monitor = make_monitor(problem, trial, None)
    return None if monitor is None else lambda theta: monitor(theta)["error"]
