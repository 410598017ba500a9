"""Test finer quadrature rules in training: when they replace a rule, which steps are undone, and resumed runs."""

from __future__ import annotations

import dataclasses
import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import vpinn
from vpinn.objective import curvature, make_objective
from vpinn.optimization import COLUMNS, GaussNewton, LangevinOnAll, Lbfgs, Training, make_rules, train
from vpinn.optimization.rules import PER_WEIGHT, Rules
from vpinn.solving import Setup, prepare
from vpinn.trial import make_trial

SEED = 3


def poisson(**sections: Any) -> vpinn.Problem:
    """Return −Δu = 2π² sin πx sin πy as an energy, on a square of eight cells, with 151 weights."""
    return vpinn.make_problem(
        {"shape": "rectangle", "cells": [2, 2]},
        unknowns={"u": "scalar"},
        expressions={"u_exact": "sin(pi*x)*sin(pi*y)", "f": "-div(grad(u_exact))"},
        energy="0.5*inner(grad(u), grad(u))*dx - f*u*dx",
        boundary=[{"on": "all", "value": 0}],
        reference={"exact": {"u": "u_exact"}},
        network={"layers": [10, 10]},
        solver={"method": "gauss-newton", "steps": 60, "seed": SEED},
        **sections,
    )


@pytest.mark.slow
def test_a_rule_too_coarse_gives_way() -> None:
    """With 151 weights on 200 points Gauss–Newton finds the gaps; the run changes the rule, and says so."""
    free = vpinn.solve(poisson(), threads=1)
    held = vpinn.solve(poisson(quadrature={"degree": 10}), threads=1)
    print(free.errors, held.errors, free.metrics["policy"])
    assert held.errors["u"]["relative_l2"] > 1e-2  # the rule of the problem file is kept, and a check fails
    assert any("quadrature" in check for check in held.metrics["checks"])
    assert free.errors["u"]["relative_l2"] < 1e-6
    assert free.metrics["checks"] == []
    found = free.metrics["policy"]["quadrature"]
    sizes = free.history[:, COLUMNS.index("batch_size")]
    assert found["first"] == sizes[0] == 200
    assert found["last"] == sizes[-1] == free.metrics["quadrature_points"] > 200


def setup_of(problem: vpinn.Problem, steps: int) -> Setup:
    """Return the setup of a problem for a number of training steps."""
    setup = prepare(problem)
    schedule = dataclasses.replace(setup.plan.schedule, steps=steps)
    return dataclasses.replace(setup, plan=dataclasses.replace(setup.plan, schedule=schedule))


@pytest.mark.slow
def test_resumed_runs_are_the_same() -> None:
    """A run stopped after its rule changed, and taken up from its checkpoint, ends with the same bits."""
    whole = setup_of(poisson(), 30)
    ended = train(whole.objective, whole.start(), whole.plan)
    assert ended.rule.level > 0
    for half in (12,):
        first = setup_of(poisson(), half)
        arrays, meta = train(first.objective, first.start(), first.plan).arrays()
        again = setup_of(poisson(), 30)
        resumed = train(again.objective, Training.from_arrays(arrays, json.loads(json.dumps(meta))), again.plan)
        assert torch.equal(resumed.theta, ended.theta)
        assert torch.equal(resumed.rule.theta, ended.rule.theta)
        assert resumed.history[-1][2] == ended.history[-1][2]


class Valley:
    """The objective J(θ) = share · Σ θ², whose share differs between quadrature rules."""

    def __init__(self, share: float) -> None:
        self.share = share

    def value(self, theta: torch.Tensor) -> float:
        """Return J."""
        return self.share * float(theta.square().sum())


@pytest.mark.parametrize(("share", "level", "kept"), [(0.9, 0, True), (0.3, 1, True), (-0.1, 1, False)])
def test_what_the_finer_rule_sees_decides(share: float, level: int, kept: bool) -> None:
    """More than half of a fall: go on; less: the finer rule takes over; a rise: it does, from where the last look was."""
    rules = Rules(Valley(1.0), lambda k: Valley(share), 3)  # type: ignore[arg-type, return-value]
    method, start = GaussNewton(), torch.tensor([2.0, 1.0])
    training = Training.start(start, method, 0)
    rules.follow(training, method)
    training.theta, training.step = torch.tensor([1.0, 1.0]), 4
    rules.follow(training, method)
    assert training.rule.level == 0  # no look is due
    training.step = 5
    rules.follow(training, method)
    assert training.rule.level == level
    assert torch.equal(training.theta, torch.tensor([1.0, 1.0]) if kept else start)
    assert rules.at(training).value(start) == pytest.approx(5.0 * (share if level else 1.0))


