"""What a program does right now, on the screen: a line with the time that has gone, until something else is shown.

It is there within a second, also while libraries load or a factorisation runs, since a thread of its own draws it.
"""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

AFTER = 1.0
"""Seconds after which a phase is told of where lines cannot be replaced, such as in files."""
REFRESH = 4
"""Updates per second in a terminal."""


class Waiting:
    """Shows the phase that a program is in: a spinner with a clock in a terminal, else a line for every phase that takes long.

    Args:
        console: where.
        quiet: whether to show nothing.
    """

    def __init__(self, console: Console, quiet: bool = False) -> None:
        self._console, self._quiet = console, quiet
        self._bar: Progress | None = None
        self._timer: threading.Timer | None = None
        self._began = time.monotonic()

    def begin(self, phase: str, line: bool = True) -> None:
        """Show a phase instead of the last one.

        Args:
            phase: its name.
            line: whether it is told where lines cannot be replaced; not before input is known to be good: errors are one line.
        """
        self.end()
        if self._quiet:
            return
        if self._console.is_terminal or self._console.is_jupyter:
            columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
            self._bar = Progress(*columns, console=self._console, transient=True, refresh_per_second=REFRESH)
            self._bar.add_task(phase, total=None)
            self._bar.start()
            return
        if not line:
            return
        self._timer = threading.Timer(AFTER, self._tell, (phase,))
        self._timer.daemon = True
        self._timer.start()

    def end(self) -> None:
        """Remove what is shown."""
        if self._bar is not None:
            self._bar.stop()
        if self._timer is not None:
            self._timer.cancel()
        self._bar = self._timer = None

    def _tell(self, phase: str) -> None:
        self._console.print(f"{phase} …  after {clock(time.monotonic() - self._began)}", highlight=False, soft_wrap=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Remove what is shown."""
        self.end()


def clock(seconds: float) -> str:
    """Return hours, minutes and seconds as 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
