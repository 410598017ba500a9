"""What a problem that depends on time states beside its form: where it starts, and which settings it takes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from ufl.classes import Expr, Form

from vpinn.domain import Hypercube, Mesh
from vpinn.errors import InputError
from vpinn.problem.checks import check_known
from vpinn.problem.conditions import INITIAL, fitted, named_unknown
from vpinn.problem.problem import Condition, Problem, Unknown
from vpinn.problem.schema import Settings
from vpinn.problem.scope import Scope
from vpinn.problem.source import Source
from vpinn.problem.time import Clock, InitialState
from vpinn.problem.values import parse_value

TIMES = 11
"""Instants that are written by default."""
ONLY_STEADY = (
    ("network", "enrich", "extra functions are for steady problems; leave them out"),
    ("reference", "fem", "elements solve steady problems; compare with exact or file"),
)
"""Settings that a problem in time does not take: section, key, and what to do."""


def check_settings_in_time(settings: Settings, source: Source, domain: Mesh | Hypercube) -> None:
    """Refuse settings that time rules out, and those of time in a steady problem.

    Raises:
        InputError: says which.
    """
    span = None if settings.domain is None else settings.domain.time
    if span is None:
        with source.located("output", "times"):
            if settings.output.times is not None:
                raise InputError("a steady problem has no instants; leave it out, or give time = [start, end] in [domain]")
        with source.located("solver", "method"):
            if settings.solver.method == "march":
                raise InputError('"march" needs a problem in time: give time = [start, end] in [domain], or another method')
        return
    with source.located("output", "times"):
        times = settings.output.times if isinstance(settings.output.times, tuple) else ()
        for instant in times:
            if not span[0] <= instant <= span[1]:
                raise InputError(f"instants lie between start and end, {span[0]:g} to {span[1]:g}, got {instant:g}")
        if settings.output.times == ():
            raise InputError("give at least one instant, or how many")
    with source.located("domain", "time"):
        if not isinstance(domain, Mesh):
            raise InputError("a problem in time needs cells; use an interval, a rectangle or a box, or a mesh file")
    with source.located("form", settings.form.formulation):
        if settings.form.formulation == "energy":
            raise InputError("an energy has no time derivative; write the weak form, such as dt(u)*v*dx + the energy's variation")
    with source.located("solver", "method"):
        if settings.solver.method not in ("auto", "march"):
            raise InputError(f'problems in time are marched, got "{settings.solver.method}"; leave it out, or write "march"')
    with source.located("solver", "precision"):
        if settings.solver.precision != "float64":
            raise InputError("a march needs float64; leave it out")
    with source.located("batch", "size"):
        if settings.batch.size != "full":
            raise InputError("a march sees all points in every step; leave [batch] out")
    for section, key, what in ONLY_STEADY:
        if getattr(getattr(settings, section), key):
            with source.located(section, key):
                raise InputError(what)


def make_initial(
    settings: Settings, source: Source, scope: Scope, unknowns: Sequence[Unknown], form: Form | tuple[Expr, ...]
) -> tuple[InitialState, ...]:
    """Return the states at the start, checked against the time derivatives of the form.

    Raises:
        InputError: an unknown has none, or no time derivative in the form; a rate is given where the equation is of first
            order, or missing where it is of second; or two states name one component.
    """
    clock = scope.clock
    assert clock is not None
    found: list[InitialState] = []
    for number, section in enumerate(settings.boundary):
        if section.on != INITIAL:
            continue
        key = ("boundary", number)
        with source.located(*key):
            if section.residual is not None or section.impose != "auto" or section.weight is not None:
                raise InputError('a state at the start has a value, and a rate where the equation has dt(dt(…)); nothing else')
        unknown = named_unknown(section, source, unknowns, key)
        order = clock.order(unknown.function, form)
        values: list[Expr | None] = []
        for name, given in (("value", section.value), ("rate", section.rate)):
            with source.located(*key, name):
                value = None if given is None else fitted(parse_value(given, scope), unknown, section.component)
                if value is not None:
                    check_known(value, unknowns, f"an initial {name}", normal=False)
                values.append(value)
        with source.located(*key, "rate"):
            if values[1] is not None and order < 2:
                raise InputError(f"the equation of {unknown.name} has no second time derivative, which a rate is for; leave it out")
            if values[1] is None and order == 2:
                raise InputError(f"the equation of {unknown.name} has dt(dt({unknown.name})); give its first one at the start, rate")
        for other in found:
            same = other.component == section.component or None in {other.component, section.component}
            if other.unknown == unknown.name and same:
                raise InputError(f"{unknown.name} has a state at the start already, from {other.where}", source.place(*key))
        assert values[0] is not None
        found.append(InitialState(unknown.name, section.component, values[0], values[1], source.place(*key)))
    _check_complete(settings, source, clock, unknowns, form, found)
    return tuple(found)


def _check_complete(
    settings: Settings,
    source: Source,
    clock: Clock,
    unknowns: Sequence[Unknown],
    form: Form | tuple[Expr, ...],
    found: Sequence[InitialState],
) -> None:
    """Refuse unknowns without a time derivative, or whose state at the start is not given."""
    place = source.place("form", settings.form.formulation)
    for unknown in unknowns:
        if not clock.order(unknown.function, form):
            raise InputError(
                f"the form has no time derivative of {unknown.name}; add dt({unknown.name}), since systems with algebraic equations, "
                "as a pressure has, cannot be marched yet",
                place,
            )
        given = {state.component for state in found if state.unknown == unknown.name}
        missing = [] if None in given else [c for c in range(unknown.components) if c not in given]
        if missing and (unknown.shape == () or not given):
            raise InputError(
                f'the form has a time derivative of {unknown.name}, but nothing says where {unknown.name} starts; add a [[boundary]] '
                f'with on = "initial"{f", unknown = {chr(34)}{unknown.name}{chr(34)}" if len(unknowns) > 1 else ""} and its value',
                place,
            )
        if missing:
            raise InputError(
                f'component {missing[0]} of {unknown.name} has no state at the start; add a [[boundary]] with on = "initial"', place
            )


def refuse_conditions(boundary: Sequence[Condition]) -> None:
    """Refuse conditions that no march takes.

    Raises:
        InputError: says where.
    """
    for condition in boundary:
        if condition.residual is not None:
            raise InputError("a march takes values on the boundary; write this as a ds term of a weak form", condition.where)
        if condition.impose not in ("auto", "exact"):
            raise InputError(f'a march meets values on the boundary exactly, got impose = "{condition.impose}"', condition.where)


def refuse_time(problem: Problem, what: str) -> None:
    """Refuse a problem in time where only a steady one has an answer.

    Args:
        problem: any.
        what: subject and verb of the refusal, as in "the noise report takes".

    Raises:
        InputError: the problem depends on time.
    """
    if problem.clock is not None:
        raise InputError(f"{what} steady problems only; leave out domain.time", problem.where("domain", "time"))


def output_times(problem: Problem) -> NDArray[np.float64]:
    """Return the instants that are written, in rising order, the end among them."""
    clock, asked = problem.clock, problem.settings.output.times
    assert clock is not None
    if isinstance(asked, tuple):
        return np.unique([*asked, clock.end])
    return np.linspace(clock.start, clock.end, asked or TIMES)
