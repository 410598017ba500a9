"""Test batch sizes, step sizes, warm-up and clipping that a run chooses itself: trained, resumed, and refused. Fixed seeds."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from vpinn.domain import rectangle
from vpinn.errors import InputError
from vpinn.noise.gradients import point_gradients
from vpinn.objective import Objective, make_objective
from vpinn.optimization import COLUMNS, Adam, Langevin, Plan, Sgd, Training, make_plan, policy_found, train
from vpinn.optimization.batches import STABLE, Batching
from vpinn.optimization.schedule import SCALINGS
from vpinn.optimization.settled import Settled
from vpinn.optimization.watch import Watch
from vpinn.problem import make_problem
from vpinn.sampling import NormTest, best_batch
from vpinn.trial import make_trial

POLICIES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "auto": ({"size": "auto"}, {}),
    "auto at the start": ({"size": "auto", "growth": "none"}, {}),
    "auto, neyman": ({"size": "auto", "allocation": "neyman"}, {}),
    "noise scale": ({"size": 60, "growth": "noise-scale", "sampler": "importance"}, {"scaling": "square-root"}),
    "norm test": ({"size": 20, "growth": "norm-test", "threshold": 0.2}, {"method": "sgd", "scaling": "linear"}),
    "geometric": ({"size": 20, "growth": "geometric", "strata": "gradient", "allocation": "neyman"}, {}),
    "logarithmic": ({"size": 20, "growth": "logarithmic", "largest": 60}, {}),
    "a barrier": ({"size": 20, "growth": "logarithmic", "barrier": 1e-7}, {"method": "sgd"}),
    "quadratic": ({"size": 20, "growth": "geometric"}, {"method": "sgd", "scaling": "quadratic", "learning_rate": 0.1}),
    "finish": ({"size": 20, "finish": 0.3}, {}),
    "warm-up and clip": ({"size": 60}, {"warmup": "auto", "clip": "auto", "learning_rate": 0.1}),
}


def made(batch: dict[str, Any], solver: dict[str, Any], form: str = "energy", cells: int = 6) -> tuple[Objective, Tensor, Plan]:
    forms = {
        "energy": {"energy": "0.5*inner(grad(u), grad(u))*dx - exp(-20*(x**2 + y**2))*u*dx"},
        "strong": {"strong": "-div(grad(u)) - exp(-20*(x**2 + y**2))"},
    }
    problem = make_problem(
        rectangle(cells=cells),
        unknowns={"u": "scalar"},
        boundary=[{"on": "all", "value": 0}],
        network={"layers": [5]},
        quadrature={"degree": 5},
        batch=batch,
        solver={"method": "adam", "steps": 140, "learning_rate": 1e-3, **solver},
        **forms[form],
    )
    trial = make_trial(problem)
    objective = make_objective(problem, trial)
    theta = trial.network.initial(torch.Generator().manual_seed(1))
    return objective, theta, make_plan(problem.settings.solver.method, problem.settings, objective)


def columns(training: Training) -> dict[str, np.ndarray[Any, Any]]:
    return dict(zip(COLUMNS, training.history.table.T, strict=True))


SLOW = ("auto at the start", "auto, neyman", "logarithmic", "quadratic")
"""Policies whose state is that of another: of "auto", "a barrier" and "geometric"."""


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in POLICIES])
def test_a_resumed_run_is_the_same_to_the_last_bit(name: str) -> None:
    """Stopped after 57 steps and gone on from what a checkpoint holds: parameters and history after 100 steps are equal."""
    batch, solver = POLICIES[name]
    objective, theta, plan = made(batch, {**solver, "steps": 100})
    whole = train(objective, Training.start(theta, plan.method, 3), plan)

    class Stop(Exception):
        pass

    def interrupt(training: Training) -> None:
        if training.step == 57:
            raise Stop

    half = Training.start(theta, plan.method, 3)
    with pytest.raises(Stop):
        train(objective, half, plan, report=interrupt)
    arrays, meta = half.arrays()
    again = train(objective, Training.from_arrays(arrays, json.loads(json.dumps(meta))), made(batch, {**solver, "steps": 100})[2])
    assert torch.equal(again.theta, whole.theta)
    assert again.settled == whole.settled
    kept = [k for k, column in enumerate(COLUMNS) if column != "seconds"]
    np.testing.assert_array_equal(again.history.table[:, kept], whole.history.table[:, kept])


def test_history_has_the_sizes_and_step_sizes_as_used() -> None:
    """η₀ √(b/b₀) for the root, η₀ b/b₀ for the linear rule, in every row; sizes grow to all points."""
    for scaling, power in (("square-root", 0.5), ("linear", 1.0), ("none", 0.0)):
        constant = {"scaling": scaling, "schedule": "constant", "learning_rate": 1e-3}
        objective, theta, plan = made({"size": 40, "growth": "geometric"}, constant)
        found = columns(train(objective, Training.start(theta, plan.method, 3), plan))
        assert (np.diff(found["batch_size"]) >= 0).all()
        assert (found["batch_size"][0], found["batch_size"][-1]) == (40, objective.size)
        assert found["learning_rate"] == pytest.approx(1e-3 * (found["batch_size"] / 40) ** power, rel=1e-12)


@pytest.mark.parametrize("scaling", ["linear", "square-root", "quadratic"])
def test_batches_that_grow_raise_the_step_size_to_half_the_limit_at_most(scaling: str) -> None:
    """From 0.25 of what is stable the linear rule would reach three times it: it ends at half, and nothing diverges."""
    objective, theta, plan = made({"size": 40, "growth": "geometric"}, {"method": "sgd", "scaling": scaling})
    training = Training.start(theta, plan.method, 3)
    stable = train(objective, training, replace(plan, schedule=replace(plan.schedule, steps=1))).settled.limit
    rate = 0.25 * stable
    plan = replace(plan, schedule=replace(plan.schedule, learning_rate=rate))
    training = train(objective, Training.start(theta, plan.method, 3), plan)
    found = columns(training)
    assert training.rollbacks == 0
    assert found["loss"][-1] < 0.01 * found["loss"][0]
    assert found["learning_rate"][0] == rate
    assert 1.3 * rate < found["learning_rate"][-1] <= STABLE * max(training.settled.limit, stable)
    assert training.settled.seen_at >= 0.5 * objective.size
    assert 0.5 * stable < training.settled.limit < 3.0 * stable


def test_a_step_size_that_was_asked_for_stays_and_is_not_raised() -> None:
    """Above half the limit from the beginning: growth leaves it where it is. A bent that was seen on the way counts, too."""
    batching = Batching(NormTest(1000, 10, 1000, 1.0), 10, lambda size: (), scaling=SCALINGS["linear"])
    settled = Settled(first=10.0, batch=1000.0, limit=1.0)
    assert batching.rate(0.7, settled, math.inf) == 0.7
    assert batching.rate(0.001, settled, math.inf) == pytest.approx(0.1)
    assert batching.rate(0.01, settled, math.inf) == STABLE
    assert batching.rate(0.01, settled, 0.2) == pytest.approx(0.1)
    assert batching.rate(0.01, replace(settled, batch=5.0), math.inf) == pytest.approx(0.005)


def test_a_step_that_is_undone_leaves_no_batch_behind() -> None:
    """A signal may arrive after the batch of a step was chosen: the next one is chosen as if it had not been."""
    objective, theta, plan = made({"size": 40, "growth": "geometric"}, {"method": "sgd"})
    training = train(objective, Training.start(theta, plan.method, 3), replace(plan, schedule=replace(plan.schedule, steps=1)))
    before, put_back = training.settled, training.remembered()
    training.step = 100
    assert plan.batching is not None
    plan.batching.size(training, 140)
    assert training.settled != before
    put_back()
    assert training.settled == before
    assert training.step == 1


@pytest.mark.parametrize("ratio", [1.0, 3.0, 50.0])
def test_the_quadratic_rule_is_the_best_on_a_quadratic(ratio: float) -> None:
    """It makes e(η) + κ/η smallest, e(η) = ησ²/(bλ(2 − ηλ)), with κ such that η₀ is best at b₀; √b where noise limits."""
    curvature, noise, first, rate = 3.0, 2.0, 10.0, 0.2
    kappa = 2.0 * noise * rate**2 / (first * curvature * (2.0 - rate * curvature) ** 2)
    etas = np.linspace(1e-4, 2.0 / curvature - 1e-4, 400_001)
    cost = etas * noise / (first * ratio * curvature * (2.0 - etas * curvature)) + kappa / etas
    best = etas[cost.argmin()]
    assert rate * SCALINGS["quadratic"](ratio, rate * curvature / 2.0) == pytest.approx(best, rel=1e-3)
    assert SCALINGS["quadratic"](ratio, 1e-9) == pytest.approx(math.sqrt(ratio), rel=1e-6)
    assert rate * SCALINGS["quadratic"](1e12, rate * curvature / 2.0) == pytest.approx(2.0 / curvature, rel=1e-4)


@pytest.mark.slow
def test_annealing_cools_like_one_over_the_logarithm() -> None:
    """Its step size stays, whatever the method; with a barrier c the temperature is c/ln(k + e) once that is below the first."""
    for method in ("adam", "sgd"):
        objective, theta, plan = made({"size": 20, "growth": "logarithmic"}, {"method": method})
        found = columns(train(objective, Training.start(theta, plan.method, 3), plan))
        assert (found["learning_rate"] == 1e-3).all()
        steps = np.arange(140)
        assert found["batch_size"] == pytest.approx(20 * np.log(steps + math.e), rel=0.1, abs=1)
    objective, theta, plan = made({"size": 20, "growth": "logarithmic"}, {"method": "sgd"})
    training = train(objective, Training.start(theta, plan.method, 3), plan)
    hot = training.settled.heat * training.settled.trace / 20
    measured = 0.5 * 1e-3 / (1 - 0.9) / len(theta)  # η/(2P(1 − μ))
    assert training.settled.heat == pytest.approx(measured)
    for depth in (0.5 * hot, 4.0 * hot):
        objective, theta, plan = made({"size": 20, "growth": "logarithmic", "barrier": depth}, {"method": "sgd"})
        training = train(objective, Training.start(theta, plan.method, 3), plan)
        trace = training.watch.trace / training.watch.pairs
        last = columns(training)["batch_size"][-1]
        assert training.settled.heat * trace / last == pytest.approx(
            min(depth / math.log(139 + math.e), training.settled.heat * trace / 20), rel=0.12
        )


def test_the_last_steps_see_all_points() -> None:
    """Of 140 steps the last 42: their losses are those over all points, exactly, and so is the best of them."""
    objective, theta, plan = made(*POLICIES["finish"])
    seen: list[tuple[float, Tensor]] = []
    training = Training.start(theta, plan.method, 3)
    thetas = [theta]
    train(objective, training, plan, report=lambda state: thetas.append(state.theta))
    found = columns(training)
    assert (found["batch_size"] == np.where(np.arange(140) < 98, 20, objective.size)).all()
    seen = [(objective.gradient(place)[0], place) for place in thetas[98:140]]
    assert found["loss"][98:].tolist() == [value for value, _ in seen]
    assert training.best[1] == min(value for value, _ in seen)
    told = policy_found(training, plan, objective.size)["batch"]
    assert told == {"growth": "none", "first": 20, "last": 20, "changes": 1, "all_from": 99, "pilot_noise": None}


def test_the_first_automatic_batch_is_that_of_the_noise_scale() -> None:
    """From all points' own gradients: S = 8 at the start, told within a fifth; 700 after training, within a factor of two."""
    before, start, plan = made({"size": 250}, {"learning_rate": 1e-2}, cells=24)
    trained = train(before, Training.start(start, plan.method, 3), plan).theta
    objective, _, plan = made({"size": "auto", "sampler": "uniform", "growth": "none"}, {"steps": 1}, cells=24)
    assert plan.batching is not None
    for theta, factor in ((start, 1.2), (trained, 2.0)):
        own = torch.cat([part for _, _, part in point_gradients(objective, theta)])
        total = own.sum(0)
        scale = float((len(own) * (own**2).sum() - total @ total) / (total @ total))
        training = train(objective, Training.start(theta, plan.method, 3), plan)
        found = training.settled.noise * plan.batching.policy.least
        assert scale / factor < found < scale * factor
        assert training.settled.first == round(best_batch(found))
        assert training.history[0][COLUMNS.index("batch_size")] == training.settled.first


