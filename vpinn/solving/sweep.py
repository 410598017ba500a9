"""A sweep: one run of a problem file per value of some settings, each with a folder of its own."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vpinn import run_files, run_folder
from vpinn.errors import InputError
from vpinn.problem import Case, read_problem
from vpinn.solution import Solution

_OUTSIDE_BRACKETS = re.compile(r",(?![^\[]*\])")
_UNSAFE = re.compile(r"[^\w.=+-]+")


@dataclass(frozen=True)
class Member:
    """One run of a sweep.

    Attributes:
        values: ``section.key`` → value as text.
        folder: its run folder.
        problem: what it solves.
        metrics: what it found; None before it has ended.
    """

    values: dict[str, str]
    folder: Path
    problem: Case
    metrics: dict[str, Any] | None = None

    @property
    def label(self) -> str:
        """Values by the last part of their names, as in "k=1, seed=2"."""
        return ", ".join(f"{key.rpartition('.')[2]}={value}" for key, value in self.values.items())


def members(file: str | Path, vary: Sequence[str], changes: Sequence[str] = (), folder: Path | None = None) -> list[Member]:
    """Return the runs of a sweep, checked but not begun.

    Args:
        file: problem file.
        vary: ``section.key=value,value,…`` each; all combinations are run.
        changes: ``section.key=value`` each, for all runs.
        folder: where their folders go; None for "sweep" in the problem's run folder.

    Raises:
        InputError: a text is no such list, or a problem is wrong.
    """
    axes = [_axis(text) for text in vary]
    if not axes:
        raise InputError("give values, as in --vary constants.k=1,2,5", "--vary")
    if len({key for key, _ in axes}) < len(axes):
        raise InputError("a setting is varied twice; give all of its values at once", "--vary")
    base = folder or read_problem(file, changes).directory / "sweep"
    found = []
    for combination in itertools.product(*(values for _, values in axes)):
        values = {key: value for (key, _), value in zip(axes, combination, strict=True)}
        problem = read_problem(file, [*changes, *(f"{key}={value}" for key, value in values.items())])
        name = "_".join(_UNSAFE.sub("-", f"{key.rpartition('.')[2]}={value}") for key, value in values.items())
        found.append(Member(values, base / name, problem))
    return found


def run_all(runs: Sequence[Member], solve: Callable[[Member], Solution], resume: bool = False) -> Iterator[Member]:
    """Solve the runs one after the other, and yield each with its metrics.

    Args:
        runs: as `members` returns them.
        solve: solves one in its folder.
        resume: keep those that have ended with their report, unless their settings or files have changed since.
    """
    for run in runs:
        known = run_files.read_json(run.folder / run_files.METRICS) if resume and _reported(run) else None
        metrics = known if known is not None else dict(solve(run).metrics)
        yield Member(run.values, run.folder, run.problem, metrics)


def _reported(run: Member) -> bool:
    """Return whether the folder holds the report of this very run: of the same settings and files."""
    record = run_files.read_json(run.folder / run_files.RUN) or {}
    asked = json.loads(json.dumps(run.problem.source.data)), run_folder.fingerprints(run.problem)
    return (record.get("data"), record.get("files")) == asked and (run.folder / run_files.REPORT).exists()


def _axis(text: str) -> tuple[str, list[str]]:
    key, equals, rest = text.partition("=")
    values = [value.strip() for value in _OUTSIDE_BRACKETS.split(rest)]
    if not equals or not key.strip() or not all(values):
        raise InputError(f"expected section.key=value,value, got {text!r}", "--vary")
    return key.strip(), values
