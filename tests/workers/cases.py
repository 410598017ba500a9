"""Small problems of every formulation and method, and the parameters that one worker or several end with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

import vpinn
from vpinn.domain import rectangle
from vpinn.features import Direct, Recipe, pilot
from vpinn.optimization import train
from vpinn.placement import HERE
from vpinn.solving import prepare
from vpinn.trial import Evaluator
from vpinn.workers import ALONE, Group

STATED: dict[str, dict[str, Any]] = {
    "energy": {"form": {"energy": "(0.5*(1 + x)*inner(grad(u), grad(u)) + 0.25*u**4 - sin(3*x)*u)*dx - y*u*ds('right')"}},
    "weak": {"form": {"weak": "((1 + x)*inner(grad(u), grad(v)) + u**3*v - sin(3*x)*v)*dx - y*v*ds('right')"}},
    "strong": {"form": {"strong": ["-div((1 + x)*grad(u)) + u**3 - sin(3*x)"]}},
}
Case = tuple[str, str, dict[str, Any]]
"""Formulation, method, and further sections of the problem file."""


def problem_of(case: Case) -> vpinn.Problem:
    name, method, sections = case
    if name == "many dimensions":
        return vpinn.make_problem(
            {"shape": "hypercube", "dimension": 6},
            unknowns={"u": "scalar"},
            strong="-div(grad(u)) - x[0]",
            boundary=[{"on": "all", "value": 0}],
            network={"layers": [8]},
            quadrature={"points": 256},
            **sections,
        )
    boundary = [{"on": "left", "value": "y"}, {"on": ["top", "bottom"], "value": "0.2*y", "impose": "penalty"}]
    if name == "strong":
        boundary.append({"on": "right", "residual": "dot(grad(u), n) - y"})
    solver = {"method": method, "project": 0, **sections.get("solver", {})}
    others = {key: value for key, value in sections.items() if key != "solver"}
    ((kind, form),) = STATED[name]["form"].items()
    return vpinn.make_problem(
        rectangle(cells=4, cell="quadrilateral"),
        unknowns={"u": "scalar"},
        boundary=boundary,
        **{kind: form, "network": {"layers": [8, 8]}, "solver": solver, **others},
    )


def trained(group: Group, cases: Sequence[Case]) -> list[tuple[np.ndarray[Any, Any], float]]:
    """Return parameters and J over all points after the steps of every case."""
    found = []
    for case in cases:
        setup = prepare(problem_of(case), replace(HERE, group=group))
        assert not isinstance(setup.plan.method, Direct)
        training = train(setup.objective, setup.start(), setup.plan)
        found.append((training.theta.numpy(), setup.objective.value(training.theta)))
    return found


def alone(cases: Sequence[Case]) -> list[tuple[np.ndarray[Any, Any], float]]:
    torch.set_num_threads(1)
    return trained(ALONE, cases)


FITTED: tuple[Case, ...] = (
    ("weak", "least-squares", {"solver": {"features": 60}}),
    ("strong", "least-squares", {"solver": {"features": 60}, "batch": {"size": 200}}),
)


def fitted(group: Group) -> list[np.ndarray[Any, Any]]:
    """Return the field of the features with the smallest residual at some points, for a problem with boundary terms."""
    found = []
    for case in FITTED[:1]:
        setup = prepare(problem_of(case), replace(HERE, group=group))
        assert setup.objectives is not None
        points = setup.plan.method.stream.few(setup.objective, 40)  # type: ignore[union-attr]
        made = pilot(setup.objective, setup.trial.network, 40, 1, setup.problem.domain, Recipe("tanh", 1.5), points)
        field = Evaluator.of(setup.problem, replace(setup.trial, network=made.network), [setup.problem.unknowns[0].function])
        found.append(field(made.theta, setup.objective.measures[0].points.take(np.arange(0, 200, 5))))
    return found


def solved_by_features(group: Group) -> list[np.ndarray[Any, Any]]:
    """Return the fields of least squares at some points, of problems with boundary terms, on all points and on drawn ones."""
    places = np.random.default_rng(0).random((40, 2))
    found = []
    for case in FITTED:
        solution = vpinn.solve(problem_of(case), threads=1)
        assert solution.metrics["workers"] == group.size
        found.append(solution.evaluate(places)["u"])
    return found


def solved_alone() -> list[np.ndarray[Any, Any]]:
    return solved_by_features(ALONE)
