"""Translation of Python syntax trees to UFL, node by node; syntax that is not listed here is refused."""

# mypy: disable-error-code="no-untyped-call, no-any-return"
# UFL's constructors carry no annotations.

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import ufl
from ufl.classes import Condition, Expr, ScalarValue, Zero
from ufl.measure import Measure

from vpinn.errors import InputError
from vpinn.problem.arithmetic import Value, add, component, divide, fold, identity, multiply, negate, power, tensor
from vpinn.problem.functions import MEANT, SIGNS, UNAVAILABLE
from vpinn.problem.index_sums import index_of, indexed_sum
from vpinn.problem.interfaces import LOST
from vpinn.problem.limits import check_value
from vpinn.problem.operators import CONDITIONS, CONNECTIVES, DERIVATIVES, MEASURES, SYNTAX, gradient, make_operators
from vpinn.problem.scope import Scope
from vpinn.problem.wording import attribute, closest, derivative, own_test, printable, shape_in_words

_MOST_DERIVATIVES = 200
_BINARY = {ast.Mult: multiply, ast.Div: divide, ast.Pow: power}
_COMPARISONS = {ast.Lt: ufl.lt, ast.LtE: ufl.le, ast.Gt: ufl.gt, ast.GtE: ufl.ge, ast.Eq: ufl.eq, ast.NotEq: ufl.ne}


