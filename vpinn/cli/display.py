"""Tables and lines on stdout and stderr."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable, Sequence
from typing import TextIO

from rich.console import Console
from rich.table import Table

from vpinn.text import escaped


def print_table(table: Table) -> None:
    """Print a table as wide as the terminal; where there is none, plain and with lines as long as they are."""
    if sys.stdout.isatty():
        Console(highlight=False).print(table)
        return
    text = io.StringIO()
    Console(file=text, highlight=False, color_system=None, width=10_000).print(table)
    print("\n".join(line.rstrip() for line in text.getvalue().splitlines()))


def print_columns(rows: Iterable[Sequence[str]]) -> None:
    """Print rows as columns without a head; what repeats the first column of the row before is left out."""
    table, last = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0)), ""
    for first, *rest in rows:
        table.add_row(*map(escaped, (first if first != last else "", *rest)))
        last = first
    print_table(table)


def say(*lines: object, file: TextIO | None = None) -> None:
    """Print lines, at once; what in them would steer the terminal is shown as an escape."""
    for line in lines:
        print(escaped(line, keep="\n"), file=file or sys.stdout, flush=True)


def prepare_streams() -> None:
    """Give the program streams where they are closed, and signs to terminals that lack some."""
    sys.stdout, sys.stderr = (stream or io.StringIO() for stream in (sys.stdout, sys.stderr))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that knows no "²" gets its number
