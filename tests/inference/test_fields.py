"""Unknown fields from measurements: their values and deviations, and how they are kept and shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vpinn
from vpinn.domain import interval, rectangle
from vpinn.inference import infer_in_stages
from vpinn.inference.basis import Basis
from vpinn.inference.elements import ElementModel
from vpinn.inference.evidence import Linear
from vpinn.inference.gauss_newton import fit
from vpinn.inference.posterior import Posterior
from vpinn.inference.prior import Prior

Array = np.ndarray[Any, np.dtype[np.float64]]
WIDE = 2.0
"""Margin of the boxes of smooth fields, see ``Basis``."""


def stated(folder: Path, count: int, noise: float, more: str = "") -> vpinn.Problem:
    """Return −(a u′)′ = f on (0, 1) with a = 1 + x/2 and u = sin(πx), measured at some points, and a at the ends."""
    x = np.linspace(0.02, 0.98, count)
    values = np.sin(np.pi * x) + np.random.default_rng(7).normal(0.0, noise, count)
    np.savetxt(folder / "u.csv", np.column_stack([x, values]), delimiter=",", header="x,u", comments="")
    (folder / "field.toml").write_text(
        f"""
[domain]
shape = "interval"
cells = 8
[unknowns]
u = "scalar"
[infer]
a = {{ field = true, initial = 1.0, lower = 0.0 {more} }}
[expressions]
truth = "1 + 0.5*x"
f = "-div(truth*grad(sin(pi*x)))"
[form]
weak = "a*inner(grad(u), grad(v))*dx - f*v*dx"
[[boundary]]
on = "all"
value = 0
[[data]]
file = "u.csv"
[reference]
exact = {{ u = "sin(pi*x)", a = "truth" }}
"""
    )
    return vpinn.read_problem(folder / "field.toml")


def test_cosines_are_those_of_the_box() -> None:
    basis, x = Basis.of(rectangle(cells=2), True, 0.5), np.random.default_rng(0).uniform(0.0, 1.0, (5, 2))
    k = 17
    phases = np.pi * basis.waves[k] * (x + 0.5) / 2.0
    factors = np.where(basis.waves[k], np.sqrt(2.0), 1.0)
    assert basis.values(x)[:, k] == pytest.approx(np.prod(factors * np.cos(phases), axis=1))
    e = 1e-6
    step = np.array([0.0, e])
    quotient = (basis.values(x + step) - basis.values(x - step)) / (2 * e)
    assert basis.slopes(x, 1) == pytest.approx(quotient, abs=1e-6)
    assert (np.diff(basis.frequencies) >= -1e-12).all()


def test_the_gradient_of_the_evidence_is_its_derivative(tmp_path: Path) -> None:
    problem = stated(tmp_path, 12, 0.05)
    model = ElementModel(problem, 2)
    at = model.predict(np.zeros(model.size))
    slopes = model.jacobian(at)
    linear = Linear(slopes, model.data - at.values, model.sections, Prior.of(model))
    start = linear.prior.start + 0.1
    gradient, e = linear.cost(start)[1], 1e-5
    for k, step in enumerate(e * np.eye(len(start))):
        there, back = (linear.cost(start + sign * step)[0] for sign in (1, -1))
        assert gradient[k] == pytest.approx((there - back) / (2 * e), rel=1e-4, abs=1e-4)


def test_evidence_is_the_density_of_the_data(tmp_path: Path) -> None:
    """−log N(z; 0, σ²I + J V Jᵀ), up to a constant, where every coefficient has a prior."""
    model = ElementModel(stated(tmp_path, 12, 0.05, ", prior = { std = 0.4, length = 0.5 }"), 2)
    at = model.predict(np.zeros(model.size))
    slopes, z = model.jacobian(at), model.data - at.values
    linear = Linear(slopes, z, model.sections, Prior.of(model))

    def density(chosen: Array) -> float:
        covariance = np.exp(2.0 * chosen[0]) * np.eye(len(z)) + slopes / linear.prior.precisions(chosen) @ slopes.T
        return 0.5 * float(np.linalg.slogdet(covariance)[1] + z @ np.linalg.solve(covariance, z))

    one, two = np.log([0.05]), np.log([0.1])
    change = linear.cost(two)[0] - linear.cost(one)[0]
    assert change == pytest.approx(density(two) - density(one), rel=1e-6)


def test_a_field_is_found_shown_and_kept(tmp_path: Path) -> None:
    """The errors are those of the true field, and the run folder has field and deviation."""
    solution = vpinn.solve(stated(tmp_path, 60, 0.01), tmp_path / "run", threads=1)
    assert solution.errors["a"]["relative_l2"] < 0.03
    assert solution.metrics["checks"] == []
    at = np.array([[0.3], [0.7]])
    found = solution.evaluate(at)
    assert (np.abs(found["a"] - 1.0 - 0.5 * at[:, 0]) <= 3.0 * found["a_deviation"]).all()
    again = vpinn.load(tmp_path / "run").evaluate(at)
    assert all((again[name] == values).all() for name, values in found.items())
    solution.export(tmp_path / "field.csv")
    assert (tmp_path / "field.csv").read_text().partition("\n")[0].split(",")[:4] == ["x", "u", "a", "a_deviation"]


def test_a_stated_prior_is_kept_where_nothing_is_measured(tmp_path: Path) -> None:
    """One measurement near the left end tells of a there; further away its deviation is that of the prior."""
    problem = stated(tmp_path, 1, 0.0, ", prior = { std = 0.3, length = 0.1 }")
    assert problem.inverse is not None
    object.__setattr__(problem.inverse.data[0], "noise", 0.01)
    posterior = infer_in_stages(problem)[0].posterior
    value, deviation = posterior.field("a", np.linspace(0.25, 1.0, 9)[:, None])
    assert deviation / value == pytest.approx(0.3, rel=0.1)


@pytest.mark.slow
def test_bands_of_a_field_cover_the_truth_as_often_as_they_say(tmp_path: Path) -> None:
    """Over 50 noises the 95 % band holds the true field at 0.90 to 0.98 of all points; noise and prior are inferred."""
    problem, generator = stated(tmp_path, 60, 0.01), np.random.default_rng(1)
    assert problem.inverse is not None
    one, model = problem.inverse.data[0], ElementModel(problem, 4, WIDE)
    x, held = np.linspace(0.02, 0.98, 60), []
    for _ in range(50):
        one.values[:, 0] = np.sin(np.pi * x) + generator.normal(0.0, 0.01, len(x))
        found = Posterior(model, fit(model, np.zeros(model.size)))
        places = interval(cells=50).nodes
        value, deviation = found.field("a", places)
        held.append(np.mean(np.abs(value - 1.0 - 0.5 * places[:, 0]) <= 1.96 * deviation))
    assert 0.90 <= np.mean(held) <= 0.98


@pytest.mark.slow
def test_bands_of_the_worked_field_cover_the_truth(tmp_path: Path) -> None:
    """The same for poisson_inverse.toml; the median error of the field is that of its target, 5e-3."""
    problem = vpinn.read_problem(Path(__file__).parents[2] / "problems" / "poisson_inverse.toml")
    assert problem.inverse is not None
    one, model = problem.inverse.data[0], ElementModel(problem, 4, WIDE)
    assert one.points is not None
    truth = np.sin(np.pi * one.points).prod(axis=1)
    places = rectangle(cells=24).nodes
    a = 1.0 / (1.0 + (places**2).sum(axis=1) + ((places - 1.0) ** 2).sum(axis=1))
    held, errors = [], []
    for seed in range(50):
        one.values[:, 0] = truth + np.random.default_rng(1000 + seed).normal(0.0, 0.1, len(truth))
        value, deviation = Posterior(model, fit(model, np.zeros(model.size))).field("a", places)
        held.append(np.mean(np.abs(value - a) <= 1.96 * deviation))
        errors.append(np.linalg.norm(value - a) / np.linalg.norm(a))
    assert 0.90 <= np.mean(held) <= 0.98
    assert np.median(errors) <= 5e-3
