"""The common part of strategies for steady problems: their outcome, its assessment, and its metrics."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from vpinn.analysis import Estimator, assess, assessed_objective
from vpinn.finite_elements import Level
from vpinn.metrics import Account, Imposition, Metrics
from vpinn.objective import Objective, summable
from vpinn.optimization import (
    COLUMNS,
    Rules,
    Training,
    compression_found,
    directions_found,
    estimator_found,
    final_parameters,
    policy_found,
    samples_of,
    strata_found,
    walk_found,
    with_tangents,
)
from vpinn.placement import wide
from vpinn.problem import Case
from vpinn.solution import Solution
from vpinn.solving.divided import check_shares
from vpinn.solving.preparation import Setup
from vpinn.solving.strategy import Outcome, State, Strategy
from vpinn.trial import Imposed, Trial, coefficients_of
from vpinn.trial.field import Beside


class SteadyStrategy(Strategy):
    """A way to solve a steady problem.

    Args:
        setup: The prepared problem.
    """

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup.problem, setup.settings, setup.plan, setup.objective.placement, setup.trial)
        self.setup = setup
        check_shares(setup.objective, setup.plan.samplers, setup.plan.compressor)

    def start(self) -> State:
        """Return the state before the first step."""
        return State(self.setup.start())


@dataclass(frozen=True)
class SteadyOutcome(Outcome):
    """Outcome of a strategy for steady problems.

    Attributes:
        objective: The minimised functional on all quadrature points, in its own unit; None if nothing was minimised.
        estimator: Estimator of the error of parameters; None if there is none for this form.
        stated: The problem in the formulation that was solved.
        checks: Messages of failed checks that the strategy itself made.
        first: A solution on the mesh of the problem file, if the solution is on a finer mesh.
        unique: Whether it is known that no function can be added to the solution.
    """

    objective: Objective | None = None
    estimator: Estimator | None = None
    stated: Case | None = None
    checks: tuple[str, ...] = ()
    first: Solution | None = None
    unique: bool = False

    def assessed(self) -> Solution:
        """Return the solution with its errors, its error estimate and the failed checks in its metrics."""
        found = self.objective, self.estimator, self.loss, self.stated, self.first
        solution = assess(self.solution, *found, unique=self.unique)
        return dataclasses.replace(solution, metrics=Metrics.of(solution.metrics).judged(self.checks))


def described(setup: Setup, trial: Trial, training: Training, size: int) -> Account:
    """Return the part of the metrics that all steady strategies have.

    Args:
        setup: The prepared problem.
        trial: Trial space of the solution.
        training: State at the end of the run.
        size: Number of quadrature points.
    """
    return Account(
        method=setup.plan.method.name,
        method_reason=setup.reason,
        steps=training.step,
        stopped=training.stopped,
        parameters=trial.network.size,
        quadrature_points=size,
        batch_size=setup.plan.batch_size or "full",
        rollbacks=training.rollbacks,
        policy=_policy(setup, training, size),
        imposed=imposed_of(trial.imposed),
        more={"beside": None if trial.beside is None else _beside(trial.beside)},
    )


def _beside(beside: Beside) -> dict[str, Any]:
    """Return what the metrics tell of elements that are added to a network."""
    return {"degree": beside.degree, "cells": beside.space.mesh.n_cells, "why": beside.why}


def _policy(setup: Setup, training: Training, size: int) -> dict[str, Any]:
    """Return what the run chose itself, and what compressed gradients cost it."""
    found = policy_found(training, setup.plan, size)
    batch = training.history[-1][COLUMNS.index("batch_size")] if training.history else float(size)
    compression = compression_found(training, setup.plan, setup.objective.placement.group.size, batch)
    return found if compression is None else {**found, "compression": compression}


def imposed_of(imposed: Iterable[Imposed]) -> list[Imposition]:
    """Return how each boundary condition is imposed, for the metrics."""
    return [Imposition(list(i.condition.on), i.condition.unknown, i.component, i.how, i.why) for i in imposed]


def conclude(setup: Setup, training: Training, estimator: Estimator | None) -> SteadyOutcome:
    """Return the outcome of a run that minimised the objective of its setup: the best parameters, or the last after a signal."""
    trial, plan = setup.trial, setup.plan
    rules = plan.rules or Rules(setup.objective)
    objective = rules.at(training)
    tests = objective.test_space.size if objective.test_space else None
    account = dataclasses.replace(described(setup, trial, training, objective.size), test_functions=tests)
    if training.stopped == "signal":
        theta, metrics = training.best[0], Metrics(account)
        return SteadyOutcome(Solution(setup.problem, trial, wide(theta), metrics, training.history.table))
    if plan.samplers:
        objective = assessed_objective(setup.problem, summable(objective, setup.problem, trial))
    theta, loss = final_parameters(objective, training, rules.judge(training))
    theta = Level.of(setup.problem)(trial, theta)
    more = {**account.more, "estimator": estimator_found(setup.objective, plan.samplers, training, theta, loss)}
    if strata := strata_found(setup.objective, plan, training, theta):
        more["strata"] = strata
    if setup.settings.batch.directions is not None and setup.objective.directions is not None:
        generator, count = np.random.default_rng(training.step), setup.objective.directions.count
        more["directions"] = dataclasses.asdict(
            directions_found(setup.objective, training.best[0], plan.samplers, generator, count)
        )
    more |= coefficients_of(setup.problem, trial, theta)
    training.state = with_tangents(setup.problem, trial, objective, training.state)
    checks: list[str] = []
    if (walk := walk_found(training.state, setup.objective.unit)) is not None:
        checks = [f"walk: {check}" for check in walk.pop("checks")]
        more["walk"] = walk
    samples = samples_of(training.state)
    metrics = Metrics(dataclasses.replace(account, more=more))
    found = Solution(setup.problem, trial, wide(theta), metrics, training.history.table, samples=samples)
    return SteadyOutcome(found, loss * objective.unit, objective, estimator, setup.stated, tuple(checks))


def with_trial(setup: Setup, trial: Trial, objective: Objective) -> Setup:
    """Return a setup with another trial space and another objective."""
    return dataclasses.replace(setup, trial=trial, objective=objective)
