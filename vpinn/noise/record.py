"""The record of a noise report on disk: results of finished stages ("parts"), so that an interrupted report can be resumed.

`Record.part` returns a recorded result, or measures it and saves the record. The state of the random generator after each part
is recorded, too, so that a resumed report equals an uninterrupted one.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from vpinn.errors import InputError, StorageError
from vpinn.noise.finding import Curve, Finding
from vpinn.noise.pilot import RateTrial
from vpinn.optimization import load_arrays, save_arrays
from vpinn.placement import host

FILE, REPORT = "noise.npz", "noise.json"
OWN = (REPORT, "recommendation.toml", "report.html", "figures")
"""Files of a report in its folder besides the record."""
_KINDS = {kind.__name__: kind for kind in (Finding, Curve, RateTrial)}
_Part = TypeVar("_Part")


@dataclass
class Record:
    """Results of the finished parts of one report.

    Attributes:
        parts: Name of a part → its result ("found"), the state of the generator after it ("generator") and its processor time in
            s ("seconds"), as JSON-compatible values and arrays.
        keep: Function that is called with the record after every new part, to save it.
    """

    parts: dict[str, dict[str, Any]] = field(default_factory=dict)
    keep: Callable[[Record], None] = lambda record: None

    def part(self, name: str, find: Callable[[], _Part], generator: np.random.Generator) -> _Part:
        """Return the result of a part: the recorded one, with the generator set to its state after the part, or a new one.

        Args:
            name: Name of the part, unique in the report.
            find: Function that measures the part. It may return numbers, texts, arrays, tensors, findings, curves, trials, and
                tuples, lists and dictionaries of these.
            generator: Generator that ``find`` draws from.
        """
        if name in self.parts:
            with _understood():
                generator.bit_generator.state = self.parts[name]["generator"]
                return _whole(self.parts[name]["found"])  # type: ignore[no-any-return]
        began = time.process_time()
        found = find()
        seconds = time.process_time() - began
        self.parts[name] = {"found": _plain(found), "generator": generator.bit_generator.state, "seconds": seconds}
        self.keep(self)
        return found

    @property
    def seconds(self) -> float:
        """Processor time of all parts in s."""
        return float(sum(part["seconds"] for part in self.parts.values()))


def begin(folder: Path, question: Mapping[str, Any], resume: bool, overwrite: bool) -> Record:
    """Return the record of the report in a folder: a new one, or the existing one to resume.

    Args:
        folder: Folder of the report.
        question: All that the results depend on, JSON-compatible; it has to be the same when a report is resumed.
        resume: Whether to continue the report in the folder.
        overwrite: Whether to replace the report in the folder.

    Raises:
        InputError: The folder holds a report and neither was asked for; it holds files of other origin with names that a report
            uses; there is no report to resume; or the report in the folder has another question.
        StorageError: The record is damaged, or cannot be written.
    """
    path = folder / FILE
    there = os.path.lexists(path)
    if not there and (names := [name for name in OWN if os.path.lexists(folder / name)]) and not _is_report(folder / REPORT):
        raise InputError(f"{folder / names[0]} is there and no report wrote it; move it or choose another folder with -o")
    if resume and not there:
        raise InputError(f"{folder} holds no report to resume; run without --resume")
    if not resume and not overwrite and (there or (folder / REPORT).exists()):
        raise InputError(
            f"{folder} holds a report already; go on with --resume, replace it with --overwrite, or choose another with -o"
        )
    known = json.loads(json.dumps(question))
    record = Record(keep=lambda record: _write(path, record, known))
    if resume:
        arrays, meta = load_arrays(path)
        with _understood():
            changed = sorted(key for key in known if meta["question"].get(key) != known[key])
            record.parts = dict(_joined(meta["parts"], arrays))
        if changed:
            told = f"--resume needs the report as it was, but {changed[0]} changed"
            raise InputError(f"{folder}: {told}; start anew with --overwrite")
    else:
        _write(path, record, known)
    return record


@contextlib.contextmanager
def _understood() -> Iterator[None]:
    """Turn errors in the interpretation of a readable record, which may not be one of a report, into a StorageError."""
    try:
        yield
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise StorageError(f"{FILE} holds no report ({type(error).__name__}); start anew with --overwrite") from None


def _is_report(path: Path) -> bool:
    """Return whether a file is a noise.json that a report wrote."""
    try:
        return path.is_file() and "findings" in json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError, RecursionError):
        return False


def _write(path: Path, record: Record, question: Mapping[str, Any]) -> None:
    arrays: dict[str, NDArray[Any]] = {}
    parts = _split(record.parts, arrays)
    save_arrays(path, arrays, {"question": question, "parts": parts})


def _split(value: Any, arrays: dict[str, NDArray[Any]]) -> Any:
    """Return a value with every array replaced by a name, under which it is added to ``arrays``."""
    match value:
        case np.ndarray():
            name = f"array.{len(arrays)}"
            arrays[name] = value
            return {"array": name}
        case dict():
            return {key: _split(entry, arrays) for key, entry in value.items()}
        case list():
            return [_split(entry, arrays) for entry in value]
    return value


def _joined(value: Any, arrays: Mapping[str, NDArray[Any]]) -> Any:
    """Return a value with names replaced by their arrays; the inverse of `_split`."""
    match value:
        case {"array": str(name)}:
            return arrays[name]
        case dict():
            return {key: _joined(entry, arrays) for key, entry in value.items()}
        case list():
            return [_joined(entry, arrays) for entry in value]
    return value


def _plain(value: Any) -> Any:
    """Return a result as JSON-compatible values and arrays, with the types that JSON lacks marked."""
    match value:
        case torch.Tensor():
            return {"tensor": host(value).copy()}
        case tuple():
            return {"tuple": [_plain(entry) for entry in value]}
        case list():
            return [_plain(entry) for entry in value]
        case dict():
            return {"entries": [[key, _plain(entry)] for key, entry in value.items()]}
        case np.generic():
            return value.item()
    if type(value) in _KINDS.values():
        return {"kind": type(value).__name__, "fields": _plain(dict(vars(value)))}
    return value


def _whole(value: Any) -> Any:
    """Return the result from values that ``_plain`` returned; its inverse."""
    match value:
        case {"tensor": rows}:
            return torch.from_numpy(np.array(rows))
        case {"tuple": entries}:
            return tuple(map(_whole, entries))
        case {"entries": entries}:
            return {key: _whole(entry) for key, entry in entries}
        case {"kind": name, "fields": fields}:
            return _KINDS[name](**_whole(fields))
        case list():
            return [_whole(entry) for entry in value]
    return value
