"""Test the training loop: rollback, best state, stopping, and reproducibility."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from vpinn.domain import rectangle
from vpinn.errors import DivergenceError, InputError
from vpinn.interrupt import Interrupt
from vpinn.objective import Objective, make_objective
from vpinn.optimization import (
    COLUMNS,
    Adam,
    Lbfgs,
    Method,
    Plan,
    Schedule,
    Sgd,
    Training,
    final_parameters,
    make_plan,
    train,
)
from vpinn.optimization.divergence import ANCHOR, SHRINK, TRIES, began_at, diverged, roll_back
from vpinn.optimization.method import NonFiniteError
from vpinn.optimization.plan import METHODS
from vpinn.placement import HERE
from vpinn.problem import make_problem
from vpinn.sampling import make_sampler
from vpinn.trial import make_trial

Change = Callable[[int, Tensor, float, Tensor], tuple[float, Tensor]]


class Bowl:
    """A quadratic of 6 parameters in place of an objective; ``change`` can alter each evaluation."""

    size = 12
    measures = ()
    batched = (SimpleNamespace(derivatives=(), network=SimpleNamespace(outputs=1, layers=(1, 5, 1))),)
    estimator = "plain"
    unit = 1.0
    placement = HERE

    def __init__(self, change: Change = lambda call, theta, value, gradient: (value, gradient)) -> None:
        self.change, self.calls = change, 0
        self.weights = torch.logspace(0, 2, 6, dtype=torch.float64)

    def value(self, theta: Tensor) -> float:
        return float(0.5 * (self.weights * (theta - 1) ** 2).sum())

    def gradient(self, theta: Tensor) -> tuple[float, Tensor]:
        self.calls += 1
        return self.change(self.calls, theta, self.value(theta), self.weights * (theta - 1))

    def non_finite(self, theta: Tensor) -> str:
        return " in the domain integral"


def run(objective: Any, plan: Plan, theta: Tensor | None = None, **more: Any) -> Training:
    start = torch.zeros(6, dtype=torch.float64) if theta is None else theta
    return train(objective, Training.start(start, plan.method, 0), plan, **more)


def spoil(calls: set[int] | range, what: str) -> Change:
    def change(call: int, theta: Tensor, value: float, gradient: Tensor) -> tuple[float, Tensor]:
        if call in calls:
            return (math.nan, gradient) if what == "loss" else (value, gradient * math.inf)
        return value, gradient

    return change


@pytest.mark.parametrize("what", ["loss", "gradient"])
@pytest.mark.parametrize("method", [Adam(), Sgd()])
def test_one_value_that_is_not_finite_costs_a_rollback(method: Method, what: str) -> None:
    """Back to the last anchor with its state, a tenth of the step size, and on."""
    rate = 0.01
    at = 2 * ANCHOR + 30
    training = run(Bowl(spoil({at}, what)), Plan(method, Schedule(rate, steps=400)))
    assert training.rollbacks == 1
    assert training.shrink == SHRINK
    assert training.stopped == "steps"
    history = training.history.table
    assert (history[:, 0] == np.arange(1, 401)).all()
    assert np.isfinite(history[:, [0, 1, 2, 3, 4, 5, 6]]).all()
    assert (history[:, COLUMNS.index("learning_rate")] == np.where(history[:, 0] < at, rate, SHRINK * rate)).all()
    # the step after the rollback is the anchor's own step at a tenth: the loss there is that of step 2·ANCHOR + 1
    losses = history[:, COLUMNS.index("loss")]
    assert losses[at - 1] == losses[2 * ANCHOR]
    clean = run(Bowl(), Plan(method, Schedule(rate, steps=400)))
    anchor = Bowl().value(clean.theta)
    assert Bowl().value(training.theta) < losses[2 * ANCHOR]
    assert math.isfinite(anchor)


def test_the_state_of_the_method_is_rolled_back_too() -> None:
    """What follows a rollback is what the anchor's state gives with the smaller step, to the last bit."""
    at = ANCHOR + 7
    plan = Plan(Adam(), Schedule(0.01, steps=at + 20))
    found = run(Bowl(spoil({at}, "loss")), plan)
    until = run(Bowl(), Plan(Adam(), Schedule(0.01, steps=ANCHOR)))
    again = Training.start(until.theta, Adam(), 0)
    again.state = until.state
    expected = train(Bowl(), again, Plan(Adam(), Schedule(0.01 * SHRINK, steps=len(found.history) - at + 1)))
    assert torch.equal(found.theta, expected.theta)


