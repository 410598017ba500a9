"""Terms over dS('a', 'b'), the interface between two groups of cells, and the two values that an unknown may have there.

``jump(u)`` is the value of u in the first group minus that in the second. A form that contains it lets u jump there; without
jumps, unknowns are continuous, and a term over dS is a source on a surface. Start with `Sides`.
"""

# mypy: disable-error-code="no-untyped-call, no-any-return"
# UFL's constructors carry no annotations.

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ufl
from ufl.algorithms.analysis import extract_arguments, extract_coefficients
from ufl.classes import Expr, Form

from vpinn.errors import InputError
from vpinn.problem.restraints import Load
from vpinn.problem.symbols import Symbols
from vpinn.problem.unknown import FAR, Unknown

BETWEEN = "between"
"""Key of a measure's metadata that names the two groups of cells whose interface it is."""

LOST = (
    "the factor of the jump is 0, and without this term both sides would have the same value; if nothing passes the interface, "
    "write a small factor, such as 1e-9 of what the material beside it conducts"
)
"""What is said of a jump that its factor removes from a form."""


@dataclass(frozen=True)
class Sides:
    """Values on the far side of an interface.

    Attributes:
        far: unknown, or test function → its value on the far side.
        other: the same in averages, of a function that may turn out to be continuous.
    """

    far: Mapping[Expr, Expr]
    other: Mapping[Expr, Expr]

    @classmethod
    def of(cls, unknowns: Sequence[Unknown], symbols: Symbols) -> Sides | None:
        """Return those of the unknowns of a problem; None where cells have no tags, so that there are no interfaces."""
        far: dict[Expr, Expr] = {unknown.function: unknown.far for unknown in unknowns if unknown.far is not None}
        far |= {unknown.test: unknown.far_test for unknown in unknowns if unknown.far_test is not None}
        if not far:
            return None
        other: dict[Expr, Expr] = {unknown.function: symbols.coefficient(unknown.shape) for unknown in unknowns}
        other |= {u.test: symbols.test_function(u.shape, 2 * FAR + part) for part, u in enumerate(unknowns)}
        return cls(far, other)

    def jump(self, value: Expr) -> Expr:
        """Return the value in the first group of cells minus that in the second."""
        return value - self._across(value, self.far, "jump")

    def average(self, value: Expr) -> Expr:
        """Return the mean of the values in both groups of cells."""
        return (value + self._across(value, self.other, "avg")) / 2

    def lost(self, text: ast.AST, integrand: Any) -> bool:
        """Return whether the text of an integrand has a jump and the integrand has none, because its factor is 0."""
        calls = [one.func for one in ast.walk(text) if isinstance(one, ast.Call)]
        asked = any(isinstance(one, ast.Name) and one.id == "jump" for one in calls)
        return asked and {*extract_coefficients(integrand), *extract_arguments(integrand)}.isdisjoint(self.far.values())

    def _across(self, value: Expr, other: Mapping[Expr, Expr], name: str) -> Expr:
        found = {*extract_coefficients(value), *extract_arguments(value)}
        if found & {*self.far.values(), *self.other.values()}:
            raise InputError(f"{name} holds another jump or avg; take them of unknowns and test functions")
        if not found & other.keys():
            raise InputError(f"{name} is of an expression with an unknown or a test function; all else is the same on both sides")
        return ufl.replace(value, dict(other))

    def settled(self, form: Form, joints: Sequence[tuple[str, str]] = ()) -> Form:
        """Return a form in which averages are of both values on interfaces where unknowns jump, and of the one value elsewhere.

        Args:
            form: any.
            joints: pairs of groups of cells between which unknowns jump, beside those where this form has a jump.

        Raises:
            InputError: jump or avg in a term that is not over dS.
        """
        integrals, jumping = form.integrals(), {*joints, *((far, near) for near, far in joints)}
        for integral in integrals:
            found = _functions(Form([integral]))
            pair = integral.metadata().get(BETWEEN)
            if pair is None and found & {*self.far.values(), *self.other.values()}:
                raise InputError("jump and avg stand in terms over an interface: multiply them by dS('a', 'b')")
            if found & set(self.far.values()):
                jumping.add(pair)
        same = {self.other[one]: one for one in self.other}
        both = {self.other[one]: self.far[one] for one in self.other}
        parts = []
        for integral in integrals:
            put = both if integral.metadata().get(BETWEEN) in jumping else same
            parts += ufl.replace(Form([integral]), put).integrals()
        return Form(parts)


def by_interface(form: Form) -> dict[tuple[str, str] | None, Form]:
    """Return pair of groups of cells → terms over their interface, stated as over cells; None → the terms over dx and ds."""
    parts: dict[tuple[str, str] | None, list[Any]] = {}
    for one in form.integrals():
        pair = one.metadata().get(BETWEEN)
        parts.setdefault(pair, []).append(one if pair is None else one.reconstruct(integral_type="cell", metadata={}))
    return {pair: Form(terms) for pair, terms in parts.items()}


def joined(loads: Sequence[Load], unknowns: Sequence[Unknown], where: str) -> tuple[tuple[str, str], ...]:
    """Return the pairs of groups of cells between which unknowns jump.

    Args:
        loads: terms over interfaces, among others.
        unknowns: of the problem.
        where: place of the form.

    Raises:
        InputError: an unknown would have two values there that no term joins; or two groups are named in both orders.
    """
    found: dict[tuple[str, str], set[Expr]] = {}
    for load in loads:
        functions = _functions(load.formulation.integrals)
        if load.between is not None and functions & {far for u in unknowns for far in (u.far, u.far_test)}:
            found[load.between] = functions
    for (near, far), functions in found.items():
        if (far, near) in found:
            raise InputError(f"dS('{near}', '{far}') and dS('{far}', '{near}') are one interface; write one of both", where)
        for unknown in unknowns:
            if unknown.far not in functions or (
                any(isinstance(one, ufl.Argument) for one in functions) and (unknown.far_test not in functions)
            ):
                raise InputError(
                    f"{unknown.name} may jump on dS('{near}', '{far}'), as the form has a jump there, and no term joins both "
                    f"sides; write one with jump({unknown.name}) and the jump of its test function",
                    where,
                )
    return tuple(found)


def _functions(form: Form) -> set[Expr]:
    return {*extract_coefficients(form), *extract_arguments(form)}
