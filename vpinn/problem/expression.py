"""Text of a problem file → UFL expressions and forms.

Python's ``ast`` parses the text, and only listed kinds of syntax, names and functions are translated, so that a problem file
cannot run code; Python evaluates nothing. Every number becomes a float. `parse_expression` returns a UFL expression,
`parse_form` a UFL form; any other text raises an `InputError`.
"""

# mypy: disable-error-code="no-untyped-call, no-any-return"
# UFL's constructors carry no annotations.

from __future__ import annotations

import ast
import re
import warnings
from typing import TypeGuard

import ufl
from ufl.classes import Expr, Zero

from vpinn.errors import InputError
from vpinn.problem.arithmetic import Value
from vpinn.problem.limits import check_size
from vpinn.problem.scope import Scope
from vpinn.problem.translation import Translator
from vpinn.problem.wording import printable

MAX_CHARACTERS = 10_000
MAX_DEPTH = 100
DEEP = "the expression is nested too deeply; split it into named [expressions]"


def parse_expression(text: str, scope: Scope) -> Expr:
    """Translate an expression.

    Args:
        text: the expression, at most 10,000 characters; may run over several lines.
        scope: meaning of its names.

    Returns:
        UFL expression of any shape.

    Raises:
        InputError: the text is no expression of the language; the message names the part that is wrong.
    """
    value = _translate(text, scope)
    if not isinstance(value, Expr):
        raise InputError("dx and ds have no place in this expression; only energy and weak forms are integrals")
    return value


def parse_condition(text: str, scope: Scope) -> Expr:
    """Translate a condition such as ``x > 0.5 and y < 1``.

    Args:
        text: comparisons, joined by and, or, not; at most 10,000 characters.
        scope: meaning of its names.

    Returns:
        UFL expression with the value 1 where the condition holds and 0 elsewhere.

    Raises:
        InputError: the text is no condition of the language; the message names the part that is wrong.
    """
    tree = _tree(text)
    try:
        condition = Translator(scope, f"({text}\n)").condition(tree)
    except (RecursionError, MemoryError):
        raise InputError(DEEP) from None
    return ufl.conditional(condition, 1.0, 0.0)


def parse_form(text: str, scope: Scope) -> ufl.Form:
    """Translate a sum of integrals.

    Args:
        text: the form, at most 10,000 characters; may run over several lines.
        scope: meaning of its names and tags.

    Returns:
        UFL form with at least one integral; its subdomain ids are positions in ``scope.tags``.

    Raises:
        InputError: the text is no form of the language; the message names the part that is wrong.
    """
    value = _translate(text, scope)
    if not isinstance(value, ufl.Form):
        raise InputError("a form is a sum of integrals; multiply each term by dx or ds")
    if all(isinstance(integral.integrand(), Zero) for integral in value.integrals()):
        raise InputError("every integral of the form is zero")
    return value


def _translate(text: str, scope: Scope) -> Value:
    tree = _tree(text)
    try:
        translator = Translator(scope, f"({text}\n)")
        value = translator.term(tree)
        if isinstance(value, Expr):
            check_size(value, translator.terms)
        elif isinstance(value, ufl.Form):
            for integral in value.integrals():
                check_size(integral.integrand(), translator.terms)
    except (RecursionError, MemoryError):
        raise InputError(DEEP) from None
    return value


def _tree(text: str) -> ast.expr:
    """Return the syntax tree of an expression, after checking its length and depth."""
    if len(text) > MAX_CHARACTERS:
        raise InputError(
            f"an expression may have {MAX_CHARACTERS} characters, got {len(text)}; split it into named [expressions]"
        )
    if not text.strip():
        raise InputError("the expression is empty")
    _check_brackets(text)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(f"({text}\n)", mode="eval").body
    except (RecursionError, MemoryError):
        raise InputError(DEEP) from None
    except SyntaxError as error:
        if re.search(r"[^<>=!]=[^=]", text):
            raise InputError("an expression has no =; bring all terms to one side, as in a - b for a = b") from None
        line = (error.lineno or 1) - 1
        lines = text.split("\n")
        column = min(max((error.offset or 2) - (2 if line == 0 else 1), 0), len(lines[min(line, len(lines) - 1)]))
        part = lines[min(line, len(lines) - 1)][column:].strip()
        near = f" near {printable(part, 30)!r}" if part else " at the end"
        raise InputError(f"not an expression: {printable((error.msg or 'invalid syntax').split('. ')[0], 80)}{near}") from None
    except ValueError:
        raise InputError("not an expression: it contains characters that no expression has") from None
    _check_depth(tree)
    return tree


def _check_brackets(text: str) -> None:
    depth = 0
    for character in re.sub(r"'[^'\n]*'|\"[^\"\n]*\"", "", text):
        depth += (character in "([{") - (character in ")]}")
        if depth < 0:
            raise InputError("a closing bracket has no opening one")
        if depth > MAX_DEPTH:
            raise InputError(f"brackets nested more than {MAX_DEPTH} deep; split it into named [expressions]")


def _check_depth(tree: ast.expr) -> None:
    """Refuse trees of more than ``MAX_DEPTH`` levels; a chain of sums counts as one level, because it is summed pairwise."""
    stack: list[tuple[ast.AST, int]] = [(tree, 1)]
    while stack:
        node, depth = stack.pop()
        if depth > MAX_DEPTH:
            raise InputError(f"the expression is more than {MAX_DEPTH} levels deep; split it into named [expressions]")
        for child in ast.iter_child_nodes(node):
            chained = _is_sum(node) and _is_sum(child) and child is node.left
            stack.append((child, depth + (not chained)))


def _is_sum(node: ast.AST) -> TypeGuard[ast.BinOp]:
    return isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub)
