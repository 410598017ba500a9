"""Boundary conditions: [[boundary]] sections of a problem file → `Condition`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ufl.classes import Expr

from vpinn.domain import Domain
from vpinn.errors import InputError
from vpinn.problem.checks import check_known
from vpinn.problem.condition_sections import Boundary, Obstacle, PointSection
from vpinn.problem.formulation import FORMULATIONS
from vpinn.problem.parts import Pieces
from vpinn.problem.problem import Condition
from vpinn.problem.restraints import Bound, Tie
from vpinn.problem.schema import Settings
from vpinn.problem.scope import Scope
from vpinn.problem.source import Source
from vpinn.problem.unknown import Unknown
from vpinn.problem.values import fit_shape, parse_value
from vpinn.problem.wording import closest, printable

INITIAL = "initial"
"""Value of ``on`` for the state at the start of a problem in time."""


def make_conditions(
    settings: Settings, source: Source, scope: Scope, unknowns: Sequence[Unknown], domain: Domain, pieces: Pieces
) -> tuple[Condition, ...]:
    """Return the boundary conditions, checked against the unknowns, the tags and each other.

    Args:
        settings: validated sections.
        source: text of the problem file, for messages.
        scope: names that expressions may use.
        unknowns: unknowns of the problem.
        domain: domain with its tags.
        pieces: tags of the sections with ``where``; see `vpinn.problem.parts`.

    Raises:
        InputError: a tag or unknown does not exist, a value has the wrong shape or contains an unknown, or a component has two
            values on the same part of the boundary.
    """
    conditions: list[Condition] = []
    for number, section in enumerate(settings.boundary):
        key = ("boundary", number)
        if (section.on == INITIAL and scope.clock is not None) or not section.valued:
            continue
        check_tags(section, scope, source, key)
        make = _value if section.residual is None else _residual
        condition = make(section, settings, source, scope, unknowns, key)
        if number in pieces:
            condition = replace(condition, on=(pieces[number],))
        if section.residual is None:
            refuse_overlap(condition, conditions, domain, source, key)
        conditions.append(condition)
    return tuple(conditions)


def check_tags(section: Boundary, scope: Scope, source: Source, key: tuple[str, int]) -> None:
    """Refuse a section on boundary parts that do not exist.

    Raises:
        InputError: says which.
    """
    for tag in section.sides:
        with source.located(*key, "on"):
            if tag == INITIAL and tag not in scope.facet_tags:
                raise InputError(
                    'the start of time stands alone, on = "initial"; give further parts a condition of their own'
                    if scope.clock is not None
                    else "there is no start in a steady problem; give time = [start, end] in [domain], or a boundary part"
                )
            if tag != "all" and tag not in scope.facet_tags:
                raise InputError(f"the domain has no boundary part {printable(tag)!r}{closest(tag, [*scope.facet_tags, 'all'])}")


def _residual(
    section: Boundary, settings: Settings, source: Source, scope: Scope, unknowns: Sequence[Unknown], key: tuple[str, int]
) -> Condition:
    with source.located(*key, "residual"):
        if not FORMULATIONS[settings.form.formulation].pointwise:
            raise InputError("a residual needs a strong form; write natural conditions as ds terms of the form")
        residual = parse_value(section.residual or "", scope)
        check_known(residual, unknowns, "a boundary residual", normal=True, functions=True)
    return Condition(section.sides, None, None, None, residual, "penalty", section.weight, source.place(*key))


def _value(
    section: Boundary, settings: Settings, source: Source, scope: Scope, unknowns: Sequence[Unknown], key: tuple[str, int]
) -> Condition:
    unknown = named_unknown(section, source, unknowns, key)
    with source.located(*key, *(["impose"] if section.impose != "auto" else [])):
        if section.impose == "nitsche" and FORMULATIONS[settings.form.formulation].pointwise:
            raise InputError("Nitsche's method needs an energy or weak form; use exact or penalty")
    with source.located(*key, "value"):
        value = parse_value(section.value if section.value is not None else 0.0, scope)
        value = fitted(value, unknown, section.component)
        check_known(value, unknowns, "a boundary value", normal=True)
    tags = section.sides
    return Condition(tags, unknown.name, section.component, value, None, section.impose, section.weight, source.place(*key))


def named_unknown(
    section: Boundary | Obstacle | PointSection, source: Source, unknowns: Sequence[Unknown], key: tuple[str, int]
) -> Unknown:
    """Return the unknown that a condition names, or the only unknown if it names none.

    Raises:
        InputError: the name is missing or unknown, or the unknown has no such component.
    """
    with source.located(*key, *(["unknown"] if section.unknown else [])):
        unknown = _unknown(section.unknown, unknowns)
    with source.located(*key, *(["component"] if section.component is not None else [])):
        if section.component is not None and (not unknown.shape or section.component >= unknown.components):
            has = f"components 0 to {unknown.components - 1}" if unknown.shape else "one component; leave component out"
            raise InputError(f"{unknown.name} has {has}, got {section.component}")
    return unknown


def fitted(value: Expr, unknown: Unknown, component: int | None) -> Expr:
    """Return a value of the shape of an unknown, or scalar for one of its components; the number 0 fits any shape.

    Raises:
        InputError: the value has another shape.
    """
    what = unknown.name if component is None else f"component {component} of {unknown.name}"
    return fit_shape(value, unknown.shape if component is None else (), what)


def _unknown(name: str | None, unknowns: Sequence[Unknown]) -> Unknown:
    names = [unknown.name for unknown in unknowns]
    if name is None:
        if len(unknowns) > 1:
            raise InputError(f"unknown is missing; say which of {', '.join(names)}")
        return unknowns[0]
    if name not in names:
        raise InputError(f"{printable(name)!r} is not an unknown{closest(name, names)}")
    return unknowns[names.index(name)]


def refuse_overlap(
    new: Condition | Bound | Tie, earlier: Sequence[Condition], domain: Domain, source: Source, key: tuple[str, int]
) -> None:
    """Refuse a second value for a component, or a bound or tie of it, on a boundary part that already has a value.

    Raises:
        InputError: says where the first one is given.
    """
    assert new.on is not None
    facets = set(domain.facets(new.on))
    for other in earlier:
        same = other.unknown == new.unknown and (
            other.component == new.component or other.component is None or new.component is None
        )
        if same and not facets.isdisjoint(domain.facets(other.on)):
            shared = sorted(set(new.on) & set(other.on)) or [*new.on]
            with source.located(*key, "on"):
                raise InputError(f"{new.unknown} already has a value on {shared[0]} from {other.where or 'an earlier condition'}")