@pytest.mark.parametrize("what", ["loss", "gradient"])
@pytest.mark.parametrize("method", [Adam(), Sgd(), Lbfgs()])
def test_three_tries_and_then_an_error_that_names_step_and_term(method: Method, what: str) -> None:
    objective = Bowl(spoil(range(12, 10_000), what))
    with pytest.raises(DivergenceError, match=f"the {what} is not finite in the domain integral") as caught:
        run(objective, Plan(method, Schedule(0.01 if method.name != "lbfgs" else 1.0, steps=400)))
    assert caught.value.exit_code == 3
    assert "\n" not in str(caught.value)
    assert f"after {TRIES} rollbacks" in str(caught.value)
    assert str(caught.value).endswith(method.remedy)
    if method.name != "lbfgs":
        assert "diverged at step 12" in str(caught.value)
        assert objective.calls == 11 + TRIES + 1


def test_a_loss_far_above_the_first_is_told_beside_it() -> None:
    rising = Bowl(lambda call, theta, value, gradient: (value if call < 12 else 1e9 * value, gradient))
    with pytest.raises(DivergenceError, match=r"the loss is \S+, up from \S+ at the start, after 3 rollbacks with"):
        run(rising, Plan(Adam(), Schedule(0.01, steps=400)))


def test_parameters_that_overflow_are_noticed() -> None:
    def change(call: int, theta: Tensor, value: float, gradient: Tensor) -> tuple[float, Tensor]:
        return min(value, 1e300), torch.full_like(gradient, 1e155)

    with pytest.raises(DivergenceError, match=r"the (parameters|loss|gradient) is not finite"):
        run(Bowl(change), Plan(Sgd(), Schedule(1e200, steps=50)))


def test_a_step_size_that_is_too_large_is_made_smaller_until_it_works() -> None:
    """Gradient descent beyond 2/λ overflows; a tenth of it converges."""
    training = run(Bowl(), Plan(Sgd(0.0), Schedule(0.05, steps=3000)))
    assert training.rollbacks >= 1
    assert training.stopped in ("steps", "converged")
    assert Bowl().value(training.theta) < 1e-3


@pytest.mark.parametrize("shift", [0.0, -1e4, 51.0])
def test_a_loss_that_is_finite_and_far_too_high_is_a_divergence(shift: float) -> None:
    """Whatever the sign of the loss, and where it begins near zero: descent beyond 2/λ is caught long before it overflows."""
    bowl = Bowl(lambda call, theta, value, gradient: (value - 0.5 * float(bowl.weights.sum()) + shift, gradient))
    start = torch.full((6,), 0.5, dtype=torch.float64)
    training = run(bowl, Plan(Sgd(0.0), Schedule(0.05, steps=300)), start)
    losses = training.history.table[:, COLUMNS.index("loss")]
    assert training.rollbacks == 1
    assert losses.max() < 1e4 * max(100.0, abs(shift))
    assert Bowl().value(training.theta) < Bowl().value(start)


def test_an_outlier_among_batches_is_none() -> None:
    """One batch, or two, a million times above the rest are a bad draw; three in a row, or one sum over all points, are not."""
    for drawn, count, rolled in ((True, 1, False), (True, 2, False), (True, 3, True), (False, 1, True)):
        training = Training.start(torch.ones(4, dtype=torch.float64), Sgd(), 0)
        began_at(training, 2.0, torch.ones(4, dtype=torch.float64))
        assert training.origin[2] == 2.0
        assert not diverged(training, 1.5, drawn)
        assert [diverged(training, 2e6, drawn) for _ in range(count)][-1] == rolled
        assert not diverged(training, 1.5, drawn)


def test_the_size_of_a_loss_that_begins_at_zero() -> None:
    """Energies and products of two batches do: its change where weights change by their own size says what is far."""
    training = Training.start(3.0 * torch.ones(4, dtype=torch.float64), Sgd(), 0)
    began_at(training, 1e-12, 2.0 * torch.ones(4, dtype=torch.float64))
    assert training.origin[2] == pytest.approx(4.0 * 6.0 / 2.0)
    assert not diverged(training, 11_000.0, False)
    assert diverged(training, 13_000.0, False)
    training.best = (training.theta, -1000.0)  # what it fell by since counts, too
    assert not diverged(training, 900_000.0, False)
    assert diverged(training, 1_100_000.0, False)


def test_a_rollback_never_returns_to_where_the_loss_is_high() -> None:
    """At step 100 of 200 the loss is five hundred times its size: the anchor stays the start."""

    def change(call: int, theta: Tensor, value: float, gradient: Tensor) -> tuple[float, Tensor]:
        return (5e2 * 55.0 if call == ANCHOR + 1 else math.nan if call == ANCHOR + 20 else value), gradient

    training = run(Bowl(change), Plan(Sgd(0.0), Schedule(1e-3, steps=ANCHOR + 20)))
    assert training.rollbacks == 1
    assert training.history.table[ANCHOR + 19, COLUMNS.index("loss")] == Bowl().value(torch.zeros(6, dtype=torch.float64))


