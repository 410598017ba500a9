"""Printing of tables, lines and problems on stdout and stderr, with control characters in user texts made visible."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from vpinn.cli.launch import rank
from vpinn.errors import InputError
from vpinn.text import escaped

if TYPE_CHECKING:
    from vpinn.problem import Case
    from vpinn.solving import Callback


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
        table.add_row(*(Text(escaped(cell)) for cell in (first if first != last else "", *rest)))  # brackets are no markup
        last = first
    print_table(table)


def say(*lines: object, file: TextIO | None = None) -> None:
    """Print lines and flush them (to stdout by default); control characters are printed as visible escapes."""
    for line in lines:
        print(escaped(line, keep="\n"), file=file or sys.stdout, flush=True)


@contextlib.contextmanager
def log_to(target: str | None) -> Iterator[tuple[Callback, ...]]:
    """Yield the callbacks that write the log of ``--log``: none, JSON lines in a file or on stdout, or TensorBoard's files."""
    if target is None:
        yield ()
        return
    from vpinn.solving import JsonLines, TensorBoard

    kind, _, folder = target.partition(":")
    if kind == "tensorboard":
        if not folder:
            raise InputError("give the folder, as in --log tensorboard:runs", "--log")
        yield (TensorBoard(folder),)
        return
    with JsonLines(sys.stdout if target == "-" else target) as log:
        yield (log,)


def acknowledged(number: int) -> None:
    """Tell at once that a signal has come, since the step or stage that it ends may take a while."""
    if number == signal.SIGINT and sys.stderr.isatty() and not rank():
        os.write(sys.stderr.fileno(), b"\nstopping; the state is saved after this step (Ctrl-C again leaves at once)\n")


def prepare_streams() -> None:
    """Replace closed standard streams, and make printing safe in encodings that lack some characters."""
    sys.stdout, sys.stderr = (stream or io.StringIO() for stream in (sys.stdout, sys.stderr))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # an encoding without "²" gets its code instead


def show_problem(problem: Case, device: str | None) -> None:
    """Print the table of what a run of a problem would do.

    Args:
        problem: the problem.
        device: device of training, None for the CPU.
    """
    from vpinn.problem import is_marched, over_time

    if problem.inverse is not None:
        from vpinn.output import as_table, rows_of_inverse

        print_table(as_table(rows_of_inverse(problem)))
        return
    if problem.clock is not None and is_marched(problem.settings, problem.domain):
        from vpinn.output import as_table, rows_in_time

        print_table(as_table(rows_in_time(problem)))
        return
    if problem.parameters is not None:
        from vpinn.output import as_table, rows_of_family

        print_table(as_table(rows_of_family(problem)))
        return
    if problem.eigen is not None:
        from vpinn.output import as_table, rows_of_eigenproblem

        print_table(as_table(rows_of_eigenproblem(problem)))
        return
    from vpinn.solving import spaces_of_few_coordinates

    if spaces := spaces_of_few_coordinates(problem):
        from vpinn.output import as_table, rows_in_many_dimensions

        print_table(as_table(rows_in_many_dimensions(problem, spaces)))
        return
    from vpinn.analysis import make_estimator
    from vpinn.features import LeastSquares, objective_for, widest
    from vpinn.output import as_table, estimate_memory, problem_rows
    from vpinn.placement import Placement
    from vpinn.solving import prepare
    from vpinn.solving.expectation import expectation

    problem = over_time(problem)
    setup = prepare(problem, Placement.of(device, 1), trains=False)
    estimator = make_estimator(problem, setup.trial)
    tested = estimator.residual.objective if estimator and estimator.residual else None
    curved = setup.plan.method.name == "gauss-newton" and not setup.plan.samplers
    objective = setup.objective
    columns = 0
    objectives = setup.objectives
    if isinstance(setup.plan.method, LeastSquares) and objectives is not None:
        width = widest(objectives, setup.trial, setup.plan.method.widths)
        objective, columns = objective_for(objectives, setup.trial, width), width * setup.trial.network.outputs
    memory = estimate_memory(objective, tested, curved, columns)
    trials = setup.trial, *setup.others
    shown = problem_rows(problem, trials, setup.objective, setup.plan, memory, *expectation(setup))
    print_table(as_table(shown))
