"""Values in a problem file that are a number, an expression or a list of these, as UFL expressions of a given shape."""

# mypy: disable-error-code="no-untyped-call, no-any-return"
# UFL's constructors carry no annotations.

from __future__ import annotations

import ufl
from ufl.classes import Expr, Zero

from vpinn.errors import InputError
from vpinn.problem.arithmetic import tensor
from vpinn.problem.expression import parse_expression
from vpinn.problem.scope import Scope
from vpinn.problem.section import Value
from vpinn.problem.wording import shape_in_words


def parse_value(value: Value, scope: Scope) -> Expr:
    """Return the UFL expression of a value; a list becomes a vector of its entries.

    Raises:
        InputError: an entry is not an expression, or the entries of a list differ in shape.
    """
    if isinstance(value, tuple):
        return tensor(*(parse_value(entry, scope) for entry in value))
    return parse_expression(value, scope) if isinstance(value, str) else ufl.as_ufl(float(value))


def fit_shape(value: Expr, shape: tuple[int, ...], what: str) -> Expr:
    """Return a value of the wanted shape; the number 0 becomes zero of this shape.

    Args:
        value: the value.
        shape: wanted shape.
        what: name of the value in messages.

    Raises:
        InputError: the value has another shape.
    """
    if isinstance(value, Zero) and not value.ufl_shape:
        return Zero(shape)
    if value.ufl_shape != shape:
        raise InputError(f"{what} is {shape_in_words(shape)}, got {shape_in_words(value.ufl_shape)}")
    return value
