"""Problems in time: the states at the start, the instants of the output, and the settings that are permitted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from ufl.classes import Expr, Form

from vpinn.domain import Domain
from vpinn.errors import InputError
from vpinn.problem.case import Case
from vpinn.problem.checks import check_known
from vpinn.problem.conditions import INITIAL, fitted, named_unknown
from vpinn.problem.eigen import refuse_modes
from vpinn.problem.formulation import Formulation
from vpinn.problem.inverse import refuse_inverse
from vpinn.problem.parameters import refuse_family
from vpinn.problem.problem import Condition, Problem
from vpinn.problem.schema import Settings
from vpinn.problem.scope import Scope
from vpinn.problem.source import Source
from vpinn.problem.time import Clock, InitialState
from vpinn.problem.unknown import Unknown
from vpinn.problem.values import parse_value

TIMES = 11
"""Default number of instants that are written, from start to end."""


def check_settings_in_time(settings: Settings, source: Source, domain: Domain) -> None:
    """Refuse settings that a problem in time cannot have, and settings of time in a steady problem.

    Raises:
        InputError: a setting is refused; names it and its place.
    """
    span = None if settings.domain is None else settings.domain.time
    rules = _steady_rules(settings) if span is None else _rules_in_time(settings, domain, span)
    for section, key, broken, told in rules:
        if broken:
            raise InputError(f"{section}.{key}: {told}", source.place(section, key))


def is_marched(settings: Settings, domain: Domain) -> bool:
    """Return whether a problem in time is marched: if its file asks for it, and by default where the domain has cells."""
    return settings.solver.method == "march" or (settings.solver.method == "auto" and domain.mesh is not None)


Rules = list[tuple[str, str, bool, str]]
"""Section, key, whether its value is refused, and the error text in that case."""


def _steady_rules(settings: Settings) -> Rules:
    """Return the settings that a steady problem cannot have."""
    marched, times = settings.solver.method == "march", settings.output.times is not None
    layers, span = settings.domain is not None and settings.domain.layers is not None, "time = [start, end] in [domain]"
    return [
        ("domain", "layers", layers, f"layers of cells in time are for problems in time; leave it out, or give {span}"),
        ("output", "times", times, f"a steady problem has no instants; leave it out, or give {span}"),
        ("solver", "method", marched, f'"march" needs a problem in time: give {span}, or another method'),
    ]


def _rules_in_time(settings: Settings, domain: Domain, span: tuple[float, float]) -> Rules:
    """Return the settings that a problem in time cannot have."""
    asked, solver = settings.output.times, settings.solver
    outside = [t for t in asked if not span[0] <= t <= span[1]] if isinstance(asked, tuple) else []
    between = f"instants lie between start and end, {span[0]:g} to {span[1]:g}, got {outside[0]:g}" if outside else ""
    energy = "an energy has no time derivative; write the weak form, such as dt(u)*v*dx + the energy's variation"
    cells = "a march needs cells; use an interval, a rectangle or a box, a mesh file, or another method"
    marched, layers = is_marched(settings, domain), settings.domain is not None and settings.domain.layers is not None
    unused = "layers of cells in time are for methods over space and time, such as adam; a march chooses its steps; leave it out"
    drawn = 'a march sees all points in every step; leave [batch] out, or give a method that draws them, as method = "adam"'
    degree = "elements in time take one degree for all unknowns, and one less for multipliers; write degree = 4"
    extra = "enrich functions are for steady problems; leave them out"
    return [
        ("output", "times", bool(outside), between),
        ("output", "times", asked == (), "give at least one instant, or how many"),
        ("domain", "time", solver.method == "march" and domain.mesh is None, cells),
        ("domain", "layers", layers and marched, unused),
        ("form", "energy", settings.form.formulation == "energy", energy),
        ("solver", "precision", marched and solver.precision != "float64", "a march needs float64; leave it out"),
        ("batch", "size", marched and settings.batch.size != "full", drawn),
        ("network", "enrich", bool(settings.network.enrich), extra),
        ("reference", "fem", isinstance(getattr(settings.reference.fem, "degree", 0), dict), degree),
    ]


def make_initial(
    settings: Settings, source: Source, scope: Scope, unknowns: Sequence[Unknown], formulation: Formulation
) -> tuple[InitialState, ...]:
    """Return the states at the start, checked against the time derivatives in the form; () for a steady problem.

    Raises:
        InputError: the form has no time derivative; an unknown with one has no state at the start, or one without has; a rate is
            given for an equation of first order or missing for one of second order; or a component has two states.
    """
    clock = scope.clock
    if clock is None:
        return ()
    found: list[InitialState] = []
    for number, section in enumerate(settings.boundary):
        if section.on != INITIAL:
            continue
        key = ("boundary", number)
        with source.located(*key):
            if section.residual is not None or section.impose != "auto" or section.weight is not None:
                raise InputError('a condition on "initial" has value, rate if there is dt(dt(…)), and no other keys')
        unknown = named_unknown(section, source, unknowns, key)
        order = clock.order(unknown.function, stated_in(formulation))
        if not order and any(clock.order(u.function, stated_in(formulation)) for u in unknowns):
            raise InputError(
                f"the form has no time derivative of {unknown.name}, which its other equations determine at the start, too; "
                "leave this out",
                source.place(*key),
            )
        values: list[Expr | None] = []
        for name, given in (("value", section.value), ("rate", section.rate)):
            with source.located(*key, name):
                value = None if given is None else fitted(parse_value(given, scope), unknown, section.component)
                if value is not None:
                    check_known(value, unknowns, f"an initial {name}", normal=False)
                values.append(value)
        with source.located(*key, "rate"):
            if values[1] is not None and order < 2:
                raise InputError(f"the equation of {unknown.name} has no second time derivative; leave out the rate at the start")
            if values[1] is None and order == 2:
                raise InputError(
                    f"the equation of {unknown.name} has dt(dt({unknown.name})); give its first derivative at the start as rate"
                )
        _refuse_second(found, unknown.name, section.component, source.place(*key))
        assert values[0] is not None
        found.append(InitialState(unknown.name, section.component, values[0], values[1], source.place(*key)))
    _check_complete(settings, source, clock, unknowns, formulation, found)
    return tuple(found)


def _refuse_second(found: Sequence[InitialState], name: str, component: int | None, place: str) -> None:
    """Refuse a state at the start for a component that already has one."""
    for other in found:
        same = other.component == component or None in {other.component, component}
        if other.unknown == name and same:
            raise InputError(f"{name} has a state at the start already, from {other.where or 'an earlier condition'}", place)


def _check_complete(
    settings: Settings,
    source: Source,
    clock: Clock,
    unknowns: Sequence[Unknown],
    formulation: Formulation,
    found: Sequence[InitialState],
) -> None:
    """Refuse forms without time derivatives, and unknowns that have one but no state at the start."""
    place, stated = source.place("form", settings.form.formulation), stated_in(formulation)
    orders = {unknown.name: clock.order(unknown.function, stated) for unknown in unknowns}
    if not any(orders.values()):
        raise InputError(
            f"the form has no time derivative of {' or '.join(orders)}; add one, as in dt({unknowns[0].name}), or leave out "
            "domain.time",
            place,
        )
    for unknown in unknowns:
        if not orders[unknown.name]:  # algebraic, as a pressure: determined at every instant
            continue
        given = {state.component for state in found if state.unknown == unknown.name}
        missing = [] if None in given else [c for c in range(unknown.components) if c not in given]
        if missing and (unknown.shape == () or not given):
            raise InputError(
                f"the form has a time derivative of {unknown.name}, but nothing says where {unknown.name} starts; add a "
                f'[[boundary]] with on = "initial", unknown = "{unknown.name}" and its value',
                place,
            )
        if missing:
            raise InputError(
                f'component {missing[0]} of {unknown.name} has no state at the start; add a [[boundary]] with on = "initial"',
                place,
            )


def refuse_conditions(scope: Scope, boundary: Sequence[Condition], pointed: bool) -> None:
    """Refuse conditions that a problem in time cannot have: residuals, penalties, Nitsche's terms, and loads at points.

    Args:
        scope: names of the problem; with a clock if it depends on time.
        boundary: the conditions.
        pointed: whether the form has terms at points.

    Raises:
        InputError: a condition is refused; names its place.
    """
    if scope.clock is not None and pointed:
        raise InputError("form: a load at a point (delta) or along edges is for steady problems; spread it over cells")
    for condition in boundary if scope.clock is not None else ():
        if condition.residual is not None:
            raise InputError("a problem in time takes no residual; write it as a ds term of a weak form", condition.where)
        if condition.impose not in ("auto", "exact"):
            raise InputError(f'values in time are imposed exactly, got impose = "{condition.impose}"', condition.where)


def stated_in(formulation: Formulation) -> tuple[Form | Expr, ...]:
    """Return the form, or the equations, of a formulation."""
    return formulation.equations if formulation.pointwise else (formulation.integrals,)


def refuse_several(problem: Problem, what: str) -> None:
    """Refuse eigenproblems, inverse problems and families, where only problems with one solution are possible.

    Args:
        problem: the problem.
        what: subject and verb of the error text, as in "the noise report takes".

    Raises:
        InputError: the problem asks for eigenvalues, has unknown coefficients, or is a family.
    """
    refuse_modes(problem.eigen, what, problem.where("eigen"))
    refuse_inverse(problem.inverse, what, problem.where("infer"))
    refuse_family(problem.parameters, what)


def refuse_time(problem: Problem, what: str) -> None:
    """Refuse a problem in time, an eigenproblem, an inverse problem or a family, where only single steady problems are possible.

    Args:
        problem: the problem.
        what: subject and verb of the error text, as in "the noise report takes".

    Raises:
        InputError: the problem depends on time, asks for eigenvalues, has unknown coefficients, or is a family.
    """
    refuse_several(problem, what)
    if problem.clock is not None:
        raise InputError(f"{what} steady problems only; leave out domain.time", problem.where("domain", "time"))


def output_times(problem: Case) -> NDArray[np.float64]:
    """Return the instants that are written, in increasing order and including the end, in units of time."""
    clock, asked = problem.time, problem.settings.output.times
    if isinstance(asked, tuple):
        return np.unique([*asked, clock.end])
    return np.linspace(clock.start, clock.end, asked or TIMES)
