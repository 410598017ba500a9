"""The strategy for eigenvalue problems: finite elements of rising degree, with all modes as the unknowns of one solution."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from vpinn.analysis import kink
from vpinn.eigen import EigenStage, mode_problem, mode_trial, solve_in_stages
from vpinn.features import Elements
from vpinn.metrics import Account, Accuracy, Metrics
from vpinn.optimization import Plan, Training, history_row
from vpinn.optimization.schedule import Schedule
from vpinn.placement import HOST, Placement
from vpinn.problem import Case, Settings
from vpinn.process import settle_process
from vpinn.solution import Solution
from vpinn.solving.staged import best_stage
from vpinn.solving.strategy import Hooks, Outcome, State, Strategy
from vpinn.trial import Trial

STAGES = 20
"""Number of stages that progress displays show as the total."""
UNRESOLVED = 1e-2
"""Relative error estimate of an eigenvalue above which a check fails."""


@dataclass(frozen=True)
class EigenOutcome(Outcome):
    """Modes and eigenvalues. The metrics of the solution hold the assessment already, since every stage computes it."""

    @property
    def space(self) -> Trial:
        """Trial space of the modes."""
        return self.solution.trial

    def assessed(self) -> Solution:
        """Return the solution."""
        return self.solution


class EigenStrategy(Strategy):
    """Finds eigenvalues by finite elements of rising degree. Each stage is a step of the training state.

    Args:
        problem: An eigenvalue problem.
        settings: Its settings.
        placement: Number of threads; the computation runs on the CPU.
    """

    def __init__(self, problem: Case, settings: Settings, placement: Placement) -> None:
        settle_process(placement.threads)
        solver = settings.solver
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
        """Raise the degree, or bisect cells, until the error estimates of the eigenvalues are below the tolerance."""
        training, solver = state.training, self.settings.solver
        stages = list[EigenStage]()

        def note(stage: EigenStage) -> bool:
            stages.append(stage)
            _note(training, stage)
            hooks.report(training)
            return not hooks.over(training)

        best = best_stage(
            self,
            training,
            hooks,
            lambda: solve_in_stages(self.problem, solver.tolerance, lambda: np.random.default_rng(solver.seed), note),
            lambda: min(stages, key=lambda stage: stage.relative, default=None),
            "first approximation of the eigenvalues",
        )
        solution = self._solution(training, best)
        training.theta = solution.theta
        training.best = solution.theta, math.inf
        state.record = {"eigenvalues": [[float(value.real), float(value.imag)] for value in best.values]}
        hooks.save(state, solution.trial)
        return lambda: EigenOutcome(solution)

    def _solution(self, training: Training, stage: EigenStage) -> Solution:
        """Return the modes of a stage, with the metrics of the run."""
        found, eigen = stage.found, self.problem.eigen
        assert eigen is not None
        problem = mode_problem(replace(self.problem, domain=found.mixed.mesh), stage.values)
        trial = mode_trial(problem, found.mixed.highest, found.nodal[stage.chosen])
        asked = self.settings.solver.method != "auto"
        checks = []
        if not stage.relative <= UNRESOLVED:
            worst = int(np.argmax(stage.bounds))
            told = f"the error of number {worst + 1} may be {stage.bounds[worst]:.1e}"
            checks.append(f"eigenvalues: {told}; refine the mesh, or ask for fewer")
        account = Account(
            method=Elements.name,
            method_reason="as the problem file asks" if asked else f"the eigenvalues nearest to {eigen.near:g}",
            steps=training.step,
            stopped=training.stopped,
            parameters=found.mixed.size,
            quadrature_points=sum(form.points.size for form in found.forms),
            test_functions=found.mixed.size,
            more={
                "degree": found.mixed.highest.degree,
                "cells": found.mixed.mesh.n_cells,
                "eigenvalues": [_entry(value, bound) for value, bound in zip(stage.values, stage.bounds, strict=True)],
            },
        )
        metrics = Metrics(account, Accuracy({}, {"relative_eigenvalues": stage.relative, "kink": kink(found.mixed.mesh)}, checks))
        theta = torch.zeros(trial.network.size, dtype=torch.float64, device=HOST)
        return Solution(problem, trial, theta, metrics, training.history.table, stage.errors.cells)


def _entry(value: complex, bound: float) -> dict[str, float]:
    """Return the entry of an eigenvalue in the metrics."""
    imaginary = {"imaginary": float(value.imag)} if np.iscomplexobj(value) else {}
    return {"value": float(value.real), **imaginary, "bound": float(bound)}


def _note(training: Training, stage: EigenStage) -> None:
    """Record a stage as the last step of a training state."""
    training.step += 1
    training.seconds = stage.seconds
    points = sum(form.points.size for form in stage.found.forms)
    row = history_row(step=training.step, seconds=stage.seconds, batch_size=points, estimate=stage.relative)
    training.history.append(row)
