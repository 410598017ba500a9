"""Sums, products, powers and components of UFL expressions, forms and measures, as the expression language defines them.

UFL's own errors would show its internals; the functions here check their operands first and say what to write instead.
"""

# mypy: disable-error-code="no-untyped-call, no-any-return"
# UFL's constructors carry no annotations.

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import ufl
from ufl.classes import Expr, Form, IntValue, ScalarValue, Zero
from ufl.measure import Measure

from vpinn.errors import InputError
from vpinn.problem.wording import shape_in_words

Value = Expr | Form | Measure

_LARGEST_EXPONENT = 64  # whole exponents up to here stay integers in UFL; larger ones are floats


def add(*values: Value) -> Expr | Form:
    """Return the sum of expressions of the same shape, or of forms.

    Expressions are added pairwise, so that the depth of the sum grows with the logarithm of its length.

    Raises:
        InputError: shapes differ, expressions and forms are mixed, or there is a measure without an integrand.
    """
    if any(isinstance(value, Measure) for value in values):
        raise InputError("a measure needs an integrand: f*dx")
    forms = [value for value in values if isinstance(value, Form)]
    if forms and len(forms) == len(values):
        return Form([integral for form in forms for integral in form.integrals()])
    if forms:
        raise InputError("one term of the sum is an integral and another is not; multiply each by dx or ds")
    expressions = [value for value in values if isinstance(value, Expr)]
    for value in expressions[1:]:
        if value.ufl_shape != expressions[0].ufl_shape:
            raise InputError(f"cannot add {shape_in_words(expressions[0].ufl_shape)} and {shape_in_words(value.ufl_shape)}")
    return fold(lambda a, b: a + b, expressions)


def negate(value: Value) -> Expr | Form:
    """Return −value, for an expression or a form."""
    if isinstance(value, Measure):
        raise InputError("a measure needs an integrand: f*dx")
    return -value


def multiply(left: Value, right: Value) -> Expr | Form:
    """Return the product of a scalar and any expression, of a matrix and a vector or matrix, or an integral or its multiple.

    Raises:
        InputError: shapes do not fit, or an integral is multiplied by something else than a number.
    """
    if isinstance(left, Expr) and isinstance(right, Measure):
        if left.ufl_shape:
            raise InputError(
                f"an integrand is a scalar, got {shape_in_words(left.ufl_shape)}; take a component, as in v[0], or inner(a, b)"
            )
        return left * right
    if isinstance(left, Measure) or isinstance(right, Measure):
        raise InputError("write an integral as f*dx")
    if isinstance(left, Form) or isinstance(right, Form):
        number, form = (left, right) if isinstance(right, Form) else (right, left)
        if not isinstance(number, ScalarValue | Zero) or number.ufl_shape:
            raise InputError("an integral can only be multiplied by a number; multiply the integrand instead")
        return number * form
    a, b = left.ufl_shape, right.ufl_shape
    if a and b and not (len(a) == 2 and len(b) <= 2 and a[1] == b[0]):
        raise InputError(f"cannot multiply {shape_in_words(a)} by {shape_in_words(b)}; use inner, dot or outer")
    return left * right


def divide(left: Value, right: Value) -> Expr | Form:
    """Return left / right, where ``right`` is a scalar expression, or a number if ``left`` is a form.

    Raises:
        InputError: ``right`` is zero, not a scalar, or contains an integral.
    """
    if not isinstance(right, Expr) or isinstance(left, Measure):
        raise InputError("integrals can be divided by numbers only")
    if right.ufl_shape:
        raise InputError(f"cannot divide by {shape_in_words(right.ufl_shape)}")
    if isinstance(right, Zero):
        raise InputError("division by zero")
    return multiply(1.0 / right, left) if isinstance(left, Form) else left / right


def power(base: Value, exponent: Value) -> Expr:
    """Return base**exponent for scalars, and inner(base, base) for the square of a vector or matrix.

    Raises:
        InputError: the power has no real value, or no meaning for these shapes.
    """
    if not isinstance(base, Expr) or not isinstance(exponent, Expr):
        raise InputError("an integral has no powers")
    if isinstance(exponent, ScalarValue) and abs(exponent.value()) <= _LARGEST_EXPONENT and float(exponent).is_integer():
        exponent = IntValue(int(exponent))
    below = isinstance(base, Zero) or (isinstance(base, ScalarValue) and float(base) < 0.0)
    if below and not isinstance(exponent, ScalarValue | Zero):
        raise InputError("a power of a number ≤ 0 is real for whole exponents only; give the exponent as a whole number")
    if exponent.ufl_shape or (base.ufl_shape and exponent != IntValue(2)):
        raise InputError(f"cannot raise {shape_in_words(base.ufl_shape)} to this power")
    return base**exponent


def component(value: Expr, *indices: int) -> Expr:
    """Return an entry of a vector or tensor, or a row if there are fewer indices than axes; indices count from 0.

    Raises:
        InputError: there is no such entry.
    """
    shape = value.ufl_shape
    if not indices or len(indices) > len(shape) or any(i >= n for i, n in zip(indices, shape, strict=False)):
        raise InputError(f"no such component of {shape_in_words(shape)}; components count from 0")
    return value[indices if len(indices) == len(shape) else (*indices, Ellipsis)]


def tensor(*entries: Expr) -> Expr:
    """Return the vector of scalar entries, or the matrix of row vectors, or a tensor of such.

    Raises:
        InputError: there is no entry, or the entries differ in shape.
    """
    if not entries:
        raise InputError("a vector needs at least one entry")
    if len({entry.ufl_shape for entry in entries}) > 1:
        raise InputError("the entries of a vector or matrix differ in shape")
    return ufl.as_tensor(list(entries))


def identity(size: int) -> Expr:
    """Return the identity matrix.

    Raises:
        InputError: it would have no rows, or more than 100.
    """
    if not 1 <= size <= 100:
        raise InputError("an identity matrix has 1 to 100 rows")
    return ufl.Identity(size)


def fold(operation: Callable[[Any, Any], Any], values: Sequence[Any]) -> Any:
    """Combine values pairwise in a balanced tree."""
    while len(values) > 1:
        pairs = [operation(*values[i : i + 2]) for i in range(0, len(values) - 1, 2)]
        values = [*pairs, *values[2 * len(pairs) :]]
    return values[0]
