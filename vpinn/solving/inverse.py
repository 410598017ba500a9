"""Inverse problems as a strategy: elements of rising degree, and the solution with what was inferred in its place."""

from __future__ import annotations

import math
from collections.abc import Callable
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
from vpinn.optimization import Training, history_row
from vpinn.placement import HOST, Placement
from vpinn.problem import Case, Settings, refuse_time
from vpinn.solution import Solution
from vpinn.solving.staged import Staged, best_stage
from vpinn.solving.strategy import Hooks, Outcome, State
from vpinn.trial import elements_trial

STAGES = 5
"""Number of stages that progress displays show as the total."""
MOVED = 0.5
"""Change by richer elements, in standard deviations, above which a check fails."""


@dataclass(frozen=True)
class InverseOutcome(Outcome):
    """A solution with the inferred numbers and fields.

    Attributes:
        stage: stage of the inference that has the solution.
        plain: the problem with inferred numbers and fields in place of the unknown ones.
        problem: the inverse problem.
    """

    stage: InferenceStage | None = None
    plain: Case | None = None

    def assessed(self) -> Solution:
        """Return the solution with the estimate of its error for these coefficients, and the checks of solution and data."""
        assert self.stage is not None
        assert self.plain is not None
        mixed, shown = self.stage.elements.mixed, self.solution.problem
        count = self.stage.elements.components
        own = elements_trial(self.plain, mixed.highest, mixed.embedded(self.stage.posterior.fit.prediction.state)[:count])
        theta = torch.zeros(own.network.size, dtype=torch.float64, device=HOST)
        bare = replace(self.plain, exact={}, reference=None)
        alone = Solution(bare, own, theta, self.solution.metrics, self.solution.history)
        alone = assess(alone, None, make_estimator(bare, own, mixed.highest.degree))
        data, checks = data_checks(self.stage)
        metrics = Metrics.of(alone.metrics).judged(checks, {"data": data}, errors=self._errors(shown))
        return replace(self.solution, metrics=metrics, cell_estimate=alone.cell_estimate)

    def _errors(self, shown: Case) -> dict[str, dict[str, Any]]:
        if shown.exact:
            degree = 2 + 2 * self.stage.elements.mixed.highest.degree if self.stage else 10
            return TrueError(shown, self.solution.trial, independent_points(shown, degree))(self.solution.theta)
        return {} if shown.reference is None else reference_errors(self.solution, shown.reference)


class Inference(Staged):
    """Infers numbers and fields on elements of rising degree; stages are noted as steps of a training state.

    Args:
        problem: an inverse problem.
        settings: how it is solved.
        placement: number of threads; the computation runs on the CPU.
    """

    stages = STAGES

    def __init__(self, problem: Case, settings: Settings, placement: Placement) -> None:
        super().__init__(problem, settings, placement)
        if settings.solver.method not in ("auto", self.method.name):
            raise InputError(
                f'inverse problems are solved by finite elements, got method "{settings.solver.method}"; leave it out',
                problem.where("solver", "method"),
            )

    def infer(self, training: Training, hooks: Hooks, told: Callable[[InferenceStage], None]) -> InferenceStage:
        """Raise the degree until what is inferred no longer depends on it, and return the last stage.

        Args:
            training: state of the run.
            hooks: signals, and the time after which a stage is the last.
            told: called after every stage.
        """
        stages = list[InferenceStage]()

        def note(stage: InferenceStage) -> bool:
            stages.append(stage)
            told(stage)
            return not hooks.over(training)

        return best_stage(
            self,
            training,
            hooks,
            lambda: infer_in_stages(self.problem, note),
            lambda: stages[-1] if stages else None,
            "first inference",
        )


class InverseStrategy(Inference):
    """Infers in a steady problem: the last stage has the solution."""

    method = Elements

    def __init__(self, problem: Case, settings: Settings, placement: Placement) -> None:
        super().__init__(problem, settings, placement)
        inverse = problem.inverse
        assert inverse is not None
        initial = forward_problem(problem, np.zeros(len(inverse.inferred)))
        refuse_time(initial, "inference is for")
        check_balance(initial)

    def solve(self, state: State, hooks: Hooks) -> Callable[[], Outcome]:
        """Infer, and put what was found in its place."""
        training = state.training

        def told(stage: InferenceStage) -> None:
            _note(training, stage)
            hooks.report(training)

        best = self.infer(training, hooks, told)
        plain, shown = found_problem(self.problem, **best.record)
        state.record = {"inferred": best.record}
        solution = self._solution(training, best, shown)
        training.theta = solution.theta
        training.best = solution.theta, math.inf
        hooks.save(state, solution.trial)
        return lambda: InverseOutcome(solution, None, best, plain)

    def _solution(self, training: Training, stage: InferenceStage, shown: Case) -> Solution:
        """Return the solution of a stage, with the metrics of the run."""
        model, posterior = stage.elements, stage.posterior
        mixed = model.mixed
        asked = self.settings.solver.method != "auto"
        values = mixed.embedded(posterior.fit.prediction.state)[: model.components]
        trial = found_trial(shown, mixed.highest, values, posterior)
        inferred, correlation = inferred_of(stage)
        account = Account(
            method=Elements.name,
            method_reason="as the problem file asks" if asked else "Gauss–Newton on elements for what is to infer",
            steps=training.step,
            stopped=training.stopped,
            parameters=mixed.size,
            quadrature_points=model.points,
            test_functions=mixed.size,
            inferred=inferred,
            more={
                "degree": mixed.highest.degree,
                "cells": mixed.mesh.n_cells,
                "gauss_newton_steps": stage.steps,
                **correlation,
            },
        )
        theta = torch.zeros(trial.network.size, dtype=torch.float64, device=HOST)
        return Solution(shown, trial, theta, Metrics(account, Accuracy({}, None, [])), training.history.table)


def data_checks(stage: InferenceStage) -> tuple[dict[str, Any], list[str]]:
    """Return how well the data are explained, for the metrics, and the checks of data and elements that fail."""
    data, checks = judged(stage.posterior)
    if not stage.shift <= MOVED:
        checks.append(f"inferred: richer elements move it by {stage.shift:.1g} standard deviations; refine the mesh")
    return data, checks


def inferred_of(stage: InferenceStage) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """Return what was inferred, with the true values of numbers where they are known, and "correlation", for the metrics."""
    posterior, inverse = stage.posterior, stage.model.inverse
    found: dict[str, dict[str, Any]] = {name: dict(one) for name, one in posterior.numbers.items()}
    for one in inverse.numbers:
        if one.name in inverse.exact:
            found[one.name]["exact"] = float(inverse.exact[one.name])
    for name, prior in posterior.priors.items():
        value, deviation = posterior.field(name, stage.elements.mixed.mesh.nodes)
        span = {"least": float(value.min()), "most": float(value.max()), "std": float(np.sqrt(np.mean(deviation**2)))}
        found[name] = {"field": True, **span, "prior": prior}
    names, values = list(posterior.numbers), posterior.correlation
    correlation = {f"{names[i]}, {names[j]}": float(values[i, j]) for i in range(len(names)) for j in range(i)}
    return found, {"correlation": correlation} if correlation else {}


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
