"""Test that training does not depend on units: scales, starts with a solved last layer, and the same relative solution."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import vpinn
from vpinn.domain import Domain, Hypercube, rectangle
from vpinn.objective import curvature, make_objective
from vpinn.optimization import train
from vpinn.optimization.projection import few_points, projected
from vpinn.solving import Setup, prepare
from vpinn.trial import make_trial
from vpinn.trial.jacobian import last_layer_jacobian

FORMS = {
    "energy": "0.5*inner(grad(u), grad(u))*dx - f*u*dx",
    "weak": "inner(grad(u), grad(v))*dx - f*v*dx",
    "strong": "-div(grad(u)) - f",
}


def prepared(form: str, layers: list[int], method: str = "gauss-newton", seed: int = 3, **more: Any) -> Setup:
    problem = vpinn.make_problem(
        {"shape": "rectangle", "cells": [3, 3], "cell": "quadrilateral"},
        unknowns={"u": "scalar"},
        expressions={"f": "8*pi**2*sin(2*pi*x)*sin(2*pi*y)"},
        boundary=[{"on": "all", "value": 0}],
        network={"layers": layers},
        solver={"method": method, "seed": seed},
        **{form: FORMS[form]},
        **more,
    )
    return prepare(problem)


@pytest.mark.parametrize("layers", [[30], [15, 15]])
@pytest.mark.parametrize("form", FORMS)
def test_the_last_layer_is_solved_for(form: str, layers: list[int]) -> None:
    """Its gradient is that of the damping, λ|c| with λ = 1e-3 in units of the curvature, and J is far below a random start's."""
    setup = prepared(form, layers)
    network, objective = setup.trial.network, setup.objective
    assert setup.begun is not None
    theta, last = setup.begun.solved, network.last
    gradient, found = objective.gradient(theta)[1][last], curvature(objective, theta)
    diagonal = found.diagonal[last]
    assert (gradient.abs() <= 1.01e-3 * diagonal * theta[last].abs() + 1e-9 * diagonal.max()).all()
    plain = objective.value(setup.begun.plain)
    nothing = objective.value(torch.zeros(network.size, dtype=torch.float64))
    assert objective.value(theta) - nothing <= min(0.0, plain - nothing)
    if form != "energy":
        assert objective.value(theta) <= 0.1 * nothing


def test_outputs_and_functional_are_of_size_one() -> None:
    """U = sin(2πx) sin(2πy) is one at most, ½∫|∇u|² is 2π² and the strong form's J at zero 8π⁴; so are the scales, nearly."""
    for form, unit in (("energy", np.pi**2), ("weak", np.pi**2), ("strong", 8 * np.pi**4)):
        setup = prepared(form, [20])
        scales = setup.trial.scales
        assert scales is not None
        assert setup.objective.unit == pytest.approx(unit, rel=0.05)
        theta = torch.zeros(setup.trial.network.size, dtype=torch.float64)
        theta[-1] = 1.0
        found = vpinn.Solution(setup.problem, setup.trial, theta, {}, np.empty((0, 9))).evaluate([[0.25, 0.25]])["u"]
        assert 0.5 <= float(np.abs(found).max()) <= 2.0
        nothing = setup.objective.value(torch.zeros_like(theta))
        assert nothing == pytest.approx(0.0 if form == "energy" else 1.0, abs=1e-9)


def test_an_offset_becomes_a_shift() -> None:
    """A bar between two streams at 300 and 310 K, no value given: the network stands for the ten degrees alone."""
    problem = vpinn.make_problem(
        {"shape": "interval", "cells": 8},
        unknowns={"T": "scalar"},
        energy="0.5*Dx(T, 0)**2*dx + 5*(T - 300)**2*ds('left') + 5*(T - 310)**2*ds('right')",
        network={"layers": [12]},
        solver={"method": "adam"},
    )
    scales = prepare(problem).trial.scales
    assert scales is not None
    assert scales.shifts[0] == pytest.approx(305, abs=1)
    assert 2 <= scales.sizes[0] <= 4  # the root mean square of the rest


