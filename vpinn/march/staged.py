"""What marches in stages have in common: the stages made, the reason why they ended, and the journal of an earlier run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import numpy as np

from vpinn.march.journal import MarchJournal
from vpinn.march.stage import MarchStage
from vpinn.problem import Case, output_times

TOLERANCE = 1e-6
"""Default tolerance of the relative error estimate, dimensionless."""
STAGNANT = 0.7
"""Ratio of the error estimates of two stages above which the later one counts as a stage of little gain."""
PATIENCE = 2
"""Number of consecutive stages of little gain after which the stages end."""
SPENT = 20.0
"""Predicted seconds that all stages may take together."""
Stage = TypeVar("Stage", bound=MarchStage)


class StagedMarches(Generic[Stage]):
    """Marches of one problem, in stages.

    Args:
        problem: the problem in time.
        note: called after every time step with the number of the stage and the time reached; if it returns False, all ends.

    Attributes:
        journal: marches of an earlier run, which are read instead of computed again.
        count: number of marches begun.
        made: stages that have an error estimate, in order.
        ended: reason why no stage follows: "tolerance", "grown" or "collapse"; "" if ``note`` ended the marches.
        collapsed: the part of a march that was computed before its steps became too small; None if none collapsed.
        tolerance: tolerance of the relative error estimate, dimensionless.
        instants: start of the problem and the instants that are written, rising.
    """

    def __init__(self, problem: Case, note: Callable[[int, float], bool] = lambda stage, t: True) -> None:
        self.problem = problem
        self._note = note
        self.journal = MarchJournal()
        self.count = 0
        self.made: list[Stage] = []
        self.ended = ""
        self.collapsed: Stage | None = None
        self.tolerance = problem.settings.solver.tolerance or TOLERANCE
        self.instants = np.union1d([problem.clock.start], output_times(problem)).tolist() if problem.clock else []

    @property
    def best(self) -> Stage | None:
        """The stage with the smallest error estimate; None before there is one."""
        return min(self.made, key=lambda stage: stage.relative, default=None)
