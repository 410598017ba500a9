"""Test which method is picked, and the reason that is given, for every case."""

from __future__ import annotations

from typing import Any

import pytest

import vpinn
from vpinn.domain import Hypercube
from vpinn.solving import prepare

SQUARE = {"shape": "rectangle", "cells": 3}
CUBE, CUBE5, CUBE3 = (Hypercube((0.0,) * d, (1.0,) * d) for d in (6, 5, 3))
ENERGY, STRONG = {"energy": "0.5*inner(grad(u), grad(u))*dx - u*dx"}, {"strong": "-div(grad(u)) - 1"}
CUBIC, KINKED = {"strong": "-div(grad(u)) + u**3 - 1"}, {"weak": "(1 + abs(u))*inner(grad(u), grad(v))*dx - v*dx"}
FOURTH = {"strong": "div(grad(div(grad(u)))) - 1"}
SIXTH = {"strong": "div(grad(div(grad(div(grad(u)))))) - 1"}


def held(*residuals: str) -> list[dict[str, Any]]:
    return [{"on": "all", "value": 0}, *({"on": "all", "residual": one} for one in residuals)]


CASES: dict[str, tuple[Any, dict[str, Any], str, str]] = {
    "asked": (SQUARE, {**ENERGY, "solver": {"method": "lbfgs"}}, "lbfgs", "as the problem file asks"),
    "linear": (SQUARE, ENERGY, "least-squares", "linear in 2 dimensions on 18 cells: the residual is minimised by"),
    "nonlinear": (SQUARE, {"strong": "-div(grad(u)) + u**3 - 1"}, "least-squares", "one factorisation per Newton step"),
    "batches": (SQUARE, {**ENERGY, "batch": {"size": 20}}, "least-squares", "on 18 cells: the residual at drawn points"),
    "nonlinear batches": (CUBE3, {**CUBIC, "batch": {"size": 20}}, "least-squares", "nonlinear in 3 dimensions without cells"),
    "measured batches": (SQUARE, {**ENERGY, "batch": {"size": "auto"}}, "adam", "least-squares does not step along gradients"),
    "noisy batches": (SQUARE, {**KINKED, "batch": {"size": 20}}, "adam", "whose noise has to vanish at the solution"),
    "single batches": (SQUARE, {**ENERGY, "batch": {"size": 20}, "solver": {"precision": "float32"}}, "adam", "need float64"),
    "single": (
        SQUARE,
        {**ENERGY, "solver": {"precision": "float32"}},
        "lbfgs",
        "least squares does not apply to the energy form",
    ),
    "no cells": (CUBE, ENERGY, "adam", "in 6 dimensions without cells: random features approximate well"),
    "no cells, all points": (CUBE, {**ENERGY, "batch": {"size": "full"}}, "lbfgs", "steps use all points; least squares does"),
    "no cells, few dimensions": (CUBE3, ENERGY, "least-squares", "linear in 3 dimensions without cells"),
    "free": (CUBE3, {**ENERGY, "boundary": [{"on": "left", "value": 0}]}, "lbfgs", "u is free on a part of the boundary"),
    "fourth order": (SQUARE, {**FOURTH, "boundary": held("dot(grad(u), n)")}, "least-squares", "linear in 2 dimensions"),
    "sixth order": (SQUARE, {**SIXTH, "boundary": held("dot(grad(u), n)", "div(grad(u))")}, "lbfgs", "up to order 4"),
    "five dimensions": (CUBE5, STRONG, "least-squares", "linear in 5 dimensions without cells"),
    "many dimensions": (CUBE, STRONG, "adam", 'lower the loss further than steps on all points do (batch.size = "full")'),
}


@pytest.mark.parametrize("name", CASES)
def test_reasons(name: str) -> None:
    domain, sections, method, reason = CASES[name]
    few = {"points": 512} if isinstance(domain, Hypercube) else {}
    sections = {"quadrature": few, "boundary": [{"on": "all", "value": 0}], **sections}
    problem = vpinn.make_problem(domain, unknowns={"u": "scalar"}, **sections)
    setup = prepare(problem)
    assert setup.plan.method.name == method
    assert reason in setup.reason
    assert "\n" not in setup.reason