def test_langevin_trains_on_finer_rules_and_walks_on_the_last() -> None:
    """A finer rule that takes over leaves the count of steps as it is; a Markov chain does not search, and keeps its rule."""
    method = LangevinOnAll(None, 100, 0)
    rules = Rules(Valley(1.0), lambda k: Valley(-0.1), 3)  # type: ignore[arg-type, return-value]
    training = Training.start(torch.tensor([2.0]), method, 0)
    rules.follow(training, method)
    training.theta, training.step = torch.tensor([1.0]), 20
    training.state["count"] = torch.tensor(20)
    rules.follow(training, method)
    assert (training.rule.level, float(training.theta), int(training.state["count"])) == (1, 2.0, 20)
    training.theta, training.step = torch.tensor([0.5]), 40
    training.state["basis"] = torch.ones(1, 1)
    rules.follow(training, method)
    assert (training.rule.level, float(training.theta)) == (1, 0.5)


def test_the_last_rule_is_kept() -> None:
    """Where no finer rule is left, steps go on with the last one."""
    rules, method = Rules(Valley(1.0), lambda k: Valley(-1.0), 2), Lbfgs()  # type: ignore[arg-type, return-value]
    training = Training.start(torch.tensor([2.0]), method, 0)
    for value in (2.0, 1.0, 0.5):
        training.theta = torch.tensor([value])
        rules.follow(training, method)
    assert training.rule.level == 1
    assert rules.judge(training) is None


@pytest.mark.parametrize(
    "sections", [{"quadrature": {"degree": 6}}, {"quadrature": {"refine": 1}}, {"quadrature": {"rule": "stochastic-gauss"}}]
)
def test_what_the_file_asks_for_stays(sections: dict[str, Any]) -> None:
    """A rule that the file names is not changed."""
    problem = poisson(**sections)
    assert make_rules(problem, problem.settings, SimpleNamespace(size=100, test_space=None), lambda p: None) is None  # type: ignore[arg-type, return-value]


def test_points_of_a_hypercube_double() -> None:
    """Without cells a finer rule has twice the points, which start with those that there were."""
    problem = vpinn.make_problem(
        {"shape": "hypercube", "lower": [0], "upper": [1]},
        unknowns={"u": "scalar"},
        strong="-div(grad(u)) - 1",
        boundary=[{"on": "all", "value": 0}],
        network={"layers": [6]},
        solver={"method": "lbfgs", "steps": 5},
        batch={"size": "full"},
    )
    setup = prepare(problem)
    assert setup.plan.rules is not None
    judge = setup.plan.rules.judge(setup.start())
    assert judge is not None
    assert judge.measures[0].points.size == 2 * setup.objective.measures[0].points.size


def test_the_curvature_of_an_energy_is_estimated_from_some_points_per_weight() -> None:
    """From a third of the points it is right within noise; a sum of squares takes all rows, whose residuals steps use."""
    square = {"shape": "rectangle", "cells": [6, 6], "cell": "quadrilateral"}
    forms = {"energy": "0.5*inner(grad(u), grad(u))*dx - u*dx", "strong": "-div(grad(u)) - 1"}
    for form, stated in forms.items():
        problem = vpinn.make_problem(
            square, unknowns={"u": "scalar"}, network={"layers": [4]}, quadrature={"degree": 13}, **{form: stated}
        )
        objective = make_objective(problem, make_trial(problem))
        theta = objective.measures[0].network.initial(torch.Generator().manual_seed(1))
        found = Rules(objective).curvature(objective, np.random.default_rng(0), theta)
        every = curvature(objective, theta)
        share = found.count / every.count
        assert share == pytest.approx(PER_WEIGHT * len(theta) / objective.size if form == "energy" else 1.0, rel=0.1)
        assert float((found.gram - every.gram).norm()) <= (0.1 if form == "energy" else 0.0) * float(every.gram.norm())
