"""The constants of a problem file: numbers, and lists of numbers that may come from a file."""

# mypy: disable-error-code="no-untyped-call, no-any-return"
# UFL's constructors carry no annotations.

from __future__ import annotations

import csv
import math
from pathlib import Path

import ufl

from vpinn.errors import InputError
from vpinn.problem.columns import rows_of
from vpinn.problem.given_sections import NumbersFile
from vpinn.problem.limits import MAX_COMPONENTS
from vpinn.problem.locations import file_inside
from vpinn.problem.schema import Settings
from vpinn.problem.scope import Scope
from vpinn.problem.source import Source
from vpinn.problem.wording import printable

MAX_BYTES = 10_000_000


def define_constants(scope: Scope, settings: Settings, source: Source, folder: Path) -> Scope:
    """Return the scope with the constants; a list is a vector, whose entries are ``c[0]``, ``c[1]``, ….

    Raises:
        InputError: a list is empty or has more than 10,000 numbers, or its file cannot be read as numbers.
    """
    for name, given in settings.constants.items():
        with source.located("constants", name):
            if isinstance(given, NumbersFile):
                scope = scope.define(name, ufl.as_vector(_read(file_inside(folder, given.file))))
            elif isinstance(given, tuple):
                scope = scope.define(name, ufl.as_vector(_listed([float(number) for number in given])))
            else:
                scope = scope.define(name, ufl.as_ufl(float(given)))
    return scope


def files_of_constants(settings: Settings) -> list[str]:
    """Return the names of the files from which constants come."""
    return [given.file for given in settings.constants.values() if isinstance(given, NumbersFile)]


def _listed(numbers: list[float]) -> list[float]:
    if not 1 <= len(numbers) <= MAX_COMPONENTS:
        raise InputError(f"a list has 1 to {MAX_COMPONENTS:,} numbers, got {len(numbers):,}")
    return numbers


def _read(path: Path) -> list[float]:
    """Return the numbers of a CSV file, row by row; a first line that is no number is a header."""
    where = printable(str(path), 200)
    try:
        rows = rows_of(path, MAX_BYTES, "the file")
        if rows and not is_number(rows[0][0]):
            rows = rows[1:]
        numbers = [float(cell) for row in rows for cell in row]
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"the file cannot be read as numbers: {printable(str(error), 200)}", where) from None
    if not all(map(math.isfinite, numbers)):
        raise InputError("the file has numbers that are not finite", where)
    return _listed(numbers)


def is_number(text: str) -> bool:
    """Return whether a text is a number as Python reads it."""
    try:
        float(text)
    except ValueError:
        return False
    return True