@pytest.mark.parametrize("threshold", [0.5, 1.0])
def test_the_norm_test_on_a_quadratic(threshold: float) -> None:
    """‖g‖² = 4 and tr Σ = 3,200 stay: from 16 points the batch grows to S/θ² = 800/θ², within 20 %, and stays there."""
    size, generator = 200, torch.Generator().manual_seed(9)
    truth, theta = torch.full((size,), 2.0 / size**0.5, dtype=torch.float64), torch.zeros(size, dtype=torch.float64)
    policy, batch, watch, noise = NormTest(10**6, 16, 10**6, threshold), 16, Watch(), math.nan
    sizes = []
    for step in range(800):
        batch = policy.next(16, batch, step, 800, noise)
        gradient = truth + math.sqrt(3200 / size / batch) * torch.randn(size, generator=generator, dtype=torch.float64)
        values = watch.observe(theta, gradient, 1.0, batch, lambda at, g=gradient: (0.0, g), step)
        noise = 1.0 / values[1] if values[1] else math.inf
        sizes.append(batch)
    assert sizes[49] == 16
    assert sizes[51] == 32
    assert sizes[-1] == pytest.approx(800 / threshold**2, rel=0.2)
    assert (np.diff(sizes) >= 0).all()


def test_the_noise_is_told_across_sizes() -> None:
    """Batches that double every 40 steps: the noise scale stays that of their points, 800, within a fifth on average."""
    size, generator = 200, torch.Generator().manual_seed(10)
    truth, theta = torch.full((size,), 2.0 / size**0.5, dtype=torch.float64), torch.zeros(size, dtype=torch.float64)
    watch, scales, batch = Watch(), [], 100
    for step in range(280):
        batch *= 2 if step and step % 40 == 0 else 1
        gradient = truth + math.sqrt(3200 / size / batch) * torch.randn(size, generator=generator, dtype=torch.float64)
        values = watch.observe(theta, gradient, 1.0, batch, lambda at, g=gradient: (0.0, g), step)
        scales.append(values[0])
    assert np.mean(scales[100:]) == pytest.approx(800, rel=0.2)


