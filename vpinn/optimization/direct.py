"""Least squares as the method of a plan: how many features, how good is good enough, and what it solves."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vpinn.objective import Objective, variation
from vpinn.optimization.stream import Stream
from vpinn.problem import Problem
from vpinn.sampling import Sampler

WIDTHS = (60, 120, 200, 280, 400, 560, 800, 1120, 1600)
"""Features per component that a stage may have."""
TOLERANCE = 1e-6
"""Residual relative to that of zero features, and error estimate, below which a solution is good enough by default."""
AIM = 1e-9
"""What is aimed at by default where a further stage is cheap."""
SLACK = 10.0
"""Factor by which the error estimate may exceed what is aimed at."""


@dataclass(frozen=True)
class LeastSquares:
    """The method of a plan that solves without steps.

    Attributes:
        width: features per component, None to grow until the tolerance holds.
        asked: tolerance of relative residual and error estimate that was asked for, None for the default.
        seed: of the features.
        samplers: of drawn points, see ``Stream``; by default there are none, and all points are summed over.
        time_limit: seconds after which the best stage so far is returned, None: never.
    """

    width: int | None = None
    asked: float | None = None
    seed: int = 0
    samplers: Callable[[Objective], Sequence[Sampler]] = lambda objective: ()
    time_limit: float | None = None
    name = "least-squares"
    full = False
    curved = True
    judged = False
    blind = False
    double = True

    @property
    def tolerance(self) -> float:
        """Relative residual, and error estimate, below which a stage is good enough."""
        return self.asked or TOLERANCE

    @property
    def aim(self) -> float:
        """Relative residual that stages are sized for; beyond the tolerance only cheap ones are made."""
        return self.asked or AIM

    @property
    def slack(self) -> float:
        """Factor by which the error estimate may exceed ``aim``: one that was asked for holds as it is."""
        return 1.0 if self.asked else SLACK

    @property
    def widths(self) -> tuple[int, ...]:
        """Features that stages may have."""
        return WIDTHS if self.width is None else (self.width,)

    @property
    def stream(self) -> Stream:
        """Where points come from."""
        return Stream(self.samplers, self.seed)


def least_squares_problem(problem: Problem) -> Problem:
    """Return the problem that least squares solves: an energy by its first variation, others as they are."""
    if problem.formulation != "energy":
        return problem
    return dataclasses.replace(problem, formulation="weak", form=variation(problem))
