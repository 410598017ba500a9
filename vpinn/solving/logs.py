"""Logs of runs for other programs: JSON lines, and TensorBoard. Both are callbacks, see `vpinn.solving.events`."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

from vpinn.errors import InputError, StorageError
from vpinn.solving.events import Event

CURVES = ("loss", "error", "estimate", "residual")
"""Entries of events that TensorBoard draws."""
EVENT = b'{"event"'
"""Beginning of a log."""


class JsonLines:
    """Writes one JSON object per event and line, flushed at once, so that another program can follow the run.

    Args:
        file: path of the file, or an open stream, which stays open. A log of an earlier run is replaced.

    Raises:
        InputError: there is a file that is no log.
        StorageError: the file cannot be written.
    """

    def __init__(self, file: str | Path | TextIO) -> None:
        self._owned = contextlib.ExitStack()
        if not isinstance(file, str | Path):
            self._stream = file
            return
        try:
            if not _is_log(Path(file)):
                raise InputError(f"{file} is there and is no log of a run; move it or choose another name", "--log")
            stream = open(file, "w", encoding="utf-8")  # noqa: SIM115 (closed at the end of the with block)
        except OSError as error:
            raise StorageError(f"{file}: cannot be written: {error.strerror or error}") from None
        self._stream = self._owned.enter_context(stream)

    def __call__(self, event: Event) -> None:
        """Write an event."""
        self.write(event.as_json)

    def write(self, content: dict[str, Any]) -> None:
        """Write an object of JSON-compatible values as a line."""
        self._stream.write(json.dumps(content) + "\n")
        self._stream.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close the file."""
        self._owned.close()


def _is_log(file: Path) -> bool:
    """Return whether a file may be replaced: it does not exist, is empty, begins with an event, or is a device or a pipe."""
    if not file.is_file():
        return True
    with file.open("rb") as content:
        return content.read(len(EVENT)) in (b"", EVENT)


class TensorBoard:
    """Writes the curves of a run for TensorBoard.

    Args:
        folder: where the event files go.

    Raises:
        InputError: the package tensorboard is not installed.
    """

    def __init__(self, folder: str | Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise InputError("a log for TensorBoard needs its package; install it with: pip install tensorboard") from None
        self._writer = SummaryWriter(str(folder))

    def __call__(self, event: Event) -> None:
        """Add the values of a step or stage."""
        known = event.as_json
        for name in CURVES:
            if name in known:
                self._writer.add_scalar(name, known[name], event.step)
        if event.kind == "end":
            self._writer.flush()
