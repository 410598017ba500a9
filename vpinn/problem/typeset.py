"""Equations typeset for reports and notebooks: text of a problem file → MathML, which browsers show without a library."""

from __future__ import annotations

import ast
import re
import unicodedata
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from vpinn.problem.problem import Problem

LONGEST = 1_500
"""Number of characters up to which a text is typeset; longer ones are shown as they are."""
MEASURES = ("dx", "ds", "dS", "delta")
_NABLA, _RATE = "<mo>∇</mo>", "<msub><mo>∂</mo><mi>t</mi></msub>"
_PREFIXED = {"grad": _NABLA, "nabla_grad": _NABLA, "dt": _RATE}
_PREFIXED |= dict.fromkeys(("div", "nabla_div"), "<mo>∇·</mo>") | dict.fromkeys(("curl", "rot"), "<mo>∇×</mo>")
_INFIX = {"dot": "·", "outer": "⊗", "cross": "×"}
_FENCED = {"abs": "||", "jump": "⟦⟧", "avg": "{}", "as_vector": "()", "as_matrix": "()", "as_tensor": "()"}
_SIGNS: Mapping[type[ast.AST], str] = {
    ast.Add: "+", ast.Sub: "−", ast.UAdd: "+", ast.USub: "−", ast.Lt: "<", ast.LtE: "≤", ast.Gt: ">", ast.GtE: "≥",
    ast.Eq: "=", ast.NotEq: "≠", ast.And: "and", ast.Or: "or", ast.Not: "not",
}  # fmt: skip
_SPELLED = {"lam": "lambda", "eps": "epsilon"}


def equations(problem: Problem) -> str:
    """Return the form, the named expressions and the boundary values of a problem as a table in HTML."""
    data, vectors = problem.source.data, any(unknown.shape for unknown in problem.unknowns)
    kind, tests = problem.formulation.name, ", ".join(unknown.test_name for unknown in problem.unknowns)
    lead, tail = {"energy": ("minimise", ""), "weak": (f"for all {tests}", "0"), "strong": ("in the domain", "0")}[kind]
    tail = tail if problem.eigen is None else f"lam*({data['eigen']['mass']})"
    forms = data["form"][kind]
    rows = [(lead, _shown(text, vectors, tail)) for text in ([forms] if isinstance(forms, str) else forms)]
    for name, value in data.get("expressions", {}).items():
        rows.append(("where" if len(rows) == 1 else "", _shown(str(value), vectors, before=f"{name} = ")))
    for section in data.get("boundary", ()):
        if "value" in section:
            tags, name = section["on"], str(section.get("unknown", problem.unknowns[0].name))
            component = "" if section.get("component") is None else f"[{section['component']}]"
            text = _listed(section["value"])
            where = tags if isinstance(tags, str) else ", ".join(tags)
            rows.append(
                ("at the start" if where == "initial" else f"on {where}", _shown(text, vectors, before=f"{name}{component} = "))
            )
    return "<table>\n" + "\n".join(f"<tr><th>{escape(label)}</th><td>{text}</td></tr>" for label, text in rows) + "\n</table>"


def _listed(value: Any) -> str:
    """Return a value of a problem file, which may be a list of expressions, as one expression."""
    return f"[{', '.join(map(_listed, value))}]" if isinstance(value, list | tuple) else str(value)


def _shown(text: str, vectors: bool, after: str = "", before: str = "") -> str:
    """Return a text as MathML between two parts; as plain text where it is no expression, or a long one."""
    try:
        if len(text) > LONGEST:
            raise ValueError
        left = typeset(before.removesuffix(" = "), vectors) + "<mo>=</mo>" if before else ""
        right = f"<mo>=</mo>{typeset(after, vectors)}" if after else ""
        return f'<math displaystyle="true">{left}{typeset(text, vectors)}{right}</math>'
    except (SyntaxError, ValueError, RecursionError):
        return f"<code>{escape(before + text + (f' = {after}' if after else ''))}</code>"


