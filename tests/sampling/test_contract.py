"""Test bias and variance of the estimates of J for every combination of sampler, estimator and formulation.

An estimate is computed from the contributions of single points, 250 times with seed 41. The mean must be within four standard
errors of the sum over all points, or of J + ½ tr Σ for plain squares of a batch, where Σ is the covariance of the batch's
whitened residual, from the samplers' formula by polarisation. The variance must be within 30 % of its closed form; the sample
variance of nearly normal estimates has a standard deviation of √(2/250) = 9 %. Random nodes are drawn anew for each of 150
estimates, and the sum over all points is then that of a Gauss rule. Last, the estimate of training must equal this one, and its
gradient must be the derivative of the estimate, so that it is unbiased as well.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any

import numpy as np
import pytest
import torch

from vpinn.domain import Mesh, interval
from vpinn.objective import Objective, make_objective
from vpinn.objective.measure import Measure, Prepared
from vpinn.optimization.batches import drawn, pilots
from vpinn.optimization.batching import samplers_of
from vpinn.problem import Problem, make_problem
from vpinn.sampling import Antithetic, Cells, Sampler, Sobol, State, Uniform
from vpinn.trial import make_trial

DRAWS, ANEW, SIZE, EXACT, REALISED = 250, 150, 12, 1, 30
SAMPLERS: dict[str, dict[str, Any]] = {
    "uniform": {"sampler": "uniform"},
    "uniform without replacement": {"sampler": "uniform", "replacement": False},
    "blocks": {"sampler": "stratified"},
    "strata of cells": {"sampler": "stratified", "strata": "cells"},
    "tags": {"sampler": "stratified", "strata": "tags"},
    "neyman": {"sampler": "stratified", "allocation": "neyman"},
    "neyman tags": {"sampler": "stratified", "allocation": "neyman", "strata": "tags"},
    "equal-variance": {"sampler": "stratified", "allocation": "equal-variance"},
    "gradient": {"sampler": "stratified", "strata": "gradient"},
    "residual, neyman": {"sampler": "stratified", "strata": "residual", "allocation": "neyman"},
    "antithetic": {"sampler": "antithetic"},
    "sobol": {"sampler": "sobol"},
    "importance": {"sampler": "importance", "strata_count": 4},
    "cells": {"sampler": "cells"},
    "one of a cell": {"sampler": "cells", "per_cell": 1},
    "three of a cell": {"sampler": "cells", "per_cell": 3},
    "cells, auto": {"sampler": "cells", "per_cell": "auto"},
}
FORMS: dict[str, dict[str, Any]] = {
    "energy": {"energy": "0.5*inner(grad(u), grad(u))*dx + 0.25*u**4*dx - sin(3*x)*u*dx - u*ds('right')"},
    "strong": {"strong": "-div(grad(u)) + u**3 - sin(3*x)"},
    "weak": {"weak": "inner(grad(u), grad(v))*dx + u**3*v*dx - sin(3*x)*v*dx - v*ds('right')", "test_space": {"degree": 1}},
}
RULES: dict[str, dict[str, Any]] = {
    "gauss": {"degree": 7},
    "stochastic-gauss": {"rule": "stochastic-gauss", "refine": 1},
    "monte-carlo": {"rule": "monte-carlo"},
}
RANDOM = {"stochastic-gauss": ("cells",), "monte-carlo": ("cells", "three of a cell", "cells, auto")}
"""Rules that are random → samplers that are tried with them."""
TWO = ("uniform", "blocks", "neyman", "gradient", "importance", "three of a cell")
"""Samplers of products of two batches in the fast suite: one of each kind. Energies and squares are tried with all."""
SQUARES = ("blocks", "gradient", "residual, neyman", "importance", "three of a cell", "cells, auto", "cells")
"""Samplers of equations in the fast suite: those that learn from residuals, and one of each kind; energies are tried with all."""
ESTIMATORS = ("plain", "two-batch", "u-statistic", "control-variate")
CASES = [
    pytest.param(
        *(form, estimator, sampler, rule),
        id=f"{form}, {estimator}, {sampler}, {rule}",
        marks=pytest.mark.slow
        if (estimator in ("two-batch", "control-variate") and sampler not in TWO)
        or (form == "strong" and (sampler not in SQUARES or rule != "gauss"))
        else (),
    )
    for form, estimator, sampler, rule in itertools.product(FORMS, ESTIMATORS, SAMPLERS, RULES)
    if (form == "weak" or estimator == "plain")
    and (estimator != "u-statistic" or sampler in ("uniform", "importance", "one of a cell"))
    and (form, sampler) != ("energy", "residual, neyman")
    and (rule == "gauss" or sampler in RANDOM[rule])
    and (form, rule) != ("weak", "monte-carlo")
]


def tagged() -> Mesh:
    """Return an interval of eight cells with two tags."""
    return replace(interval(cells=8), cell_tags={"wet": np.arange(3), "dry": np.arange(3, 8)})


@lru_cache
def made(form: str, estimator: str, sampler: str, rule: str) -> tuple[Problem, Objective, torch.Tensor]:
    problem = make_problem(
        tagged(),
        unknowns={"u": "scalar"},
        boundary=[{"on": "left", "value": 0}],
        network={"layers": [5]},
        quadrature=RULES[rule],
        batch={"size": SIZE, "estimator": estimator if form == "weak" else "auto", **SAMPLERS[sampler]},
        **FORMS[form],
    )
    trial = make_trial(problem)
    theta = trial.network.initial(torch.Generator().manual_seed(3))
    return problem, make_objective(problem, trial), theta


def at_points(objective: Objective, measure: Measure, theta: torch.Tensor, points: Prepared) -> np.ndarray[Any, Any]:
    """Return the contributions of some points [n, m]: w·density, or the whitened residual of a weak form."""
    density, coefficients = measure.integrands(theta, points)
    if objective.test_space is None:
        return (points.w * density).detach().numpy().reshape(len(points.w), 1)
    assert measure.contraction is not None
    assert points.frame is not None
    columns = [torch.diag(torch.as_tensor(c, dtype=points.w.dtype).expand(len(points.w))) for c in coefficients]
    residual = measure.contraction.assemble(measure.tests, columns, points.w, points.frame, False, 1)
    return objective.test_space.whiten(residual.detach()).T


def contributions(
    objective: Objective, theta: torch.Tensor, generator: np.random.Generator | None = None
) -> list[np.ndarray[Any, Any]]:
    """Return for every measure the contributions of its points [N, m]; with a generator, random points are drawn anew."""
    sizes = [(m, m.points.size) for m in objective.batched]
    return [at_points(objective, m, theta, m.batch(np.arange(n), np.ones(n), generator)) for m, n in sizes]


def single(rows: np.ndarray[Any, Any], variance: Callable[[np.ndarray[Any, Any]], float]) -> float:
    """Return the variance of the sum of drawn rows [N, 1]."""
    return variance(rows[:, 0])


def covariance(rows: np.ndarray[Any, Any], variance: Callable[[np.ndarray[Any, Any]], float]) -> np.ndarray[Any, Any]:
    """Return the covariance [m, m] of the sum of drawn rows [N, m], from variances of scalar sums by polarisation."""
    m = rows.shape[1]
    found = np.diag([variance(rows[:, i]) for i in range(m)])
    for i in range(m):
        for j in range(i):
            found[i, j] = found[j, i] = 0.5 * (variance(rows[:, i] + rows[:, j]) - found[i, i] - found[j, j])
    return found


def anew(rows: Sequence[np.ndarray[Any, Any]], sampler: Sampler, state: State, weak: bool) -> np.ndarray[Any, Any]:
    """Return the variance, or covariance [m, m], of M drawn cells with new random points, from realisations of all rows [N, m].

    With the sums s_c of cells it is (Σ E s_c s_cᵀ/p_c − I Iᵀ)/M: the mean variance of the realisations plus Cov(Σ s_c)/M.
    """
    within = np.mean([(covariance if weak else single)(c, partial(sampler.variance, state=state)) for c in rows], axis=0)
    sums = np.atleast_2d(np.cov(np.array([c.sum(axis=0) for c in rows]).T))
    cells = sampler.size // sampler.points_per_cell(state) if isinstance(sampler, Cells) else 1
    found: np.ndarray[Any, Any] = within + (sums if weak else sums[0, 0]) / cells
    return found


def expected(estimator: str, rows: Sequence[np.ndarray[Any, Any]], covariances: Sequence[Any]) -> tuple[float, float]:
    """Return bias and variance of ½ r̂₁·r̂₂ (two batches), of pairs in a batch (Hoeffding 1948), or of ½|r̂|² of normal sums."""
    r, sigma = sum(c.sum(axis=0) for c in rows), sum(covariances)
    along, square = float(r @ sigma @ r), float((sigma**2).sum())
    if estimator == "plain":
        return 0.5 * float(np.trace(sigma)), along + 0.5 * square
    if estimator == "u-statistic":  # the boundary is one point, without variance
        return 0.0, along + 0.5 * square * SIZE / (SIZE - 1)
    return 0.0, 0.25 * (2.0 * along + square)


def beyond_normal(sampler: Sampler, state: State, r: np.ndarray[Any, Any], batches: np.ndarray[Any, Any]) -> float:
    """Return the variance of ½|r̂|² beyond that of normal sums: Σᵢ E (r·yᵢ)|yᵢ|² + ¼ Σᵢ (E|yᵢ|⁴ − (tr Σᵢ)² − 2 tr Σᵢ²).

    yᵢ are the independent parts of a batch minus their means: points, pairs or cells, here from batches [draws, b, m]. Points
    drawn without replacement count as normal. For Sobol points the result is nan, as only the law of pairs is known.
    """
    draws, size, m = batches.shape
    if isinstance(sampler, Sobol):
        return math.nan
    if isinstance(sampler, Uniform) and not sampler.replacement:
        return 0.0
    cell = sampler.points_per_cell(state) if isinstance(sampler, Cells) else 1
    shape, axis = ((2, size // 2), 1) if isinstance(sampler, Antithetic) else ((size // cell, cell), 2)
    y = batches.reshape(draws, *shape, m).sum(axis=axis)
    y -= y.mean(axis=0)
    square = (y**2).sum(axis=2)
    own = np.einsum("npi,npj->pij", y, y) / draws
    fourth = (square**2).mean(axis=0) - square.mean(axis=0) ** 2 - 2.0 * (own**2).sum(axis=(1, 2))
    return float(((y @ r) * square).mean(axis=0).sum() + 0.25 * fourth.sum())


def estimate(estimator: str, weak: bool, batches: Sequence[Sequence[np.ndarray[Any, Any]]]) -> float:
    """Return the estimate of J from batches, each with contributions times scales by measure [b, m]."""
    sums = [sum(part.sum(axis=0) for part in batch) for batch in batches]
    if not weak:
        return float(sums[0][0])
    if estimator != "u-statistic":
        return 0.5 * float(sums[0] @ sums[-1])
    inside, outside = batches[0]
    pairs = float(inside.sum(axis=0) @ inside.sum(axis=0)) - float((inside**2).sum())
    rest = outside.sum(axis=0)
    return 0.5 * pairs * SIZE / (SIZE - 1) + float(rest @ inside.sum(axis=0)) + 0.5 * float(rest @ rest)


@pytest.mark.parametrize(("form", "estimator", "sampler", "rule"), CASES)
def test_estimates_have_the_mean_and_the_variance_of_the_formula(form: str, estimator: str, sampler: str, rule: str) -> None:
    problem, objective, theta = made(form, estimator, sampler, rule)
    weak, count = form == "weak", 2 if estimator in ("two-batch", "control-variate") else 1
    samplers, generator = samplers_of(problem.settings, objective, count * SIZE, count), np.random.default_rng(41)
    learned, rows = pilots(objective, samplers, generator, theta, ()), contributions(objective, theta)
    parts = list(zip(objective.batched, rows, samplers, learned, strict=True))
    random = objective.batched[0].points.random
    if random:
        realised = list(zip(*(contributions(objective, theta, generator) for _ in range(REALISED)), strict=True))
        rows = contributions(made(form, estimator, sampler, "gauss")[1], theta)
        known = [anew(found, s, state, weak) for found, s, state in zip(realised, samplers, learned, strict=True)]
    else:
        known = [(covariance if weak else single)(c, partial(s.variance, state=state)) for _, c, s, state in parts]
    full = 0.5 * float(np.square(sum(c.sum(axis=0) for c in rows)).sum()) if weak else sum(float(c.sum()) for c in rows)

    def batch(generator: np.random.Generator) -> list[np.ndarray[Any, Any]]:
        found = []
        for measure, c, s, state in parts:
            index, scale = s.draw(generator, state)
            prepared = measure.batch(index, scale, generator) if random else None
            found.append(c[index] * scale[:, None] if prepared is None else at_points(objective, measure, theta, prepared))
        return found

    bias, variance = expected(estimator, rows, known) if weak else (0.0, float(sum(known)))
    if random:
        values = np.array([drawn(objective, samplers, count, generator, learned)(theta)[0] for _ in range(ANEW)])
    else:
        batches = [[batch(generator) for _ in range(count)] for _ in range(DRAWS)]
        values = np.array([estimate(estimator, weak, found) for found in batches])
        if weak and estimator == "plain":
            r = sum(c.sum(axis=0) for c in rows)
            variance += beyond_normal(samplers[0], learned[0], r, np.array([found[0][0] for found in batches]))
    error = values.std(ddof=1) / np.sqrt(len(values))
    assert abs(values.mean() - full - bias) <= 4 * error
    if weak and estimator == "plain" and sampler == "sobol":  # squares take the law of four points
        assert math.isnan(variance)
    else:
        assert values.var(ddof=1) == pytest.approx(variance, rel=0.3)
    assert random or objective.value(theta) == pytest.approx(full, rel=1e-2 if estimator == "control-variate" else 1e-12)

    way = torch.from_numpy(np.random.default_rng(2).standard_normal(len(theta)))
    for seed in range(EXACT):
        generator = np.random.default_rng(seed)
        by_hand = estimate(estimator, weak, [batch(generator) for _ in range(count)])
        closure = drawn(objective, samplers, count, np.random.default_rng(seed), learned)
        found, gradient = closure(theta)
        assert found == pytest.approx(by_hand, rel=1e-9)
        ahead, behind = (closure(theta + sign * 1e-5 * way)[0] for sign in (1, -1))
        assert float(gradient @ way) == pytest.approx((ahead - behind) / 2e-5, rel=1e-5, abs=1e-7)
