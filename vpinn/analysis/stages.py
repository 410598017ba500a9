"""Estimate the error of a stage of least squares, to decide whether further features are needed, and for the final assessment.

A stage is one fit of features. ``StageEstimators`` keeps the estimator and the judgements, since both callers need them.
"""

from __future__ import annotations

import math

from vpinn.analysis import adequacy
from vpinn.analysis.estimate import Estimator, make_estimator
from vpinn.features import Judgement, LeastSquares, Stage
from vpinn.features.least_squares import Fit
from vpinn.optimization import stated_problem
from vpinn.problem import Case


class StageEstimators:
    """Makes error estimators of stages and judges stages. The last estimator and all judgements are kept.

    Args:
        problem: problem in the formulation of the problem file.
    """

    def __init__(self, problem: Case) -> None:
        self._problem = problem
        self._last: tuple[Fit, Estimator | None] | None = None
        self._said: list[tuple[Fit, Judgement | None]] = []

    def of(self, stage: Stage) -> Estimator | None:
        """Return the error estimator of a stage; None if there is none."""
        if self._last is None or self._last[0] is not stage.fit:
            self._last = None  # released first, since two estimators may not fit in memory
            tests = stage.objective.test_space
            self._last = stage.fit, make_estimator(self._problem, stage.trial, None if tests is None else tests.space.degree)
        return self._last[1]

    def judge(self, stage: Stage) -> Judgement | None:
        """Return the error estimate of a stage, and whether its tests were enough; None if there is no estimate."""
        known = [verdict for fit, verdict in self._said if fit is stage.fit]
        if not known:
            known.append(self._judged(stage))
            self._said.append((stage.fit, known[0]))
        return known[0]

    def unseen(self, stage: Stage) -> float:
        """Return ‖ρ‖ of a stage on a finer rule; for a fit to drawn points its own residual, which is one on fresh draws."""
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
