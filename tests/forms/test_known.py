"""Test functions whose values are known: numbers given at run time, and fields that carry their values."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import ufl

from vpinn.domain import CellPoints, Points, rectangle
from vpinn.errors import InputError
from vpinn.finite_elements import solve_fem
from vpinn.forms import Background, Graph, Jet, RunNumber, build, derivatives, evaluate
from vpinn.problem import make_problem, make_symbols, substituted

S = make_symbols(2)
DOMAIN = rectangle((0.0, 0.0), (1.0, 2.0), (2, 2))


class Product:
    """The field x y, with its first derivatives."""

    def jets(self, points: Points, order: int) -> dict[tuple[int, ...], np.ndarray]:
        x, y = points.x.T
        return {(): x * y} | ({(0,): y, (1,): x} if order else {})


def test_a_number_has_its_value_at_run_time_and_no_gradient() -> None:
    k, x = S.number(), S.x
    points = CellPoints(DOMAIN, 2).take(range(8))
    background = Background(DOMAIN, {k.count(): RunNumber(3.0)})
    values = evaluate([k * x[0], ufl.grad(k * x[0] ** 2), ufl.div(ufl.grad(k * x[1]))], points, background)
    assert np.allclose(values, [3.0 * points.x[:, 0], 6.0 * points.x[:, 0], np.zeros(8), np.zeros(8)])


def test_a_form_is_differentiated_by_a_number_exactly() -> None:
    k = S.number()
    graph = Graph(frozenset([k.count()]))
    node = build(graph, k**3 * ufl.grad(k * S.x[0])[0])  # k⁴
    (slope,) = derivatives(graph, node, [graph.slot(Jet(k.count()))])
    image = graph.substitute([slope], {Jet(k.count()): 2.0})[0]
    assert graph.is_number(image)
    assert graph.value(image) == pytest.approx(32.0)


def test_a_known_field_is_evaluated_wherever_its_function_stands() -> None:
    f = S.known("f", Product())
    points = CellPoints(DOMAIN, 2).take(range(8))
    x, y = points.x.T
    values = evaluate([f**2, ufl.grad(S.x[0] * f)], points, Background(DOMAIN))
    assert np.allclose(values, [(x * y) ** 2, 2 * x * y, x**2])
    with pytest.raises(InputError, match="second derivatives of f"):
        evaluate([ufl.div(ufl.grad(f))], points, Background(DOMAIN))


def test_substitution_makes_an_ordinary_problem() -> None:
    """−k Δu = 2 k with u = k on the boundary: every place of k has the number afterwards."""
    problem = make_problem(
        domain={"shape": "interval", "cells": 2},
        unknowns={"u": "scalar"},
        constants={"k": 1.0},
        energy="0.5*k*inner(grad(u), grad(u))*dx - 2*k*u*dx",
        boundary=[{"on": "all", "value": "k"}],
        reference={"exact": {"u": "k + x*(1 - x)"}},
    )
    k = problem.symbols.number()
    u = problem.unknowns[0].function
    dx = ufl.Measure("dx", domain=problem.symbols.mesh)
    varied = dataclasses.replace(
        problem,
        formulation=type(problem.formulation).of((0.5 * k * ufl.inner(ufl.grad(u), ufl.grad(u)) - 2 * k * u) * dx),
        boundary=(dataclasses.replace(problem.boundary[0], value=k),),
        exact={"u": k + problem.symbols.x[0] * (1 - problem.symbols.x[0])},
    )
    found = solve_fem(substituted(varied, {k: 3.0}), 2)
    x = np.linspace(0.0, 1.0, 5)
    assert np.allclose(found.evaluate(x[:, None])["u"], 3.0 + x * (1.0 - x), atol=1e-12)
