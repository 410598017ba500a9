"""The error estimator of a stage of least squares: growth asks it before it ends, the assessment afterwards."""

from __future__ import annotations

import math

from vpinn.analysis import adequacy
from vpinn.analysis.estimate import Estimator, make_estimator
from vpinn.features import Judgement, LeastSquares, Stage
from vpinn.features.least_squares import Fit
from vpinn.optimization import stated_problem
from vpinn.problem import Problem


class StageEstimators:
    """Estimators of stages, of which the last is kept, and what they said.

    Args:
        problem: as the problem file states it.
    """

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._last: tuple[Fit, Estimator | None] | None = None
        self._said: list[tuple[Fit, Judgement | None]] = []

    def of(self, stage: Stage) -> Estimator | None:
        """Return the estimator of a stage; None where nothing can be said."""
        if self._last is None or self._last[0] is not stage.fit:
            self._last = None  # two of them may be more than memory holds
            tests = stage.objective.test_space
            self._last = stage.fit, make_estimator(self._problem, stage.trial, None if tests is None else tests.space.degree)
        return self._last[1]

    def judge(self, stage: Stage) -> Judgement | None:
        """Return what the estimator says of a stage; None where nothing can be said."""
        known = [verdict for fit, verdict in self._said if fit is stage.fit]
        if not known:
            known.append(self._judged(stage))
            self._said.append((stage.fit, known[0]))
        return known[0]

    def unseen(self, stage: Stage) -> float:
        """Return the residual of a stage on points that it was not fitted to; drawn points leave that of fresh draws."""
        if stage.fit.points is not None:
            return stage.fit.residual
        stated = stated_problem(self._problem, stage.trial, LeastSquares.name)
        return math.sqrt(2 * adequacy.unseen_loss(stated, stage.trial, stage.objective, stage.fit.theta))

    def _judged(self, stage: Stage) -> Judgement | None:
        estimator, theta = self.of(stage), stage.fit.theta
        found = None if estimator is None else estimator(theta)
        if found is None:
            return None
        seen = adequacy.tests(theta, stage.fit.network, stage.objective, estimator, found)
        return Judgement(found.relative, found.absolute, not seen or bool(seen["passes"]))
