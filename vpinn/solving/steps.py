"""The strategy that trains a network step by step."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

from vpinn.analysis import make_estimator, make_monitor
from vpinn.optimization import Training, train
from vpinn.solving.preparation import Setup
from vpinn.solving.steady import SteadyStrategy, conclude
from vpinn.solving.strategy import Hooks, Outcome, State


class Steps(SteadyStrategy):
    """Trains a network step by step with ``optimization.train``."""

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        tests = setup.objective.test_space
        self._estimator = make_estimator(setup.problem, setup.trial, None if tests is None else tests.space.degree)
        watched = self._estimator if setup.plan.tolerance is not None else None
        self._monitor = make_monitor(setup.problem, setup.trial, watched)

    def start(self) -> State:
        """Return the state before the first step."""
        return State(self.setup.start())

    def resumed(self, training: Training, arrays: Mapping[str, Any], meta: Mapping[str, Any]) -> State:
        """Return the state of the checkpoint."""
        return State(training)

    def solve(self, state: State, hooks: Hooks) -> Callable[[], Outcome]:
        """Train to the end of the plan."""
        setup, plan = self.setup, self.plan
        if hooks.enough is not None:
            plan = dataclasses.replace(plan, time_limit=min(hooks.enough, plan.time_limit or math.inf))
        train(
            setup.objective,
            state.training,
            plan,
            self._monitor,
            hooks.report,
            lambda training: hooks.save(state, setup.trial),
            hooks.signals,
        )
        return lambda: conclude(setup, state.training, self._estimator)
