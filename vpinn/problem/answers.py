"""[output] fields and quantities: what users want to know of a solution, as expressions and integrals of the unknowns.

A field, such as a flux or a stress, is evaluated, exported and drawn wherever an unknown is. A quantity, such as a heat flow or a
drag, is an integral over dx or ds, or over an interface dS('a', 'b'), on which unknowns are those of the first group of cells.
Each may use all names of the file, and fields that stand before it.
"""

# mypy: disable-error-code="no-untyped-call, no-any-return"
# UFL's constructors carry no annotations.

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import ufl
from ufl.algorithms.analysis import extract_arguments, extract_coefficients, extract_type
from ufl.classes import Expr, FacetNormal

from vpinn.domain import Domain, facing
from vpinn.errors import InputError
from vpinn.problem.checks import check_known
from vpinn.problem.expression import parse_form
from vpinn.problem.interfaces import BETWEEN, Sides
from vpinn.problem.schema import Settings
from vpinn.problem.scope import AT, Scope
from vpinn.problem.source import Source
from vpinn.problem.unknown import Unknown
from vpinn.problem.values import parse_value

ENDINGS = ("_exact", "_error", "_mean", "_std")
"""Endings of the fields that are written beside those of an unknown."""


@dataclass(frozen=True, eq=False)
class Answers:
    """What is asked of a solution.

    Attributes:
        fields: name → expression of the unknowns and the coordinates, of any shape.
        quantities: name → form without test functions.
    """

    fields: Mapping[str, Expr] = field(default_factory=dict)
    quantities: Mapping[str, ufl.Form] = field(default_factory=dict)

    def changed(self, change: Callable[[Any], Any]) -> Answers:
        """Return the answers with every expression and every form replaced by what ``change`` returns for it."""
        fields = {name: change(stated) for name, stated in self.fields.items()}
        return Answers(fields, {name: change(stated) for name, stated in self.quantities.items()})


def make_answers(settings: Settings, source: Source, scope: Scope, unknowns: Sequence[Unknown], domain: Domain) -> Answers:
    """Return the fields and quantities that a problem file asks for.

    Raises:
        InputError: a text is no expression or form, uses the normal inside the domain, a test function, a time derivative or a
            point, a jump where unknowns do not jump, or its name is taken.
    """
    fields: dict[str, Expr] = {}
    quantities: dict[str, ufl.Form] = {}
    for name, value in settings.output.fields.items():
        with source.located("output", "fields", name):
            _check_name(name, unknowns)
            stated = parse_value(value, scope)
            check_known(stated, unknowns, "a field", normal=False, functions=True)
            _refuse_rates(stated, scope, "a field")
            if scope.names.get(name) is not stated:
                scope = scope.define(name, stated)
            fields[name] = stated
    sides = Sides.of(unknowns, scope.symbols)
    scope = replace(scope, sides=sides)
    for name, text in settings.output.quantities.items():
        with source.located("output", "quantities", name):
            _check_name(name, unknowns)
            form = parse_form(text, scope)
            if settings.eigen is not None:
                raise InputError("a mode is known up to a factor, and so are its integrals; leave out quantities, or [eigen]")
            _check_quantity(form, unknowns)
            if sides is not None:
                form = sides.settled(form, domain.with_cells().joints)
                _check_interfaces(form, sides, domain)
            _refuse_rates(form, scope, "a quantity")
            quantities[name] = form
    return Answers(fields, quantities)


def _check_name(name: str, unknowns: Sequence[Unknown]) -> None:
    """Refuse names of files' columns that unknowns have already."""
    taken = [u.name for u in unknowns if name in (u.name, f"grad_{u.name}", *(u.name + ending for ending in ENDINGS))]
    if taken:
        raise InputError(f"the unknown {taken[0]} has a field of this name already; choose another")


def _check_quantity(form: ufl.Form, unknowns: Sequence[Unknown]) -> None:
    for part in form.integrals():
        if AT in part.metadata():
            raise InputError("a quantity is an integral over dx or ds; vpinn evaluate RUN --at gives values at points")
        if part.integral_type() == "cell" and extract_type(part.integrand(), FacetNormal):
            raise InputError("the normal n exists on the boundary only; use it under ds, not under dx")
    tests = set(extract_arguments(form))
    for unknown in unknowns:
        if unknown.test in tests:
            raise InputError(f"a quantity has no test functions, but {unknown.test_name} is that of {unknown.name}")


def _check_interfaces(form: ufl.Form, sides: Sides, domain: Domain) -> None:
    """Refuse interfaces that there are not, and jumps where the form of the problem has none."""
    mesh = domain.with_cells()
    for part in form.integrals():
        if BETWEEN in part.metadata():
            near, far = part.metadata()[BETWEEN]
            facing(mesh, near, far)
            if {(near, far), (far, near)}.isdisjoint(mesh.joints) and set(extract_coefficients(part.integrand())) & {
                *sides.far.values()
            }:
                raise InputError(f"nothing jumps on dS('{near}', '{far}'), as the form has no jump there; leave out jump")


def _refuse_rates(stated: Expr | ufl.Form, scope: Scope, what: str) -> None:
    if scope.clock is not None:
        rates = {rate for pair in scope.clock.rates.values() for rate in pair}
        if rates & set(extract_coefficients(stated)):
            raise InputError(f"{what} is taken at an instant and has no time derivatives; leave out dt")
