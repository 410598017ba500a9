"""Test Langevin sampling: Gibbs' distribution, known posteriors of fields, and chains whose samples are rejected."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from vpinn import solve
from vpinn.domain import located_points
from vpinn.errors import InputError
from vpinn.objective import curvature
from vpinn.optimization import (
    Closure,
    Langevin,
    LangevinOnAll,
    Training,
    load_arrays,
    moved_along,
    samples_of,
    tangents,
    walk_found,
    with_tangents,
)
from vpinn.optimization.method import Method, State
from vpinn.optimization.walk import KEPT, empty_walk, recorded
from vpinn.output import fields_at
from vpinn.problem import make_problem
from vpinn.solving import Setup, prepare
from vpinn.trial import Evaluator

from .posteriors import POSTERIORS, Posterior

Evaluate = Callable[[Tensor], tuple[float, Tensor]]


def walked(
    method: Langevin, evaluate: Evaluate, theta: Tensor, rate: float = 0.01, fresh: Callable[[], Evaluate] | None = None
) -> State:
    """Return the state after a whole chain, on all points or on batches that ``fresh`` draws."""
    state = method.initial(theta)
    for _ in range(method.length):
        closure = Closure(evaluate if fresh is None else fresh(), fresh=fresh)
        theta, state, _ = method.step(theta, state, closure, rate, fresh is None)
    return state | {"tangents": torch.zeros(KEPT, len(theta), dtype=torch.float64)}


def quadratic(hessian: Tensor, middle: Tensor) -> Evaluate:
    return lambda t: (float(0.5 * (t - middle) @ hessian @ (t - middle)), hessian @ (t - middle))


@pytest.mark.parametrize("preconditioned", [True, False])
def test_the_stationary_law_is_that_of_gibbs(preconditioned: bool) -> None:
    """20 weights, curvatures 1 to 20, T = 0.3: variances T/λ, 5 % on average (12 % of slow plain steps); E z·s = rT."""
    curvature = torch.linspace(1.0, 20.0, 20, dtype=torch.float64)
    middle = torch.ones(20, dtype=torch.float64)
    method = Langevin(0.3, 6_000, 3, preconditioned)
    state = walked(method, quadratic(torch.diag(curvature), middle), torch.full((20,), 0.5, dtype=torch.float64))
    found = walk_found(state)
    assert found is not None
    assert found["checks"] == []
    assert (found["directions"], found["temperature"]) == (20, 0.3)
    assert found["measured"] == pytest.approx(1.0, abs=3.0 * found["standard_error"])
    assert found["standard_error"] < 0.1
    assert found["accepted"] == pytest.approx(0.574, abs=0.1)
    variance = state["squares"] / 1500 - (state["means"].sum(0) / 1500) ** 2
    share = variance / (0.3 if preconditioned else 0.3 * 20.0 / curvature.flip(0))
    assert float(share.mean()) == pytest.approx(1.0, abs=0.05 if preconditioned else 0.12)
    samples = samples_of(state)
    assert samples is not None
    assert samples.weights.shape == (KEPT, 20)
    assert float(samples.weights.mean()) == pytest.approx(1.0, abs=0.05)


def test_metropolis_makes_the_law_exact_where_it_is_not_normal() -> None:
    """J = Σ ½θ² + ⅛θ⁴ in eight weights at T = 0.2: ⟨θ²⟩ of exp(−J/T) by quadrature within 8 %, and E θ·∇J = 8T."""
    method, heat = Langevin(0.2, 6_000, 5), 0.2
    start = torch.full((8,), 0.1, dtype=torch.float64)
    state = walked(method, lambda t: (float((0.5 * t**2 + 0.125 * t**4).sum()), t + 0.5 * t**3), start)
    found = walk_found(state)
    assert found is not None
    assert found["checks"] == []
    grid = np.linspace(-6, 6, 20_001)
    weight = np.exp(-(0.5 * grid**2 + 0.125 * grid**4) / heat)
    known = float((grid**2 * weight).sum() / weight.sum())
    samples = samples_of(state)
    assert samples is not None
    assert float((state["squares"] / 1500).mean()) == pytest.approx(known, rel=0.08)
    assert known < 0.9 * heat  # a normal law would have T


def test_batches_bring_heat_of_their_own_that_is_not_added_twice() -> None:
    """Gradients with noise: at most a fifth of the heat is theirs, and the walk has T within a tenth."""
    generator = torch.Generator().manual_seed(8)
    curvature = torch.linspace(1.0, 10.0, 12, dtype=torch.float64)

    def fresh() -> Evaluate:
        kick = 0.5 * torch.randn(12, generator=generator, dtype=torch.float64)
        return lambda t: (float(0.5 * curvature @ t**2 + kick @ t), curvature * t + kick)

    state = walked(Langevin(0.1, 6_000, 3), fresh(), torch.ones(12, dtype=torch.float64), 0.01, fresh)
    found = walk_found(state)
    assert found is not None
    assert found["checks"] == []
    assert found["measured"] == pytest.approx(1.0, abs=0.1)
    assert float(state["added"]) >= 0.8 * 0.1 - 1e-12
    variance = (state["squares"] / 1500).mean()
    assert float(variance) == pytest.approx(0.1, rel=0.1)


@pytest.mark.slow
def test_the_noise_of_batches_as_the_heat_bath() -> None:
    """Plain steps of η = 0.05 on gradients of variance σ²/b = 0.36: T = ησ²/(2b) = 0.009, and the walk has it."""
    generator = torch.Generator().manual_seed(9)
    curvature = torch.linspace(0.5, 1.0, 10, dtype=torch.float64)

    def fresh() -> Evaluate:
        kick = 0.6 * torch.randn(10, generator=generator, dtype=torch.float64)
        return lambda t: (float(0.5 * curvature @ t**2 + kick @ t), curvature * t + kick)

    state = walked(Langevin("noise", 8_000, 3), fresh(), torch.ones(10, dtype=torch.float64), 0.05, fresh)
    found = walk_found(state)
    assert found is not None
    assert found["temperature"] == pytest.approx(0.05 * 0.36 / 2.0, rel=0.15)  # the variance from 32 batches of 10 weights
    assert float(state["added"]) == 0.0
    assert found["checks"] == []
    assert found["measured"] * found["temperature"] == pytest.approx(0.009, rel=0.12)


def recorded_walk(places: Tensor, slopes: Tensor, heat: float, left: float = 0.0) -> State:
    """Return the state of a chain through given places with given slopes."""
    state: State = {"samples": torch.zeros(KEPT, places.shape[1]), "taken": torch.tensor(0), **empty_walk(places.shape[1])}
    state |= {"temperature": torch.tensor(heat), "rate": torch.tensor(0.1), "left": torch.tensor(left)}
    state |= {"center": torch.zeros(places.shape[1]), "tangents": torch.zeros(KEPT, places.shape[1])}
    for k, (z, s) in enumerate(zip(places, slopes, strict=True)):
        state = recorded({**state, "place": z}, z, k + 1, len(places), float(z @ s), 0.0, 1.0)
    return state


@pytest.mark.parametrize(
    ("what", "says"),
    [("as it should be", ""), ("hot", "times its nominal"), ("cold", "times its nominal"), ("drifting", "has not mixed"),
     ("one direction stands", "has not mixed"), ("short", "not finished"), ("untrained", "training stopped")],
)  # fmt: skip
def test_walks_that_cannot_be_believed_have_no_deviation(what: str, says: str) -> None:
    """Independent places with the law's own variance pass; other temperatures, drifts, and directions that stand do not."""
    generator = torch.Generator().manual_seed(4)
    factor = {"hot": 1.5, "cold": 0.6}.get(what, 1.0)
    places = math.sqrt(0.2 * factor) * torch.randn(800, 5, generator=generator, dtype=torch.float64)
    if what == "drifting":
        places = places * 0.1 + torch.linspace(-0.77, 0.77, 800, dtype=torch.float64)[:, None]
    if what == "one direction stands":
        places[:, 2] = torch.linspace(-0.7, 0.7, 800, dtype=torch.float64)
    state = recorded_walk(places, places, 0.2, 1.0 if what == "untrained" else 0.0)
    if what == "short":
        state["sums"] = state["sums"] * torch.tensor([1.0] * 7 + [0.0])[:, None]
    found = walk_found(state)
    assert found is not None
    assert [says in check for check in found["checks"]] == ([True] if says else [])
    assert (samples_of(state) is None) == bool(says)