@pytest.mark.parametrize(("best", "expected"), [(1.5, 1.5), (math.inf, 2.0)])
def test_averages_over_diverging_steps_are_forgotten(best: float, expected: float) -> None:
    """Gradients of 1e9 before a rollback do not count in the noise after it, nor their loss in the moving average."""
    theta, gradient = torch.ones(4, dtype=torch.float64), torch.ones(4, dtype=torch.float64)
    training = Training.start(theta, Sgd(), 0)
    began_at(training, 2.0, gradient)
    training.best, training.average = (theta, best), 1e9

    def noise(size: float) -> None:
        for step, sign in enumerate((1, -1, 1)):
            training.watch.observe(theta, sign * size * gradient, 0.1, 8, lambda _: (0.0, gradient), step)

    noise(1e9)
    roll_back(Bowl(), training, Sgd(), NonFiniteError("loss", 1e9))
    noise(1.0)
    assert training.watch.trace < 1e3
    assert training.average == expected


def test_lbfgs_goes_around_what_is_not_finite() -> None:
    def change(call: int, theta: Tensor, value: float, gradient: Tensor) -> tuple[float, Tensor]:
        return (math.nan, gradient) if float(theta.max()) > 1.05 else (value, gradient)

    training = run(Bowl(change), Plan(Lbfgs(), Schedule(1.0, steps=100)))
    assert Bowl().value(training.theta) < 1e-18
    assert np.isfinite(training.history.table[:, 2]).all()


def test_the_best_state_is_kept() -> None:
    """The loss rises after step 20; what is handed back is the parameters of its lowest value."""

    def change(call: int, theta: Tensor, value: float, gradient: Tensor) -> tuple[float, Tensor]:
        return value, gradient if call <= 20 else -gradient

    objective = Bowl(change)
    training = run(objective, Plan(Sgd(0.0), Schedule(0.005, steps=60)))
    losses = training.history.table[:, COLUMNS.index("loss")]
    assert training.best[1] == losses.min()
    assert losses.argmin() == 20
    theta, value = final_parameters(objective, training)
    assert value == losses.min() == objective.value(theta)
    assert objective.value(training.theta) > 2 * value
    # where the last state is the better one, that; where the start is, which no step may make worse, the start
    far = torch.full((6,), 1e3, dtype=torch.float64)
    training.best = (far, 0.0)
    assert torch.equal(final_parameters(objective, training)[0], torch.zeros(6, dtype=torch.float64))
    training.origin = (far, 0.0, 0.0)
    assert torch.equal(final_parameters(objective, training)[0], training.theta)


def test_no_finite_loss_at_the_end_is_a_divergence() -> None:
    training = run(Bowl(), Plan(Sgd(), Schedule(1e-3, steps=3)))
    nan = torch.full((6,), math.nan, dtype=torch.float64)
    training.theta, training.best = nan, (nan, 0.0)
    with pytest.raises(DivergenceError, match="loss over all points is not finite"):
        final_parameters(Bowl(), training)  # type: ignore[arg-type]


def test_why_it_stops() -> None:
    rate = Schedule(1e-3, steps=250)
    assert run(Bowl(), Plan(Adam(), rate)).stopped == "steps"
    assert run(Bowl(), Plan(Lbfgs(), Schedule(1.0, steps=250))).stopped == "converged"
    assert run(Bowl(), Plan(Adam(), rate, time_limit=1e-9)).step == 1
    assert run(Bowl(), Plan(Adam(), rate, time_limit=1e-9)).stopped == "time limit"
    watched = Plan(Adam(), rate, tolerance=0.5, monitor_every=20)
    seen: list[int] = []

    def monitor(theta: Tensor) -> dict[str, float]:
        seen.append(len(seen) + 1)
        return {"error": 3.0, "estimate": 1.0 / len(seen)}

    training = run(Bowl(), watched, monitor=monitor)
    assert (training.stopped, training.step, len(seen)) == ("tolerance", 60, 3)
    history = training.history.table
    assert np.isnan(history[:19, COLUMNS.index("estimate")]).all()
    assert history[19, [COLUMNS.index("error"), COLUMNS.index("estimate")]].tolist() == [3.0, 1.0]
    interrupt = Interrupt()
    interrupt.signal = 15
    assert run(Bowl(), Plan(Adam(), rate), interrupt=interrupt).step == 0

    def stop_at_ten(training: Training) -> None:
        interrupt.signal = 2 if training.step == 10 else None

    interrupt.signal = None
    training = run(Bowl(), Plan(Adam(), rate), interrupt=interrupt, report=stop_at_ten)
    assert (training.step, training.stopped) == (10, "signal")


