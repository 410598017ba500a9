"""Names of the files in a run folder, and checks that a run replaces only files that an earlier run wrote.

Start from `check_vacant`, which is called before a run writes anything.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vpinn.errors import InputError, StorageError
from vpinn.storage import inside, read_regular

CHECKPOINT, RUN, METRICS, HISTORY, PROBLEM = "checkpoint.npz", "run.json", "metrics.json", "history.csv", "problem.toml"
REPORT = "report.html"
FIELDS = tuple(f"solution.{kind}" for kind in ("vtu", "pvd", "xdmf", "csv", "npz"))
OWN = (CHECKPOINT, METRICS, HISTORY, REPORT, "figures", *FIELDS)
"""Files that a run writes, besides its record (`RUN`) and the copies of the problem file and of the files it names."""


def check_vacant(folder: Path, resume: bool, overwrite: bool) -> None:
    """Refuse a folder in which a new run would destroy something.

    Args:
        folder: Run folder; need not exist.
        resume: Whether the user asked to continue the run in the folder.
        overwrite: Whether the user asked to replace the run in the folder.

    Raises:
        InputError: The folder holds a run and neither was asked for; it holds files with names of a run's files that no run
            wrote; or there is no run to resume.
        StorageError: The record of the run cannot be read.
    """
    record = _record_of(folder, damaged=overwrite)
    if record is None or "versions" not in record:
        for name in OWN if record is None else (RUN,):
            if os.path.lexists(folder / name):
                raise _foreign(folder / name)
    if resume and record is None:
        raise InputError(f"{folder} holds no run to resume; run without --resume")
    if not resume and not overwrite and record is not None:
        raise InputError(
            f"{folder} holds a run already; go on with --resume, replace it with --overwrite, or choose another folder with -o"
        )


def _record_of(folder: Path, damaged: bool) -> dict[str, Any] | None:
    """Return the record of the run in a folder, None if there is none; with ``damaged``, an unreadable record counts as empty."""
    try:
        return read_json(folder / RUN)
    except StorageError:
        if not damaged:
            raise
        return {"versions": {}}


def _foreign(path: Path) -> InputError:
    return InputError(f"{path} is there and no run wrote it; move it or choose another folder with -o")


def check_copies(folder: Path, copies: Mapping[str, bytes]) -> None:
    """Refuse to copy files into a run folder if a copy would replace a file that no run wrote.

    Args:
        folder: The run folder.
        copies: Name in the folder → content of the copy.

    Raises:
        InputError: A copy would replace such a file, or has the name of another file of the run; the message names it.
    """
    before = _record_of(folder, damaged=True)
    wrote = () if before is None else (PROBLEM, *before.get("files", ()))
    for name, content in copies.items():
        path = inside(folder, name)
        if name != PROBLEM and Path(name).parts[0] in (*OWN, RUN, PROBLEM):
            raise InputError(f"a file named {name!r} would clash with a file that the run writes; rename it")
        if name not in wrote and os.path.lexists(path) and not holds(path, content):
            raise _foreign(path)


def check_target(path: Path) -> None:
    """Refuse to write fields or a picture onto a file that a run needs; its field files and figures may be replaced.

    Args:
        path: The file to write; links are followed.

    Raises:
        InputError: It is the state of a run or noise report, its history, or a copy of a file that its problem names.
    """
    path = path.resolve()
    for folder in path.parents:
        record = _record_of(folder, damaged=True)
        needed = () if record is None else (CHECKPOINT, HISTORY, *record.get("files", ()))
        if path.relative_to(folder).as_posix() in (*needed, *(("noise.npz",) if (folder / "noise.json").exists() else ())):
            raise InputError(f"{path.name} is a file that the run in {folder} needs; choose another name", "--output")


def holds(path: Path, content: bytes) -> bool:
    """Return whether ``path`` is a regular file with exactly this content."""
    try:
        return read_regular(path) == content
    except OSError:
        return False


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the object in a JSON file; None if there is no file, or something else than an object in it.

    Raises:
        StorageError: The file cannot be read, or is not valid JSON.
    """
    try:
        content = json.loads(read_regular(path).decode())
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise StorageError(f"{path}: cannot be read: {error}") from None
    return content if isinstance(content, dict) else None