def test_directions_that_the_loss_does_not_see_are_held() -> None:
    """Of twelve weights six have no curvature: the walk leaves them alone, and has its temperature in the others."""
    curvature = torch.tensor([4.0] * 6 + [0.0] * 6, dtype=torch.float64) * torch.linspace(1, 2, 12, dtype=torch.float64)
    evaluate = quadratic(torch.diag(curvature), torch.zeros(12, dtype=torch.float64))
    state = walked(Langevin(1e-3, 4000, 1), evaluate, torch.ones(12, dtype=torch.float64))
    found = walk_found(state)
    assert found is not None
    assert (found["directions"], found["checks"]) == (6, [])
    samples = samples_of(state)
    assert samples is not None
    assert (samples.weights[:, 6:] == samples.weights[0, 6:]).all()


def begun(posterior: Posterior, walked: int, count: int) -> tuple[Setup, State]:
    """Return setup and state of a chain before its first step, in ``walked`` random directions, after ``count`` samples."""
    setup = prepare(posterior.problem())
    center, generator = setup.start().theta, torch.Generator().manual_seed(7)
    basis = torch.randn(len(center), walked, generator=generator, dtype=torch.float64)
    state: State = {"center": center, "basis": basis, "generator": generator.get_state(), "taken": torch.tensor(count)}
    return setup, state | {"temperature": torch.tensor(1.0 / setup.objective.unit, dtype=torch.float64)}


