"""Finite elements as a strategy, and as an alternative that another strategy can compare itself with."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from vpinn.analysis import make_monitor
from vpinn.errors import InputError, VpinnError
from vpinn.features import Direct, Elements
from vpinn.finite_elements import check
from vpinn.interrupt import Stopped
from vpinn.metrics import Metrics
from vpinn.optimization import Training, history_row
from vpinn.problem import Case
from vpinn.solution import Solution
from vpinn.solving.element_stages import SMOOTH, ElementStage, counted, degrees, solve_by_elements
from vpinn.solving.preparation import Setup
from vpinn.solving.staged import best_stage
from vpinn.solving.steady import SteadyOutcome, SteadyStrategy, described
from vpinn.solving.strategy import Hooks, Outcome, State


class Rival:
    """Finite elements as an alternative to another strategy; they are solved when their result is first asked for.

    Args:
        problem: The problem that both solve.
        method: Tolerance and time limit.

    Attributes:
        stages: All stages so far, without their estimators and fields, which would hold memory.
    """

    def __init__(self, problem: Case, method: Direct) -> None:
        self._problem, self._method = problem, method
        self.stages: list[ElementStage] = []
        self._found: list[ElementStage] = []
        self._ended: str | None = None

    def _note(self, stage: ElementStage) -> bool:
        estimate = None if stage.estimate is None else replace(stage.estimate, corrected=None)
        self.stages.append(replace(stage, estimator=None, estimate=estimate))
        if not self._found or stage.relative <= self._found[0].relative:
            self._found = [stage]
        return True

    @property
    def best(self) -> ElementStage | None:
        """The best stage; None if finite elements cannot solve the problem.

        Raises:
            Stopped: A signal arrived, or the time limit was over; the stages so far remain.
        """
        if self._ended is None:
            try:
                _, self._ended = solve_by_elements(self._problem, self._method, self._note)
            except VpinnError:
                self._ended = ""
            except Stopped:
                self._ended = "time limit"
                raise
        return self.found

    @property
    def found(self) -> ElementStage | None:
        """The best stage so far."""
        return self._found[0] if self._found else None

    @property
    def known(self) -> bool:
        """Whether they have been solved already."""
        return self._ended is not None

    @property
    def relative(self) -> float:
        """Relative error estimate of the best stage, dimensionless; infinite if there is none."""
        return math.inf if self.best is None else self.best.relative

    @property
    def smooth(self) -> bool:
        """Whether the error estimate fell fast with the degree, as it does for smooth solutions."""
        return self.best is not None and self.best.gain >= SMOOTH

    @property
    def ended(self) -> str:
        """Why there is no further stage."""
        return self._ended or ""

    @property
    def seconds(self) -> float:
        """Counted seconds of the first two stages."""
        few = degrees(self._problem)[:2]
        return sum(counted(self._problem, degree) for degree in few)


def make_rival(problem: Case, method: Direct) -> Rival | None:
    """Return finite elements as an alternative; None if the problem cannot be stated for them."""
    try:
        check(problem, degrees(problem)[0], 0)
    except InputError:
        return None
    return Rival(problem, method)


class ElementsStrategy(SteadyStrategy):
    """Solves with finite elements of rising degree. Each stage is a step of the training state."""

    def solve(self, state: State, hooks: Hooks) -> Callable[[], Outcome]:
        """Raise the degree, or bisect cells, until the error estimate is below the tolerance or falls too slowly."""
        training = state.training
        stages = list[ElementStage]()

        def note(stage: ElementStage) -> bool:
            stages.append(stage)
            note_stage(training, stage)
            hooks.report(training)
            return not hooks.over(training)

        def ahead(seconds: float) -> None:
            training.ahead = seconds
            hooks.report(training)
            training.ahead = None

        method, origin = self.plan.method, self.setup.origin
        assert isinstance(method, Direct)
        start = None if origin is None else origin.solution
        best = best_stage(
            self,
            training,
            hooks,
            lambda: solve_by_elements(self.problem, method, note, ahead, start),
            lambda: min(stages, key=lambda stage: stage.relative, default=None),
            "first stage of the elements",
        )
        hooks.save(state, best.trial)
        return lambda: outcome_of(self.setup, training, best)


def note_stage(training: Training, stage: ElementStage) -> None:
    """Record a stage as the last step of a training state."""
    watch = make_monitor(stage.problem, stage.trial, None)
    training.step += 1
    training.seconds = stage.seconds
    training.theta = stage.theta
    training.best = stage.theta, math.inf
    row = history_row(
        step=training.step,
        seconds=stage.seconds,
        batch_size=stage.points,
        estimate=math.nan if stage.estimate is None else stage.estimate.relative,
        error=math.nan if watch is None else watch(stage.theta)["error"],
    )
    training.history.append(row)


def outcome_of(setup: Setup, training: Training, stage: ElementStage, reason: str | None = None) -> SteadyOutcome:
    """Return a stage of finite elements as the outcome of a strategy.

    Args:
        setup: The prepared problem.
        training: State of the run.
        stage: The stage.
        reason: Why finite elements solve the problem; default the reason of the setup.
    """
    space = stage.found.space
    said = described(setup, stage.trial, training, stage.points)
    account = replace(
        said,
        method=Elements.name,
        method_reason=setup.reason if reason is None else reason,
        parameters=stage.found.dofs,
        test_functions=stage.found.dofs,
        more={**said.more, "degree": space.degree, "degrees": stage.found.degrees, "cells": space.mesh.n_cells},
    )
    solution = Solution(stage.problem, stage.trial, stage.theta, Metrics(account), training.history.table)
    begun = None if stage.first is None else Solution(stage.first.problem, stage.first.trial, stage.first.theta)
    return SteadyOutcome(solution, estimator=stage.estimator, first=begun)
