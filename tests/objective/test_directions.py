"""Test gradients from drawn second derivatives: exact with all of them, unbiased with some, and of the predicted variance."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch

from vpinn.errors import InputError
from vpinn.noise.directions import drawn_derivatives
from vpinn.noise.population import population
from vpinn.noise.questions import settle
from vpinn.objective import Objective, make_objective
from vpinn.objective.directions import pair_variances, square
from vpinn.optimization.coordinates import directions_found
from vpinn.problem import make_problem
from vpinn.sampling import make_sampler
from vpinn.trial import make_trial

CUBE = {"shape": "hypercube", "dimension": 5}
ZERO = [{"on": "all", "value": 0}]
LAPLACE = ["-div(grad(u)) - sum((i + 1)*sin(x[i]) for i in range(5))"]
PARTS = ["-sum((1 + i*x[0])*Dx(Dx(u, i), i) for i in range(5)) + u**3 - 1"]
FORMS: dict[str, dict[str, Any]] = {
    "laplace": {"strong": LAPLACE},
    "coefficients, nonlinear": {"strong": PARTS},
    "some coordinates, first derivatives": {
        "strong": ["-Dx(Dx(u, 1), 1) - u*Dx(Dx(u, 3), 3) - Dx(Dx(u, 4), 4) + dot(grad(u), grad(u))"]
    },
    "two equations": {
        "unknowns": {"u": "scalar", "q": "scalar"},
        "strong": [*LAPLACE, "-div(grad(q)) - 2*Dx(Dx(u, 2), 2) + u*q"],
        "boundary": [{"on": "all", "unknown": name, "value": 0} for name in "uq"],
    },
}


def made(directions: int | str | None = 2, **sections: Any) -> tuple[Objective, torch.Tensor]:
    """Return an objective in five dimensions that draws second derivatives, and parameters."""
    given = {"unknowns": {"u": "scalar"}, "boundary": ZERO, "network": {"layers": [5, 4]}} | sections
    batch = {"size": 16, "sampler": "uniform"} | ({} if directions is None else {"directions": directions})
    problem = make_problem(
        given.pop("domain", CUBE), quadrature={"points": 64} if "domain" not in sections else {}, batch=batch, **given
    )
    trial = make_trial(problem)
    return make_objective(problem, trial), trial.network.initial(torch.Generator().manual_seed(3))


@pytest.mark.parametrize("name", FORMS)
def test_all_derivatives_are_exact_and_some_are_unbiased(name: str) -> None:
    objective, theta = made(**FORMS[name])
    measure = objective.measures[0]
    assert measure.directions is not None
    points = measure.batch(np.arange(16), np.full(16, 4.0))
    value, gradient = measure.pull_back(points, measure.record(theta, points))
    every = measure.directions.most
    assert every == (3 if name.startswith("some") else 5)
    # the mean over all subsets of two coordinates, the same for all points
    found = []
    for count in (2, every):
        sets = [torch.tensor(chosen).expand(16, -1) for chosen in combinations(range(every), count)]
        drawn = [measure.gradient(theta, replace(points, chosen=chosen)) for chosen in sets]
        found.append((sum(v for v, _ in drawn) / len(sets), torch.stack([g for _, g in drawn]).mean(0)))
    found.append(measure.gradient(theta, points))
    found.append((torch.dot(points.w, torch.as_tensor(measure.integrands(theta, points)[0])), gradient))
    for mean, slope in found:
        assert abs(float(mean - value)) <= 1e-13 * abs(float(value))
        assert (slope - gradient).norm() <= 1e-12 * gradient.norm()


def test_draws_are_uniform_sets() -> None:
    directions = made(3, strong=LAPLACE)[0].directions
    assert directions is not None
    chosen = directions.draw(30_000, np.random.default_rng(0))
    assert all(len(set(row)) == 3 for row in chosen[:100])
    sets = np.unique(np.sort(chosen, axis=1), axis=0, return_counts=True)[1]
    assert len(sets) == 10
    assert np.abs(sets - 3000).max() <= 4.0 * np.sqrt(3000 * 0.9)


@pytest.mark.parametrize(("d", "k"), [(5, 2), (6, 4), (3, 2), (4, 3), (2, 2)])
def test_variance_over_all_subsets(d: int, k: int) -> None:
    generator = torch.Generator().manual_seed(d)
    values, slopes = ([torch.randn(1, d, generator=generator, dtype=torch.float64) for _ in range(2)] for _ in range(2))

    def along(a: torch.Tensor, b: torch.Tensor, chosen: list[int]) -> float:
        with torch.enable_grad():
            t = torch.zeros((), dtype=torch.float64, requires_grad=True)
            return float(torch.autograd.grad(0.5 * square(0.0, (a + t * b)[:, chosen], d).sum(), t)[0])

    drawn = [sum(along(a, b, list(c)) for a, b in zip(values, slopes, strict=True)) for c in combinations(range(d), k)]
    directions = made(strong=LAPLACE)[0].directions
    assert directions is not None
    one, two = (float(part) for part in pair_variances(values, slopes))
    predicted = replace(directions, coordinates=np.arange(d)).variance_of((one, two), k)
    assert abs(predicted - np.var(drawn)) <= 1e-12 * (1.0 + np.var(drawn))


def test_report_compares_the_variance_with_theory() -> None:
    objective, theta = made(2, strong=LAPLACE)
    people = population(objective, theta, np.random.default_rng(1))
    rows, _ = settle(drawn_derivatives(people, 32, np.random.default_rng(2)), 4e4)
    assert [row.quantity.split()[0] for row in rows] == ["2", "3"]
    for row in rows:
        assert row.error <= 0.25 * row.predicted
        assert abs(row.measured - row.predicted) <= 4.0 * row.error
    assert (
        drawn_derivatives(
            population(made(None, strong=LAPLACE)[0], theta, np.random.default_rng(1)), 16, np.random.default_rng(2)
        )
        == []
    )


def test_best_number_weighs_variance_against_cost() -> None:
    objective, theta = made("auto", strong=LAPLACE)
    samplers = tuple(make_sampler("uniform", measure.points, 32) for measure in objective.measures)
    found = directions_found(objective, theta, samplers, np.random.default_rng(0))
    assert found.most == 5
    assert found.count == 2  # the points' variance is far larger
    assert found.points > 10 * found.directions > 0
    told = directions_found(objective, theta, samplers, np.random.default_rng(0), 5)
    assert told.count == 5
    assert told.directions == 0.0


@pytest.mark.parametrize(
    ("sections", "line"),
    [
        ({"directions": 6}, "batch.directions is 6, but the form has second derivatives along 5 coordinates; give 2 to 5"),
        ({"strong": ["Dx(Dx(u, 0), 1) - 1"]}, "mixed or higher"),
        ({"strong": ["div(grad(u))**2 - 1"]}, "linear in its second derivatives"),
        ({"strong": ["sum(Dx(u, i) for i in range(5)) - 1"]}, "this form has none"),
        ({"energy": "dot(grad(u), grad(u))*dx - u*dx"}, "this form has none"),
        ({"domain": {"shape": "rectangle", "cells": 2}, "strong": ["-div(grad(u)) - 1"]}, "many dimensions; on a mesh of 2"),
        ({"directions": 1}, "must be ≥ 2 or 'auto', got 1"),
    ],
)
def test_bad_input_is_told(sections: dict[str, Any], line: str) -> None:
    form = {} if "energy" in sections else {"strong": LAPLACE}
    with pytest.raises(InputError, match=line.replace("*", r"\*")):
        made(**form | sections)
