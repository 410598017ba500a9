"""Limits of UFL expressions, so that a problem file of a few lines cannot cause hours of symbolic work.

Named expressions share their parts, so that a short chain of names can stand for a tree of exponential size. The time of later
stages depends on the number of distinct nodes, the depth, the components of a value, and the order of derivatives.
"""

# mypy: disable-error-code="no-untyped-call, no-any-return"
# UFL's constructors carry no annotations.

from __future__ import annotations

import math
from collections.abc import Sequence

from ufl.classes import Curl, Div, Expr, Grad, NablaDiv, NablaGrad, ScalarValue
from ufl.core.ufl_type import UFLObject
from ufl.corealg.traversal import unique_post_traversal

from vpinn.errors import InputError

MAX_NODES = 10_000
MAX_TERMS = 10_000
"""Most terms of all sums over indices in one expression."""
NODES_OF_TERM = 20
"""Further nodes for every term of a sum over an index; its terms are alike, and do not depend on each other."""
MAX_DEPTH = 100
MAX_ORDER = 6
MAX_DERIVED = 100_000
MAX_RANK = 8
MAX_COMPONENTS = 10_000

_DERIVATIVES = (Grad, Div, Curl, NablaGrad, NablaDiv)


def check_value(value: UFLObject) -> None:
    """Refuse a constant that is not a finite real number, and a value with too many components.

    Raises:
        InputError: overflow, the root of a negative number, or a tensor of rank over 8 or with over 10,000 components.
    """
    if isinstance(value, ScalarValue):
        number = value.value()
        if isinstance(number, complex):
            raise InputError("is not a real number")
        if not math.isfinite(number):
            raise InputError("is not a finite number")
    elif isinstance(value, Expr):
        shape = value.ufl_shape
        if len(shape) > MAX_RANK or math.prod(shape) > MAX_COMPONENTS:
            raise InputError(f"has {math.prod(shape)} components in {len(shape)} axes; at most {MAX_COMPONENTS} in {MAX_RANK}")


def check_work(parts: Sequence[Expr], functions: Sequence[Expr]) -> None:
    """Refuse enrich functions whose derivatives would take minutes to form.

    With each derivative, the product rule and the chain rule turn one node into about three.

    Args:
        parts: integrands and equations; the order of their derivatives is needed of the enrich functions.
        functions: enrich functions.

    Raises:
        InputError: the functions together would have more than 100,000 nodes after differentiation.
    """
    order = max((check_size(part, MAX_TERMS) for part in parts), default=0)
    nodes = sum(len(list(unique_post_traversal(function))) for function in functions)
    if nodes * 3**order > MAX_DERIVED:
        raise InputError(
            f"enrich functions of {nodes} parts are too large for derivatives of order {order}, which the form has; "
            "give fewer or simpler functions"
        )


def check_size(expression: Expr, terms: int = 0) -> int:
    """Refuse an expression with over 10,000 distinct nodes, 100 levels, or derivatives of order over 6.

    Args:
        expression: expression to check.
        terms: terms of sums over indices in it, each of which may have 20 further nodes.

    Returns:
        the highest order of its derivatives.

    Raises:
        InputError: a limit is exceeded; says which one.
    """
    measured: dict[int, tuple[int, int]] = {}  # id of a node → depth, order of derivatives
    stack = [expression]
    while stack:
        node = stack[-1]
        if id(node) in measured:
            stack.pop()
            continue
        waiting = [operand for operand in node.ufl_operands if id(operand) not in measured]
        if waiting:
            stack.extend(waiting)
            continue
        parts = [measured[id(operand)] for operand in node.ufl_operands]
        depth = 1 + max((part[0] for part in parts), default=0)
        order = isinstance(node, _DERIVATIVES) + max((part[1] for part in parts), default=0)
        measured[id(node)] = depth, order
        stack.pop()
        if depth > MAX_DEPTH:
            raise InputError(f"the expression, with the names it uses, is more than {MAX_DEPTH} levels deep")
        if order > MAX_ORDER:
            raise InputError(f"derivatives of order over {MAX_ORDER}, counting those inside the names it uses")
        if len(measured) > (most := MAX_NODES + NODES_OF_TERM * terms):
            raise InputError(f"the expression, with the names it uses, has more than {most} parts")
    return measured[id(expression)][1]
