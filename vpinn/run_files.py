"""Files of a run folder: what they are called, and which of those that are there a run may replace."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vpinn.errors import InputError, StorageError
from vpinn.storage import inside, read_regular

CHECKPOINT, RUN, METRICS, HISTORY, PROBLEM = "checkpoint.npz", "run.json", "metrics.json", "history.csv", "problem.toml"
FIELDS = tuple(f"solution.{kind}" for kind in ("vtu", "pvd", "xdmf", "csv", "npz"))
OWN = (CHECKPOINT, METRICS, HISTORY, "report.html", "figures", *FIELDS)
"""What a run writes beside its record and the problem with its files."""


def check_vacant(folder: Path, resume: bool, overwrite: bool) -> None:
    """Refuse a folder that holds a run which nobody said to resume or to overwrite, or files of a run's names that none wrote.

    Raises:
        InputError: it does; or there is nothing to resume.
        StorageError: the record of the run cannot be read.
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
            f"{folder} holds a run already; go on with --resume, replace it with --overwrite, or choose another with -o"
        )


def _record_of(folder: Path, damaged: bool) -> dict[str, Any] | None:
    """Return the record of the run in a folder, None where there is none, an empty one where a damaged one is as good."""
    try:
        return read_json(folder / RUN)
    except StorageError:
        if not damaged:
            raise
        return {"versions": {}}


def _foreign(path: Path) -> InputError:
    return InputError(f"{path} is there and no run wrote it; move it or choose another folder with -o")


def check_copies(folder: Path, copies: Mapping[str, bytes]) -> None:
    """Refuse copies that would replace files of others.

    Raises:
        InputError: the message names the file.
    """
    before = _record_of(folder, damaged=True)
    wrote = () if before is None else (PROBLEM, *before.get("files", ()))
    for name, content in copies.items():
        path = inside(folder, name)
        if name != PROBLEM and Path(name).parts[0] in (*OWN, RUN, PROBLEM):
            raise InputError(f"a file called {name!r} would be lost among those of the run; call it otherwise")
        if name not in wrote and os.path.lexists(path) and not holds(path, content):
            raise _foreign(path)


def holds(path: Path, content: bytes) -> bool:
    """Return whether a regular file has this content."""
    try:
        return read_regular(path) == content
    except OSError:
        return False


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the object in a JSON file, None where there is no file.

    Raises:
        StorageError: it cannot be read.
    """
    try:
        content = json.loads(read_regular(path).decode())
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise StorageError(f"{path}: cannot be read: {error}") from None
    return content if isinstance(content, dict) else None