@pytest.mark.parametrize("name", POSTERIORS)
def test_walked_and_held_directions_together_have_the_law_of_the_field(name: str) -> None:
    """J is quadratic in u: whichever directions are walked, their own law and the tangents have the known deviation, within 10 %.

    Tangents are conjugate to what is walked. 30 neurons on (0, 1) and 40 on the square are enough for the fields of the law.
    """
    posterior = dataclasses.replace(POSTERIORS[name], layers=(40,) if POSTERIORS[name].dimension == 2 else (30,))
    setup, state = begun(posterior, 3, 400)
    told = with_tangents(setup.problem, setup.trial, setup.objective, state)
    gram, basis = curvature(setup.objective, state["center"]).gram, state["basis"]
    assert float((told["tangents"] @ gram @ basis).abs().max()) < 1e-9 * float((basis.T @ gram @ basis).abs().max())
    x = np.random.default_rng(1).uniform(0.05, 0.95, size=(200, posterior.dimension))
    points, _ = located_points(setup.problem.domain, x)
    field = Evaluator.of(setup.problem, setup.trial, [u.function for u in setup.problem.unknowns])
    factor = torch.linalg.cholesky(state["temperature"] * torch.linalg.inv(basis.T @ gram @ basis))
    own = (moved_along(field, state["center"], (basis @ factor).T, points)[:, 0] ** 2).sum(0)
    held = (moved_along(field, state["center"], told["tangents"], points)[:, 0] ** 2).mean(0)
    assert float(held.sum() / (own + held).sum()) == pytest.approx(float(told["held"]), abs=0.1)
    share = (own + held).sqrt().numpy() / posterior.law(x)[1]
    assert float(share.mean()) == pytest.approx(1.0, abs=0.1)
    assert float(told["open"]) < 0.02


def test_directions_that_are_walked_twice_are_walked_once() -> None:
    """With a column of W doubled WᵀGW is singular, and the tangents are the same."""
    setup, state = begun(POSTERIORS["a rod"], 3, 5)
    twice = state | {"basis": torch.cat([state["basis"], 2.0 * state["basis"][:, :1]], 1)}
    once, again = (with_tangents(setup.problem, setup.trial, setup.objective, s)["tangents"] for s in (state, twice))
    assert float((once - again).norm()) < 1e-6 * float(once.norm())


def test_curvature_of_too_many_weights_is_not_formed(monkeypatch: pytest.MonkeyPatch) -> None:
    setup, state = begun(POSTERIORS["a rod"], 3, 5)
    monkeypatch.setattr(tangents, "MOST", 90)  # it has 91
    told = with_tangents(setup.problem, setup.trial, setup.objective, state)
    assert math.isnan(float(told["held"]))
    assert torch.equal(told["tangents"], torch.zeros(5, 91, dtype=torch.float64))


def test_a_deviation_that_has_no_end_is_withheld() -> None:
    """Samples are withheld where much of the variance is along weights with hardly any curvature, and where G is not formed."""
    generator = torch.Generator().manual_seed(4)
    places = math.sqrt(0.2) * torch.randn(800, 5, generator=generator, dtype=torch.float64)
    state = recorded_walk(places, places, 0.2)
    for held, last, says in ((0.3, 0.05, ""), (0.3, 0.4, "40 % of the field's variance"), (math.nan, math.nan, "only, because")):
        told = state | {"held": torch.tensor(held), "open": torch.tensor(last)}
        found = walk_found(told)
        assert found is not None
        assert [says in check for check in found["checks"]] == ([True] if says else [])
        assert (samples_of(told) is None) == bool(says)