def test_a_nonlinear_problem_takes_newton_steps() -> None:
    """−u″ + u³ = f by its energy: the last layer's gradient vanishes but for the damping."""
    problem = vpinn.make_problem(
        {"shape": "interval", "cells": 8},
        unknowns={"u": "scalar"},
        energy="(0.5*Dx(u, 0)**2 + 0.25*u**4 - 30*sin(pi*x)*u)*dx",
        boundary=[{"on": "all", "value": 0}],
        network={"layers": [12]},
        solver={"method": "adam"},
    )
    setup = prepare(problem)
    objective, last = setup.objective, setup.trial.network.last
    assert setup.begun is not None
    flat = setup.begun.solved.clone()
    flat[last] = 0.0
    theta, before, after = projected(objective, setup.trial.network, flat, few_points(objective, np.random.default_rng(0)), 1e-8)
    assert after < before
    gradient = objective.gradient(theta)[1][last].abs().max()
    assert gradient <= 1e-3 * objective.gradient(flat)[1][last].abs().max()


def test_the_same_seed_starts_at_the_same_place_and_others_elsewhere() -> None:
    one, two, other = (prepared("strong", [12], seed=seed) for seed in (3, 3, 4))
    assert torch.equal(one.start().theta, two.start().theta)
    assert (one.start().theta - other.start().theta).abs().max() > 0.1


def test_only_steps_with_curvature_of_squares_start_from_a_solved_last_layer() -> None:
    for form, method, more in (
        ("strong", "lbfgs", {}),
        ("strong", "gauss-newton", {"batch": {"size": 20}}),
        ("energy", "gauss-newton", {}),
    ):
        setup = prepared(form, [8], method, **more)
        assert torch.equal(setup.start().theta, setup.trial.network.initial(torch.Generator().manual_seed(3)))
    setup = prepared("strong", [8])
    assert setup.begun is not None
    assert torch.equal(setup.start().theta, setup.begun.solved)


BOUND = 1e-5
"""Largest relative difference that rounding may become in some steps."""
METHODS = {
    "adam": {"steps": 5},
    "sgd": {"steps": 5},
    "lbfgs": {"steps": 4},
    "broyden": {"steps": 4},
    "gauss-newton": {"steps": 2},
    "spring": {"steps": 4},
    "evolution": {"steps": 3},
    "langevin": {"steps": 5},
}
SAMPLERS = ("full", "uniform", "stratified", "antithetic", "sobol", "importance", "cells")
DRAWN_ONLY, FULL_ONLY = ("spring",), ("lbfgs", "broyden")


def answer(form: str, method: str, sampler: str, length: float, value: float, coefficient: float) -> np.ndarray:
    """Train on a plate of given length, size of values and stiffness; return values over their size at fixed relative points."""
    constants = {"k": coefficient, "L": length, "U": value}
    expressions = {"g": "U*(1 + x/L)", "f": "k*U/L**2*10*sin(3*x/L)*exp(y/L)"}
    forms = {
        "energy": "0.5*k*inner(grad(u), grad(u))*dx - f*u*dx + 0.5*k/L*u**2*ds('right')",
        "weak": "k*inner(grad(u), grad(v))*dx - f*v*dx + k/L*u*v*ds('right')",
        "strong": "-k*div(grad(u)) - f",
    }
    boundary = [{"on": ["left", "top"], "value": "g"}]
    if form == "strong":
        boundary = [{"on": "all", "value": "g", "impose": "penalty"}]
    settings = {"method": method, **METHODS[method]}
    batch = {"size": "full"} if sampler == "full" else {"size": 20, "sampler": sampler}
    problem = vpinn.make_problem(
        {"shape": "rectangle", "lower": [0, 0], "upper": [length, length], "cells": [2, 2]},
        unknowns={"u": "scalar"},
        constants=constants,
        expressions=expressions,
        boundary=boundary,
        network={"layers": [3] if method == "langevin" else [4, 4]},  # a walk takes two gradients per weight to begin with
        quadrature={"degree": 4},
        solver=settings,
        batch=batch,
        **{form: forms[form]},
        **({"test_space": {"degree": 4}} if form == "weak" else {}),
    )
    setup = prepare(problem)
    training = setup.start()
    train(setup.objective, training, setup.plan)
    at = length * np.random.default_rng(0).random((20, 2))
    found = vpinn.Solution(problem, setup.trial, training.theta.double(), {}, np.empty((0, 9))).evaluate(at)["u"]
    return np.asarray(found) / value


