"""What a report measures in its time, and which step size it tries. Seeds are fixed."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from vpinn.noise import FULL, QUICK, Effort
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


def made(effort: Effort, objective: Objective, look: float = 1e-9) -> Effort:
    theta = objective.measures[0].network.initial(torch.Generator().manual_seed(0))
    return fitted(effort, objective, theta, [10, 20, 40], look, np.random.default_rng(0))


def test_shares_are_those_of_one_whole() -> None:
    assert sum(SHARES.values()) == pytest.approx(1.0, abs=1e-12)
    assert SHARES.keys() == FEWEST.keys()


def test_with_time_enough_all_is_measured(objective: Objective) -> None:
    for effort in (dataclasses.replace(QUICK, seconds=1e9), dataclasses.replace(FULL, seconds=float("inf"))):
        assert made(effort, objective) == effort


def test_counts_are_halved_until_they_fit(objective: Objective) -> None:
    """Without any time, down to less than twice the fewest; a look that takes a quarter of its share is had four times."""
    least = made(dataclasses.replace(QUICK, seconds=1e-9), objective).counts()
    for name, count in least.items():
        assert FEWEST[name] <= count < 2 * FEWEST[name]
        assert count in [getattr(QUICK, name) >> k for k in range(12)]
    plenty = dataclasses.replace(FULL, looks=16, seconds=1e9)
    assert made(plenty, objective, SHARES["looks"] * 1e9 / 4.5).looks == 4


def test_a_batch_of_all_points_is_the_whole_sum(objective: Objective) -> None:
    """The first gradient of a trial with so many points is ∇J, and none is drawn: two seeds of batches, one course."""
    theta = objective.measures[0].network.initial(torch.Generator().manual_seed(0))
    points = objective.measures[0].points.size
    first, second = (descend(objective, theta, points, 1e-3, 5, seed) for seed in (1, 2))
    assert first.norms[0] == pytest.approx(float(objective.gradient(theta)[1].norm()), rel=1e-14)
    assert first.loss == second.loss
    assert descend(objective, theta, points // 2, 1e-3, 5, 1).norms != descend(objective, theta, points // 2, 1e-3, 5, 2).norms