@pytest.mark.slow
@pytest.mark.parametrize("name", POSTERIORS)
def test_intervals_cover_a_known_posterior(name: str) -> None:
    """All by default but T = 1: the share of the known posterior within mean ± 1.96 deviations, over places, is 0.90 to 0.98."""
    posterior = POSTERIORS[name]
    solution = solve(posterior.problem(), threads=1)
    assert solution.metrics["checks"] == []
    assert solution.metrics["walk"]["measured"] == pytest.approx(1.0, abs=0.1)
    assert 0.90 <= posterior.covered(solution)[0] <= 0.98


def small(**solver: Any) -> Any:
    return make_problem(
        {"shape": "interval", "cells": 4},
        unknowns={"u": "scalar"},
        energy="0.5*inner(grad(u), grad(u))*dx - u*dx",
        boundary=[{"on": "all", "value": 0}],
        network={"layers": [6]},
        batch=solver.pop("batch", {}),
        solver={"method": "langevin", **solver},
    )


def test_fields_have_a_spread_after_few_steps(tmp_path: Any) -> None:
    """On all points L-BFGS trains, so that 100 steps end close enough to the minimum for a chain at the default temperature."""
    solution = solve(small(steps=200), tmp_path / "run")
    assert solution.metrics["checks"] == []
    values = fields_at(solution, [[0.25], [0.5]]).values
    assert (values["u_std"] > 0).all()
    assert np.abs(values["u_mean"] - values["u"]).max() < 0.01
    assert solution.samples is not None
    assert solution.metrics["walk"]["measured"] == pytest.approx(1.0, abs=0.1 + 3 * solution.metrics["walk"]["standard_error"])
    kept = samples_of(Training.from_arrays(*load_arrays(tmp_path / "run" / "checkpoint.npz")).state)
    assert kept is not None
    for name in ("weights", "center", "tangents"):
        assert torch.equal(getattr(kept, name), getattr(solution.samples, name))


@pytest.mark.slow
def test_no_deviation_where_a_check_fails(tmp_path: Any) -> None:
    """Forty steps forget nothing: the check fails, and the samples that there are are told neither now nor when loaded."""
    solution = solve(small(steps=40), tmp_path / "run")
    assert any(check.startswith("walk: ") for check in solution.metrics["checks"])
    assert solution.samples is None
    assert "u_std" not in fields_at(solution, [[0.5]]).values
    state = Training.from_arrays(*load_arrays(tmp_path / "run" / "checkpoint.npz")).state
    assert int(state["taken"]) > 1
    assert samples_of(state) is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperature": 0}, r"temperature"),
        ({"temperature": -1.0}, r"temperature"),
        ({"temperature": "warm"}, r"temperature"),
        ({"temperature": "noise"}, r'temperature = "noise" needs a mini-batch in every step; give batch\.size'),
        ({"temperature": "noise", "batch": {"size": 8, "finish": 0.1}}, r"leave out batch\.finish"),
        ({"temperature": "noise", "precondition": True, "batch": {"size": 8}}, "is that of plain steps; leave out precondition"),
    ],
)
def test_temperatures_that_are_none(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        solve(small(**settings))
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("drawn", [False, True])
def test_a_resumed_walk_is_the_same(drawn: bool) -> None:
    method: Langevin = (Langevin if drawn else LangevinOnAll)(0.1, 40, 2)
    theta = torch.ones(3, dtype=torch.float64)
    generator = np.random.default_rng(3)
    curvature = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)

    def steps(training: Training, count: int, method: Method = method) -> None:
        def fresh() -> Evaluate:
            kick = torch.from_numpy(training.generator.standard_normal(3))
            return lambda t: (float(0.5 * curvature @ t**2), curvature * t + 0.1 * kick)

        for _ in range(count):
            closure = (
                Closure(fresh(), fresh=fresh) if drawn else Closure(lambda t: (float(0.5 * curvature @ t**2), curvature * t))
            )
            training.theta, training.state, _ = method.step(training.theta, training.state, closure, 0.01, not drawn)

    for half in (15, 25, 35):
        training = Training.start(theta, method, int(generator.integers(10)))
        steps(training, half)
        again = Training.from_arrays(*training.arrays())
        steps(training, 40 - half)
        steps(again, 40 - half)
        assert torch.equal(training.theta, again.theta)
        assert all(torch.equal(training.state[key], again.state[key]) for key in training.state)
