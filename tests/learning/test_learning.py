"""Test learning from a family of bars: its steps, the bias of a reused batch on it, and the comparison on members not seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vpinn
from vpinn.errors import InputError
from vpinn.learning import FEATURES, Learning, Members, last_layer_solved, reused_batch
from vpinn.optimization.meta import Maml
from vpinn.optimization.schedule import Schedule
from vpinn.output.learned import Standings, learned_rows
from vpinn.placement import HERE
from vpinn.solving import solve

BARS: dict[str, Any] = {
    "domain": {"shape": "interval", "cells": 8},
    "unknowns": {"u": "scalar"},
    "parameters": {"c": {"lower": 1.0, "upper": 20.0, "scale": "log"}, "s": [0.0, 1.0]},
    "energy": "0.5*inner(grad(u), grad(u))*dx + 0.5*c*u**2*dx - 30*sin(4*x + s)*u*dx",
    "boundary": [{"on": "all", "value": 0}],
    "network": {"layers": [8, 8]},
    "quadrature": {"degree": 7},
    "output": {"formats": ["csv"]},
}
TEXT = (Path(__file__).parents[2] / "problems" / "README.md").read_text()
GUIDE = TEXT.split("## Learning from a family", 1)[1].split("\n## ", 1)[0]


def learning(steps: int, **learner: Any) -> Learning:
    problem = vpinn.make_problem(**BARS)
    assert problem.parameters is not None
    members = Members.of(problem, problem.settings, HERE, "adam")
    values = problem.parameters.at(np.random.default_rng(0).random((4, 2)))
    return Learning(members, values, Maml(count=4, **learner), 16, Schedule(5e-3, 0, steps, "cosine"))


def test_places_are_the_inverse_of_values() -> None:
    parameters = vpinn.make_problem(**BARS).parameters
    assert parameters is not None
    places = np.random.default_rng(1).random((5, 2))
    assert np.allclose(parameters.places(parameters.at(places)), places, rtol=1e-12)


def test_all_members_have_one_network_and_one_scale() -> None:
    members = learning(1).members
    ends = [members.at(values) for values in np.array([[1.0, 0.0], [20.0, 1.0]])]
    assert ends[0].trial.scales == ends[1].trial.scales
    assert ends[0].trial.network == ends[1].trial.network
    theta = members.plain
    assert ends[0].objective.value(theta) != ends[1].objective.value(theta)


def test_learning_makes_few_steps_on_another_member_worth_more() -> None:
    """After four inner steps on a member not seen, the functional is lower from learned weights; learned features fit better."""
    made = learning(60)
    training = made.start(0)
    for k in range(60):
        made.step(training)
        training.step = k + 1
    other = made.members.at(np.array([6.0, 0.4]))

    def left(theta: Any) -> float:
        closure = other.closure(10**9, made.members.settings, np.random.default_rng(0))
        return other.objective.value(made.learner.adapted(theta, lambda: closure)[0])

    plain = made.members.plain
    best = last_layer_solved(other.problem, other.trial, training.state[FEATURES])[1]
    least = other.objective.value(best)
    assert left(training.theta) - least < 0.5 * (left(plain) - least)
    assert least < other.objective.value(last_layer_solved(other.problem, other.trial, plain)[1])


@pytest.mark.slow
def test_the_bias_of_a_reused_batch_is_measured_as_predicted() -> None:
    """Within four standard errors, with the factor of the inner step and without it, which halves it."""
    made = learning(1)
    whole, half = reused_batch(made.members.at(np.array([4.0, 0.5])), made.members.plain, 16, np.random.default_rng(2))
    for one in (whole, half):
        assert abs(one.measured - one.predicted) <= 4.0 * one.error
        assert one.error < 0.3 * abs(one.predicted)
    assert half.predicted == pytest.approx(0.5 * whole.predicted, rel=0.05)


def test_the_time_limit_holds_for_the_comparison_of_ways() -> None:
    stated = {**BARS, "learn": {"members": 2, "unseen": 2}, "solver": {"method": "reptile", "steps": 10**6, "time_limit": 0.01}}
    solution = solve(vpinn.make_problem(**stated), threads=1)
    told = solution.metrics["learning"]
    assert solution.metrics["stopped"] == "time limit"
    assert (told["late"], told["unseen"], told["ways"]["cold"]["errors"]) == (2, [], [])


@pytest.mark.slow
def test_ways_are_compared_on_members_not_seen(tmp_path: Path) -> None:
    stated = {**BARS, "learn": {"members": 3, "unseen": 2, "adapt": 40}, "solver": {"method": "reptile", "steps": 30}}
    solution = solve(vpinn.make_problem(**stated), tmp_path / "run", threads=1)
    told = solution.metrics["learning"]
    assert set(told["ways"]) == {"cold", "nearest", "weights", "features", "least-squares", "reduced"}
    assert not any(way["refused"] for way in told["ways"].values())
    assert all(len(way["errors"]) == 2 for way in told["ways"].values())
    last = {name: max(errors[-1] for errors in way["errors"]) for name, way in told["ways"].items()}
    assert last["least-squares"] < 1e-6
    assert last["reduced"] < 1e-4
    assert last["features"] < last["cold"]
    rows = dict(learned_rows(solution.metrics))
    assert "reduced space" in rows["wins"] or "plain least squares" in rows["wins"]


def metrics(**ways: tuple[list[float], list[float], float]) -> dict[str, Any]:
    """Return metrics of ways with seconds, errors and time before, for one member."""
    told = {name: {"errors": [errors], "refused": ""} for name, (_, errors, _) in ways.items()}
    seconds = {name: {"members": [taken], "offline": before} for name, (taken, _, before) in ways.items()}
    about = {"members": 3, "inner": 2, "rate": 0.1, "reuse": True, "train": "adam", "adapt": 5, "bias": [], "unseen": [{}]}
    return {"learning": {**about, "ways": told}, "processor_seconds": seconds}


def test_standings_are_at_equal_time_and_at_equal_accuracy() -> None:
    found = metrics(
        cold=([1.0, 2.0, 4.0], [1.0, 0.5, 0.1], 0.0),
        weights=([0.5, 1.0, 2.0], [0.4, 0.1, 0.05], 9.0),
        reduced=([3.0], [1e-6], 5.0),
    )
    standings = Standings.of(found)
    assert standings is not None
    assert (standings.time, standings.accuracy) == (pytest.approx(2.0), pytest.approx(0.1))
    assert [standings.ways[name].error for name in ("cold", "weights", "reduced")] == pytest.approx([0.5, 0.05, np.inf])
    assert [standings.ways[name].seconds for name in ("cold", "weights", "reduced")] == pytest.approx([4.0, 1.0, 3.0])
    rows = dict(learned_rows(found))
    assert rows["wins"] == "learned weights, at equal time and at equal accuracy; of trained networks, learned weights"
    assert "reduced space not reached" in rows["at equal time"]
    assert "one batch" in rows["learned from"]
    found["learning"]["late"] = 3
    assert "3 unseen members" in dict(learned_rows(found))["not compared"]


def test_a_single_problem_has_nothing_to_learn_from() -> None:
    stated = {name: section for name, section in BARS.items() if name != "parameters"}
    with pytest.raises(InputError, match=r'"maml" learns from the members of a family; give \[parameters\]'):
        vpinn.make_problem(**{**stated, "constants": {"c": 1.0, "s": 0.0}, "solver": {"method": "maml"}})


@pytest.mark.slow
def test_the_example_of_the_guide_runs(tmp_path: Path) -> None:
    text = GUIDE.split("```toml\n", 1)[1].split("```", 1)[0]
    (tmp_path / "rods.toml").write_text(text)
    problem = vpinn.read_problem(tmp_path / "rods.toml", ["solver.steps=10", "learn.unseen=0", "learn.members=2"])
    found = solve(problem, tmp_path / "run", method="reptile", threads=1)
    assert found.metrics["steps"] == 10
