"""Test sums of stored contributions against the network, and the variance of products of two batches over all pairs of points."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from objective.cases import CASES, make

from vpinn.noise.contributions import Contributions
from vpinn.noise.draws import batch_of, drawer, samplers_for
from vpinn.noise.population import Population, kept, population
from vpinn.objective import Objective

from .confidence import agrees, square_error

ORDER_TWO = sorted(name for name in CASES if name != "strong: third order")


def two_batch(name: str) -> tuple[Objective, torch.Tensor]:
    _, objective, theta = make(name)
    return dataclasses.replace(objective, estimator="plain" if objective.test_space is None else "two-batch"), theta


@pytest.mark.parametrize("name", ORDER_TWO)
def test_batches_are_those_of_the_network(name: str) -> None:
    objective, theta = two_batch(name)
    found = Contributions.at(objective, theta)
    assert found is not None
    draw = drawer(samplers_for(objective, "uniform", 9), np.random.default_rng(1))
    first, second = [draw() for _ in range(3)], [draw() for _ in range(3)] if found.batches == 2 else None
    losses, gradients = found.estimates(first, second)
    for k, one in enumerate(first):
        other = None if second is None else batch_of(objective, second[k])
        loss, gradient = objective.sampled(theta, batch_of(objective, one), other)
        assert losses[k] == pytest.approx(loss, rel=1e-10, abs=1e-12)
        assert gradients[k] == pytest.approx(gradient.numpy(), rel=1e-9, abs=1e-11 * float(gradient.abs().max()))


def test_repeated_draws_are_the_same_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    objective, theta = two_batch("weak: poisson")
    found = Contributions.at(objective, theta)
    assert found is not None
    samplers = samplers_for(objective, "uniform", 9)
    whole = found.repeat(drawer(samplers, np.random.default_rng(1)), 4)
    assert whole.gradients.shape == (4, len(theta))
    assert np.ptp(whole.losses) > 0
    monkeypatch.setattr("vpinn.noise.contributions.MOST_BYTES", 1e3)
    assert Contributions.at(objective, theta) is None


def everything(objective: Objective, theta: torch.Tensor) -> Population:
    generator = np.random.default_rng(0)
    return kept(population(objective, theta, generator, len(theta)), generator)


@pytest.mark.slow
def test_the_variance_of_two_batches_over_all_pairs_of_points(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one point each it is L + Q, the mean of ‖φ(i, j) − g‖² over all pairs: Q within three standard errors, 15 %."""
    monkeypatch.setattr("vpinn.noise.contributions.SIGNS", (3_000, 3_000))
    objective, theta = two_batch("weak: poisson")
    people = everything(objective, theta)
    assert people.kept is not None
    assert people.quadratic is not None
    n = objective.size
    i, j = ([[(np.array([k]), np.array([float(n)]))] for k in index.ravel()] for index in np.indices((n, n)))
    gradients = people.kept.estimates(i, j)[1]
    assert gradients.mean(0) == pytest.approx(people.gradient)
    exact = float(square_error(gradients, people.gradient).mean())
    quadratic = float(people.quadratic[0, 0].sum())
    linear = people.traces[0] / 2
    assert people.shared(np.ones(1)) == pytest.approx(linear + quadratic)
    assert quadratic == pytest.approx(exact - linear, rel=0.15)
    assert exact > 1.1 * linear


def test_the_variance_of_two_batches_of_domain_and_boundary() -> None:
    """Of 5,000 pairs of batches; the linear part alone is a sixth too small."""
    objective, theta = two_batch("weak: convection and reaction")
    people = everything(objective, theta)
    made = samplers_for(objective, "uniform", 12)
    found = people.repeat(drawer(made, np.random.default_rng(4)), 5_000)
    errors = square_error(found.gradients, people.gradient)
    agrees(people.variance(made), errors, 0.25)
    assert dataclasses.replace(people, quadratic=None).variance(made) < 0.9 * errors.mean()
    assert people.kept is not None
    assert people.loss_quadratic is not None
    shares = np.array([1.0 / sampler.size for sampler in made])
    linear = sum(s.variance(v) for s, v in zip(made, people.kept.influences(), strict=True)) / 2
    spread = linear + float(shares @ people.loss_quadratic @ shares)
    agrees(spread, (found.losses - objective.value(theta)) ** 2, 0.35)


def test_gradients_along_directions_are_those_projected() -> None:
    objective, theta = two_batch("weak: convection and reaction")
    basis = np.linalg.qr(np.random.default_rng(3).normal(size=(len(theta), 3)))[0]
    whole, some = Contributions.at(objective, theta), Contributions.at(objective, theta, basis)
    assert whole is not None
    assert some is not None
    draw = drawer(samplers_for(objective, "uniform", 9), np.random.default_rng(1))
    first, second = [draw() for _ in range(4)], [draw() for _ in range(4)]
    assert some.estimates(first, second)[1] == pytest.approx(whole.estimates(first, second)[1] @ basis)
    added, all_added = some.products(np.random.default_rng(5)), whole.products(np.random.default_rng(5))
    assert added is not None
    assert all_added is not None
    assert added.shape == (2, 2, 4)
    assert added[..., :-1].sum() <= all_added[..., :-1].sum()
    assert added[..., -1] == pytest.approx(all_added[..., -1])
