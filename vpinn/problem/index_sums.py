"""Sums over indices in expressions, ``sum(c[i]*x[i]**2 for i in range(n))``: whole numbers of indices, and what they run over."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NoReturn, Protocol

from vpinn.problem.arithmetic import Value
from vpinn.problem.limits import MAX_TERMS
from vpinn.problem.scope import Scope

_ARITHMETIC: Mapping[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
}
LARGEST = 10**9
"""Largest whole number in an index or a range."""
Fail = Callable[[ast.AST, str], NoReturn]


class Translating(Protocol):
    """What translates the terms of a sum.

    Attributes:
        scope: meaning of names.
        indices: name → value of the indices of the sums around a node.
        derivatives: derivatives counted so far.
        terms: terms of sums so far.
    """

    scope: Scope
    indices: dict[str, int]
    derivatives: int
    terms: int

    def term(self, node: ast.expr) -> Value:
        """Return the UFL object of a node."""

    def fail(self, node: ast.AST, message: str) -> NoReturn:
        """Raise an error that quotes a node."""


def indexed_sum(translator: Translating, node: ast.Call, summed: ast.GeneratorExp) -> list[Value]:
    """Return the terms of a sum over its indices, at least one; a derivative in the term counts once.

    Raises:
        InputError: the sum has no terms or too many, or its indices are not such as ``index_values`` takes.
    """
    outside, derivatives = translator.indices, translator.derivatives
    values = list[Value]()
    for indices in index_values(summed, outside, translator.scope.names, translator.fail):
        before = translator.terms
        translator.indices, translator.derivatives = indices, derivatives
        values.append(translator.term(summed.elt))
        translator.terms += translator.terms == before
        if translator.terms > MAX_TERMS:
            told = f"the sums of an expression have at most {MAX_TERMS:,} terms; split it into named [expressions]"
            translator.fail(node, told)
    translator.indices = outside
    if not values:
        translator.fail(node, "the sum has no terms, as its range is empty")
    return values


def index_of(node: ast.expr, indices: Mapping[str, int], fail: Fail) -> int:
    """Return the value of an index of a vector, from 0.

    Raises:
        InputError: it is negative, or no whole number.
    """
    value = whole_number(node, indices)
    if value is None or value < 0:
        fail(node, "an index is a whole number from 0" + (f", got {value}" if value is not None and indices else ""))
    return value


def whole_number(node: ast.expr, indices: Mapping[str, int]) -> int | None:
    """Return the value of a whole number, an index, or a sum, difference or product of these; None for anything else.

    Args:
        node: the expression.
        indices: name → value of the indices of the sums around it.
    """
    match node:
        case ast.Constant(value=int() as value) if not isinstance(value, bool) and abs(value) <= LARGEST:
            return value
        case ast.Name(id=name):
            return indices.get(name)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            positive = whole_number(operand, indices)
            return None if positive is None else -positive
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
            a, b = whole_number(left, indices), whole_number(right, indices)
            return None if a is None or b is None else _ARITHMETIC[type(op)](a, b)
    return None


def index_values(
    node: ast.GeneratorExp, known: Mapping[str, int], taken: Mapping[str, object], fail: Fail
) -> Iterator[dict[str, int]]:
    """Yield the values of all indices, term by term.

    Args:
        node: ``term for i in range(n) for j in range(i)``.
        known: indices of the sums around it.
        taken: names that have another meaning.
        fail: raises an error that quotes a node.
    """
    yield from _bound(node.generators, known, taken, fail)


def _bound(
    generators: Sequence[ast.comprehension], known: Mapping[str, int], taken: Mapping[str, object], fail: Fail
) -> Iterator[dict[str, int]]:
    if not generators:
        yield dict(known)
        return
    one, *others = generators
    if not isinstance(one.target, ast.Name) or one.ifs or one.is_async:
        fail(one.target, "write a sum as sum(term for i in range(n)), with one index and no condition")
    name = one.target.id
    if name in taken or name in known:
        fail(one.target, "the index has another meaning already; give it another name")
    for value in _range(one.iter, known, fail):
        yield from _bound(others, {**known, name: value}, taken, fail)


def _range(node: ast.expr, known: Mapping[str, int], fail: Fail) -> range:
    match node:
        case ast.Call(func=ast.Name(id="range"), args=[_] | [_, _] as ends, keywords=[]):
            numbers = [whole_number(end, known) for end in ends]
        case _:
            fail(node, "an index runs over range(n) or range(first, end)")
    found = [number for number in numbers if number is not None]
    if len(found) < len(numbers):
        fail(node, "the ends of a range are whole numbers and indices")
    result = range(*found)
    if len(result) > MAX_TERMS:
        fail(node, f"a sum has at most {MAX_TERMS:,} terms, got {len(result):,}")
    return result
