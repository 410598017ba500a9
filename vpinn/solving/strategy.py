"""A way to solve a problem: what every one of them takes, and what it hands on to the assessment."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vpinn.analysis import Estimator, assessed_objective
from vpinn.features import Journal
from vpinn.finite_elements import Level
from vpinn.interrupt import Interrupt
from vpinn.objective import Objective, summable
from vpinn.optimization import (
    COLUMNS,
    Rules,
    Training,
    estimator_found,
    final_parameters,
    policy_found,
    samples_of,
    strata_found,
    walk_found,
    with_tangents,
)
from vpinn.problem import Problem
from vpinn.solution import Solution
from vpinn.solving.preparation import Setup
from vpinn.trial import Trial, coefficients_of


@dataclass
class State:
    """What a run has reached: all that a checkpoint holds, with the trial space.

    Attributes:
        training: the parameters and their history.
        journal: what growth has found out.
        record: what the checkpoint says besides, JSON-compatible; what growth ended with, once it has.
    """

    training: Training
    journal: Journal = field(default_factory=Journal)
    record: Mapping[str, Any] = field(default_factory=dict)

    @property
    def begun(self) -> bool:
        """Whether a run went before whose findings this one goes on from."""
        return bool(self.record or self.journal.notes)


@dataclass(frozen=True)
class Hooks:
    """Whom a strategy tells how far it is.

    Attributes:
        report: called after every step or stage.
        save: called where the state is worth keeping, with the trial space that its parameters belong to.
        signals: received; a strategy ends with ``stopped = "signal"`` soon after one.
    """

    report: Callable[[Training], None]
    save: Callable[[State, Trial], None]
    signals: Interrupt


@dataclass(frozen=True)
class Outcome:
    """What a strategy ended with.

    Attributes:
        solution: what it found, with the metrics that it knows; not assessed yet.
        objective: what it minimised, on all points, in its own unit; None where it minimised nothing.
        estimator: of the error of such parameters; None where there is none.
        loss: of the solution, in units of the file's functional.
        stated: the problem in the formulation that was solved.
        checks: that the strategy itself found to fail.
        first: a solution on the mesh of the problem file, where the solution is on a finer one.
    """

    solution: Solution
    objective: Objective | None = None
    estimator: Estimator | None = None
    loss: float | None = None
    stated: Problem | None = None
    checks: tuple[str, ...] = ()
    first: Solution | None = None


class Strategy(ABC):
    """One way to solve a problem that was made ready.

    Args:
        setup: what is solved, and how.
    """

    def __init__(self, setup: Setup) -> None:
        self.setup = setup

    @abstractmethod
    def start(self) -> State:
        """Return the state before the first step, drawn with the problem's seed."""

    @abstractmethod
    def resumed(self, before: State) -> State:
        """Return the state to go on from, given that of a checkpoint with the same settings."""

    @abstractmethod
    def solve(self, state: State, hooks: Hooks) -> Callable[[], Outcome]:
        """Solve the problem from a state on, which is changed in place and says at the end why the run ``stopped``.

        Returns:
            the last piece of work, what was found: apart, since a signal may end it without a loss.

        Raises:
            Stopped: a signal came before there was anything to keep.
            InputError: the time was over before that, or the problem turned out to be unsolvable as stated.
            DivergenceError: training diverged.
        """


def described(setup: Setup, trial: Trial, training: Training, size: int) -> dict[str, Any]:
    """Return the metrics that every strategy gives.

    Args:
        setup: of the run.
        trial: space of what was found.
        training: the state at the end.
        size: number of quadrature points.
    """
    return {
        "method": setup.plan.method.name,
        "method_reason": setup.reason,
        "steps": training.step,
        "stopped": training.stopped,
        "rollbacks": training.rollbacks,
        "parameters": trial.network.size,
        "quadrature_points": size,
        "test_functions": None,
        "batch_size": setup.plan.batch_size or "full",
        "policy": policy_found(training, setup.plan, size),
        "imposed": [
            {"on": list(i.condition.on), "unknown": i.condition.unknown, "component": i.component, "how": i.how, "why": i.why}
            for i in trial.imposed
        ],
        "beside": None if trial.beside is None else {"degree": trial.beside.degree, "why": trial.beside.why},
        "inferred": {},
    }


def history_of(training: Training) -> np.ndarray[Any, Any]:
    """Return one row of ``COLUMNS`` per step."""
    return np.array(training.history).reshape(-1, len(COLUMNS))


def conclude(setup: Setup, training: Training, estimator: Estimator | None) -> Outcome:
    """Return the best parameters of a run that minimised the objective of its setup, or the last ones after a signal."""
    trial, plan = setup.trial, setup.plan
    rules = plan.rules or Rules(setup.objective)
    objective = rules.at(training)
    tests = objective.test_space.size if objective.test_space else None
    metrics = {**described(setup, trial, training, objective.size), "test_functions": tests}
    if training.stopped == "signal":
        return Outcome(Solution(setup.problem, trial, training.best[0].double(), metrics, history_of(training)))
    if plan.samplers:
        objective = assessed_objective(setup.problem, summable(objective, setup.problem, trial))
    theta, loss = final_parameters(objective, training, rules.judge(training))
    theta = Level.of(setup.problem)(trial, theta)
    metrics["estimator"] = estimator_found(setup.objective, plan.samplers, training, theta, loss)
    if strata := strata_found(setup.objective, plan, training, theta):
        metrics["strata"] = strata
    metrics |= coefficients_of(setup.problem, trial, theta)
    training.state = with_tangents(setup.problem, trial, objective, training.state)
    checks: list[str] = []
    if (walk := walk_found(training.state, setup.objective.unit)) is not None:
        checks = [f"walk: {check}" for check in walk.pop("checks")]
        metrics["walk"] = walk
    samples = samples_of(training.state)
    found = Solution(setup.problem, trial, theta.double(), metrics, history_of(training), samples=samples)
    return Outcome(found, objective, estimator, loss * objective.unit, setup.stated, tuple(checks))


def with_trial(setup: Setup, trial: Trial, objective: Objective) -> Setup:
    """Return a setup with another trial space, and the objective on it."""
    return dataclasses.replace(setup, trial=trial, objective=objective)
