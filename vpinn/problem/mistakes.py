"""All mistakes in the texts of a problem file together, so that a user need not mend them one by one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from vpinn.errors import InputError
from vpinn.problem.conditions import INITIAL, check_tags
from vpinn.problem.expression import parse_expression, parse_form
from vpinn.problem.formulation import FORMULATIONS
from vpinn.problem.interfaces import Sides
from vpinn.problem.schema import Settings
from vpinn.problem.scope import Scope
from vpinn.problem.section import Value as Given
from vpinn.problem.source import Source
from vpinn.problem.unknown import Unknown
from vpinn.problem.values import parse_value


@contextmanager
def together(settings: Settings, source: Source, scope: Scope, unknowns: Sequence[Unknown], written: bool) -> Iterator[None]:
    """Add the mistakes in all other texts of the file to an InputError that is raised in this context.

    Args:
        settings: validated sections.
        source: text of the problem file, for messages.
        scope: names that expressions may use, without those of [expressions].
        unknowns: unknowns of the problem.
        written: whether the form is text, and no function in Python.
    """
    try:
        yield
    except InputError as error:
        found = {str(one): one for one in (error, *_Texts(settings, source, scope).mistakes(unknowns, written))}
        first, *others = sorted(found.values(), key=_line)
        raise InputError(first.message, first.where, others) from None


class _Texts:
    """Parses every text of a problem file by itself, and collects what is wrong."""

    def __init__(self, settings: Settings, source: Source, scope: Scope) -> None:
        self._settings = settings
        self._source = source
        self._scope = scope
        self._found: list[InputError] = []
        self._broken: list[str] = []

    def mistakes(self, unknowns: Sequence[Unknown], written: bool) -> list[InputError]:
        """Return the mistakes, without those that only follow from others."""
        settings = self._settings
        for name, value in settings.expressions.items():
            self._define(name, value, "expressions")
        kind = FORMULATIONS[settings.form.formulation]
        named = self._scope
        if not kind.pointwise:
            self._scope = replace(named, sides=Sides.of(tuple(unknowns), named.symbols))
        for number, text in enumerate(settings.form.texts if written else ()):
            with self._noted("form", kind.name, *([number] if len(settings.form.texts) > 1 else [])):
                (parse_expression if kind.pointwise else parse_form)(text, self._scope)
        self._scope = named
        self._conditions()
        for name, exact in settings.reference.exact.items():
            with self._noted("reference", "exact", name):
                parse_value(exact, named)
        for name, stated in settings.output.fields.items():
            self._define(name, stated, "output", "fields")
        for name, text in settings.output.quantities.items():
            with self._noted("output", "quantities", name):
                parse_form(text, self._scope)
        return [one for one in self._found if not any(f"unknown name {name!r}" in one.message for name in self._broken)]

    def _conditions(self) -> None:
        for number, section in enumerate(self._settings.boundary):
            with self._noted("boundary", number, "on"):
                if section.on != INITIAL:
                    check_tags(section, self._scope, self._source, ("boundary", number))
            for key in ("value", "residual", "rate", "at_least", "at_most"):
                if (value := getattr(section, key)) is not None:
                    with self._noted("boundary", number, key):
                        parse_value(value, self._scope)

    def _define(self, name: str, value: Given, *section: str) -> None:
        """Parse an expression and define its name for the texts after it."""
        count = len(self._found)
        with self._noted(*section, name):
            self._scope = self._scope.define(name, parse_value(value, self._scope))
        self._broken += [name] * (len(self._found) > count)

    @contextmanager
    def _noted(self, *key: str | int) -> Iterator[None]:
        """Note an InputError of this context with its place, and go on."""
        try:
            with self._source.located(*key):
                yield
        except InputError as error:
            self._found.append(error)


def _line(error: InputError) -> int:
    found = re.search(r":(\d+)$", error.where)
    return int(found[1]) if found else 0
