"""Writing and reading of ``comparison.json``: the variants, all finished runs and their statistics.

It is written after each run, so that a comparison can be resumed. It is resumed only if its "question", which is all that runs
depend on, is the same as before.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vpinn.comparison.course import Course
from vpinn.comparison.runs import Place
from vpinn.comparison.statistics import summarise, thresholds
from vpinn.comparison.variants import Variant
from vpinn.errors import InputError, StorageError
from vpinn.placement import Placement
from vpinn.problem import Case
from vpinn.run_files import read_json
from vpinn.run_folder import environment, fingerprints
from vpinn.storage import write_atomic

FILE = "comparison.json"
MEASURED = ("seconds", "updates", "evaluations", "error")
NUMBERS = ("setup", "cpu", "memory", "libraries", "fluctuation")


@dataclass(frozen=True)
class Comparison:
    """The definition of a comparison.

    Attributes:
        problem: The problem with the settings of the first variant.
        variants: The variants; the first one trains on all points.
        seeds: Seeds that every variant is run with.
        seconds: Training time of every run in s; None for the time that the first run needs for its steps.
        placement: Device, precision and threads of every run.
    """

    problem: Case
    variants: list[Variant]
    seeds: list[int]
    seconds: float | None
    placement: Placement

    @property
    def error(self) -> str:
        """Name of the error by which variants are compared."""
        known = self.problem.exact or self.problem.reference is not None
        return "relative L² error" if known else "relative error estimate"


def check_vacant(folder: Path, resume: bool, overwrite: bool) -> None:
    """Refuse a folder in which a new comparison would destroy something.

    Args:
        folder: Folder to check; need not exist.
        resume: Whether the user asked to continue the comparison in the folder.
        overwrite: Whether the user asked to replace it.

    Raises:
        InputError: The folder holds a comparison and neither was asked for, it holds files of other origin with names that a
            comparison uses, or there is no comparison to resume.
    """
    found = read_json(folder / FILE)
    there = found is not None
    for name in (FILE,) if there else ("figures", "report.html"):
        if os.path.lexists(folder / name) and "question" not in (found or {}):
            raise InputError(f"{folder / name} is there and no comparison wrote it; move it or choose another folder with -o")
    if resume and not there:
        raise InputError(f"{folder} holds no comparison to resume; run without --resume")
    if there and not resume and not overwrite:
        raise InputError(
            f"{folder} holds a comparison already; go on with --resume, replace it with --overwrite, or choose another with -o"
        )


def write(folder: Path, comparison: Comparison, courses: Mapping[Place, Course]) -> None:
    """Write comparison.json with all finished runs.

    Args:
        folder: Folder of the comparison.
        comparison: The comparison.
        courses: Finished runs, by (number of variant, seed).
    """
    levels = thresholds(list(courses.values()))
    variants = []
    for k, variant in enumerate(comparison.variants):
        mine = [course for (number, _), course in courses.items() if number == k]
        told: dict[str, Any] = {"label": variant.label, "settings": variant.settings, "method": variant.method}
        told |= {"points": variant.points, "batch_size": variant.batch or "full", "parameters": variant.parameters}
        variants.append(told | ({"summary": asdict(summarise(variant, mine, levels))} if mine else {}))
    runs = [{"variant": number, "seed": seed, **asdict(course)} for (number, seed), course in courses.items()]
    content = {
        "title": comparison.problem.title,
        "error": comparison.error,
        "seeds": comparison.seeds,
        "seconds": comparison.seconds or _budget(courses, comparison),
        "question": _question(comparison),
        "thresholds": levels,
        "variants": variants,
        "runs": runs,
        **environment(),
    }
    text = json.dumps(_plain(content), indent=1, ensure_ascii=False) + "\n"
    write_atomic(folder / FILE, text.encode("utf-8", "backslashreplace"))


def read_question(folder: Path) -> dict[str, Any]:
    """Return the number of "seeds" and the "seconds" that the user asked for when the comparison in a folder was begun.

    Raises:
        StorageError: The record is damaged.
    """
    record = read_json(folder / FILE) or {}
    try:
        return {"seeds": len(record["seeds"]), "seconds": record["question"]["seconds"]}
    except (KeyError, TypeError):
        raise _damaged(folder) from None


def read_courses(folder: Path, comparison: Comparison) -> dict[Place, Course]:
    """Return the finished runs in a folder, by (number of variant, seed), to resume a comparison.

    Raises:
        InputError: They belong to another comparison; the message names the first difference.
        StorageError: The record is damaged.
    """
    record = read_json(folder / FILE) or {}
    try:
        changed = _difference(_asked(record["question"]), _asked(_plain(_question(comparison))))
        if not changed and record["seeds"] != comparison.seeds[: len(record["seeds"])]:
            changed = "seeds"
        courses = {(run["variant"], run["seed"]): _course(run) for run in record["runs"]}
    except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError):
        raise _damaged(folder) from None
    if changed:
        raise InputError(f"{folder}: --resume needs the comparison as it was, but {changed} changed; start anew with --overwrite")
    return courses


def _damaged(folder: Path) -> StorageError:
    return StorageError(f"{folder / FILE}: the record is damaged; start anew with --overwrite")


def _question(comparison: Comparison) -> dict[str, Any]:
    """Return all that runs depend on, which must be the same for runs to be compared."""
    return {
        "seconds": comparison.seconds,
        **comparison.placement.told,
        "files": fingerprints(comparison.problem),
        "problem": comparison.problem.source.data,
        "variants": {variant.label: variant.settings for variant in comparison.variants},
    }


def _asked(question: Mapping[str, Any]) -> dict[str, Any]:
    """Return a question without title and [output] of the problem file, which may change when a comparison is resumed."""
    problem = {key: value for key, value in question["problem"].items() if key not in ("title", "output")}
    return {**question, "problem": problem}


def _difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Return the first key, joined by dots, whose values differ in two nested mappings; "" if they are equal."""
    for key in (*now, *before):
        old, new = before.get(key), now.get(key)
        if old != new:
            deeper = _difference(old, new) if isinstance(old, dict) and isinstance(new, dict) else ""
            return f"{key}.{deeper}" if deeper else key
    return ""


def _budget(courses: Mapping[Place, Course], comparison: Comparison) -> float | None:
    """Return the seconds that the first run needed for its steps; None if it has not finished."""
    first = courses.get((0, comparison.seeds[0]))
    return first.seconds[-1] if first is not None and first.seconds else None


def _course(run: Mapping[str, Any]) -> Course:
    """Return a run from its JSON object."""
    marks = [tuple(map(_number, mark)) for mark in zip(*(run[name] for name in MEASURED), strict=True)]
    return Course.of(marks, str(run["stopped"]), *(_number(run[name]) for name in NUMBERS))


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _plain(value: Any) -> Any:
    """Return a value in a form that JSON can hold: keys are text, nan and infinity become None."""
    if isinstance(value, Mapping):
        return {f"{key:g}" if isinstance(key, float) else str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
