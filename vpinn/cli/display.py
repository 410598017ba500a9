"""Printing of tables and lines on stdout and stderr, with control characters in user texts made visible."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable, Sequence
from typing import TextIO

from rich.console import Console
from rich.table import Table

from vpinn.text import escaped


def print_table(table: Table) -> None:
    """Print a table on stdout: fitted to the width of a terminal; without colours and line breaks into a file or pipe."""
    if sys.stdout.isatty():
        Console(highlight=False).print(table)
        return
    text = io.StringIO()
    Console(file=text, highlight=False, color_system=None, width=10_000).print(table)
    print("\n".join(line.rstrip() for line in text.getvalue().splitlines()))


def print_columns(rows: Iterable[Sequence[str]]) -> None:
    """Print rows in aligned columns without a header; a first entry equal to that of the row above is left blank."""
    table, last = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0)), ""
    for first, *rest in rows:
        table.add_row(*map(escaped, (first if first != last else "", *rest)))
        last = first
    print_table(table)


def say(*lines: object, file: TextIO | None = None) -> None:
    """Print lines and flush them (to stdout by default); control characters are printed as visible escapes."""
    for line in lines:
        print(escaped(line, keep="\n"), file=file or sys.stdout, flush=True)


def prepare_streams() -> None:
    """Replace closed standard streams, and make printing safe in encodings that lack some characters."""
    sys.stdout, sys.stderr = (stream or io.StringIO() for stream in (sys.stdout, sys.stderr))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # an encoding without "²" gets its code instead