def typeset(text: str, vectors: bool = False) -> str:
    """Return an expression or form as MathML, without the element ``math`` around it.

    Args:
        text: Expression of the problem file.
        vectors: Whether ``inner`` may contract matrices; it is written as a point otherwise, else as a colon.

    Raises:
        SyntaxError: The text is no expression.
    """
    return _Typesetter(":" if vectors else "·").write(ast.parse(f"({text}\n)", mode="eval").body)


class _Typesetter:
    """Writes syntax trees as MathML.

    Args:
        inner: Sign of a contraction over all axes.
    """

    def __init__(self, inner: str) -> None:
        self._infix = {**_INFIX, "inner": inner}

    def write(self, node: ast.AST) -> str:
        """Return the MathML of a node.

        Raises:
            ValueError: The node is no part of the language.
        """
        match node:
            case ast.BinOp():
                return self._binary(node)
            case ast.Call(ast.Name(name), arguments):
                return self._call(name, arguments)
            case ast.UnaryOp(operation, operand):
                return _sign(operation) + self._factor(operand)
            case ast.Compare(left, operations, rights):
                parts = zip(operations, rights, strict=True)
                return self.write(left) + "".join(_sign(operation) + self.write(right) for operation, right in parts)
            case ast.BoolOp(operation, values):
                return _sign(operation).join(map(self.write, values))
            case ast.Subscript(value, index):
                return f"<msub>{_row(self._atom(value))}{_row(self.write(index))}</msub>"
            case ast.List(entries) | ast.Tuple(entries):
                return _fenced(self._several(entries), "()" if isinstance(node, ast.List) else ("", ""))
        return _leaf(node)

    def _binary(self, node: ast.BinOp) -> str:
        left, right = node.left, node.right
        match node.op:
            case ast.Mult():
                return self._product([*_factors(left), *_factors(right)])
            case ast.Div():
                return f"<mfrac>{_row(self.write(left))}{_row(self.write(right))}</mfrac>"
            case ast.Pow():
                return f"<msup>{_row(self._atom(left))}{_row(self.write(right))}</msup>"
        return self.write(left) + _sign(node.op) + self._factor(right)

    def _call(self, name: str, arguments: list[ast.expr]) -> str:
        match name, arguments:
            case (("dx" | "ds" | "dS" | "delta"), _):
                return self._product([ast.Call(ast.Name(name), arguments, [])])
            case "pow", [a, b]:
                return self._binary(ast.BinOp(a, ast.Pow(), b))
            case "sqrt", [a]:
                return f"<msqrt>{self.write(a)}</msqrt>"
            case "transpose", [a]:
                return f"<msup>{_row(self._atom(a))}<mi>T</mi></msup>"
            case "Dx", [a, *axes]:
                return "".join(f"<msub><mo>∂</mo>{_row(self.write(axis))}</msub>" for axis in axes) + self._atom(a)
            case "conditional", [c, a, b]:
                chosen = f"{self.write(a)}<mtext>&#160;if&#160;</mtext>{self.write(c)}<mtext>, else&#160;</mtext>{self.write(b)}"
                return _fenced(chosen, "()")
        return self._operator(name, arguments)

    def _operator(self, name: str, arguments: list[ast.expr]) -> str:
        """Return a call of a function that has a sign of its own, or is written by its name."""
        if name in _PREFIXED and len(arguments) == 1:
            return _PREFIXED[name] + self._atom(arguments[0])
        if name in self._infix and len(arguments) == 2:
            return f"<mo>{self._infix[name]}</mo>".join(map(self._atom, arguments))
        entries = arguments[0].elts if len(arguments) == 1 and isinstance(arguments[0], ast.List) else arguments
        ends = _FENCED.get(name, "()")
        return ("" if name in _FENCED else f"<mi>{escape(name)}</mi>") + _fenced(self._several(entries), ends)

    def _product(self, factors: Sequence[ast.expr]) -> str:
        """Return a product; one with a measure is an integral."""
        measures = [factor for factor in factors if _measure(factor)]
        rest = [factor for factor in factors if factor not in measures]
        first = [self.write(factor) for factor in rest[:1] if isinstance(factor, ast.UnaryOp)]  # a sign needs no brackets there
        written = '<mspace width="0.17em"/>'.join([*first, *map(self._factor, rest[len(first) :])])
        for factor in measures:
            name, tags = _measure(factor), factor.args if isinstance(factor, ast.Call) else []
            if name == "delta":
                written += f'<mspace width="0.17em"/><mi>δ</mi>{_fenced(self._several(tags), "()")}'
                continue
            sign = f"<msub><mo>∫</mo>{_row(self._several(tags))}</msub>" if tags else "<mo>∫</mo>"
            written = f'{sign}{written}<mspace width="0.17em"/><mi>d</mi><mi>{name[1:]}</mi>'
        return written

    def _several(self, nodes: Sequence[ast.AST]) -> str:
        return "<mo>,</mo>".join(map(self.write, nodes))

    def _factor(self, node: ast.AST) -> str:
        """Return a factor, in brackets if it is a sum, a sign or a comparison."""
        loose = isinstance(node, ast.Compare | ast.BoolOp | ast.UnaryOp) or _is_sum(node)
        return _fenced(self.write(node), "()") if loose else self.write(node)

    def _atom(self, node: ast.AST) -> str:
        """Return an operand, in brackets unless it is a name, a number, a component or has brackets."""
        bare = isinstance(node, ast.Name | ast.Constant | ast.Subscript | ast.List | ast.Call)
        open_call = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in self._infix
        return self.write(node) if bare and not open_call else _fenced(self.write(node), "()")


