"""Tables and lines on stdout and stderr."""

from __future__ import annotations

import io
import sys
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


def say(*lines: object, file: TextIO | None = None) -> None:
    """Print lines, at once; what in them would steer the terminal is shown as an escape."""
    for line in lines:
        print(escaped(line, keep="\n"), file=file or sys.stdout, flush=True)
