"""The functions that expressions in a problem file may call: UFL's operators, with checks of the shapes of their arguments.

UFL leaves such checks to its form compilers. All functions take and return UFL expressions; no other function can be called
from a problem file. Start with `make_operators`.
"""

# mypy: disable-error-code="no-untyped-call, no-any-return"
# UFL's constructors carry no annotations.

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import ufl
from ufl.classes import Expr, Zero
from ufl.domain import extract_domains

from vpinn.errors import InputError
from vpinn.problem.arithmetic import power
from vpinn.problem.wording import shape_in_words

_SCALAR = ("abs", "sign", "sqrt", "exp", "ln", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "erf")
_SQUARE = ("tr", "det", "inv", "sym", "skew", "dev", "cofac")
_RANKED = {"det": 3, "inv": 3, "cofac": 3, "dev": 3}  # largest n for which UFL has formulas for n×n matrices

# Names that the translator treats itself, because their arguments are not plain expressions.
CONDITIONS = {"lt": ufl.lt, "le": ufl.le, "gt": ufl.gt, "ge": ufl.ge, "eq": ufl.eq, "ne": ufl.ne}
CONNECTIVES = {"And": ufl.And, "Or": ufl.Or}
SYNTAX = ("conditional", "Not", "Dx", "Identity", "delta", "as_vector", "as_matrix", "as_tensor", *CONDITIONS, *CONNECTIVES)
DERIVATIVES = ("grad", "nabla_grad", "div", "nabla_div", "curl", "rot")
MEASURES = ("dx", "ds")


@dataclass(frozen=True)
class Operator:
    """A function of the expression language.

    Attributes:
        apply: function of ``arity`` UFL expressions that returns one; raises InputError or ValueError for wrong shapes.
        arity: number of arguments, ≥ 1.
    """

    apply: Callable[..., Expr]
    arity: int


def make_operators(dimension: int) -> Mapping[str, Operator]:
    """Return the functions whose arguments are expressions, by name, for a domain with ``dimension`` coordinates."""
    table = {name: Operator(_of_scalars(abs if name == "abs" else getattr(ufl, name)), 1) for name in _SCALAR}
    table |= {name: Operator(_of_scalars(getattr(ufl, name)), 2) for name in ("atan2", "max_value", "min_value")}
    table |= {name: Operator(_of_square(name), 1) for name in _SQUARE}
    table |= {
        "log": table["ln"],
        "inner": Operator(_inner, 2),
        "dot": Operator(_dot, 2),
        "outer": Operator(ufl.outer, 2),
        "pow": Operator(power, 2),
        "transpose": Operator(ufl.transpose, 1),
        "perp": Operator(ufl.perp, 1),
        "diag": Operator(ufl.diag, 1),
        "diag_vector": Operator(ufl.diag_vector, 1),
        "cross": Operator(_cross, 2),
        "grad": Operator(lambda f: gradient(f, dimension), 1),
        "nabla_grad": Operator(lambda f: _spatial(ufl.nabla_grad, f, (dimension, *f.ufl_shape)), 1),
        "div": Operator(lambda f: _divergence(ufl.div, f, f.ufl_shape[-1:], f.ufl_shape[:-1], dimension), 1),
        "nabla_div": Operator(lambda f: _divergence(ufl.nabla_div, f, f.ufl_shape[:1], f.ufl_shape[1:], dimension), 1),
        "curl": Operator(lambda f: _curl(f, dimension), 1),
        "rot": Operator(lambda f: _curl(f, dimension), 1),
    }
    return table


def gradient(f: Expr, dimension: int) -> Expr:
    """Return grad(f) of shape [*shape of f, dimension]; zero for numbers, which UFL cannot differentiate."""
    return _spatial(ufl.grad, f, (*f.ufl_shape, dimension))


def _spatial(derivative: Callable[[Expr], Expr], f: Expr, shape: tuple[int, ...]) -> Expr:
    return derivative(f) if extract_domains(f) else Zero(shape)


def _divergence(
    derivative: Callable[[Expr], Expr], f: Expr, axis: tuple[int, ...], rest: tuple[int, ...], dimension: int
) -> Expr:
    if axis != (dimension,):
        raise InputError(
            f"div needs a vector or tensor with {dimension} entries along the axis, got {shape_in_words(f.ufl_shape)}"
        )
    return _spatial(derivative, f, rest)


def _curl(f: Expr, dimension: int) -> Expr:
    by_dimension: dict[int, dict[tuple[int, ...], tuple[int, ...]]] = {2: {(): (2,), (2,): ()}, 3: {(3,): (3,)}}
    shapes = by_dimension.get(dimension, {})
    if f.ufl_shape not in shapes:
        raise InputError(f"curl takes a scalar or vector in 2 dimensions and a vector in 3, got {shape_in_words(f.ufl_shape)}")
    return _spatial(ufl.curl, f, shapes[f.ufl_shape])


def _inner(a: Expr, b: Expr) -> Expr:
    if a.ufl_shape != b.ufl_shape:
        raise InputError(
            f"inner takes two values of one shape, got {shape_in_words(a.ufl_shape)} and {shape_in_words(b.ufl_shape)}"
        )
    return ufl.inner(a, b)


def _dot(a: Expr, b: Expr) -> Expr:
    if a.ufl_shape[-1:] != b.ufl_shape[:1]:
        raise InputError(f"dot sums over a common axis, got {shape_in_words(a.ufl_shape)} and {shape_in_words(b.ufl_shape)}")
    return ufl.dot(a, b)


def _cross(a: Expr, b: Expr) -> Expr:
    if a.ufl_shape != (3,) or b.ufl_shape != (3,):
        got = f"{shape_in_words(a.ufl_shape)} and {shape_in_words(b.ufl_shape)}"
        raise InputError(f"cross takes two vectors of length 3, got {got}")
    return ufl.cross(a, b)


def _of_scalars(function: Callable[..., Expr]) -> Callable[..., Expr]:
    def apply(*arguments: Expr) -> Expr:
        for argument in arguments:
            if argument.ufl_shape:
                raise InputError(f"takes a scalar, got {shape_in_words(argument.ufl_shape)}")
        return function(*arguments)

    return apply


def _of_square(name: str) -> Callable[[Expr], Expr]:
    function, largest = getattr(ufl, name), _RANKED.get(name, 100)

    def apply(a: Expr) -> Expr:
        shape = a.ufl_shape
        if len(shape) != 2 or shape[0] != shape[1] or shape[0] > largest:
            size = f" of at most {largest}×{largest}" if name in _RANKED else ""
            raise InputError(f"takes a square matrix{size}, got {shape_in_words(shape)}")
        return function(a)

    return apply