def combinations() -> list[tuple[str, str, str]]:
    found = [(form, method, "full") for form in FORMS for method in METHODS if method not in DRAWN_ONLY]
    found += [(form, method, "stratified") for form in FORMS for method in METHODS if method not in FULL_ONLY]
    found += [(form, "adam", sampler) for form in FORMS for sampler in SAMPLERS[1:]]
    without = {("energy", "spring"), ("weak", "gauss-newton", "stratified")}  # refused: no squares, noise that does not vanish
    return [c for c in dict.fromkeys(found) if c[:2] not in without and c not in without]


def gap(form: str, method: str, sampler: str, units: tuple[float, float, float]) -> float:
    """Return the largest difference between the solutions in given units and in units of one, relative to the largest value."""
    reference = answer(form, method, sampler, 1.0, 1.0, 1.0)
    assert np.isfinite(reference).all()
    return float(np.abs(answer(form, method, sampler, *units) - reference).max() / np.abs(reference).max())


@pytest.fixture
def short_pilots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prepare step sizes and Langevin chains with few batches and draws, to save time."""
    monkeypatch.setattr("vpinn.optimization.directions.DRAWS", 4)
    monkeypatch.setattr("vpinn.optimization.dimensionless.SCALES", (1.0, 4.0))
    for name, count in (("CURVED", 2), ("PILOT", 8)):
        monkeypatch.setattr(f"vpinn.optimization.langevin.{name}", count)


@pytest.mark.usefixtures("short_pilots")
@pytest.mark.parametrize("form", [form if form == "strong" else pytest.param(form, marks=pytest.mark.slow) for form in FORMS])
def test_units_change_nothing(form: str) -> None:
    """Millimetres, kilopascals and billions at once: the same relative answer, but for rounding that steps amplify.

    Every method on all points and every sampler in each formulation, and every method on drawn points of equations.
    """
    chosen = [c for c in combinations() if c[0] == form and (form == "strong" or c[1] in ("adam", "spring") or c[2] == "full")]
    found = {c: gap(*c, (1e-6, 1e3, 1e9)) for c in chosen}
    assert {c: far for c, far in found.items() if not far <= BOUND} == {}


@pytest.mark.slow
@pytest.mark.parametrize("factor", [1e-6, 1e3, 1e9])
@pytest.mark.parametrize("place", [0, 1, 2], ids=["lengths", "values", "coefficients"])
@pytest.mark.parametrize("form", FORMS)
def test_each_unit_changes_nothing(form: str, place: int, factor: float) -> None:
    units = (1.0,) * place + (factor,) + (1.0,) * (2 - place)
    found = {c: gap(*c, units) for c in combinations() if c[0] == form}  # type: ignore[arg-type]
    assert {c: far for c, far in found.items() if not far <= BOUND} == {}


@pytest.mark.parametrize("domain", [Hypercube((0.0,) * 3, (1.0, 2.0, 1.0)), rectangle(upper=(2.0, 1.0), cells=20)])
def test_a_part_of_the_points_stands_for_all(domain: Domain) -> None:
    """Their weights sum to the volume; points of a hypercube have no cells that strata could be made of."""
    stated = vpinn.make_problem(domain, unknowns={"u": "scalar"}, energy="0.5*inner(grad(u), grad(u))*dx - u*dx")
    objective = make_objective(stated, make_trial(stated))
    parts = few_points(objective, np.random.default_rng(0), 100, 400)
    assert sum(float(points.w.sum()) for _, points in parts) == pytest.approx(2.0, rel=1e-12)
    assert 300 <= sum(len(points.w) for _, points in parts) <= 500
    assert len(list(parts)) == 1


@pytest.mark.parametrize("form", ["weak", "strong"])
def test_rows_of_squares_give_their_gradient(form: str) -> None:
    """By the last layer alone, as reverse differentiation gives it for all parameters."""
    setup = prepared(form, [8, 7])
    objective, network = setup.objective, setup.trial.network
    theta, parts = setup.start().theta + 0.1, list(objective.parts())
    slope = curvature(objective, theta, parts, last_layer_jacobian).slope
    gradient = objective.sampled(theta, parts)[1][network.last]
    assert slope is not None
    assert float((slope - gradient).norm()) <= 1e-12 * float(gradient.norm())