def test_a_run_at_its_end_takes_no_step_more() -> None:
    for plan in (Plan(Adam(), Schedule(1e-3, steps=7)), Plan(Lbfgs(), Schedule(1.0, steps=250))):
        training = run(Bowl(), plan)
        arrays, meta = training.arrays()
        again = train(Bowl(), Training.from_arrays(arrays, meta), plan)  # type: ignore[arg-type]
        assert again.step == training.step
        assert torch.equal(again.theta, training.theta)
        assert again.stopped == training.stopped


def test_what_is_saved_when() -> None:
    saved: list[int] = []
    run(Bowl(), Plan(Adam(), Schedule(1e-3, steps=7), checkpoint_every=0.0), save=lambda t: saved.append(t.step))
    assert saved == [1, 2, 3, 4, 5, 6, 7, 7]
    saved.clear()
    run(Bowl(), Plan(Adam(), Schedule(1e-3, steps=7), checkpoint_every=1e9), save=lambda t: saved.append(t.step))
    assert saved == [7]


def poisson(**sections: Any) -> tuple[Any, Objective, Tensor]:
    problem = make_problem(
        rectangle(cells=4),
        unknowns={"u": "scalar"},
        weak="inner(grad(u), grad(v))*dx - v*dx - v*ds('right')",
        boundary=[{"on": "left", "value": 0}],
        network={"layers": [6]},
        test_space={"degree": 2},
        **sections,
    )
    trial = make_trial(problem)
    return problem, make_objective(problem, trial), trial.network.initial(torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", ["adam", "sgd", "lbfgs", "broyden", "gauss-newton", "adam in batches"])
def test_the_same_run_twice_is_the_same_to_the_last_bit(name: str) -> None:
    """The second one written down half-way, and read back."""
    problem, objective, theta = poisson()
    samplers = ()
    if "batches" in name:
        samplers = tuple(make_sampler("stratified", m.points, 8) for m in objective.measures)
    method = METHODS[name.split()[0]](problem.settings)
    assert isinstance(method, Method)
    steps, middle = (24, 13) if name == "gauss-newton" else (55, 27)
    schedule = Schedule(1e-3 if method.learning_rate else 1.0, steps=steps)
    plan = Plan(method, schedule, samplers, monitor_every=20)
    results = []
    for half in (None, middle):
        training = Training.start(theta, method, 5)
        if half is not None:
            train(objective, training, Plan(method, Schedule(schedule.learning_rate, steps=half), samplers, monitor_every=20))
            training = Training.from_arrays(*training.arrays())
        results.append(train(objective, training, plan))
    other = train(objective, Training.start(theta, method, 6), plan)
    whole, resumed = results
    assert torch.equal(resumed.theta, whole.theta)
    assert torch.equal(resumed.best[0], whole.best[0])
    assert resumed.best[1] == whole.best[1]
    seconds = COLUMNS.index("seconds")
    tables = [np.delete(found.history.table, seconds, axis=1) for found in results]
    assert np.array_equal(*tables, equal_nan=True)
    assert resumed.generator.bit_generator.state == whole.generator.bit_generator.state
    assert torch.equal(other.theta, whole.theta) == (not samplers)


def test_plans() -> None:
    problem, objective, _ = poisson(solver={"method": "adam", "learning_rate": 0.02, "warmup": 3, "steps": 9, "clip": 2.0})
    plan = make_plan("adam", problem.settings, objective)
    assert isinstance(plan.method, Adam)
    assert (plan.schedule.learning_rate, plan.schedule.warmup, plan.schedule.steps, plan.clip) == (0.02, 3, 9, 2.0)
    assert plan.samplers == ()
    assert plan.batch_size is None
    plan = make_plan("lbfgs", problem.settings, objective)
    assert (plan.schedule(0), plan.clip) == (1.0, None)
    problem, objective, _ = poisson(batch={"size": 40})
    plan = make_plan("adam", problem.settings, objective)
    # two batches of half the points; the boundary gets its share, but at least 16 points each or all there are
    assert (objective.estimator, plan.batches) == ("control-variate", 2)
    assert [s.size for s in plan.samplers] == [20, min(16, objective.batched[1].points.size)]
    assert plan.batch_size == 2 * sum(s.size for s in plan.samplers)
    with pytest.raises(InputError, match="needs all points"):
        make_plan("lbfgs", problem.settings, objective)
    problem, objective, _ = poisson(batch={"size": 10_000_000})
    with pytest.raises(InputError, match=r"batch\.size is 10000000, but there are") as caught:
        make_plan("adam", problem.settings, objective)
    assert "\n" not in str(caught.value)
    problem, objective, _ = poisson(batch={"size": objective.measures[0].points.size})
    assert make_plan("adam", problem.settings, objective).samplers == ()  # the full sum, bit by bit
