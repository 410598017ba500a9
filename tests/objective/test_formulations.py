"""Test what every formulation must satisfy: each one that ``FORMULATIONS`` lists passes all tests here.

All formulations state the same problem, −∇·((1 + u²)∇u) + u|∇u|² + u³ = f, which is the first variation of an energy. On the left
side of a square u = 0, and on the other sides the natural condition holds, in the strong form as a residual.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
import ufl

from vpinn.domain import CellPoints, Mesh, rectangle
from vpinn.errors import InputError
from vpinn.features import least_squares_problem
from vpinn.forms import Background, evaluate, integrals
from vpinn.objective import make_objective
from vpinn.problem import FORMULATIONS, Problem, Settings, make_problem
from vpinn.problem.schema import Form
from vpinn.trial import make_trial

from .cases import start

FLUX = {"on": ["right", "top", "bottom"], "residual": "dot(grad(u), n)"}
STATED: Mapping[str, Mapping[str, Any]] = {
    "energy": {"energy": "(0.5*(1 + u**2)*inner(grad(u), grad(u)) + 0.25*u**4 - sin(3*x)*u)*dx"},
    "weak": {
        "weak": "((1 + u**2)*inner(grad(u), grad(v)) + u*inner(grad(u), grad(u))*v + u**3*v - sin(3*x)*v)*dx",
        "test_space": {"degree": 2},
    },
    "strong": {
        "strong": "-div((1 + u**2)*grad(u)) + u*inner(grad(u), grad(u)) + u**3 - sin(3*x)",
        "boundary": [{"on": "left", "value": 0}, FLUX],
    },
}


def state(name: str, factor: float = 1.0, impose: str = "auto", size: float = 1.0) -> Problem:
    """Return the problem in a formulation, on a square of side ``size``, with its form multiplied by ``factor``."""
    sections = dict(STATED[name])
    sections[name] = f"{factor}*({sections[name].removesuffix('*dx')})" + "*dx" * sections[name].endswith("*dx")
    conditions = [dict(condition) for condition in sections.pop("boundary", [{"on": "left", "value": 0}])]
    conditions[0]["impose"] = impose
    domain = rectangle(upper=[size, size], cells=3, cell="quadrilateral")
    return make_problem(
        domain, unknowns={"u": "scalar"}, boundary=conditions, network={"layers": [6, 5], "places": False}, **sections
    )


def along(problem: Problem, shift: float = 0.0) -> tuple[float, float]:
    """Return the functional at u + shift·w and its variation F(u; w), for smooth u and w that vanish on all sides."""
    (unknown,), (x, y) = problem.unknowns, problem.symbols.x
    w = (x * (1 - x) * y * (1 - y)) ** 2 * (3 + x)
    u = 5 * (x * (1 - x) * y * (1 - y)) ** 2 * ufl.exp(y) + shift * w
    assert isinstance(problem.domain, Mesh)
    rule = CellPoints(problem.domain, 24)
    points, known = rule.take(range(rule.size)), {unknown.function: u, unknown.test: w}

    def integrated(form: ufl.Form) -> float:
        parts = [ufl.replace(part.integrand, known) for part in integrals(form)]
        return float((evaluate(parts, points, Background(problem.domain)) * points.w).sum()) if parts else 0.0

    return integrated(problem.formulation.integrals), integrated(problem.variation)


@pytest.mark.parametrize("name", FORMULATIONS)
def test_listed(name: str) -> None:
    """Every formulation is a key of [form], states what it says it does, and has a text here."""
    kind = FORMULATIONS[name]
    assert name == kind.name
    assert name in Form.model_fields
    assert set(STATED) == set(Form.model_fields) == set(FORMULATIONS)
    formulation = state(name).formulation
    assert type(formulation) is kind
    assert bool(formulation.equations) == kind.pointwise
    assert bool(integrals(formulation.integrals)) != kind.pointwise
    assert kind.stiffness > 0.0
    assert not (kind.tested and kind.pointwise)


def test_choices_are_told() -> None:
    with pytest.raises(InputError, match="give exactly one of energy, weak and strong, got none"):
        make_problem(rectangle(cells=2), unknowns={"u": "scalar"})
    with pytest.raises(InputError, match="got energy and weak"):
        make_problem(rectangle(cells=2), unknowns={"u": "scalar"}, energy="u**2*dx", weak="u*v*dx")
    assert "energy" in Settings.model_json_schema()["$defs"]["Form"]["properties"]


@pytest.mark.parametrize("name", FORMULATIONS)
def test_one_variation(name: str) -> None:
    """F(u; w) is the same number however the equation is stated, where w vanishes on the boundary; of an energy its slope."""
    reference = along(state("weak"))[1]
    problem = state(name)
    assert abs(reference) > 1e-3
    assert abs(along(problem)[1] - reference) <= 1e-11 * abs(reference)
    if not problem.formulation.tested and not problem.formulation.pointwise:
        slope = (along(problem, 1e-3)[0] - along(problem, -1e-3)[0]) / 2e-3
        assert abs(slope - reference) <= 1e-5 * abs(reference)


@pytest.mark.parametrize("name", FORMULATIONS)
def test_rows_of_least_squares(name: str) -> None:
    """What least squares solves is a sum of squares with the same variation."""
    problem = state(name)
    stated = least_squares_problem(problem)
    assert stated.formulation.squared
    assert (stated is problem) == problem.formulation.squared
    assert along(stated)[1] == along(problem)[1]


@pytest.mark.parametrize("impose", ["exact", "penalty", "nitsche"])
@pytest.mark.parametrize("name", FORMULATIONS)
def test_taylor(name: str, impose: str) -> None:
    """|J(θ + hδ) − J(θ) − h∇J·δ| falls with order two, whichever way the condition is imposed; what has no flux says so."""
    if impose == "nitsche" and FORMULATIONS[name].pointwise:
        with pytest.raises(InputError, match="Nitsche's method needs an energy or weak form"):
            state(name, impose=impose)
        return
    problem = state(name, impose=impose)
    trial = make_trial(problem)
    objective, theta = make_objective(problem, trial), start(trial)
    value, gradient = objective.gradient(theta)
    direction = torch.randn(len(theta), generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    direction /= torch.linalg.vector_norm(direction)
    steps = 0.02 * 0.5 ** np.arange(4)
    change = np.array([objective.value(theta + h * direction) - value for h in steps])
    rest = np.abs(change - steps * float(gradient @ direction))
    assert float(torch.linalg.vector_norm(gradient)) > 1e-3
    assert np.log2(rest[:-1] / rest[1:]).min() >= 1.9
    assert np.log2(np.abs(change[0] / change[-1])) / 3 < 1.5


@pytest.mark.parametrize("name", FORMULATIONS)
def test_squares_are_zero_at_best(name: str) -> None:
    """An objective of squares is not negative, and four times as large for a form twice as large; one of none twice."""
    for theta_of in (start, lambda trial: torch.zeros(trial.network.size, dtype=torch.float64)):
        values = []
        for factor in (1.0, 2.0):
            problem = state(name, factor, impose="exact")
            problem = dataclasses.replace(problem, boundary=problem.boundary[:1])
            trial = make_trial(problem)
            values.append(make_objective(problem, trial).value(theta_of(trial)))
        squared = problem.formulation.squared
        assert not squared or values[0] >= 0.0
        assert values[1] == pytest.approx((4.0 if squared else 2.0) * values[0], rel=1e-12)


@pytest.mark.parametrize("name", FORMULATIONS)
def test_weights_have_units(name: str) -> None:
    """A gap of the boundary value keeps its share of the objective in any unit of length and of the form.

    With lengths in units of 1/s and the form in units of 1/f, change becomes f·change (per u), flux over L² likewise; the
    integral of u² over the boundary grows by s^(d−1), an energy by f s^d, squares of equations by f² s^d, and the dual norm of
    residuals by f² s^(d+2).
    """
    d, length, kind = 2, 1.7, state(name).formulation
    for s, f in ((10.0, 1.0), (1.0, 1e3), (1e-3, 2e11)):
        here, there = kind.penalty(3.0, 2.0, length, d), kind.penalty(3.0 * f, 2.0 * f, length * s, d)
        grown = f**2 * s ** (d + 2) if kind.tested else f**2 * s**d if kind.pointwise else f * s**d
        assert there * s ** (d - 1) == pytest.approx(grown * here, rel=1e-12)
    assert kind.penalty(1.0, 1.0, 1.0, 1) == kind.stiffness
    assert kind.penalty(2.0, 2.0, 1.0, 1) > kind.penalty(1.0, 1.0, 1.0, 1)


@pytest.mark.parametrize("name", FORMULATIONS)
def test_nitsche_is_consistent(name: str) -> None:
    """Its terms vanish with gap and flux, and a density's change by the gap is what a residual has for test functions.

    Of −B·n (u − g) + ½ β/h (u − g)² the variation by v, at the condition met, is −B·n v, as in a residual.
    """
    formulation = state(name).formulation

    def terms(flux: float, gap: float, test: float, scale: float) -> float:
        return sum(number * math.prod(factors) for number, factors in formulation.nitsche(flux, gap, test, scale))

    if formulation.pointwise:
        assert terms(2.0, 3.0, 5.0, 7.0) == 0.0
        return
    assert terms(0.0, 0.0, 5.0, 7.0) == 0.0
    if formulation.tested:
        assert terms(2.0, 0.0, 5.0, 7.0) == -10.0
        assert terms(2.0, 3.0, 10.0, 7.0) == 2.0 * terms(2.0, 3.0, 5.0, 7.0)
    else:
        step = 1e-6
        slope = (terms(2.0, 5.0 * step, 0.0, 7.0) - terms(2.0, -5.0 * step, 0.0, 7.0)) / (2 * step)
        assert slope == pytest.approx(-10.0, rel=1e-9)