def test_a_warm_up_that_the_run_finds() -> None:
    """Its length is in the step sizes, from the stable one; for a rate far below, nearly none."""
    for rate, long in ((30.0, True), (1e-5, False)):
        objective, theta, plan = made({"size": 60}, {"method": "sgd", "warmup": "auto", "learning_rate": rate, "clip": 1e-3})
        training = train(objective, Training.start(theta, plan.method, 3), plan)
        length = int(training.settled.warmup)
        assert length == min(35, math.ceil(10 * rate / training.settled.stable))
        assert (length > 10) == long
        rates = columns(training)["learning_rate"]
        assert rates[:length] == pytest.approx(rate * np.arange(1, length + 1) / length)
        assert (rates[length:] == rate).all()
        assert policy_found(training, plan, objective.size)["warmup"] == {"steps": length, "stable": training.settled.stable}


def test_automatic_clipping_cuts_few() -> None:
    """Two of 140 batches of four points, by gradients far longer than those around them."""
    objective, theta, plan = made({"size": 4, "sampler": "uniform"}, {"clip": "auto"})
    training = train(objective, Training.start(theta, plan.method, 3), plan)
    found = columns(training)
    cut = np.flatnonzero(found["clipped"])
    assert 1 <= len(cut) <= 7
    assert all(found["gradient_norm"][k] > np.quantile(found["gradient_norm"][1:k], 0.95) for k in cut)
    told = policy_found(training, plan, objective.size)["clip"]
    assert told["share"] == found["clipped"].mean()
    assert told["threshold"] > 0.0


