"""Learning from members of a family as a strategy: its steps move common weights, its solution is the member in the middle.

The closing comparison on members that were not learned from is that of `vpinn.solving.contest`.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from torch import Tensor

from vpinn.analysis import make_estimator
from vpinn.errors import DivergenceError, InputError
from vpinn.families import unused
from vpinn.learning import FEATURES, Learning, Members, last_layer_solved, reused_batch
from vpinn.metrics import Account, Metrics
from vpinn.optimization import METHODS, Method, NonFiniteError, Plan, Training, history_row
from vpinn.optimization.batching import samplers_of
from vpinn.optimization.meta import Learner, Maml, Reptile
from vpinn.optimization.schedule import Schedule
from vpinn.placement import Placement, wide
from vpinn.problem import Case, Settings, member
from vpinn.process import settle_process
from vpinn.solution import Solution
from vpinn.solving.contest import contest, told
from vpinn.solving.steady import SteadyOutcome, imposed_of
from vpinn.solving.strategy import Hooks, Outcome, State, Strategy
from vpinn.trial import Trial, make_trial

LEARNERS: Final[Mapping[str, type[Learner]]] = {kind.name: kind for kind in (Reptile, Maml)}
DRAWN, UNSEEN, BIAS = 1, 2, 3
"""Streams of random numbers, beside the seed: members to learn from, other members, batches that measure a bias."""


def learning_method(problem: Case) -> str:
    """Return the name of the learner that a problem file asks for, reptile where it asks for none."""
    asked = problem.settings.solver.method
    return asked if asked in LEARNERS else Reptile.name


class LearningStrategy(Strategy):
    """Learns initial weights and features from members of a family, step by step.

    Args:
        problem: a family.
        settings: how it is solved; its method is a learner.
        placement: where the steps work.

    Raises:
        InputError: members of the family cannot be trained, or not by the method that [learn] names.
    """

    def __init__(self, problem: Case, settings: Settings, placement: Placement) -> None:
        settle_process(placement.threads)
        solver, learn = settings.solver, settings.learn
        _check(problem, settings)
        members = Members.of(problem, settings, placement, learn.train)
        parameters = problem.ranges
        learner = LEARNERS[solver.method](count=learn.inner, rate=learn.rate, reuse=learn.reuse)
        rate = solver.learning_rate or learner.learning_rate or 1.0
        schedule = Schedule(rate, 0, solver.steps or learner.steps, solver.schedule or learner.course, solver.decay)
        values = np.stack(unused(parameters, learn.members, np.random.default_rng((solver.seed, DRAWN))))
        self.learning = Learning(members, values, learner, members.batch, schedule)
        self.middle = members.at(parameters.center)
        drawn = members.batch < members.points
        samplers = samplers_of(members.settings, self.middle.objective, members.batch, 1) if drawn else ()
        plan = Plan(learner, schedule, samplers, checkpoint_every=solver.checkpoint)
        super().__init__(problem, members.settings, plan, placement, self.middle.trial)
        self._left = math.inf  # seconds until the time limit

    def start(self) -> State:
        """Return the state before the first step."""
        return State(self.learning.start(self.settings.solver.seed))

    def resumed(self, training: Training, arrays: Mapping[str, Any], meta: Mapping[str, Any]) -> State:
        """Return the state of the checkpoint.

        Raises:
            ValueError: it is that of another network.
        """
        training.check_size(self.middle.trial.network.size, (FEATURES,))
        return State(training)

    def solve(self, state: State, hooks: Hooks) -> Callable[[], Outcome]:
        """Learn to the end of the schedule."""
        training, first = state.training, state.training.step
        self._left = hooks.left(self.settings.solver.time_limit) or math.inf
        began = time.perf_counter() - training.seconds
        saved, used = time.perf_counter(), time.process_time()
        size = self.plan.batch_size or self.middle.objective.size
        training.stopped = self._reason(training, hooks)
        while not training.stopped:
            rate = self.plan.schedule(training.step)
            try:
                loss = self.learning.step(training)
            except NonFiniteError as error:
                remedy = self.learning.learner.remedy
                raise DivergenceError(f"the {error} of a member is not finite at step {training.step + 1}; {remedy}") from None
            training.step += 1
            training.seconds = time.perf_counter() - began
            known = {"step": training.step, "seconds": training.seconds, "loss": loss, "learning_rate": rate, "batch_size": size}
            training.history.append(history_row(**known))
            hooks.report(training)
            if time.perf_counter() - saved > self.plan.checkpoint_every:
                hooks.save(state, self.space)
                saved = time.perf_counter()
            training.stopped = self._reason(training, hooks)
        taken = training.step - first
        spent = (time.process_time() - used) * training.step / taken if taken else training.seconds
        solved = self._middle_solved(training)
        training.best = (solved, self.middle.objective.value(solved))
        hooks.save(state, self.space)
        return lambda: self._outcome(training, hooks, spent)

    def _middle_solved(self, training: Training) -> Tensor:
        """Return the parameters of the member in the middle by the learned features [size]."""
        features, middle = training.state[FEATURES], self.middle
        try:
            return last_layer_solved(middle.problem, middle.trial, features)[1]
        except InputError:  # no least squares for this form
            return middle.solved(features, np.random.default_rng(self.settings.solver.seed))

    def _reason(self, training: Training, hooks: Hooks) -> str:
        """Return why learning ends after this step, "" where it goes on."""
        if hooks.signals.signal is not None:
            return "signal"
        if training.step >= self.plan.schedule.steps:
            return "steps"
        late = training.step and (hooks.over(training) or training.seconds > self._left)
        return "time limit" if late else ""

    def _outcome(self, training: Training, hooks: Hooks, spent: float) -> SteadyOutcome:
        """Return the member in the middle by learned features, and the comparison of ways to solve other members."""
        middle, (theta, loss) = self.middle, training.best
        objective = middle.objective
        account = Account(
            method=self.plan.method.name,
            method_reason="as the problem file asks",
            steps=training.step,
            stopped=training.stopped,
            parameters=middle.trial.network.size,
            quadrature_points=objective.size,
            test_functions=objective.test_space.size if objective.test_space else None,
            batch_size=self.plan.batch_size or "full",
            imposed=imposed_of(middle.trial.imposed),
        )
        table = training.history.table
        if training.stopped == "signal":
            return SteadyOutcome(Solution(middle.problem, middle.trial, wide(theta), Metrics(account), table))
        account = dataclasses.replace(account, more=self._worth(training, hooks, spent))
        found = Solution(
            middle.problem,
            middle.trial,
            wide(theta),
            Metrics(account),
            table,
            members=learned_members(self.problem, middle.trial, training.state[FEATURES]),
        )
        estimator = make_estimator(middle.problem, middle.trial)
        return SteadyOutcome(found, loss * objective.unit, objective, estimator, middle.problem)

    def _worth(self, training: Training, hooks: Hooks, spent: float) -> dict[str, Any]:
        """Return the metrics of learning: the bias of a reused batch, and the comparison of ways to solve other members."""
        learning, learn = self.learning, self.settings.learn
        seed = self.settings.solver.seed
        parameters = self.problem.ranges
        unseen = unused(parameters, learn.unseen, np.random.default_rng((seed, UNSEEN))) if learn.unseen else []
        bias = reused_batch(self.middle, training.theta, learning.size, np.random.default_rng((seed, BIAS)))
        entries: dict[str, Any] = {
            "members": len(learning.values),
            "inner": learn.inner,
            "rate": learn.rate,
            "reuse": learn.reuse,
            "train": learn.train,
            "adapt": learn.adapt,
            "bias": [one.as_row() for one in bias],
            "unseen": [dict(zip(parameters.names, map(float, values), strict=True)) for values in unseen],
        }
        if not unseen:
            return {"learning": entries}
        until = time.perf_counter() + self._left - training.seconds
        ways = contest(learning, training.theta, training.state[FEATURES], unseen, spent, hooks.signals, until)
        errors, seconds = told(ways)
        compared = max(len(way.errors) for way in ways.values())
        if compared < len(unseen):
            entries |= {"unseen": entries["unseen"][:compared], "late": len(unseen) - compared}
        return {"learning": {**entries, "ways": errors}, "processor_seconds": seconds}


def learned_members(family: Case, trial: Trial, features: Tensor) -> Callable[[Mapping[str, float]], Solution]:
    """Return what solves members of a family by learned features, from named values of its parameters.

    Args:
        family: the family.
        trial: trial space of a member.
        features: weights with learned hidden layers [size].

    Raises:
        ValueError: the features are those of another network.
    """
    network, scales = trial.network, trial.scales
    parameters = family.ranges
    if scales is None or features.shape != (network.size,):
        raise ValueError(f"features {tuple(features.shape)} for a network of {network.size} weights")

    def solved(values: Mapping[str, float]) -> Solution:
        problem = member(family, parameters.vector(values))
        space = make_trial(problem, layers=network.layers[1:-1]).scaled(scales)
        return Solution(problem, space, last_layer_solved(problem, space, features)[1])

    return solved


def _check(problem: Case, settings: Settings) -> None:
    """Refuse settings and problems for which learning is impossible.

    Raises:
        InputError: names the setting, or the part of the problem.
    """
    name = settings.learn.train
    if name not in METHODS or not isinstance(METHODS[name](settings), Method):
        choices = ", ".join(one for one in METHODS if isinstance(METHODS[one](settings), Method) and "." not in one)
        raise InputError(f'learn.train = "{name}" trains no network; give one of {choices}', problem.where("learn", "train"))
    if settings.solver.precision != "float64":
        raise InputError(
            f'method "{settings.solver.method}" solves for last layers in float64, but solver.precision is '
            f'"{settings.solver.precision}"; leave it out',
            problem.where("solver", "precision"),
        )
    nodal, where = problem.nodal
    if nodal:
        raise InputError(f"{nodal} needs the nodes of finite elements, which networks lack; leave out [parameters]", where)
    if problem.periodic:
        raise InputError("a network has no periodic sides; leave out [parameters]", problem.where("periodic"))
