"""Test how many measurements a noise report makes in its time, and which step size it tries. Seeds are fixed."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from vpinn.noise import FULL, QUICK
from vpinn.noise.effort import FEWEST, SHARES, fitted
from vpinn.noise.pilot import descend
from vpinn.objective import Objective, make_objective
from vpinn.problem import make_problem
from vpinn.trial import make_trial


@pytest.fixture(scope="module")
def objective() -> Objective:
    problem = make_problem(
        {"shape": "rectangle", "cells": [4, 4], "cell": "quadrilateral"},
        unknowns={"u": "scalar"},
        energy="0.5*inner(grad(u), grad(u))*dx - u*dx",
        boundary=[{"on": "all", "value": 0}],
        network={"layers": [6]},
        quadrature={"degree": 5},
    )
    return make_objective(problem, make_trial(problem))


def test_with_points_enough_all_is_measured(objective: Objective) -> None:
    for effort in (dataclasses.replace(QUICK, points=1e12), dataclasses.replace(FULL, points=float("inf"))):
        assert fitted(effort, objective, 20) == effort


def test_counts_are_halved_until_they_fit(objective: Objective) -> None:
    """Without any points, down to less than twice the fewest; what is left to questions is the larger part."""
    assert SHARES.keys() == FEWEST.keys()
    assert sum(SHARES.values()) < 0.5
    least = fitted(dataclasses.replace(QUICK, points=1.0), objective, 20).counts()
    for name, count in least.items():
        assert FEWEST[name] <= count < 2 * FEWEST[name]
        assert count in [getattr(QUICK, name) >> k for k in range(12)]


def test_a_batch_of_all_points_is_the_whole_sum(objective: Objective) -> None:
    """The first gradient of a trial with so many points is ∇J, and none is drawn: two seeds of batches, one course."""
    theta = objective.measures[0].network.initial(torch.Generator().manual_seed(0))
    points = objective.measures[0].points.size
    first, second = (descend(objective, theta, points, 1e-3, 5, seed) for seed in (1, 2))
    assert first.norms[0] == pytest.approx(float(objective.gradient(theta)[1].norm()), rel=1e-14)
    assert first.loss == second.loss
    assert descend(objective, theta, points // 2, 1e-3, 5, 1).norms != descend(objective, theta, points // 2, 1e-3, 5, 2).norms