@pytest.mark.parametrize(
    ("batch", "solver", "message"),
    [
        ({"size": 10**6}, {}, r"batch\.size is 1000000, but there are 504 quadrature points"),
        ({"size": 60, "growth": "geometric", "largest": 10**6}, {}, r"batch\.largest is 1000000, but there are 504"),
        ({"size": 20, "growth": "logarithmic"}, {"scaling": "linear"}, 'raises the temperature again that growth "logarithmic"'),
        ({"size": 20, "growth": "logarithmic"}, {"schedule": "cosine"}, "cools by larger batches at a constant step size"),
        ({"size": 20, "growth": "geometric", "barrier": 1.0}, {"method": "sgd"}, 'barrier belongs to growth "logarithmic"'),
        ({"size": 20, "growth": "logarithmic", "barrier": 1.0}, {}, r"batch\.barrier needs the temperature of plain descent"),
        ({"size": 20, "growth": "logarithmic", "barrier": 0.0}, {"method": "sgd"}, r"barrier"),
        ({"size": 504, "growth": "geometric"}, {}, "every step uses all points already"),
        ({"size": 504, "allocation": "neyman"}, {}, "allocation says how mini-batches are drawn, but batch.size is 504, which"),
        ({"size": 504, "sampler": "cells", "per_cell": 2}, {}, "batch.sampler says how mini-batches are drawn"),
        ({"size": "full"}, {"clip": "auto"}, r'solver\.clip = "auto" needs the noise of mini-batch gradients'),
        ({"size": 20}, {"method": "spring", "warmup": "auto"}, r'solver\.warmup = "auto" is for steps along gradients'),
        ({"size": 20, "finish": 0.1}, {"method": "spring"}, r"spring needs a mini-batch in every step"),
        ({"size": "auto"}, {"method": "spring"}, "spring does not step along gradients"),
        ({"size": 20, "growth": "norm-test"}, {"method": "spring"}, "spring does not step along gradients"),
        ({"size": "auto"}, {"method": "lbfgs"}, "needs all points in every step"),
        ({"size": "auto"}, {"method": "least-squares"}, "least-squares does not step along gradients"),
        ({"size": 20, "growth": "geometric"}, {"method": "least-squares"}, "uses every batch once"),
    ],
)
def test_settings_that_do_not_fit_are_refused(batch: dict[str, Any], solver: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        made(batch, solver, "strong")
    assert "\n" not in str(caught.value)


def test_a_batch_of_spring_grows_to_as_many_points_as_weights() -> None:
    _, _, plan = made({"size": 8, "growth": "geometric"}, {"method": "spring", "learning_rate": None}, "strong")
    assert plan.batching is not None
    assert plan.batching.policy.largest == 21


def test_default_rules() -> None:
    assert (Adam().scaling, Sgd().scaling, Langevin(1.0, 2, 0).scaling) == ("square-root", "linear", "none")
