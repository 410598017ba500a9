"""Test the evolution strategy: minima without gradients, settings that it refuses, resuming, and a comparison with gradients."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import vpinn
from vpinn.errors import DivergenceError, InputError
from vpinn.objective import make_objective
from vpinn.optimization import Adam, Closure, Evolution, NonFiniteError, Plan, Schedule, Training, train
from vpinn.sampling import make_sampler
from vpinn.solving import prepare
from vpinn.trial import make_trial


def refuse(theta: Tensor) -> tuple[float, Tensor]:
    raise AssertionError("evolution needs no gradient")


def closure_of(values: Any) -> Closure:
    return Closure(refuse, candidates=values)


def descend(method: Evolution, values: Any, theta: Tensor, generations: int) -> tuple[Tensor, float]:
    state, value = method.initial(theta), float("nan")
    for _ in range(generations):
        theta, state, value = method.step(theta, state, closure_of(values), 1.0, True)
    return theta, value


@pytest.mark.parametrize(("size", "generations", "left"), [(12, 180, 1e-6), (250, 250, 0.2)])
def test_an_ellipsoid(size: int, generations: int, left: float) -> None:
    """Axes 1 to 10, the whole covariance matrix and its diagonal; the state of the latter is linear in the weights."""
    scale = torch.logspace(0, 1, size, dtype=torch.float64)
    start = torch.ones(size, dtype=torch.float64)

    def values(thetas: Tensor) -> Tensor:
        return ((thetas * scale) ** 2).sum(1)

    theta, value = descend(Evolution(1), values, start, generations)
    assert float(values(theta[None])) <= left * float(values(start[None]))
    assert value == pytest.approx(float(values(theta[None])), rel=0.5)


def test_a_staircase_that_gradients_do_not_see() -> None:
    """Σ⌊4θᵢ⌋² is flat almost everywhere: to its least value 0 from 4·16·5 by values alone."""

    def values(thetas: Tensor) -> Tensor:
        return (torch.floor(4.0 * thetas) ** 2).sum(1)

    theta, _ = descend(Evolution(2, spread=0.5), values, torch.full((5,), 2.0, dtype=torch.float64), 60)
    assert float(values(theta[None])) == 0.0


def test_candidates_without_a_finite_value_are_the_worst() -> None:
    def values(thetas: Tensor) -> Tensor:
        return torch.where(thetas[:, 0] > 0.0, ((thetas - 0.1) ** 2).sum(1), torch.nan)

    theta, value = descend(Evolution(0, spread=0.3), values, torch.ones(3, dtype=torch.float64), 100)
    assert value <= 1e-6
    with pytest.raises(NonFiniteError, match="loss"):
        descend(Evolution(0), lambda thetas: torch.full((len(thetas),), torch.nan), theta, 1)


def test_what_to_do_where_it_diverges_is_something_that_it_takes() -> None:
    """The message names keys of [solver]; a problem file with the method and these keys validates."""
    keys = re.findall(r"solver\.(\w+)", Evolution.remedy)
    assert keys == ["spread", "seed"]
    poisson(solver={"method": "evolution", **dict.fromkeys(keys, 1)})


def poisson(form: str = "energy", **more: Any) -> vpinn.Problem:
    forms = {
        "energy": "0.5*inner(grad(u), grad(u))*dx - f*u*dx",
        "weak": "inner(grad(u), grad(v))*dx - f*v*dx",
        "strong": "-div(grad(u)) - f",
        # the share of the interval where u lies under its bound: what counts has no slope
        "count": "conditional(lt(u, 0.5), 1, 0)*dx",
    }
    settings: dict[str, Any] = {
        "network": {"layers": [8]},
        "quadrature": {"degree": 7},
        "solver": {"method": "evolution", "steps": 100},
    }
    return vpinn.make_problem(
        {"shape": "interval", "cells": 6},
        unknowns={"u": "scalar"},
        expressions={"u_exact": "sin(pi*x)", "f": "-div(grad(u_exact))"},
        boundary=[{"on": "all", "value": 0}],
        reference={"exact": {"u": "u_exact"}},
        **{"energy" if form == "count" else form: forms[form]},
        **{**settings, **more},
    )


@pytest.mark.parametrize("form", ["energy", "weak", "strong"])
def test_a_problem_is_solved(form: str) -> None:
    """25 weights, 100 generations of 13 candidates; every column that a method without a gradient has is there."""
    solution = vpinn.solve(poisson(form), threads=1)
    assert solution.errors["u"]["relative_l2"] <= 5e-2
    assert solution.metrics["method"] == "evolution"
    columns = dict(zip(vpinn.optimization.COLUMNS, solution.history.T, strict=True))
    assert np.isfinite(columns["loss"]).all()
    assert np.isnan(columns["gradient_norm"]).all()


def test_a_loss_without_a_slope() -> None:
    """Adam does not move; evolution lifts u above the bound on all but the ends of the interval."""
    start = vpinn.solve(poisson("count", solver={"method": "adam", "steps": 20}), threads=1)
    found = vpinn.solve(poisson("count", solver={"method": "evolution", "steps": 60}), threads=1)
    assert start.metrics["stopped"] == "converged"
    assert found.metrics["loss"] <= 0.3 < start.metrics["loss"]


def test_mini_batches() -> None:
    """All candidates of a generation see the same eight points of 24."""
    solution = vpinn.solve(poisson("strong", batch={"size": 8}, solver={"method": "evolution", "steps": 200}), threads=1)
    assert solution.errors["u"]["relative_l2"] <= 0.1


@pytest.mark.parametrize("batches", [False, True])
def test_a_run_that_is_resumed_ends_the_same_to_the_last_bit(batches: bool) -> None:
    problem = poisson()
    trial = make_trial(problem)
    objective = make_objective(problem, trial)
    theta = trial.network.initial(torch.Generator().manual_seed(1))
    samplers = tuple(make_sampler("stratified", m.points, 8) for m in objective.measures) if batches else ()
    ends = []
    for half in (None, 13):
        method = Evolution(7)
        training = Training.start(theta, method, 5)
        if half is not None:
            train(objective, training, Plan(method, Schedule(1.0, steps=half), samplers))
            training, method = Training.from_arrays(*training.arrays()), Evolution(7)
        ends.append(train(objective, training, Plan(method, Schedule(1.0, steps=30), samplers)))
    assert torch.equal(ends[0].theta, ends[1].theta)
    assert [row[2] for row in ends[0].history] == [row[2] for row in ends[1].history]
    again = train(objective, Training.start(theta, Evolution(8), 5), Plan(Evolution(8), Schedule(1.0, steps=30), samplers))
    assert not torch.equal(ends[0].theta, again.theta)  # another seed, another course


def test_a_state_before_the_last_is_gone_back_to() -> None:
    """Rolling back needs no memory of the search: the generations are gone through again."""

    def values(thetas: Tensor) -> Tensor:
        return (thetas**2).sum(1)

    method, theta = Evolution(3), torch.ones(4, dtype=torch.float64)
    state = method.initial(theta)
    places = [(theta, state)]
    for _ in range(4):
        theta, state, _ = method.step(theta, state, closure_of(values), 1.0, True)
        places.append((theta, state))
    for k in (2, 0, 3):
        assert torch.equal(method.step(*places[k], closure_of(values), 1.0, True)[0], places[k + 1][0])


def test_a_loss_that_is_nowhere_finite_is_said() -> None:
    problem = poisson()
    trial = make_trial(problem)
    objective = make_objective(problem, trial)
    theta = torch.full((trial.network.size,), torch.nan, dtype=torch.float64)
    with pytest.raises(DivergenceError, match="the loss is not finite"):
        train(objective, Training.start(theta, Evolution(0), 0), Plan(Evolution(0), Schedule(1.0, steps=5)))


@pytest.mark.parametrize(
    ("solver", "said"),
    [
        ({"method": "evolution", "learning_rate": 0.1}, "takes no learning_rate: it adapts its steps itself"),
        ({"method": "evolution", "clip": 1.0}, "takes no clip"),
        ({"method": "adam", "population": 8}, 'population belongs to method "evolution"'),
        ({"method": "evolution", "population": 3}, "≥ 4"),
    ],
)
def test_what_it_cannot_honour_is_said_in_a_line(solver: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        prepare(poisson(solver=solver))
    assert "\n" not in str(caught.value)


def test_batches_that_follow_the_noise_of_gradients_are_refused() -> None:
    with pytest.raises(InputError, match="evolution does not step along gradients"):
        prepare(poisson("strong", batch={"size": "auto"}))


@pytest.mark.slow
def test_a_gradient_is_worth_more_than_its_price() -> None:
    """97 weights, 3,600 evaluations of J, a gradient counted as three: Adam ends ten times nearer to the least energy, −π²/4."""
    problem = poisson(network={"layers": [8, 8]})
    trial = make_trial(problem)
    objective = make_objective(problem, trial)
    theta = trial.network.initial(torch.Generator().manual_seed(0))
    evolved = train(objective, Training.start(theta, Evolution(0), 0), Plan(Evolution(0), Schedule(1.0, steps=200)))
    plan = Plan(Adam(), Schedule(0.03, 0, 1200, "cosine"))
    trained = train(objective, Training.start(theta, Adam(), 0), plan)
    gaps = [objective.value(found.theta) + np.pi**2 / 4 for found in (evolved, trained)]
    assert 0.0 < gaps[1] <= 0.1 * gaps[0] <= 0.1 * 2e-3
