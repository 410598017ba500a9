"""Eigenproblems as a strategy: stages on richer and richer elements, and all modes as one solution."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from vpinn.analysis import kink
from vpinn.eigen import EigenStage, mode_problem, mode_trial, solve_in_stages
from vpinn.errors import InputError
from vpinn.features import Elements
from vpinn.interrupt import Stopped
from vpinn.metrics import Account, Accuracy, Metrics
from vpinn.optimization import Plan, Training, history_row
from vpinn.optimization.schedule import Schedule
from vpinn.placement import HOST, Placement
from vpinn.problem import Problem, Settings
from vpinn.process import settle_process
from vpinn.solution import Solution
from vpinn.solving.strategy import Hooks, Outcome, State, Strategy
from vpinn.trial import Trial

STAGES = 20
"""Stages at most, as progress displays show them."""
UNRESOLVED = 1e-2
"""Relative error estimate of an eigenvalue above which a check fails."""


@dataclass(frozen=True)
class EigenOutcome(Outcome):
    """Modes with what is known of their eigenvalues. Its assessment is part of the solution: every stage has it."""

    @property
    def space(self) -> Trial:
        """Trial space of the modes."""
        return self.solution.trial

    def assessed(self) -> Solution:
        """Return the solution."""
        return self.solution


class EigenStrategy(Strategy):
    """Finds eigenvalues on elements of rising degree; stages are noted as steps of a training state.

    Args:
        problem: an eigenproblem.
        settings: how it is solved.
        placement: whose threads share the work, on the host.
    """

    def __init__(self, problem: Problem, settings: Settings, placement: Placement) -> None:
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
        """Raise the degree, or make cells smaller, until the eigenvalues are known well enough."""
        training, signals = state.training, hooks.signals
        stages = list[EigenStage]()
        limit, seed = self.settings.solver.time_limit, self.settings.solver.seed

        def note(stage: EigenStage) -> bool:
            stages.append(stage)
            _note(training, stage)
            hooks.report(training)
            return not hooks.over(training)

        with signals.limited(limit):
            try:
                with signals.abandons():
                    asked = self.settings.solver.tolerance
                    best, training.stopped = solve_in_stages(self.problem, asked, lambda: np.random.default_rng(seed), note)
                    if signals.late or hooks.spent(training):
                        training.stopped = "time limit"
            except Stopped:
                if not stages and signals.signal is not None:
                    raise
                if not stages:
                    raise InputError(
                        f"there are no eigenvalues after solver.time_limit = {limit:g} s; give more time",
                        self.problem.where("solver", "time_limit"),
                    ) from None
                best = min(stages, key=lambda stage: stage.relative)
                training.stopped = "signal" if signals.signal is not None else "time limit"
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
        problem = mode_problem(found.problem, stage.values)
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
    """Return what the metrics tell of an eigenvalue."""
    imaginary = {"imaginary": float(value.imag)} if np.iscomplexobj(value) else {}
    return {"value": float(value.real), **imaginary, "bound": float(bound)}


def _note(training: Training, stage: EigenStage) -> None:
    """Make a stage the last step of a training state."""
    training.step += 1
    training.seconds = stage.seconds
    points = sum(form.points.size for form in stage.found.forms)
    row = history_row(step=training.step, seconds=stage.seconds, batch_size=points, estimate=stage.relative)
    training.history.append(row)
