"""The strategy that trains a network step by step."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from vpinn.analysis import Estimate, Estimator, make_estimator, make_monitor
from vpinn.finite_elements import Level
from vpinn.optimization import Method, Training, train
from vpinn.placement import wide
from vpinn.solving.preparation import Setup
from vpinn.solving.steady import SteadyStrategy, conclude
from vpinn.solving.strategy import Hooks, Outcome, State


class Steps(SteadyStrategy):
    """Trains a network step by step with ``optimization.train``."""

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        tests = setup.objective.test_space
        self._estimator = make_estimator(setup.problem, setup.trial, None if tests is None else tests.space.degree)
        method = setup.plan.method
        # beside elements the estimate costs less than a step with curvature, and tells whether these still gain anything
        settles = isinstance(method, Method) and method.settles and setup.trial.beside is not None
        ends = setup.plan.tolerance is not None or settles
        watched = self._levelled(self._estimator) if ends and self._estimator is not None else None
        self._monitor = make_monitor(setup.problem, setup.trial, watched)

    def _levelled(self, estimator: Estimator) -> Callable[[Tensor], Estimate | None]:
        """Return the estimator for parameters whose undetermined constants, such as that of a pressure, drift in training."""
        level = Level.of(self.setup.problem)
        return lambda theta: estimator(level(self.setup.trial, wide(theta)))

    def resumed(self, training: Training, arrays: Mapping[str, Any], meta: Mapping[str, Any]) -> State:
        """Return the state of the checkpoint.

        Raises:
            ValueError: it is that of another network.
        """
        training.check_size(self.setup.trial.network.size)
        return State(training)

    def solve(self, state: State, hooks: Hooks) -> Callable[[], Outcome]:
        """Train to the end of the plan."""
        setup, plan = self.setup, self.plan
        left = None if plan.time_limit is None else plan.time_limit - hooks.ready
        limits = [limit for limit in (hooks.enough, left) if limit is not None]
        plan = dataclasses.replace(plan, time_limit=min(limits, default=None))
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
