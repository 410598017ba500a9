"""Inverse problems as a strategy: elements of rising degree, and the solution with what was inferred in its place."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from vpinn.analysis import TrueError, assess, independent_points, make_estimator, reference_errors
from vpinn.errors import InputError
from vpinn.features import Elements
from vpinn.finite_elements import check_balance
from vpinn.inference import InferenceStage, forward_problem, found_problem, found_trial, infer_in_stages, judged
from vpinn.metrics import Account, Accuracy, Metrics
from vpinn.optimization import Plan, Training, history_row
from vpinn.optimization.schedule import Schedule
from vpinn.placement import HOST, Placement
from vpinn.problem import Problem, Settings, refuse_time
from vpinn.process import settle_process
from vpinn.solution import Solution
from vpinn.solving.staged import best_stage
from vpinn.solving.strategy import Hooks, Outcome, State, Strategy
from vpinn.trial import Trial, elements_trial

STAGES = 5
"""Stages at most, as progress displays show them."""
MOVED = 0.5
"""Change by richer elements, in standard deviations, above which a check fails."""


@dataclass(frozen=True)
class InverseOutcome(Outcome):
    """A solution with what was inferred.

    Attributes:
        stage: that it comes from.
        plain: the problem with what was inferred in its place.
        problem: the inverse problem.
    """

    stage: InferenceStage | None = None
    plain: Problem | None = None

    @property
    def space(self) -> Trial:
        """Trial space of the solution and of the fields."""
        return self.solution.trial

    def assessed(self) -> Solution:
        """Return the solution with the estimate of its error for these coefficients, and the checks of solution and data."""
        assert self.stage is not None
        assert self.plain is not None
        mixed, shown = self.stage.model.mixed, self.solution.problem
        count = self.stage.model.components
        own = elements_trial(self.plain, mixed.highest, mixed.embedded(self.stage.posterior.fit.prediction.state)[:count])
        theta = torch.zeros(own.network.size, dtype=torch.float64, device=HOST)
        bare = replace(self.plain, exact={}, reference=None)
        alone = Solution(bare, own, theta, self.solution.metrics, self.solution.history)
        alone = assess(alone, None, make_estimator(bare, own, mixed.highest.degree))
        metrics = Metrics.of(alone.metrics)
        assert metrics.accuracy is not None
        data, checks = judged(self.stage.posterior)
        if not self.stage.shift <= MOVED:
            checks.append(f"inferred: richer elements move it by {self.stage.shift:.1g} standard deviations; refine the mesh")
        errors = self._errors(shown)
        more = {**metrics.accuracy.more, "data": data}
        accuracy = replace(metrics.accuracy, errors=errors, checks=[*metrics.accuracy.checks, *checks], more=more)
        return replace(self.solution, metrics=replace(metrics, accuracy=accuracy), cell_estimate=alone.cell_estimate)

    def _errors(self, shown: Problem) -> dict[str, dict[str, Any]]:
        if shown.exact:
            degree = 2 + 2 * self.stage.model.mixed.highest.degree if self.stage else 10
            return TrueError(shown, self.solution.trial, independent_points(shown, degree))(self.solution.theta)
        return {} if shown.reference is None else reference_errors(self.solution, shown.reference)


class InverseStrategy(Strategy):
    """Infers numbers and fields on elements of rising degree; stages are noted as steps of a training state.

    Args:
        problem: an inverse problem.
        settings: how it is solved.
        placement: whose threads share the work, on the host.
    """

    def __init__(self, problem: Problem, settings: Settings, placement: Placement) -> None:
        settle_process(placement.threads)
        solver, inverse = settings.solver, problem.inverse
        assert inverse is not None
        if solver.method not in ("auto", "elements"):
            raise InputError(
                f'inverse problems are solved by finite elements, got method "{solver.method}"; leave it out',
                problem.where("solver", "method"),
            )
        initial = forward_problem(problem, np.zeros(len(inverse.inferred)))
        refuse_time(initial, "inference is for")
        check_balance(initial)
        plan = Plan(Elements(solver.tolerance, solver.time_limit), Schedule(1.0, steps=STAGES))
        super().__init__(problem, settings, plan, placement.home, None)

    def start(self) -> State:
        """Return the state before the first stage."""
        nothing = torch.zeros(0, dtype=torch.float64, device=HOST)
        return State(Training.start(nothing, Elements(), self.settings.solver.seed))

    def resumed(self, training: Training, arrays: Mapping[str, Any], meta: Mapping[str, Any]) -> State:
        """Start anew: it takes seconds."""
        return self.start()

    def solve(self, state: State, hooks: Hooks) -> Callable[[], Outcome]:
        """Raise the degree until what is inferred no longer depends on it."""
        training, stages = state.training, list[InferenceStage]()

        def note(stage: InferenceStage) -> bool:
            stages.append(stage)
            _note(training, stage)
            hooks.report(training)
            return not hooks.over(training)

        best = best_stage(
            self,
            training,
            hooks,
            lambda: infer_in_stages(self.problem, note),
            lambda: stages[-1] if stages else None,
            "first inference",
        )
        parts = best.model.parts
        record = {name: [float(c) for c in best.posterior.coefficients[part]] for name, part in parts.items()}
        plain, shown = found_problem(self.problem, best.margin, record)
        state.record = {"inferred": {"margin": best.margin, "coefficients": record}}
        solution = self._solution(training, best, shown)
        training.theta = solution.theta
        training.best = solution.theta, math.inf
        hooks.save(state, solution.trial)
        return lambda: InverseOutcome(solution, None, best, plain)

    def _solution(self, training: Training, stage: InferenceStage, shown: Problem) -> Solution:
        """Return the solution of a stage, with the metrics of the run."""
        mixed, posterior = stage.model.mixed, stage.posterior
        asked = self.settings.solver.method != "auto"
        values = mixed.embedded(posterior.fit.prediction.state)[: stage.model.components]
        trial = found_trial(shown, mixed.highest, values, posterior)
        count = len(self.problem.inverse.numbers) if self.problem.inverse else 0
        names = list(posterior.numbers)
        correlation = {
            f"{names[i]}, {names[j]}": float(posterior.correlation[i, j]) for i in range(count) for j in range(i)
        }
        account = Account(
            method=Elements.name,
            method_reason="as the problem file asks" if asked else "Gauss–Newton on elements for what is to infer",
            steps=training.step,
            stopped=training.stopped,
            parameters=mixed.size,
            quadrature_points=stage.model.points,
            test_functions=mixed.size,
            inferred=_inferred(self.problem, stage),
            more={
                "degree": mixed.highest.degree,
                "cells": mixed.mesh.n_cells,
                "gauss_newton_steps": stage.steps,
                **({"correlation": correlation} if correlation else {}),
            },
        )
        theta = torch.zeros(trial.network.size, dtype=torch.float64, device=HOST)
        return Solution(shown, trial, theta, Metrics(account, Accuracy({}, None, [])), training.history.table)


def _inferred(problem: Problem, stage: InferenceStage) -> dict[str, dict[str, Any]]:
    """Return what was inferred, for the metrics, with the true values of numbers where they are known."""
    assert problem.inverse is not None
    found: dict[str, dict[str, Any]] = {name: dict(one) for name, one in stage.posterior.numbers.items()}
    for one in problem.inverse.numbers:
        if one.name in problem.inverse.exact:
            found[one.name]["exact"] = float(problem.inverse.exact[one.name])
    mesh = stage.model.mixed.mesh
    for name, prior in stage.posterior.priors.items():
        value, deviation = stage.posterior.field(name, mesh.nodes)
        span = {"least": float(value.min()), "most": float(value.max()), "std": float(np.sqrt(np.mean(deviation**2)))}
        found[name] = {"field": True, **span, "prior": prior}
    return found


def _note(training: Training, stage: InferenceStage) -> None:
    """Make a stage the last step of a training state."""
    training.step += 1
    training.seconds = stage.seconds
    residuals = stage.posterior.residuals
    row = history_row(
        step=training.step,
        seconds=stage.seconds,
        batch_size=stage.model.points,
        loss=0.5 * float(residuals @ residuals),
        estimate=stage.shift if math.isfinite(stage.shift) else math.nan,
    )
    training.history.append(row)
