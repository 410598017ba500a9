"""Lowering: UFL forms and expressions → nodes of a scalar expression graph.

UFL's own passes (algebra lowering, derivatives, index expansion) reduce an expression to scalar operations on coordinates,
normals, functions and their derivatives, each of which becomes a node of a `Graph`. Start with `integrals`, `build` and
`split`.
"""

# mypy: disable-error-code="no-untyped-call, no-any-return"
# UFL's constructors carry no annotations.

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, lru_cache, partial, reduce
from typing import Any

import ufl
from ufl import classes as uc
from ufl.algorithms.apply_algebra_lowering import apply_algebra_lowering
from ufl.algorithms.apply_derivatives import apply_derivatives
from ufl.corealg.traversal import unique_post_traversal

from vpinn.domain import REGIONS, Region
from vpinn.errors import InputError
from vpinn.forms.adjoint import slope
from vpinn.forms.graph import Geometry, Given, Graph, Jet, Node, Parameter
from vpinn.forms.indices import Expander
from vpinn.problem.symbols import KnownFunction, Named, components

KEPT = 256
"""Number of lowered forms and expressions that are kept, because a run lowers most of them several times."""
OPERATIONS = {
    uc.Division: "divide",
    uc.Power: "power",
    uc.Abs: "abs",
    uc.MinValue: "min",
    uc.MaxValue: "max",
    uc.Sqrt: "sqrt",
    uc.Exp: "exp",
    uc.Ln: "ln",
    uc.Sin: "sin",
    uc.Cos: "cos",
    uc.Tan: "tan",
    uc.Sinh: "sinh",
    uc.Cosh: "cosh",
    uc.Tanh: "tanh",
    uc.Asin: "asin",
    uc.Acos: "acos",
    uc.Atan: "atan",
    uc.Atan2: "atan2",
    uc.Erf: "erf",
    uc.LT: "less",
    uc.LE: "less_equal",
    uc.GT: "greater",
    uc.GE: "greater_equal",
    uc.EQ: "equal",
    uc.NE: "not_equal",
    uc.AndCondition: "and",
    uc.OrCondition: "or",
    uc.NotCondition: "not",
    uc.Conditional: "where",
}
GEOMETRY = {uc.SpatialCoordinate: "x", uc.FacetNormal: "n", uc.CellDiameter: "h"}
SKIPPED = (
    uc.MultiIndex,
    uc.Label,
    uc.Coefficient,
    uc.Argument,
    uc.Constant,
    uc.Grad,
    uc.SpatialCoordinate,
    uc.FacetNormal,
    uc.Identity,
)
DEPTH = 10_000
"""Recursion limit during UFL's passes, which recurse over the derivatives of an expression."""


FOLDED = (TypeError, OverflowError, ValueError, ZeroDivisionError)
"""Errors that UFL raises when it evaluates functions of numbers without a real and finite value, such as log(−1) or exp(1000)."""


@dataclass(frozen=True)
class Integral:
    """One integral of a form.

    Attributes:
        region: kind of region that it runs over.
        tags: indices of the tags in ``Problem.tags``, () for everywhere.
        integrand: scalar UFL expression.
    """

    region: type[Region]
    tags: tuple[int, ...]
    integrand: ufl.core.expr.Expr


@lru_cache(maxsize=KEPT)
def integrals(form: ufl.Form) -> tuple[Integral, ...]:
    """Return the integrals of a form, with derivatives of forms carried out.

    Results are kept, so that the same form always gives identical expressions, which ``lower`` then recognises.

    Raises:
        InputError: the form has integrals other than dx and ds, is nested too deeply, or contains a number that is not finite.
    """
    kinds = {region.integral_type: region for region in REGIONS}
    parts = []
    with _deep():
        lowered = apply_derivatives(apply_algebra_lowering(form))
    for part in lowered.integrals():
        if part.integral_type() not in kinds:
            raise InputError(f"the form integrates over '{part.integral_type()}'; use dx, ds, dx('tag') or ds('tag')")
        tags = part.subdomain_id()
        if not isinstance(tags, tuple):
            tags = () if tags == "everywhere" else (tags,)
        parts.append(Integral(kinds[part.integral_type()], tags, part.integrand()))
    return tuple(parts)


@lru_cache(maxsize=KEPT)
def lower(expression: ufl.core.expr.Expr) -> ufl.core.expr.Expr:
    """Return a scalar expression with algebra, derivatives and indices expanded. Results are kept.

    Raises:
        InputError: the expression is nested too deeply, or contains a number that is not real and finite.
    """
    with _deep():
        return Expander().visit(apply_derivatives(apply_algebra_lowering(expression)))


class NotReal(InputError):
    """A constant part of an expression has no real and finite value: ln(−1), exp(1000)."""