class Translator:
    """The translation of one expression.

    Args:
        scope: meaning of names.
        text: text of the expression, of which errors quote the wrong part.
    """

    def __init__(self, scope: Scope, text: str) -> None:
        self.scope, self.text = scope, text
        self.dimension = scope.symbols.dimension
        self.operators = make_operators(self.dimension)
        self.derivatives, self.terms = 0, 0
        self.indices: dict[str, int] = {}

    def term(self, node: ast.expr) -> Value:
        """Return the UFL object of a node: an expression, a form or a measure.

        Raises:
            InputError: the node or a part of it does not belong to the language, or shapes do not fit.
        """
        match node:
            case ast.Constant():
                return self._number(node)
            case ast.Name():
                return self._name(node)
            case ast.UnaryOp(op=ast.UAdd() | ast.USub()) | ast.BinOp(op=ast.Add() | ast.Sub()):
                return self._sum(node)
            case ast.BinOp(op=op) if type(op) in _BINARY:
                left, right = self.term(node.left), self.term(node.right)
                if isinstance(right, Measure) and self.scope.sides is not None and self.scope.sides.lost(node.left, left):
                    self.fail(node.left, LOST)
                return self._apply(node, _BINARY[type(op)], left, right)
            case ast.Subscript():
                return self._component(node)
            case ast.Call(func=ast.Name(id="sum"), args=[ast.GeneratorExp() as summed], keywords=[]):
                return self._apply(node, add, *indexed_sum(self, node, summed))
            case ast.Call():
                return self._call(node)
            case ast.List():
                return self._list(node)
            case _:
                self._refuse(node)

    def _refuse(self, node: ast.expr) -> NoReturn:
        """Raise an error that says what to write instead of a node that is no term."""
        match node:
            case ast.Compare() | ast.BoolOp() | ast.UnaryOp(op=ast.Not()):
                self.fail(node, "comparisons belong inside conditional(condition, a, b)")
            case ast.BinOp(op=op) if type(op) in SIGNS:
                self.fail(node, SIGNS[type(op)])
            case ast.IfExp():
                self.fail(node, "write conditional(condition, a, b) for a choice")
            case ast.Attribute():
                self.fail(node, attribute(node))
            case ast.Tuple(elts=[]):
                raise InputError("the expression is empty")
            case ast.Tuple():
                self.fail(node, "write a vector as [a, b]")
            case _:
                self.fail(node, "this is not part of the expression language")

    def tensor(self, node: ast.expr) -> Expr:
        """Return the UFL expression of a node; forms and measures are refused."""
        value = self.term(node)
        if not isinstance(value, Expr):
            self.fail(node, "an integral cannot stand here; dx and ds multiply whole terms of a form")
        return value

    def condition(self, node: ast.expr) -> Condition:
        """Return the UFL condition of a comparison, or of comparisons joined by and, or, not."""
        match node:
            case ast.Compare(left=left, ops=ops, comparators=right):
                sides = [self._scalar(side) for side in (left, *right)]
                parts = []
                for op, a, b in zip(ops, sides, sides[1:], strict=False):
                    if type(op) not in _COMPARISONS:
                        self.fail(node, "comparisons are <, <=, >, >=, == and !=")
                    parts.append(self._apply(node, _COMPARISONS[type(op)], a, b))
                return self._apply(node, fold, ufl.And, parts)
            case ast.BoolOp(op=op, values=values):
                return self._apply(
                    node, fold, ufl.And if isinstance(op, ast.And) else ufl.Or, [self.condition(v) for v in values]
                )
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return self._apply(node, ufl.Not, self.condition(operand))
            case ast.Call(func=ast.Name(id=name), args=[a, b], keywords=[]) if name in CONDITIONS:
                return self._apply(node, CONDITIONS[name], self._scalar(a), self._scalar(b))
            case ast.Call(func=ast.Name(id=name), args=[a, b], keywords=[]) if name in CONNECTIVES:
                return self._apply(node, CONNECTIVES[name], self.condition(a), self.condition(b))
            case ast.Call(func=ast.Name(id="Not"), args=[a], keywords=[]):
                return self._apply(node, ufl.Not, self.condition(a))
            case _:
                self.fail(node, "expected a condition such as x < 0.5 or lt(x, 0.5)")

    def _number(self, node: ast.Constant) -> Expr:
        number = node.value
        if isinstance(number, bool) or not isinstance(number, int | float):
            kind = "text is only a tag, as in ds('outlet')" if isinstance(number, str) else "numbers are real"
            self.fail(node, f"not a number of the language; {kind}")
        return self._apply(node, float, number)

    def _name(self, node: ast.Name) -> Value:
        name = node.id
        if name in self.indices:
            return ufl.as_ufl(float(self.indices[name]))
        if name in self.scope.names:
            return self.scope.names[name]
        if name in MEASURES:
            return self.scope.measure(name)
        if name in UNAVAILABLE:
            self.fail(node, UNAVAILABLE[name])
        if name in self.operators or name in SYNTAX:
            self.fail(node, f"{name} is a function; write {name}(…)")
        if name in ("x", "y", "z"):
            self.fail(node, f"the domain has no coordinate {name}; it has {self.dimension}, x[0] to x[{self.dimension - 1}]")
        if meant := own_test(name, self.scope.names):
            self.fail(node, f"the test function of {name[2:]} is {meant}")
        if meant := derivative(name, self.scope.names):
            self.fail(node, f"write {meant} for the derivative")
        raise InputError(f"unknown name {printable(name)!r}{closest(name, [*self.scope.names, *self.operators, *SYNTAX])}")

    def _sum(self, node: ast.expr) -> Value:
        """Return the sum of a whole chain of + and −, including signs before its terms."""
        whole = node
        terms: list[tuple[bool, ast.expr]] = []
        while isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub):
            terms.append((isinstance(node.op, ast.Sub), node.right))
            node = node.left
        terms.append((False, node))
        values: list[Value] = []
        for minus, term in reversed(terms):
            while isinstance(term, ast.UnaryOp) and isinstance(term.op, ast.USub | ast.UAdd):
                minus, term = minus != isinstance(term.op, ast.USub), term.operand
            value = self.term(term)
            values.append(self._apply(term, negate, value) if minus else value)
        return values[0] if len(values) == 1 else self._apply(whole, add, *values)

    def _component(self, node: ast.Subscript) -> Expr:
        point = isinstance(node.value, ast.Name) and node.value.id == "x"
        value = self.scope.symbols.x if point else self.tensor(node.value)
        indices = [self._index(i) for i in (node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice])]
        return self._apply(node, lambda f: component(f, *indices), value)

    def _index(self, node: ast.expr) -> int:
        return index_of(node, self.indices, self.fail)

    def _list(self, node: ast.List | ast.Tuple) -> Expr:
        entries = [self._list(entry) if isinstance(entry, ast.Tuple) else self.tensor(entry) for entry in node.elts]
        return self._apply(node, tensor, *entries)

    def _call(self, node: ast.Call) -> Value:
        if not isinstance(node.func, ast.Name):
            self.fail(node, attribute(node.func))
        name, arguments = node.func.id, node.args
        if node.keywords or any(isinstance(argument, ast.Starred) for argument in arguments):
            self.fail(node, "functions take plain arguments only")
        match name, arguments:
            case (("dx" | "ds" | "dS" | "delta"), _):
                return self._point(node) if name == "delta" else self._measure(node, name)
            case "conditional", [condition, a, b]:
                return self._apply(node, ufl.conditional, self.condition(condition), self.tensor(a), self.tensor(b))
            case "Dx", [f, *axes] if axes:
                return self._derivative(node, f, axes)
            case "Identity", [size]:
                return self._apply(node, identity, self._index(size))
            case (("as_vector" | "as_matrix" | "as_tensor"), [ast.List() | ast.Tuple() as entries]):
                return self._tensor_of(node, name, entries)
            case _ if name in CONDITIONS or name in CONNECTIVES or name == "Not":
                self.fail(node, "comparisons belong inside conditional(condition, a, b)")
            case _ if name in SYNTAX:
                usage = {"conditional": "condition, a, b", "Dx": "u, i", "Identity": "n"}.get(name, "[a, b]")
                self.fail(node, f"write {name}({usage})")
            case _:
                return self._operator(node, name)

    def _derivative(self, node: ast.Call, f: ast.expr, axes: Sequence[ast.expr]) -> Expr:
        self._count_derivatives(node, len(axes))
        value = self.tensor(f)
        for i in map(self._index, axes):
            if i >= self.dimension:
                self.fail(node, f"the domain has coordinates 0 to {self.dimension - 1}")
            value = self._apply(node, lambda g, i=i: gradient(g, self.dimension)[..., i], value)
        return value

    def _tensor_of(self, node: ast.Call, name: str, entries: ast.List | ast.Tuple) -> Expr:
        value = self._list(entries)
        rank = {"as_vector": 1, "as_matrix": 2}.get(name, len(value.ufl_shape))
        if len(value.ufl_shape) != rank:
            self.fail(node, f"{name} got {shape_in_words(value.ufl_shape)}")
        return value

    def _operator(self, node: ast.Call, name: str) -> Expr:
        if name == "dt" and self.scope.clock is not None and len(node.args) == 1:
            self._count_derivatives(node, 1)
            return self._apply(node, self.scope.clock.derivative, self.tensor(node.args[0]))
        sides = self.scope.sides
        across = () if sides is None else ("jump", "avg")
        if sides is not None and name in across and len(node.args) == 1:
            return self._apply(node, sides.jump if name == "jump" else sides.average, self.tensor(node.args[0]))
        if name not in self.operators:
            if told := {**MEANT, **UNAVAILABLE}.get(name):
                self.fail(node, told)
            if name in self.scope.names:
                self.fail(node, f"{name} is a name, not a function: write {name} alone, or {name}*(…) to multiply")
            known = [*self.operators, *across, *SYNTAX, *MEASURES]
            raise InputError(f"unknown function {printable(name)!r}{closest(name, known)}")
        operator = self.operators[name]
        if len(node.args) != operator.arity:
            self.fail(node, f"{name} takes {operator.arity} argument{'s' if operator.arity > 1 else ''}, got {len(node.args)}")
        if name in DERIVATIVES:
            self._count_derivatives(node, 1)
        bare = all(isinstance(argument, ast.Name) and argument.id == "x" for argument in node.args)
        if name in ("inner", "dot") and bare and self.dimension > 1:
            self.fail(node, "x is the first coordinate, not the point; write x[0]**2 + x[1]**2 + …")
        return self._apply(node, operator.apply, *(self.tensor(argument) for argument in node.args))

    def _count_derivatives(self, node: ast.Call, count: int) -> None:
        """Limit the number of derivatives in one text, because UFL goes through the whole operand for each of them."""
        self.derivatives += count
        if self.derivatives > _MOST_DERIVATIVES:
            self.fail(
                node, f"more than {_MOST_DERIVATIVES} derivatives in one expression; name those that repeat in [expressions]"
            )

    def _measure(self, node: ast.Call, name: str) -> Measure:
        tags: list[str] = []
        for argument in node.args:
            if not isinstance(argument, ast.Constant) or not isinstance(argument.value, str):
                self.fail(node, f"{name} takes a tag in quotes, as in {name}('outlet')")
            tags.append(argument.value)
        return self._apply(node, self.scope.measure, name, *tags)

    def _point(self, node: ast.Call) -> Measure:
        if len(node.args) != self.dimension:
            self.fail(node, f"a point of this domain has {self.dimension} coordinates, got {len(node.args)}")
        values = [self._scalar(argument) for argument in node.args]
        if not all(isinstance(value, ScalarValue | Zero) for value in values):
            self.fail(node, "the coordinates of a point are numbers and constants")
        return self._apply(node, self.scope.point, *map(float, values))

    def _scalar(self, node: ast.expr) -> Expr:
        value = self.tensor(node)
        if value.ufl_shape:
            self.fail(node, f"comparisons and points take scalars, got {shape_in_words(value.ufl_shape)}")
        return value

    def _apply(self, node: ast.expr, operation: Callable[..., Any], *arguments: Any) -> Any:
        """Return the result of a UFL operation; errors of UFL become an InputError that quotes the part of the text."""
        try:
            value = operation(*arguments)
            value = ufl.as_ufl(value) if isinstance(value, int | float | complex) else value
            check_value(value)
        except (RecursionError, MemoryError):
            raise
        except Exception as error:
            if isinstance(error, OverflowError):
                self.fail(node, "is not a finite number")
            reason = re.sub(r"<(\w+) id=\d+>", r"\1", str(error)).rstrip(".") or type(error).__name__
            self.fail(node, printable(reason, 200))
        return value

    def fail(self, node: ast.AST, message: str) -> NoReturn:
        """Raise an error that quotes the part of the text that a node stands for."""
        segment = ast.get_source_segment(self.text, node) if hasattr(node, "lineno") else None
        raise InputError(f"{printable(' '.join(segment.split()))!r}: {message}" if segment else message)
