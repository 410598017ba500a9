"""Display of the progress of many runs, as in ``vpinn compare``: a bar in terminals and notebooks, a line per run elsewhere."""

from __future__ import annotations

import math
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from vpinn.text import escaped


class RunsProgress:
    """Shows the current run, the number of runs, and the seconds and error of the current run.

    Args:
        console: Console to print on: a bar in a terminal or notebook, else a line at the start of each run.
        quiet: Whether to show nothing.
    """

    def __init__(self, console: Console, quiet: bool = False) -> None:
        self._console, self._quiet = console, quiet
        self._bar: Progress | None = None
        self._line = ""
        if not quiet and (console.is_terminal or console.is_jupyter):
            self._bar = Progress(
                TextColumn("{task.description}"), BarColumn(14), TextColumn("{task.fields[state]}", markup=False),
                TimeRemainingColumn(),
                console=console, auto_refresh=False,
            )  # fmt: skip

    def __enter__(self) -> RunsProgress:
        """Start the bar."""
        if self._bar is not None:
            self._bar.start()
            self._bar.add_task("", total=None, state="")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop updating the bar, and leave it on the screen."""
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, done: int, total: int, name: str, seconds: float, budget: float | None, error: float) -> None:
        """Show the state of the runs.

        Args:
            done: Number of finished runs.
            total: Number of all runs.
            name: Name of the current run.
            seconds: Seconds that the current run has trained.
            budget: Seconds that every run may train; None if not known yet.
            error: Last measured error of the current run; nan before the first measurement.
        """
        line = escaped(f"run {done + 1}/{total}  {name}")
        if self._bar is not None:
            used = f"  {seconds:.1f}{'' if budget is None else f'/{budget:.1f}'} s"
            state = line + used + (f"  error {error:.1e}" if math.isfinite(error) else "")
            within = 0.0 if budget is None else min(1.0, seconds / budget)
            self._bar.update(self._bar.tasks[0].id, total=total, completed=done + within, state=state)
            self._bar.refresh()
        elif not self._quiet and line != self._line:
            self._line = line
            self._console.print(line, highlight=False, markup=False, soft_wrap=True)
