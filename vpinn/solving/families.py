"""Families of problems as a strategy: a reduced space for all members, and the member in the middle as its solution."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from vpinn.analysis import TrueError, answers_of
from vpinn.domain import CellPoints
from vpinn.errors import InputError, VpinnError
from vpinn.families import WITHOUT, Family, FamilyStage, Judged, judge, resonant, solve_in_stages, unused
from vpinn.features import Elements, Reduced
from vpinn.finite_elements import check, rule_degree, solve_fem
from vpinn.metrics import Account, Accuracy, Metrics
from vpinn.optimization import Training, history_row
from vpinn.placement import HOST, Placement
from vpinn.problem import Case, Problem, Settings, member
from vpinn.process import release_memory
from vpinn.solution import Solution
from vpinn.solving.element_stages import solve_by_elements
from vpinn.solving.staged import Staged, best_stage
from vpinn.solving.strategy import Hooks, Outcome, State

STEPS = 20
"""Number of stages that progress displays show as the total."""
JUDGED = 5
"""Number of members, not used for the reduced space, whose errors are reported."""
QUERIES = 100
"""Queries whose processor time is measured."""
UNRESOLVED = 1e-2
"""Relative bound above which a check fails."""
NORM_RULE = 4
"""Degrees by which the quadrature of true errors exceeds twice that of the elements."""


class FamilyStrategy(Staged):
    """Makes a reduced space on elements of rising degree. Each stage is a step of the training state.

    Args:
        problem: a family.
        settings: how it is solved.
        placement: number of threads; the computation runs on the CPU.

    Raises:
        InputError: the family has no reduced space, for a reason that its statement shows.
    """

    method = Reduced
    stages = STEPS

    def __init__(self, problem: Case, settings: Settings, placement: Placement) -> None:
        super().__init__(problem, settings, placement)
        refuse_without_space(problem, settings)

    def solve(self, state: State, hooks: Hooks) -> Callable[[], Outcome]:
        """Add members, and raise the degree or bisect cells, until the bound over the box is below the tolerance."""
        training, solver = state.training, self.settings.solver
        stages = list[FamilyStage]()
        generator = np.random.default_rng(solver.seed)
        began, used = time.perf_counter(), time.process_time()

        def note(stage: FamilyStage) -> bool:
            stages[:] = [min([*stages, stage], key=lambda one: one.relative)]  # the others would hold memory
            training.step += 1
            training.seconds = time.perf_counter() - began
            row = history_row(step=training.step, seconds=training.seconds, batch_size=points_of(stage), estimate=stage.relative)
            training.history.append(row)
            hooks.report(training)
            return not hooks.over(training)

        best = best_stage(
            self,
            training,
            hooks,
            lambda: solve_in_stages(self.problem, solver.tolerance, generator, note, lambda bound: not hooks.over(training)),
            lambda: min(stages, key=lambda stage: stage.relative, default=None),
            "reduced space",
        )
        spent = time.process_time() - used
        family = Family.of(best)
        trial = family.query(family.parameters.center)[1]
        theta = torch.zeros(trial.network.size, dtype=torch.float64, device=HOST)
        training.theta, training.best = theta, (theta, math.inf)
        state.journal = family
        hooks.save(state, trial)
        return lambda: Outcome(self._solution(training, best, family, spent, generator))

    def _solution(
        self, training: Training, stage: FamilyStage, family: Family, spent: float, generator: np.random.Generator
    ) -> Solution:
        """Return the member in the middle, with the metrics of the family."""
        judged = [] if training.stopped == "signal" else judge(stage, unused(family.parameters, JUDGED, generator))
        asked = self.settings.solver.method != "auto"
        forms, chosen = stage.forms, stage.chosen
        told: dict[str, Any] = {
            "parameters": {
                name: [float(low), float(high)]
                for name, low, high in zip(family.parameters.names, family.parameters.lower, family.parameters.upper, strict=True)
            },
            "members": len(chosen.members),
            "functions": chosen.space.size,
            "terms": len(chosen.space.middle),
            "interpolated": [{"terms": len(one.picks), "error": one.error} for one in chosen.space.factors.interpolated],
            "norm": "energy" if chosen.space.energy else "H1",
            "rigorous": chosen.space.coercive,
            "largest_bound": stage.relative,
            "bound_of_elements": chosen.floor,
            "judged": [_entry(family, one) for one in judged],
        }
        timed = costs(stage, family, spent, self.problem, self.settings.solver.tolerance) if judged else None
        account = Account(
            method=Reduced.name,
            method_reason="as the problem file asks" if asked else "one space of functions for all values of the parameters",
            steps=training.step,
            stopped=training.stopped,
            parameters=chosen.space.size,
            quadrature_points=points_of(stage),
            test_functions=forms.fine.elements.mixed.size,
            more={
                "degree": stage.degree,
                "cells": forms.coarse.elements.mesh.n_cells,
                "family": told,
                "processor_seconds": timed,
            },
        )
        solution = answered(family, family.parameters.center)
        metrics = Metrics(account, Metrics.of(solution.metrics).judged(_checks(stage, family, judged)).accuracy)
        return dataclasses.replace(solution, metrics=metrics, history=training.history.table)


def points_of(stage: FamilyStage) -> int:
    """Return the number of quadrature points inside, on the elements of members and on those of residuals."""
    levels = (stage.forms.coarse.elements, stage.forms.fine.elements)
    return sum(CellPoints(one.mesh, rule_degree(one.mixed.highest.degree, one.mesh)).size for one in levels)


def refuse_without_space(problem: Problem, settings: Settings) -> None:
    """Refuse a family that has no reduced space, for a reason that its statement shows.

    Raises:
        InputError: it has bounds or periodic sides, another method is asked for, or elements cannot state it.
    """
    if settings.solver.method not in ("auto", Reduced.name):
        raise InputError(
            f'a family with [parameters] is solved by method "{Reduced.name}", got "{settings.solver.method}"; leave it out',
            problem.where("solver", "method"),
        )
    if problem.bounds:
        raise InputError("a family has no obstacles or contact yet; leave out [parameters]", problem.bounds[0].where)
    if problem.periodic:
        raise InputError("a family has no periodic sides yet; leave out [parameters]", problem.where("periodic"))
    check(member(problem, problem.ranges.center), 2, 0)


def answered(family: Family, values: np.ndarray[Any, Any]) -> Solution:
    """Return a member of a solved family, with its bound, and its true error where the problem states its exact solution."""
    problem, trial, answers = family.query(values)
    theta = torch.zeros(trial.network.size, dtype=torch.float64, device=HOST)
    degree = family.elements.degree
    points = CellPoints(family.elements.mesh, min(30, 2 * degree + NORM_RULE))
    errors = TrueError(problem, trial, points)(theta) if problem.exact else {}
    bound = float(answers.relative[0])
    estimate: dict[str, Any] = {"relative_bound": bound}
    checks = [] if bound <= UNRESOLVED else [f"bound: the error may be {bound:.1e} of the solution; refine the mesh"]
    told = {name: float(value) for name, value in zip(family.parameters.names, values, strict=True)}
    account = Account(
        method=Reduced.name,
        method_reason=f"a query of the family at {family.parameters.told(values)}",
        steps=0,
        stopped="tolerance",
        parameters=family.space.size,
        quadrature_points=0,
        more={"values": told},
    )
    more = answers_of(Solution(problem, trial, theta))
    found = Solution(problem, trial, theta, Metrics(account, Accuracy(errors, estimate, checks, more=more)))
    return dataclasses.replace(found, members=lambda others: answered(family, family.parameters.vector(others)))


def _entry(family: Family, judged: Judged) -> dict[str, Any]:
    """Return what the metrics tell of a member that was not used, with its L² error where the exact solution is stated."""
    names = family.parameters.names
    values = {name: float(value) for name, value in zip(names, judged.values, strict=True)}
    own = answered(family, judged.values).errors if family.problem.exact else {}
    exact = {"exact": {name: found["relative_l2"] for name, found in own.items()}} if own else {}
    return {"values": values, "bound": judged.bound, "error": judged.error, "effectivity": judged.effectivity, **exact}


def _checks(stage: FamilyStage, family: Family, judged: list[Judged]) -> list[str]:
    """Return the checks that a family fails, one line each."""
    found = []
    if not stage.relative <= UNRESOLVED:
        hint = "; a member may have no solution, as at resonance" if stage.relative > WITHOUT else ""
        found.append(
            f"family: the largest bound over the range is {stage.relative:.1e}; refine the mesh, or narrow the range{hint}"
        )
    if (alone := resonant(family.space, family.parameters)) is not None:
        found.append(
            f"family: at {family.parameters.told(alone)} a member has no solution or many, as at resonance; narrow the range"
        )
    missed = [one for one in judged if one.effectivity < 0.5]
    if missed:
        worst = min(missed, key=lambda one: one.effectivity)
        found.append(f"family: a bound of {worst.bound:.1e} is below the error {worst.error:.1e} of a member that was not used")
    return found


def costs(stage: FamilyStage, family: Family, spent: float, stated: Case, asked: float | None) -> dict[str, Any]:
    """Return what the family took, a query, elements of its mesh and degree, and elements chosen anew, in processor seconds.

    ``pays`` is the number of members from which the family is cheaper than each of the others.
    """
    values = family.parameters.at(np.full((1, len(family.parameters.names)), 0.4))[0]
    began = time.process_time()
    for _ in range(QUERIES):
        family.space.solve(values[None])
    query = (time.process_time() - began) / QUERIES
    problem = member(family.problem, values)
    others = {}
    release_memory()
    began = time.process_time()
    solve_fem(problem, family.elements.degree)
    others["elements"] = time.process_time() - began
    original = member(stated, values)
    try:
        began = time.process_time()
        solve_by_elements(original, Elements(max(asked or 0.0, stage.relative)))
        others["anew"] = time.process_time() - began
    except VpinnError:
        pass
    pays = {name: math.ceil(spent / (each - query)) if each > query else None for name, each in others.items()}
    return {"all": spent, "query": query, **others, "pays": pays}
