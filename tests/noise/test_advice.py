"""Test which batch size and which sampler a noise report recommends. Seeds are fixed."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from vpinn.noise import Curve
from vpinn.noise.advice import CHOICES, Candidate, compared, simplest
from vpinn.noise.draws import seconds_per_step
from vpinn.noise.pilot import RateTrial, descend
from vpinn.noise.population import population
from vpinn.noise.recommend import drawing, learning_rate, size
from vpinn.objective import Objective, make_objective
from vpinn.optimization.batching import samplers_of
from vpinn.problem import Problem, make_problem
from vpinn.sampling import Stratified, Uniform
from vpinn.trial import make_trial

SIZE = 48
CORNER = "500*exp(-200*((x-0.1)**2 + (y-0.1)**2))"


def made(source: str, **changed: Any) -> tuple[Problem, Objective, torch.Tensor]:
    form = {"energy": f"0.5*inner(grad(u), grad(u))*dx - {source}*u*dx"}
    problem = make_problem(
        {"shape": "rectangle", "cells": [16, 16], "cell": "quadrilateral"},
        unknowns={"u": "scalar"},
        boundary=[{"on": "all", "value": 0}],
        network={"layers": [8]},
        quadrature={"degree": 5},
        **{**form, **changed},
    )
    objective = make_objective(problem, make_trial(problem))
    return problem, objective, objective.measures[0].network.initial(torch.Generator().manual_seed(0))


def candidate(keys: dict[str, str], variance: float, error: float, early: float = 100.0) -> Candidate:
    return Candidate(keys, (Uniform(100, 10),), (early, variance), (0.1, error))


def test_size_of_least_time_to_an_accuracy() -> None:
    """(1 + S/b)(c₀ + c₁b) with c₀/c₁ = 100 is least at b = √(100 S), of powers of two, or with all points."""
    sizes = np.geomspace(16.0, 4096.0, 9)
    curves = {"uniform": Curve(sizes, 1.0 / sizes), "stratified": Curve(sizes, 0.05 / sizes)}
    costs = (1e-3, 1e-5)
    drawn = size(655.0, costs, 100_000, {"uniform": curves["uniform"]})
    assert drawn.points == 256
    assert "noise scale S = 655 points at the end, c₀/c₁ = 100 points" in drawn.reason
    assert size(655.0 / 0.05, costs, 100_000, curves).points == 256
    flat = size(300.0, costs, 100_000, {"uniform": curves["uniform"]})
    assert flat.points == 128
    assert flat.reason.endswith("; 128 to 256 points are equal within 10 %")
    for whole in (size(1e6, costs, 2_000, curves), size(math.inf, costs, 2_000, curves)):
        assert whole.points == 2_000
        assert whole.reason.startswith("mini-batches would gain little, a step on all points takes 21 ms")


def test_all_points_are_the_simpler_choice_where_times_are_equal() -> None:
    """Batches of 128 cost 495 c₁ with S = 150: less than half of all of 1,000 points, more than that of all of 800.

    They are advised where they pay by more than a factor of two alone: on a boundary layer, batches that theory told to take 0.84
    of the time ended at one and a half times the error.
    """
    sizes = np.array([64.0, 128.0])
    curves = {"uniform": Curve(sizes, 1.0 / sizes)}
    assert min((1 + 150 / b) * (100 + b) for b in sizes) == pytest.approx(495.2, abs=0.1)
    assert size(150.0, (100.0, 1.0), 1000, curves).points == 128
    equal = size(150.0, (100.0, 1.0), 800, curves)
    assert equal.points == 800
    assert equal.reason.endswith("; mini-batches need 0.55 of the time by theory, not clearly less")


def test_long_runs_are_given_a_quarter_of_the_best_rate_of_short_trials() -> None:
    trials = [RateTrial(rate, loss, [], []) for rate, loss in ((0.002, 3.0), (0.004, 1.0), (0.008, 2.0))]
    line = learning_rate(trials, 0.1)
    assert (line.section, line.key, line.value) == ("solver", "learning_rate", "0.001")
    assert "a quarter of 0.004" in line.reason
    assert "0.008 is worse" in line.reason


def test_a_step_on_all_points_takes_what_it_was_measured_to_take() -> None:
    """By c₀ + c₁N batches are faster to an accuracy than all points; a sum over all of them in a quarter of that time is not."""
    sizes = np.geomspace(16.0, 4096.0, 9)
    curves = {"uniform": Curve(sizes, 1.0 / sizes)}
    by_line = size(20.0, (3e-3, 1e-5), 1500, curves)
    assert by_line.points < 1500
    assert size(20.0, (3e-3, 1e-5), 1500, curves, 18e-3).points == by_line.points
    assert size(20.0, (3e-3, 1e-5), 1500, curves, 4.5e-3).points == 1500


def test_the_speed_of_the_machine_and_a_fifth_of_load_change_no_size() -> None:
    sizes = np.geomspace(16.0, 4096.0, 9)
    curves = {"uniform": Curve(sizes, 1.0 / sizes)}
    for speed, step, point in itertools.product((0.1, 1.0, 7.0), (1.0, 1.2), (1.0, 1.2)):
        assert size(655.0, (1e-3 * speed * step, 1e-5 * speed * point), 100_000, curves).points == 256


def test_times_are_medians(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock on which a call in four takes a hundred times as long tells the same times as one without interruptions."""
    _, objective, theta = made("1.0")
    found = []
    for late in (0.0, 100.0):
        ticks = (k // 2 * (1.0 + (late if k // 2 % 4 == 1 and k % 2 else 0.0)) + k % 2 for k in itertools.count())
        monkeypatch.setattr("vpinn.noise.draws.time.process_time", lambda ticks=ticks: float(next(ticks)))
        found.append(seconds_per_step(objective, theta, [8, 16, 32], np.random.default_rng(0)))
    assert list(found[0]) == [1.0] * 3
    assert list(found[1]) == [1.0] * 3


def test_the_simplest_that_none_is_better_than_beyond_its_error() -> None:
    neyman = {"sampler": "stratified", "allocation": "neyman"}
    uniform = candidate({"sampler": "uniform"}, 90.0, 2.0)
    plain = candidate({"sampler": "stratified"}, 33.5, 0.8, 60.0)
    for other, chosen, words in (
        (candidate(neyman, 55.5, 1.5, 59.0), "proportional", "60 ± 0.1 → 33.5 ± 0.8 beside neyman 59 ± 0.1 → 55.5 ± 2"),
        (candidate(neyman, 32.0, 0.8, 59.0), "proportional", "60 ± 0.1 → 33.5 ± 0.8 beside neyman 59 ± 0.1 → 32 ± 0.8"),
        (candidate(neyman, 25.0, 0.8, 61.0), "proportional", "60 ± 0.1 → 33.5 ± 0.8 beside neyman 61 ± 0.1 → 25 ± 0.8"),
        (candidate(neyman, 25.0, 0.8, 59.0), "neyman", "59 ± 0.1 → 25 ± 0.8 beside proportional 60 ± 0.1 → 33.5 ± 0.8"),
    ):
        sampler, allocation = drawing([uniform, plain, other])
        assert (sampler.value, allocation.value) == ('"stratified"', f'"{chosen}"')
        assert allocation.reason == f"variance {words}"
        same = "; not clearly worse: stratified neyman; of these the simplest is taken"
        assert sampler.reason.endswith(same) == (chosen == "proportional")
    tags = {"sampler": "stratified", "strata": "tags", "allocation": "neyman"}
    found = drawing([uniform, plain, candidate(tags, 3.0, 0.1, 9.0)])
    assert [(s.key, s.value) for s in found] == [
        ("sampler", '"stratified"'),
        ("allocation", '"neyman"'),
        ("strata", '"tags"'),
    ]
    assert [s.key for s in drawing([uniform])] == ["sampler"]


def test_a_variance_that_is_told_badly_is_not_taken_for_low() -> None:
    """Cells have hundreds of times the variance of others, told with an error as large: none is better beyond it."""
    uniform = candidate({"sampler": "uniform"}, 9.0, 0.5, 60.0)
    plain, sobol = candidate({"sampler": "stratified"}, 0.05, 0.001, 0.05), candidate({"sampler": "sobol"}, 0.03, 0.001, 0.03)
    cells = replace(candidate({"sampler": "cells"}, 23.0, 12.0, 105.0), error=(60.0, 12.0))
    plain, sobol = (replace(c, error=(0.001, 0.001)) for c in (plain, sobol))
    assert not sobol.better(cells)
    assert simplest([uniform, plain, sobol, cells]) is sobol
    near = replace(sobol, variance=(0.045, 0.045), error=(0.01, 0.01))
    assert simplest([uniform, plain, near, cells]) is plain


def test_candidates_are_those_of_training_with_their_variance() -> None:
    """Samplers as the problem file would make them; variances within four standard errors of what all points say."""
    problem, objective, theta = made("sin(3*x)")
    found = compared(problem.settings, objective, [theta], SIZE, 1, 240)
    assert [c.keys for c in found] == list(CHOICES)
    people = population(objective, theta, np.random.default_rng(0), np.eye(len(theta)))
    for c in found:
        asked = problem.settings.batch.model_copy(update={"size": SIZE, **c.keys})
        expected = samplers_of(problem.settings.model_copy(update={"batch": asked}), objective, SIZE, 1)
        assert [(type(s), s.size) for s in c.samplers] == [(type(s), s.size) for s in expected]
        if isinstance(c.samplers[0], Stratified):
            assert len(c.samplers[0].edges) == len(expected[0].edges)  # type: ignore[attr-defined]
        if c.name in ("uniform", "stratified", "antithetic"):
            assert abs(c.variance[0] - people.variance(c.samplers)) <= 4 * c.error[0]
    first, again = (compared(problem.settings, objective, [theta], SIZE, 1, 8) for _ in range(2))
    assert [(c.variance, c.error) for c in again] == [(c.variance, c.error) for c in first]
    own, objective, theta = made("sin(3*x)", batch={"size": SIZE, "strata": "gradient", "allocation": "neyman"})
    more = compared(own.settings, objective, [theta], SIZE, 1, 40)
    assert more[-1].name == "stratified gradient neyman"


@pytest.mark.parametrize(("source", "learns"), [("1.0", False), (CORNER, True)], ids=["smooth", "corner"])
def test_allocations_that_learn_are_advised_where_they_pay(source: str, learns: bool) -> None:
    """A source in one corner is worth its pilots; for a constant one equal blocks do as well or better."""
    problem, objective, theta = made(source)
    found = {c.name: c for c in compared(problem.settings, objective, [theta], SIZE, 1, 400)}
    strata = [c for c in found.values() if c.keys["sampler"] == "stratified"]
    assert (simplest(strata).name != "stratified") == learns
    best = simplest(list(found.values()))
    assert not any(c.better(best) for c in found.values())


def test_batches_of_products_count_the_points_of_both() -> None:
    weak = {"weak": "inner(grad(u), grad(v))*dx - sin(3*x)*v*dx", "test_space": {"degree": 2}, "energy": None}
    problem, objective, theta = made("", **{**weak, "batch": {"size": SIZE, "estimator": "two-batch"}})
    found = compared(problem.settings, objective, [theta], SIZE, 1, 40)
    assert found[0].samplers[0].size == SIZE // 2


def test_trials_draw_by_the_samplers_given() -> None:
    """With samplers of all points, each once, a trial is the one on all points."""
    _, objective, theta = made("1.0")
    points = objective.measures[0].points.size
    once = (Uniform(points, points, replacement=False),)
    whole, drawn = descend(objective, theta, points, 1e-3, 4, 0), descend(objective, theta, 9, 1e-3, 4, 0, samplers=once)
    assert drawn.loss == pytest.approx(whole.loss, rel=1e-10)
    assert descend(objective, theta, 9, 1e-3, 4, 0).loss != pytest.approx(whole.loss, rel=1e-6)