@contextmanager
def _deep() -> Iterator[None]:
    """Raise the recursion limit to ``DEPTH`` inside the context, and turn UFL's errors into those of the user's input."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(max(limit, DEPTH))
    try:
        yield
    except RecursionError:
        raise InputError(
            "an expression nests functions and derivatives too deeply; split it, or take fewer derivatives"
        ) from None
    except FOLDED as error:
        raise NotReal(
            f"an expression, or a derivative of it, contains a number that is not real and finite ({error}); change its constants"
        ) from None
    finally:
        sys.setrecursionlimit(limit)


def build(graph: Graph, expression: ufl.core.expr.Expr, known: Mapping[Any, ufl.core.expr.Expr] | None = None) -> Node:
    """Add a scalar UFL expression to a graph and return its node.

    Functions in ``known`` are replaced after UFL has carried out the derivatives. Their expressions are then differentiated
    once, in the graph, instead of by UFL in every term of every expression.

    Args:
        graph: graph to add to.
        expression: scalar expression.
        known: function → expression that replaces it.

    Raises:
        InputError: the expression contains an operation that cannot be evaluated at a point.
    """
    stands = {function: components(value) for function, value in (known or {}).items()}
    root = lower(expression)
    done: dict[ufl.core.expr.Expr, Node] = {}
    for node in unique_post_traversal(root):
        image = _image(graph, node, done, stands)
        if image is not None:
            done[node] = image
    return done[root]


Known = Mapping[ufl.core.expr.Expr, Sequence[ufl.core.expr.Expr]]
"""Function → scalar components of the expression that replaces it."""


def _image(graph: Graph, node: ufl.core.expr.Expr, done: dict[ufl.core.expr.Expr, Node], known: Known) -> Node | None:
    operands = node.ufl_operands
    if isinstance(node, uc.Zero):
        return graph.number(0.0)
    if isinstance(node, uc.ScalarValue):
        return graph.number(float(node))
    if isinstance(node, uc.Indexed):
        return _terminal(graph, operands[0], tuple(int(i) for i in operands[1]), known)
    if isinstance(node, uc.Coefficient | uc.Argument | uc.CellDiameter) and node.ufl_shape == ():
        return _terminal(graph, node, (), known)
    if isinstance(node, SKIPPED):
        return None
    if isinstance(node, uc.Conj | uc.Real):
        return done[operands[0]]
    operation = _operation(type(node))
    if isinstance(node, uc.Sum):
        return graph.add(done[i] for i in operands)
    if isinstance(node, uc.Product):
        return graph.multiply(done[i] for i in operands)
    if operation is None:
        raise InputError(f"the operation {type(node).__name__} cannot be evaluated at a point; rewrite the expression without it")
    return graph.call(operation, *(done[i] for i in operands))


@cache
def _operation(kind: type) -> str | None:
    return next((name for one, name in OPERATIONS.items() if issubclass(kind, one)), None)


def _terminal(graph: Graph, node: ufl.core.expr.Expr, index: tuple[int, ...], known: Known) -> Node:
    order = 0
    while isinstance(node, uc.Grad):
        node, order = node.ufl_operands[0], order + 1
    if isinstance(node, uc.Identity):
        return graph.number(float(index[0] == index[1]))
    name = next((name for kind, name in GEOMETRY.items() if isinstance(node, kind)), None)
    if name is not None:
        return graph.slot(Geometry(name, *index))
    if isinstance(node, uc.Constant):
        return graph.slot(Parameter(_flat(index, node.ufl_shape)))
    if not isinstance(node, uc.Coefficient | uc.Argument):
        raise InputError(f"the operation {type(node).__name__} cannot be evaluated at a point; rewrite the expression without it")
    value, derivative = index[: len(index) - order], tuple(sorted(index[len(index) - order :]))
    stated = components(node.definition) if isinstance(node, Named) else known.get(node)
    if stated is not None:
        return reduce(partial(slope, graph), derivative, _defined(graph, node, _flat(value, node.ufl_shape), stated))
    if isinstance(node, KnownFunction):
        return graph.slot(Given(node.name, node.values, derivative))
    function = node.count() if isinstance(node, uc.Coefficient) else -1 - (node.part() or 0)
    return graph.slot(Jet(function, _flat(value, node.ufl_shape), derivative))


def _defined(graph: Graph, function: Any, component: int, stated: Sequence[ufl.core.expr.Expr]) -> Node:
    """Return the node of a component of the expression that a function stands for, which is added to the graph once."""
    key = (function, stated[component])
    if key not in graph.defined:
        graph.defined[key] = build(graph, stated[component])
    return graph.defined[key]


def _flat(index: tuple[int, ...], shape: tuple[int, ...]) -> int:
    position = 0
    for i, size in zip(index, shape, strict=True):
        position = position * size + i
    return position


def split(graph: Graph, node: Node) -> dict[Jet, Node]:
    """Split an integrand that is linear in the test functions into their coefficients.

    Args:
        graph: graph of the integrand.
        node: integrand F(v) = a·v + B·∇v + ….

    Returns:
        jet of a test function (v, ∂v, …) → its coefficient, found by setting this jet to one and all others to zero.

    Raises:
        InputError: a term of the integrand contains no test function.
    """
    tests = [slot for slot in graph.slots([node]) if isinstance(slot, Jet) and slot.function < 0]
    zero: dict[Any, float] = dict.fromkeys(tests, 0.0)
    (rest,) = graph.substitute([node], zero)
    if not graph.is_zero(rest):
        raise InputError("a term of the weak form contains no test function; multiply the term by a test function")
    return {slot: graph.substitute([node], {**zero, slot: 1.0})[0] for slot in tests}
