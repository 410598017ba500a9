"""Eigenproblems: find numbers λ and modes u ≠ 0 with a(u, v) = λ m(u, v) for all test functions v.

a is the weak form of the problem, m its mass form. Both are linear in the unknowns, and contain no sources.
"""

# mypy: disable-error-code="no-untyped-call, no-any-return"
# UFL's constructors carry no annotations.

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ufl.classes import Zero

from vpinn.errors import InputError
from vpinn.problem.checks import check_bilinear
from vpinn.problem.expression import parse_form
from vpinn.problem.formulation import Formulation, Weak
from vpinn.problem.schema import Settings
from vpinn.problem.scope import Scope
from vpinn.problem.source import Source
from vpinn.problem.unknown import Unknown

if TYPE_CHECKING:
    from vpinn.problem.problem import Condition


@dataclass(frozen=True, eq=False)
class Eigenproblem:
    """The right side λ m(u, v) of an eigenproblem, and which eigenvalues are wanted.

    Attributes:
        mass: m, a formulation of the same unknowns and test functions as the problem's own.
        count: number of eigenvalues wanted, ≥ 1; the nearest to ``near`` are found.
        near: a real number, in units of λ.
    """

    mass: Formulation
    count: int
    near: float


def refuse_modes(eigen: Eigenproblem | None, what: str, where: str) -> None:
    """Refuse an eigenproblem where only a problem with one solution has an answer.

    Args:
        eigen: eigenproblem of the file; None if it has none.
        what: subject and verb of the refusal, as in "the noise report takes".
        where: place of [eigen] in the problem file.

    Raises:
        InputError: it is an eigenproblem.
    """
    if eigen is not None:
        raise InputError(f"{what} problems with one solution, and [eigen] asks for several modes; leave it out", where)


def make_eigen(
    settings: Settings,
    source: Source,
    scope: Scope,
    unknowns: Sequence[Unknown],
    formulation: Formulation,
    boundary: Sequence[Condition],
) -> Eigenproblem | None:
    """Return the right side of an eigenproblem, checked with its left side and its conditions; None without [eigen].

    Raises:
        InputError: a form is not linear in the unknowns or contains a source, a boundary value is not zero, or the problem
            is in time, without cells, or not stated by a weak form.
    """
    section = settings.eigen
    if section is None:
        return None
    if not isinstance(formulation, Weak):
        raise InputError(
            f"an eigenproblem a(u, v) = λ m(u, v) needs a weak form for a, got {formulation.name}; write form.weak",
            source.place("form", formulation.name),
        )
    if scope.clock is not None:
        raise InputError("an eigenproblem does not depend on time; leave out domain.time", source.place("domain", "time"))
    for name, given in (("exact", settings.reference.exact), ("file", settings.reference.file), ("fem", settings.reference.fem)):
        if given:
            raise InputError(
                f"reference.{name} holds for one solution, and an eigenproblem has several modes; leave it out",
                source.place("reference", name),
            )
    if settings.solver.method not in ("auto", "elements"):
        raise InputError(
            f'eigenproblems are solved by finite elements, got method "{settings.solver.method}"; leave it out',
            source.place("solver", "method"),
        )
    with source.located("form", "weak"):
        check_bilinear(formulation.integrals, unknowns, scope.symbols, "the weak form of an eigenproblem")
    with source.located("eigen", "mass"):
        mass = parse_form(section.mass, scope)
        check_bilinear(mass, unknowns, scope.symbols, "a mass form")
    for condition in boundary:
        if condition.value is None or not isinstance(condition.value, Zero):
            raise InputError(
                "the modes of an eigenproblem are zero where they are held; write value = 0, or leave the condition out",
                condition.where,
            )
    return Eigenproblem(Weak(mass), section.count, section.near)
