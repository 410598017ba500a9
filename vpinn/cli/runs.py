"""The commands that read a run folder: ``vpinn export``, ``evaluate`` and ``report``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vpinn.cli.display import say
from vpinn.cli.options import At, Line, Loud, Param, Quiet, Run, Target, Verbose, option
from vpinn.errors import InputError

if TYPE_CHECKING:
    from vpinn.solution import Solution


def export(
    run: Run,
    formats: Annotated[
        list[str] | None,
        option("--format", "-f", metavar="FORMAT", help="vtu (default), pvd (default in time), xdmf, csv or npz. Repeatable."),
    ] = None,
    refine: Annotated[int, typer.Option(min=0, max=4, help="Additional refinements of the output mesh.")] = 0,
    at: At = None,
    param: Param = None,
    output: Target = None,
    loud: Loud = None,
) -> None:
    """Write the solution of a finished or unfinished run to files: on its mesh, on a finer mesh, or at given points."""
    if output is not None and formats:
        raise InputError("the suffix of the file in --output already chooses the format; leave out --format")
    solution = _load(run, param, needed=True)
    from vpinn.output import is_timed, points_of, write

    points = points_of(at, solution.coordinates) if at else None
    usual = "pvd" if is_timed(solution) else "vtu"
    targets = [output] if output is not None else [run / f"solution.{name}" for name in formats or [usual]]
    for target in targets:
        write(solution, target, refine, points)
        if loud is not False:
            say(target)


def evaluate(
    run: Run,
    at: At = None,
    line: Line = None,
    param: Param = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print comma-separated values instead of a table.")] = False,
    output: Target = None,
    verbose: Verbose = False,
) -> None:
    """Print values and gradients of the solution at given points, or along a line; they are nan outside the domain."""
    if bool(at) == (line is not None):
        raise InputError('give points as --at "0.5,0.5" or --at points.csv, or a line as --line 0,0:1,0')
    drawn = output is not None and output.suffix == ".png"
    if output is not None and output.suffix not in (".csv", ".npz", ".png"):
        raise InputError(f"values at points are written as .csv or .npz, along a line as .png, got {output.name!r}", "--output")
    if drawn and line is None:
        raise InputError("a picture shows values along a line; give --line 0,0:1,0", "--output")
    solution = _load(run, param, needed=True)
    from vpinn.output import draw_profile, line_of, points_of, table_at, write

    points = line_of(line, solution.coordinates) if line is not None else points_of(at or [], solution.coordinates)
    if output is not None:
        if drawn:
            draw_profile(solution, points, output)
        else:
            write(solution, output, points=points)
        return
    print(table_at(solution, points, as_csv))


def report(run: Run, param: Param = None, quiet: Quiet = False, verbose: Verbose = False) -> None:
    """Draw the figures of a run again, and write its report.html: one page with results, figures, settings and problem file.

    With --param, the report is that of a member of a family, in the folder members/NAME=VALUE of the run.
    """
    solution = _load(run, param)
    from vpinn.output import draw, write_report

    target = run / "members" / ",".join(sorted(param)) if param else run
    draw(solution, target / "figures")
    written = write_report(solution, target)
    if not quiet:
        say(written)


def _load(folder: Path, values: list[str] | None = None, needed: bool = False) -> Solution:
    """Return the solution of a run folder; with values "name=value", the member of a family that they name.

    Raises:
        InputError: There is no such folder, a value is wrong, or a family has none where they are needed.
    """
    if not folder.is_dir():
        raise InputError("there is no such run folder; give a folder that 'vpinn solve' wrote", str(folder))
    from vpinn.solving import load

    solution = load(folder)
    if values:
        return solution.member(_numbers(values))
    if needed and solution.members is not None:
        names = ", ".join(solution.metrics["family"]["parameters"])
        raise InputError(f"this run is of a family; give --param for {names}")
    return solution


def _numbers(values: list[str]) -> dict[str, float]:
    """Return what --param gives, name → number."""
    found = {}
    for value in values:
        name, _, number = value.partition("=")
        try:
            found[name.strip()] = float(number)
        except ValueError:
            raise InputError(f"expected NAME=VALUE with a number, got {value!r}", "--param") from None
    return found


COMMANDS = (
    (export, "Examples: `vpinn export results/heat -f xdmf --refine 1` · `vpinn export results/heat -o probes.csv --at at.csv`"),
    (evaluate, 'Examples: `vpinn evaluate results/heat --at "0.5,0.5"` · `vpinn evaluate results/heat --line 0,0:1,0 -o a.png`'),
    (report, "Example: `vpinn report results/heat`"),
)
"""Function of a command, and the last lines of its help."""
