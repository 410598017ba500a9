"""The strategy that solves for the coefficients of random features by least squares, with more features stage by stage.

Finite elements are solved beside it where they may be better or cheaper; the better of the two becomes the solution.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from vpinn.analysis import (
    Estimator,
    Freedom,
    StageEstimators,
    clashing_values,
    free_beforehand,
    make_estimator,
    unseen_data,
)
from vpinn.features import (
    PILOT,
    Guide,
    Journal,
    Judgement,
    LeastSquares,
    Stage,
    counted_seconds,
    grow,
    tests_degree,
    with_network,
)
from vpinn.finite_elements import Level
from vpinn.learning import last_layer_solved
from vpinn.metrics import Metrics
from vpinn.objective import Objective
from vpinn.optimization import COLUMNS, Training, history_row
from vpinn.optimization.training import history_of_rows
from vpinn.run_folder import network_of, understood
from vpinn.solving.cornered import cornered
from vpinn.solving.element_stages import CHEAP
from vpinn.solving.elements import Rival, make_rival, note_stage, outcome_of
from vpinn.solving.growth_record import row_of, settle
from vpinn.solving.origin import Origin
from vpinn.solving.preparation import Setup
from vpinn.solving.staged import best_stage, ended_in_time
from vpinn.solving.steady import SteadyStrategy, conclude, with_trial
from vpinn.solving.strategy import SOON, Hooks, Outcome, State
from vpinn.trial import Features, Trial

GROWN = ("tolerance", "grown", "time limit")
"""Reasons for the end of growth after which only the assessment is left."""
RECIPES = 10
"""Approximate number of recipes for random features that are tried before the first stage."""
GOOD = 1e-4
"""Relative error estimate of finite elements above which features are tried even if they are slow, given a smooth solution."""
LONG, FAIR = 10.0, 1e-3
"""Where trying features would take more than this many seconds (as counted), this error estimate replaces ``GOOD``."""
_ESTIMATE = COLUMNS.index("estimate")


class LeastSquaresStrategy(SteadyStrategy):
    """Solves with more and more random features. Each stage is a step of the training state; the best one is its parameters."""

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        assert setup.objectives is not None
        assert isinstance(setup.plan.method, LeastSquares)
        self._objectives, self._method = setup.objectives, setup.plan.method
        self._trials = (setup.trial, *setup.others)
        self._rival = None if self._method.alone else make_rival(setup.problem, self._method)
        self._freedom = Freedom.UNKNOWN
        self._began = time.perf_counter()
        self._ready = 0.0

    def start(self) -> State:
        """Return the state before the first stage."""
        return State(self.setup.start(), Journal(asked=self._method.asked))

    def resumed(self, training: Training, arrays: Mapping[str, Any], meta: Mapping[str, Any]) -> State:
        """Return the state of the checkpoint.

        If growth had ended, and not because of the time limit, its result is kept. Otherwise the stages so far are kept and
        growth continues. If the tolerance has changed, everything starts anew.
        """
        journal = Journal.from_arrays(arrays, meta)
        if journal.asked != self._method.asked:
            return self.start()
        stopped = meta.get("stopped")
        if stopped in GROWN and stopped != "time limit" and "width" in meta:
            return State(training, journal, meta)
        return State(self.setup.start(), journal)

    def solve(self, state: State, hooks: Hooks) -> Callable[[], Outcome]:
        """Add features until the residual and the error estimate are small enough, or no longer fall.

        If a linear problem has many solutions, only one stage is made; the assessment tells it. Otherwise, unless the file asks
        for least squares, finite elements are solved first if they take less time than the choice of features. They become the
        solution if they are accurate enough, or more accurate than the features.
        """
        self._began, self._ready = time.perf_counter(), hooks.ready
        if self.setup.origin is not None:
            return self._from_run(state, hooks, self.setup.origin)
        if state.record:
            return self._resumed(state, hooks)
        whys = list[str]()
        if not ended_in_time(self, hooks, self._left(), lambda: whys.append(self._looked())):
            whys.append("the time limit was over before features" if self._rival is not None and self._rival.found else "")
        if self._rival is not None and (why := self.placement.group.by_first(lambda: whys[0])):
            return self._by_elements(state, hooks, self._rival, why)
        best, estimator, left = self._grown(state, hooks)
        stopped = state.training.stopped
        asked = stopped in GROWN and (stopped != "time limit" or (self._rival is not None and self._rival.known))
        if self._rival is not None and asked and left > self._method.tolerance:
            rival = self._rival
            ended_in_time(self, hooks, self._left(), lambda: rival.best)
            if (less := self.placement.group.by_first(lambda: rival.relative)) < left:
                return self._by_elements(state, hooks, rival, f"error estimate {less:.1e}, that of features {left:.1e}")
        state.record = {**state.record, "width": best.width, "degree": tests_degree(best.objective)}
        return self._concluded(state, hooks, best.trial, best.objective, estimator)

    def _looked(self) -> str:
        """Look for free functions, and return the reason why finite elements solve the problem; "" if features are tried."""
        turns = Level.of(self.setup.problem).turns  # rigid rotations, which finite elements remove
        self._freedom = Freedom.UNKNOWN if turns else free_beforehand(self.setup.problem, self.setup.trial)
        if self._freedom is Freedom.MANY:
            self._rival, self._trials = None, self._trials[:1]
        return "" if self._rival is None else self._elements_first(self._rival)

    def _elements_first(self, rival: Rival) -> str:
        """Return the reason why finite elements solve the problem and no features are tried; "" if features are tried.

        Features are smooth and cannot follow data that jump or are narrow inside cells. Rotations can be removed from finite
        elements only. In other problems, they come first if choosing trial space and recipe would take longer than two stages.
        """
        problem, objective = self.setup.problem, self.setup.objective
        unseen = unseen_data(problem, [measure.points for measure in objective.measures])
        if unseen is not None and rival.best is not None:
            return "data jump or are narrow inside cells; random features are smooth"
        if clashing_values(problem) is not None and rival.best is not None:
            return "boundary values jump; random features are smooth"
        look = RECIPES * len(self._trials) * counted_seconds(objective, PILOT * self.setup.trial.network.outputs)
        if Level.of(problem).turns and rival.best is not None:
            return "nothing holds the body; elements remove its rigid motions"
        slow = look > max(CHEAP, rival.seconds)
        enough = FAIR if look > LONG else GOOD
        if slow and rival.best is not None and (rival.relative <= enough or not rival.smooth):
            few = None
            if rival.relative > self._method.tolerance:
                few = cornered(problem, self._objectives, self._trials, rival.relative)
            if few is None:
                return "choosing random features would take longer"
            self._trials = (few,)
        return ""

    def _from_run(self, state: State, hooks: Hooks, origin: Origin) -> Callable[[], Outcome]:
        """Solve for the last layer of the features of another run, from its field if the problem is nonlinear."""
        problem, training = self.setup.problem, state.training
        with hooks.signals.abandons():
            trial = origin.space(problem)
            objective, theta, value = last_layer_solved(problem, trial, origin.features)
        training.theta, training.best = theta, (theta, value)
        training.step, training.seconds = 1, time.perf_counter() - self._began
        row = history_row(step=1, seconds=training.seconds, loss=value * objective.unit, batch_size=objective.size)
        training.history = history_of_rows(np.array([row]))
        hooks.report(training)
        training.stopped = "steps" if hooks.signals.signal is None else "signal"
        hooks.save(state, trial)
        setup = dataclasses.replace(with_trial(self.setup, trial, objective), reason=f"the features of {origin.folder}")
        return lambda: conclude(setup, training, make_estimator(problem, trial, tests_degree(objective) or None))

    def _by_elements(self, state: State, hooks: Hooks, rival: Rival, why: str) -> Callable[[], Outcome]:
        """Return finite elements as the outcome; stages of features before them stay in the history."""
        training, stage = state.training, rival.best
        assert stage is not None
        before = training.history[-1][COLUMNS.index("seconds")] if training.history else 0.0
        for made in rival.stages:
            note_stage(training, dataclasses.replace(made, seconds=before + made.seconds))
            hooks.report(training)
        training.theta, training.best = stage.theta, (stage.theta, math.inf)
        training.seconds = time.perf_counter() - self._began
        training.stopped = rival.ended
        hooks.save(state, stage.trial)
        told = f"of degree {stage.found.space.degree} on {stage.found.mesh.n_cells:,} cells: {why}"
        return lambda: dataclasses.replace(outcome_of(self.setup, training, stage, told), unique=self._freedom is Freedom.NONE)

    def _resumed(self, state: State, hooks: Hooks) -> Callable[[], Outcome]:
        """Return the outcome of growth that had ended when its checkpoint was written."""
        with hooks.signals.abandons(), understood(hooks.folder):
            trial, objective = self._restored(state)
            estimator = make_estimator(self.setup.problem, trial, state.record["degree"] or None)
        best = state.record.get("best", state.training.step)
        state.record = {"width": state.record["width"], "degree": tests_degree(objective), "best": best}
        return self._concluded(state, hooks, trial, objective, estimator)

    def _concluded(
        self, state: State, hooks: Hooks, trial: Trial, objective: Objective, estimator: Estimator | None
    ) -> Callable[[], Outcome]:
        def concluded() -> Outcome:
            found = conclude(with_trial(self.setup, trial, objective), state.training, estimator)
            account = Metrics.of(found.solution.metrics).account
            assert account is not None
            account = dataclasses.replace(account, more={**account.more, "best_step": state.record["best"]})
            own = dataclasses.replace(found.solution, metrics=Metrics(account))
            return dataclasses.replace(found, solution=own, unique=self._freedom is Freedom.NONE)

        hooks.save(state, trial)
        return concluded

    def _grown(self, state: State, hooks: Hooks) -> tuple[Stage, Estimator | None, float]:
        """Return the best stage, the estimator of its error, and its error estimate; none of the latter two after a signal."""
        training, journal = state.training, state.journal
        assert isinstance(journal, Journal)
        method = self._method
        group = self.placement.group
        stages, estimators = list[Stage](), StageEstimators(self.setup.problem)
        leading: dict[int, Stage] = {}  # number of functions of a trial space → its best stage

        def note(stage: Stage, ahead: Stage) -> bool:
            stages.append(stage)
            leading[ahead.trial.function.count()] = ahead
            training.history.append(row_of(self.setup.problem, stage, len(stages)))
            best = settle(training, stages, leading.values())
            training.seconds = stage.seconds
            hooks.report(training)
            if not journal.reads:
                hooks.save(state, best.trial)
            over = hooks.over(training) or self._freedom is Freedom.MANY or (group.size > 1 and self._late)
            return not group.largest([over])[0]

        def ahead(seconds: float) -> None:
            training.ahead = seconds
            hooks.report(training)
            training.ahead = None

        def told(stage: Stage, verdict: Judgement) -> None:
            at = next(k for k, other in enumerate(stages) if other.fit is stage.fit)
            row = training.history[at]
            training.history[at] = (*row[:_ESTIMATE], verdict.relative, *row[_ESTIMATE + 1 :])

        guide = Guide(note, estimators.judge, told, self._beaten, estimators.unseen, ahead)

        def grown() -> tuple[Stage, str]:
            best = grow(self._objectives, self._trials, method, guide, journal)
            if best.converged:
                return best, "tolerance"
            late = group.size > 1 and group.largest([self._late])[0]  # several workers end together, after a stage
            return best, "time limit" if late else "grown"

        best = best_stage(
            self,
            training,
            hooks,
            grown,
            lambda: min(leading.values(), key=lambda stage: stage.relative, default=None),
            "first stage of least squares",
            self._left(),
        )
        settle(training, stages, [best])
        place = next((k for k, stage in enumerate(stages, start=1) if stage.fit is best.fit), len(stages))
        state.record = {**state.record, "best": place}
        if training.stopped not in GROWN or hooks.spent(training):
            return best, None, math.inf
        estimator = estimators.of(best)
        verdict = None if best.converged else estimators.judge(best)
        return best, estimator, 0.0 if verdict is None else verdict.relative

    def _left(self) -> float | None:
        """Return the seconds left of the time limit; None if there is none."""
        limit = self._method.time_limit
        spent = self._ready + time.perf_counter() - self._began
        return None if limit is None else max(limit - spent, SOON)

    @property
    def _late(self) -> bool:
        """Whether the time limit is over."""
        left = self._left()
        return left is not None and left <= SOON

    def _beaten(self, verdict: Judgement) -> bool:
        """Return whether finite elements, if solved already, have a smaller error estimate than a stage of features."""
        return self._rival is not None and self._rival.relative < verdict.relative

    def _restored(self, state: State) -> tuple[Trial, Objective]:
        """Return the trial space and the objective of the best stage, from a checkpoint."""
        record = state.record
        [trial] = [trial for trial in self._trials if (trial.rows, trial.corners) == (record["rows"], record["corners"])]
        state.training.stopped, network = record["stopped"], network_of(trial, record)
        assert isinstance(network, Features)
        whole = self._objectives.of(trial, record["width"], record["degree"])
        return dataclasses.replace(trial, network=network), with_network(whole, network)
