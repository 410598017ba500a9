"""A problem with other expressions in place of functions that it contains, such as a member of a family."""

# mypy: disable-error-code="no-untyped-call, no-any-return"
# UFL's functions carry no annotations.

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import ufl
from numpy.typing import NDArray
from ufl.classes import Expr

from vpinn.errors import InputError
from vpinn.problem.formulation import Formulation, Strong
from vpinn.problem.problem import Stated


def substituted(problem: Stated, values: Mapping[Expr, Expr | float]) -> Stated:
    """Return a problem in which functions are replaced wherever they stand: in form, conditions, loads and exact solution.

    A number that ``Symbols.number`` made becomes that number, so that what is returned is an ordinary problem, of one member of
    a family or with the coefficients that were found.

    Args:
        problem: the problem.
        values: UFL function → scalar expression or number to put in its place.

    Raises:
        InputError: An expression of numbers alone has no value then, such as 1/k for k = 0 or k**2 for k = 1e300.
    """
    images = {function: ufl.as_ufl(value) for function, value in values.items()}

    def put(stated: Any) -> Any:
        try:
            return stated if stated is None else ufl.replace(stated, images)
        except (ArithmeticError, ValueError):  # UFL evaluates expressions of numbers with Python's operators
            numbers = ", ".join(str(image) for image in images.values())
            message = f"an expression has no value where the parameters are {numbers}; change their ranges"
            raise InputError(message, problem.where("parameters")) from None

    def formulation(stated: Formulation) -> Formulation:
        if isinstance(stated, Strong):
            return Strong(tuple(map(put, stated.equations)))
        return type(stated).of(put(stated.integrals))

    return replace(
        problem,
        formulation=formulation(problem.formulation),
        boundary=tuple(replace(one, value=put(one.value), residual=put(one.residual)) for one in problem.boundary),
        enrich=tuple(map(put, problem.enrich)),
        exact={name: put(truth) for name, truth in problem.exact.items()},
        initial=tuple(replace(one, value=put(one.value), rate=put(one.rate)) for one in problem.initial),
        eigen=None if problem.eigen is None else replace(problem.eigen, mass=formulation(problem.eigen.mass)),
        bounds=tuple(replace(one, lower=put(one.lower), upper=put(one.upper)) for one in problem.bounds),
        supports=tuple(replace(one, value=put(one.value)) for one in problem.supports),
        loads=tuple(replace(one, formulation=formulation(one.formulation)) for one in problem.loads),
        answers=problem.answers.changed(put),
    )


def member(problem: Stated, values: NDArray[np.float64]) -> Stated:
    """Return the member of a family at values of its parameters [P]: a problem without parameters."""
    parameters = problem.ranges
    title = f"{problem.title} ({parameters.told(values)})"
    numbers = ufl.as_vector([float(value) for value in values])
    return replace(substituted(problem, {parameters.symbol: numbers}), title=title, parameters=None)
