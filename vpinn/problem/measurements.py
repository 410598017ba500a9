"""Measurements: [[data]] sections → `Observation`, read, located in the domain and checked before anything is solved."""

# mypy: disable-error-code="no-untyped-call, no-any-return"
# UFL's functions carry no annotations.

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from ufl.algorithms.analysis import extract_coefficients
from ufl.classes import Expr

from vpinn.domain import Domain, axis_names, located_points
from vpinn.errors import InputError
from vpinn.problem.case import Case
from vpinn.problem.checks import check_known
from vpinn.problem.columns import Columns, places, read_columns
from vpinn.problem.expression import parse_expression, parse_form
from vpinn.problem.in_time import stated_in
from vpinn.problem.inverse import DataSection, Inferred, Inverse, Observation
from vpinn.problem.locations import file_inside
from vpinn.problem.problem import Problem
from vpinn.problem.scope import Scope
from vpinn.problem.unknown import Unknown
from vpinn.problem.wording import printable

DATA = "the data file"


def make_inverse(
    problem: Case, scope: Scope, inferred: tuple[Inferred, ...], exact: Mapping[str, Expr], folder: Path
) -> Inverse | None:
    """Return what is unknown beside the solution and what was measured; None without [infer].

    Args:
        problem: the problem, whose form and values contain the unknown numbers and fields.
        scope: names that expressions may use.
        inferred: unknown numbers and fields.
        exact: name → true expression of unknowns, numbers and fields, as far as the problem file states it.
        folder: folder of the problem file.

    Raises:
        InputError: one of both sections is missing, an unknown stands nowhere, there are fewer data than unknown numbers, or a
            file is wrong.
    """
    settings, source = problem.settings, problem.source
    if not inferred:
        if settings.data:
            raise InputError(
                "[[data]] needs [infer], which says what is unknown; or compare by [reference] file", source.place("data")
            )
        return None
    _refuse(problem, inferred)
    data = list[Observation]()
    for number, section in enumerate(settings.data):
        with source.located("data", number):
            data += _observations(section, source.place("data", number), scope, problem, inferred, folder)
    values = [value for one in problem.boundary for value in (one.value, one.residual)]
    values += [value for one in problem.initial for value in (one.value, one.rate)]
    values += [one.value for one in problem.supports]
    forms = [*stated_in(problem.formulation), *(part for one in problem.loads for part in stated_in(one.formulation))]
    stated = [*forms, *(one for one in values if one is not None), *(one.what for one in data)]
    present = {function for part in stated for function in extract_coefficients(part)}
    for one in inferred:
        if one.symbol not in present:
            raise InputError(f"{one.name} stands in no form, boundary value or measurement; no data determine it", one.where)
    count = sum(one.values.size for one in data)
    free = [one for one in inferred if not one.field and one.section.prior == "auto"]
    if count < len(free):
        names = ", ".join(one.name for one in free)
        raise InputError(
            f"{count} measurement{'s' * (count > 1)} cannot determine {len(free)} numbers ({names}); add some, or give a prior",
            source.place("infer"),
        )
    truths = {one.name: exact[one.name] for one in inferred if one.name in exact}
    return Inverse(inferred, tuple(data), truths)


def _refuse(problem: Case, inferred: Sequence[Inferred]) -> None:
    """Refuse an inverse problem without data, or of a kind that cannot be solved."""
    source, field = problem.source, next((one for one in inferred if one.field), None)
    if not problem.settings.data:
        raise InputError(f"no measurements determine {inferred[0].name}; give [[data]] with a file", source.place("infer"))
    if problem.settings.eigen is not None:
        raise InputError("eigenproblems have no [infer] yet; leave one of both out", source.place("infer"))
    if problem.bounds:
        raise InputError("obstacles and contact have no [infer] yet; leave one of both out", source.place("infer"))
    if problem.clock is not None and field is not None:
        raise InputError("a field cannot be inferred in a problem in time yet; take a number, or a steady problem", field.where)


def _observations(
    section: DataSection,
    where: str,
    scope: Scope,
    problem: Problem,
    inferred: Sequence[Inferred],
    folder: Path,
) -> list[Observation]:
    """Return the measurements of a section: what ``observes`` says, or one for each unknown with a column."""
    unknowns, domain = problem.unknowns, problem.domain
    if section.value is not None:
        form = parse_form(section.observes or "", scope)
        if scope.clock is not None:
            raise InputError("an integral cannot be measured in a problem in time yet; give a file of values at points")
        for part in form.integrals():
            check_known(part.integrand(), unknowns, "a measured integral", normal=True, functions=True)
        return [Observation(form, None, np.array([[section.value]]), section.noise, section.observes or "", where)]
    path = file_inside(folder, section.file or "")
    name = printable(str(path), 200)
    columns = read_columns(path, DATA)
    coordinates = (*axis_names(domain.dimension), *(("t",) if scope.clock is not None else ()))
    points = places(columns, coordinates, DATA, name)
    _check_inside(points, domain, scope, name)
    found = []
    for told, what in _observed(section, columns, scope, unknowns, inferred, name):
        check_known(what, unknowns, "what is observed", normal=False, functions=True)
        size = int(np.prod(what.ufl_shape, dtype=int))
        choices = [[f"{stem}{k}" for k in range(size)] if what.ufl_shape else [stem] for stem in (told, "value")]
        taken = next((names for names in choices if set(names) <= set(columns)), None)
        if taken is None:
            listed = printable(", ".join(columns), 200)
            raise InputError(f"{DATA} has no column {', '.join(choices[1])}; its columns are {listed}", name)
        values = np.stack([columns[column] for column in taken], axis=1)
        found.append(Observation(what, points, values, section.noise, told, where))
    return found


def _observed(
    section: DataSection,
    columns: Columns,
    scope: Scope,
    unknowns: Sequence[Unknown],
    inferred: Sequence[Inferred],
    where: str,
) -> list[tuple[str, Expr]]:
    """Return what was measured, in words and as an expression."""
    if section.observes is not None:
        return [(section.observes, parse_expression(section.observes, scope))]
    known = [*(one.name for one in unknowns), *(one.name for one in inferred if one.field)]
    found = [name for name in known if {name, f"{name}0"} & set(columns)]
    if not found and len(unknowns) == 1 and {"value", "value0"} & set(columns):
        return [(unknowns[0].name, unknowns[0].function)]
    if not found:
        names = ", ".join(known)
        raise InputError(
            f"{DATA} has no column of {names}; name its columns so, or say what is in column value by observes", where
        )
    return [(name, parse_expression(name, scope)) for name in found]


def _check_inside(points: NDArray[np.float64], domain: Domain, scope: Scope, where: str) -> None:
    """Refuse measurements outside the domain or the time span."""
    d = domain.dimension
    inside = located_points(domain, points[:, :d])[1]
    over = "the domain"
    if scope.clock is not None and inside.all():
        inside = (points[:, d] >= scope.clock.start) & (points[:, d] <= scope.clock.end)
        over = f"the time span {scope.clock.start:g} to {scope.clock.end:g}"
    if not inside.all():
        row = int(inside.argmin())
        place = ", ".join(f"{c:g}" for c in points[row])
        raise InputError(
            f"{(~inside).sum()} of {len(points)} measurements lie outside {over}, the first in row {row + 1} at ({place}); check "
            "their coordinates, units and columns",
            where,
        )
