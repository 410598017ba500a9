"""The solution of a run folder, or of a member of a family that --param names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from vpinn.errors import InputError

if TYPE_CHECKING:
    from vpinn.solution import Solution


def load_run(folder: Path, values: list[str] | None = None, needed: bool = False) -> Solution:
    """Return the solution of a run folder; with values "name=value", the member of a family that they name.

    Raises:
        InputError: there is no such folder, a value is wrong, or a family has none where they are needed.
    """
    if not folder.is_dir():
        raise InputError("there is no such run folder; give a folder that 'vpinn solve' wrote", str(folder))
    from vpinn.solving import load

    solution = load(folder)
    if values:
        return solution.member(_numbers(values))
    if needed and solution.members is not None:
        names = ", ".join(solution.metrics["family"]["parameters"])
        raise InputError(f"this run is of a family; give --param for {names}")
    return solution


def _numbers(values: list[str]) -> dict[str, float]:
    """Return what --param gives, name → number."""
    found = {}
    for value in values:
        name, _, number = value.partition("=")
        try:
            found[name.strip()] = float(number)
        except ValueError:
            raise InputError(f"expected NAME=VALUE with a number, got {value!r}", "--param") from None
    return found
