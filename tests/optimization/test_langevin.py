"""Langevin sampling: the Gibbs law on quadratics and beyond, known posteriors of fields, and walks that are not believed."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from vpinn import solve
from vpinn.errors import InputError
from vpinn.optimization import Closure, Langevin, Training, load_arrays, samples_of, walk_found
from vpinn.optimization.method import Method, State
from vpinn.optimization.walk import KEPT, empty_walk, recorded
from vpinn.output import fields_at
from vpinn.problem import make_problem

Evaluate = Callable[[Tensor], tuple[float, Tensor]]


def walked(
    method: Langevin, evaluate: Evaluate, theta: Tensor, rate: float = 0.01, fresh: Callable[[], Evaluate] | None = None
) -> State:
    """State after a whole run on all points, or on batches drawn by ``fresh``."""
    state = method.initial(theta)
    for _ in range(method.length):
        closure = Closure(evaluate if fresh is None else fresh(), fresh=fresh)
        theta, state, _ = method.step(theta, state, closure, rate, fresh is None)
    return state


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
    assert samples.shape == (KEPT, 20)
    assert float(samples.mean()) == pytest.approx(1.0, abs=0.05)


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

    state = walked(Langevin(0.1, 10_000, 3), fresh(), torch.ones(12, dtype=torch.float64), 0.01, fresh)
    found = walk_found(state)
    assert found is not None
    assert found["checks"] == []
    assert found["measured"] == pytest.approx(1.0, abs=0.1)
    assert float(state["added"]) >= 0.8 * 0.1 - 1e-12
    variance = (state["squares"] / 2500).mean()
    assert float(variance) == pytest.approx(0.1, rel=0.1)


def test_the_noise_of_batches_as_the_heat_bath() -> None:
    """Plain steps of η = 0.05 on gradients of variance σ²/b = 0.36: T = ησ²/(2b) = 0.009, and the walk has it."""
    generator = torch.Generator().manual_seed(9)
    curvature = torch.linspace(0.5, 1.0, 10, dtype=torch.float64)

    def fresh() -> Evaluate:
        kick = 0.6 * torch.randn(10, generator=generator, dtype=torch.float64)
        return lambda t: (float(0.5 * curvature @ t**2 + kick @ t), curvature * t + kick)

    state = walked(Langevin("noise", 16_000, 3), fresh(), torch.ones(10, dtype=torch.float64), 0.05, fresh)
    found = walk_found(state)
    assert found is not None
    assert found["temperature"] == pytest.approx(0.05 * 0.36 / 2.0, rel=0.15)  # the variance from 32 batches of 10 weights
    assert float(state["added"]) == 0.0
    assert found["checks"] == []
    assert found["measured"] * found["temperature"] == pytest.approx(0.009, rel=0.12)


def recorded_walk(places: Tensor, slopes: Tensor, heat: float, left: float = 0.0) -> State:
    """State of a walk through places with slopes there."""
    state: State = {"samples": torch.zeros(KEPT, places.shape[1]), "taken": torch.tensor(0), **empty_walk(places.shape[1])}
    state |= {"temperature": torch.tensor(heat), "rate": torch.tensor(0.1), "left": torch.tensor(left)}
    for k, (z, s) in enumerate(zip(places, slopes, strict=True)):
        state = recorded({**state, "place": z}, z, k + 1, len(places), float(z @ s), 0.0, 1.0)
    return state


@pytest.mark.parametrize(
    ("what", "says"),
    [("as it should be", ""), ("hot", "times its temperature"), ("cold", "times its temperature"), ("drifting", "has not mixed"),
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
    assert (samples[:, 6:] == samples[0, 6:]).all()


NOISY: dict[str, tuple[Any, str, float, Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]]] = {
    "a rod": ({"shape": "interval", "cells": 16}, "(-div(grad(u)) - f)/0.3", 0.3, lambda k: (k**2).sum(0)),
    "a fin": ({"shape": "interval", "cells": 16}, "(-div(grad(u)) + 25*u - f)/0.3", 0.3, lambda k: (k**2).sum(0) + 25.0),
}
"""Domain, residual over the noise, noise, and L sin·sin = symbol · sin·sin."""


@pytest.mark.slow
@pytest.mark.parametrize("name", NOISY)
def test_intervals_cover_a_known_posterior(name: str) -> None:
    """A source with white noise σ, Lu = f: u has independent sine coefficients of variance 2ᵈσ²/symbol², whatever the data.

    With J = ½∫((Lu − f)/σ)² the loss is the negative logarithm of that posterior, hence T = 1; all else by default. The mean of
    the posterior is u for the true f. The share of it within mean ± 1.96 deviations, over places, is 0.90 to 0.98.
    """
    domain, residual, sigma, symbol = NOISY[name]
    dimension = 1 if isinstance(domain, dict) else 2
    truth = "sin(pi*x)" if dimension == 1 else "sin(pi*x)*sin(pi*y)"
    problem = make_problem(
        domain,
        unknowns={"u": "scalar"},
        expressions={"w": truth, "f": "-div(grad(w))" + (" + 25*w" if "25*u" in residual else "")},
        strong=[residual],
        boundary=[{"on": "all", "value": 0}],
        network={"layers": [30]},
        solver={"method": "langevin", "temperature": 1},
    )
    solution = solve(problem, threads=1)
    assert solution.metrics["checks"] == []
    assert solution.metrics["walk"]["measured"] == pytest.approx(1.0, abs=0.1)
    x = np.random.default_rng(1).uniform(0.02, 0.98, size=(300, dimension))
    values = fields_at(solution, x).values
    k = np.pi * np.stack(np.meshgrid(*[np.arange(1, 60)] * dimension, indexing="ij")).reshape(dimension, -1)
    modes = np.prod([np.sin(np.outer(x[:, d], k[d])) for d in range(dimension)], axis=0)
    deviation = np.sqrt(modes**2 @ (2.0**dimension * sigma**2 / symbol(k) ** 2))
    middle = np.prod(np.sin(np.pi * x), axis=1)
    off, half = (values["u_mean"] - middle) / deviation, 1.96 * values["u_std"] / deviation
    inside = np.mean([0.5 * (math.erf((o + h) / 2**0.5) - math.erf((o - h) / 2**0.5)) for o, h in zip(off, half, strict=True)])
    assert 0.90 <= inside <= 0.98


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


def test_fields_have_a_spread(tmp_path: Any) -> None:
    solution = solve(small(steps=1500, learning_rate=1e-2), tmp_path / "run")
    values = fields_at(solution, [[0.25], [0.5]]).values
    assert (values["u_std"] > 0).all()
    assert np.abs(values["u_mean"] - values["u"]).max() < 0.01
    assert solution.samples is not None
    assert solution.metrics["walk"]["measured"] == pytest.approx(1.0, abs=0.1 + 3 * solution.metrics["walk"]["standard_error"])
    kept = samples_of(Training.from_arrays(*load_arrays(tmp_path / "run" / "checkpoint.npz")).state)
    assert kept is not None
    assert torch.equal(kept, solution.samples)


def test_no_deviation_where_a_check_fails(tmp_path: Any) -> None:
    """Forty steps forget nothing: the check fails, and the samples that there are are told neither now nor when loaded."""
    solution = solve(small(steps=40, learning_rate=1e-2), tmp_path / "run")
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
        ({"temperature": "noise"}, r'temperature = "noise" is that of mini-batches to the end; set batch\.size'),
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
    method, theta = Langevin(0.1, 40, 2), torch.ones(3, dtype=torch.float64)
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