def _leaf(node: ast.AST) -> str:
    match node:
        case ast.Name(name):
            return _name(name)
        case ast.Constant(bool() | int() | float() as value):
            return f"<mn>{value:.12g}</mn>"
        case ast.Constant(value):
            return f"<mtext>{escape(str(value))}</mtext>"
    raise ValueError(ast.dump(node))


def _factors(node: ast.expr) -> list[ast.expr]:
    """Return the factors of a product, from left to right."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        return [*_factors(node.left), *_factors(node.right)]
    return [node]


def _is_sum(node: ast.AST) -> bool:
    return isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub)


def _measure(node: ast.expr) -> str:
    """Return the name of a measure; "" for other nodes."""
    called = node.func if isinstance(node, ast.Call) else node
    return called.id if isinstance(called, ast.Name) and called.id in MEASURES else ""


def _sign(operation: ast.AST) -> str:
    if type(operation) not in _SIGNS:
        raise ValueError(type(operation).__name__)
    return f"<mo>{escape(_SIGNS[type(operation)])}</mo>"


def _fenced(inner: str, ends: Sequence[str]) -> str:
    return f'<mrow><mo fence="true">{ends[0]}</mo>{inner}<mo fence="true">{ends[1]}</mo></mrow>'


def _row(inner: str) -> str:
    return f"<mrow>{inner}</mrow>"


def _name(name: str) -> str:
    """Return a name: Greek letters as such, digits at the end and what follows the first _ as a subscript."""
    found = re.fullmatch(r"([A-Za-z]+?)_?([0-9]+)|([A-Za-z]+)_(\w+)", name)
    if found is not None:
        base, below = found[1] or found[3], found[2] or found[4]
        return f"<msub>{_letter(base)}{_letter(below)}</msub>"
    return _letter(name)


def _letter(name: str) -> str:
    size = "CAPITAL" if name[:1].isupper() else "SMALL"
    spelled = _SPELLED.get(name, name).upper().replace("LAMBDA", "LAMDA")  # as Unicode has it
    try:
        return f"<mi>{unicodedata.lookup(f'GREEK {size} LETTER {spelled}')}</mi>"
    except KeyError:
        return f"<mi>{escape(name)}</mi>"
