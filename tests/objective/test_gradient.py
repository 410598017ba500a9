"""Test values and gradients of every kind of objective, by Taylor's theorem and by sums in any number of parts."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from vpinn.objective import make_objective, measure, objective, parts
from vpinn.placement import Placement
from vpinn.trial import make_trial

from .cases import CASES, make, problem_of, start

THREADED = ["energy: poisson", "weak: convection and reaction", "strong: system"]


@pytest.mark.parametrize("name", CASES)
def test_taylor(name: str) -> None:
    """|J(θ + hδ) − J(θ) − h∇J·δ| falls with order two; without the gradient with order one."""
    _, goal, theta = make(name)
    value, gradient = goal.gradient(theta)
    assert math.isfinite(value)
    assert abs(goal.value(theta) - value) <= 1e-13 * abs(value)
    assert float(torch.linalg.vector_norm(gradient)) > 1e-3
    generator = torch.Generator().manual_seed(7)
    direction = torch.randn(len(theta), generator=generator, dtype=torch.float64)
    direction /= torch.linalg.vector_norm(direction)
    steps = 0.02 * 0.5 ** np.arange(4)
    change = np.array([goal.value(theta + h * direction) - value for h in steps])
    rest = np.abs(change - steps * float(gradient @ direction))
    order = np.log2(rest[:-1] / rest[1:])
    assert order.min() >= 1.9, order
    assert np.log2(np.abs(change[0] / change[-1])) / 3 < 1.5


@pytest.mark.parametrize("name", CASES)
def test_parts_and_batches_add_up_to_the_whole(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One part, many parts, graphs kept or built twice, points prepared anew, all points as one batch: one J, one ∇J."""
    trial, goal, theta = make(name)
    value, gradient = goal.gradient(theta)

    def agrees(found: tuple[float, torch.Tensor], bound: float) -> None:
        assert abs(found[0] - value) <= bound * abs(value)
        assert (found[1] - gradient).abs().max() <= 10 * bound * gradient.abs().max()

    batch = [(m, m.batch(np.arange(m.points.size), np.ones(m.points.size))) for m in goal.measures]
    agrees(goal.sampled(theta, batch), 1e-13)
    agrees(goal.sampled(theta, batch, batch), 1e-13)

    monkeypatch.setattr(parts, "PART_BYTES", 1.0)
    monkeypatch.setattr(parts, "SMALLEST", 24)
    problem = problem_of(name)
    cut = make_objective(problem, trial)
    assert len(list(cut.parts())) >= 2 + len(goal.measures)
    agrees(cut.gradient(theta), 1e-13)
    assert abs(cut.value(theta) - value) <= 1e-13 * abs(value)

    monkeypatch.setattr(objective, "RECORDED_BYTES", 0.0)
    monkeypatch.setattr(measure, "CACHE_BYTES", 0.0)
    anew = make_objective(problem, trial)
    assert all(m.everything is None for m in anew.measures)
    agrees(anew.gradient(theta), 1e-13)
    if goal.test_space is not None:
        assert (anew.residual(theta) - goal.residual(theta)).abs().max() <= 1e-13 * goal.residual(theta).abs().max()
    index = [np.random.default_rng(0).permutation(m.points.size) for m in anew.measures]
    agrees(anew.sampled(theta, [(m, m.batch(i, np.ones(len(i)))) for m, i in zip(anew.measures, index, strict=True)]), 1e-12)


@pytest.mark.parametrize("name", THREADED)
def test_threads(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same numbers on the same number of threads, bit for bit; nearly the same on another."""
    monkeypatch.setattr(parts, "PART_BYTES", 1.0)
    monkeypatch.setattr(parts, "SMALLEST", 32)
    problem = problem_of(name)
    trial = make_trial(problem)
    theta = start(trial)
    alone = make_objective(problem, trial).gradient(theta)
    several = make_objective(problem, trial, Placement(threads=3))
    torch.set_num_threads(3)
    try:
        found = [several.gradient(theta) for _ in range(4)]
    finally:
        torch.set_num_threads(1)
    for value, gradient in found:
        assert value == found[0][0]
        assert torch.equal(gradient, found[0][1])
        assert abs(value - alone[0]) <= 1e-13 * abs(value)
        assert (gradient - alone[1]).abs().max() <= 1e-12 * gradient.abs().max()


@pytest.mark.parametrize(
    "name", ["energy: conditional", "energy: nitsche", "weak: stokes", "weak: conditional", "strong: system"]
)
def test_single_precision(name: str) -> None:
    problem = problem_of(name)
    trial = make_trial(problem)
    theta = start(trial)
    value, gradient = make_objective(problem, trial).gradient(theta)
    single, slope = make_objective(problem, trial, Placement(dtype=torch.float32)).gradient(theta.float())
    assert slope.dtype == torch.float32
    assert abs(single - value) <= 1e-4 * abs(value)
    assert (slope - gradient).abs().max() <= 1e-3 * gradient.abs().max()


def test_parameters_stay_as_they_were() -> None:
    for name in THREADED:
        _, goal, theta = make(name)
        before = theta.clone()
        goal.gradient(theta)
        goal.value(theta)
        assert torch.equal(theta, before)
        assert not theta.requires_grad


def test_where_it_is_not_finite_is_named() -> None:
    _, goal, theta = make("energy: penalty")
    assert goal.non_finite(theta) == ""
    assert goal.non_finite(theta * math.nan) == " in the domain integral"
