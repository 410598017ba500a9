"""The command line ``vpinn``. Only this package prints, and only `main` turns errors into a message and an exit code."""

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from vpinn.cli import compare, noise
from vpinn.cli.display import prepare_streams, print_columns, print_table, say, show_problem
from vpinn.cli.options import At, Device, File, Folder, Param, Quiet, Run, Seed, Set, Target, Threads, Verbose, argument, option
from vpinn.cli.runs import load_run
from vpinn.errors import InputError, StorageError, VpinnError
from vpinn.interrupt import Interrupt, Stopped
from vpinn.storage import check_unused, claimed

if TYPE_CHECKING:
    from vpinn.problem import Problem

# torch takes seconds to load: modules that need it are imported inside the commands, after the input has been checked

app = typer.Typer(
    name="vpinn",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Solve partial differential equations with variational physics-informed networks, from a TOML file with UFL forms.",
    epilog="Start with `vpinn new heat`, edit heat.toml, then `vpinn check heat.toml` and `vpinn solve heat.toml`.",
)


def _show_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(f"vpinn {version('vpinn')}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", is_eager=True, callback=_show_version, help="Print the version.")] = False,
) -> None:
    """Take the options that stand before a command, such as ``--version``."""


@app.command(epilog="Examples: `vpinn solve heat.toml` · `vpinn solve heat.toml --set network.layers=[40,40] -o results/wide`")
def solve(  # noqa: PLR0913 (one argument per option)
    file: File,
    changes: Set = None,
    output: Folder = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in the folder, from its checkpoint.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the run in the folder.")] = False,
    seed: Seed = None,
    threads: Threads = None,
    device: Device = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Solve a problem and write a run folder: field, figures, report, metrics and checkpoint."""
    if resume and overwrite:
        raise InputError("--resume goes on with the run in the folder and --overwrite replaces it; give one of them")
    problem = _read(file, changes, seed)
    directory = output or problem.directory
    from vpinn.output import TrainingProgress, as_table, failed_checks, field_formats, publish, solution_rows
    from vpinn.solving import solve as run

    field_formats(problem)
    if output is None:
        check_unused(directory, "run.json", ("noise",))
    if verbose:
        show_problem(problem, device)
    with claimed(directory):
        with Interrupt() as interrupt, TrainingProgress(Console(stderr=True), quiet) as progress:
            solution = run(
                problem, directory, resume=resume, overwrite=overwrite, threads=threads, device=device,
                report=progress, interrupt=interrupt,
            )  # fmt: skip
        unpublished = f"stopped by a signal after the solution was saved; draw its figures with vpinn report {directory}"
        if interrupt.signal is not None and solution.metrics.get("stopped") == "signal":
            steps = solution.metrics["steps"]
            raise Stopped(interrupt.signal, f"stopped by a signal at step {steps}; the state is saved, go on with --resume")
        with interrupt, interrupt.abandons(unpublished):
            files = publish(solution, directory)
    if not quiet:
        print_table(as_table(solution_rows(solution), files))
    for text in failed_checks(solution):
        say(text, file=sys.stderr)


app.command(epilog=compare.EPILOG)(compare.compare)


@app.command(epilog="Example: `vpinn check heat.toml --set quadrature.degree=6`")
def check(file: File, changes: Set = None, seed: Seed = None, device: Device = None, verbose: Verbose = False) -> None:
    """Check a problem file without solving it, and show the lowered form, points, parameters, method and memory needed."""
    show_problem(_read(file, changes, seed), device)


app.command(epilog=noise.EPILOG)(noise.noise)


@app.command(
    epilog="Examples: `vpinn export results/heat -f xdmf --refine 1` · `vpinn export results/heat -o probes.csv --at points.csv`"
)
def export(  # noqa: PLR0913 (one argument per option)
    run: Run,
    formats: Annotated[
        list[str] | None,
        option("--format", "-f", metavar="FORMAT", help="vtu (default), pvd (default in time), xdmf, csv or npz. Repeatable."),
    ] = None,
    refine: Annotated[int, typer.Option(min=0, max=4, help="Additional refinements of the output mesh.")] = 0,
    at: At = None,
    param: Param = None,
    output: Target = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Write the solution of a finished or unfinished run to files: on its mesh, on a finer mesh, or at given points."""
    if output is not None and formats:
        raise InputError("the suffix of the file in --output already chooses the format; leave out --format")
    solution = load_run(run, param, needed=True)
    from vpinn.output import is_timed, points_of, write

    points = points_of(at, solution.coordinates) if at else None
    usual = "pvd" if is_timed(solution) else "vtu"
    targets = [output] if output is not None else [run / f"solution.{name}" for name in formats or [usual]]
    for target in targets:
        write(solution, target, refine, points)
        if not quiet:
            say(target)


@app.command(
    epilog='Examples: `vpinn evaluate results/heat --at "0.5,0.5"` · `vpinn evaluate results/heat --at points.csv --csv`'
)
def evaluate(
    run: Run,
    at: At = None,
    param: Param = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print comma-separated values instead of a table.")] = False,
    output: Target = None,
    verbose: Verbose = False,
) -> None:
    """Print values and gradients of the solution at given points; they are nan outside the domain."""
    if not at:
        raise InputError('no points to evaluate at; give them as --at "0.5,0.5" or --at points.csv')
    if output is not None and output.suffix not in (".csv", ".npz"):
        raise InputError(f"values at points are written as .csv or .npz, got {output.name!r}", "--output")
    solution = load_run(run, param, needed=True)
    from vpinn.output import points_of, table_at, write

    points = points_of(at, solution.coordinates)
    if output is not None:
        write(solution, output, points=points)
        return
    print(table_at(solution, points, as_csv))


@app.command(epilog="Example: `vpinn report results/heat`")
def report(run: Run, param: Param = None, quiet: Quiet = False, verbose: Verbose = False) -> None:
    """Draw the figures of a run again, and write its report.html: one page with results, figures, settings and problem file.

    With --param, the report is that of a member of a family, in the folder members/NAME=VALUE of the run.
    """
    solution = load_run(run, param)
    from vpinn.output import draw, write_report

    target = run / "members" / ",".join(sorted(param)) if param else run
    draw(solution, target / "figures")
    written = write_report(solution, target)
    if not quiet:
        say(written)


@app.command(epilog="Example: `vpinn schema > vpinn.json`, and `#:schema vpinn.json` as the first line of a problem file")
def schema() -> None:
    """Print the JSON Schema of problem files, with which editors complete and check them."""
    from vpinn.problem import schema_json

    print(json.dumps(schema_json(), indent=2))


@app.command(epilog="Examples: `vpinn new heat` writes heat.toml; `vpinn new part --from plate_with_holes` copies an example")
def new(
    name: Annotated[str | None, argument(help="Title of the problem, and name of its file without .toml.")] = None,
    worked: Annotated[str | None, option("--from", metavar="NAME", help="Copy this worked example, with its mesh.")] = None,
    listed: Annotated[bool, option("--list", help="List the worked examples by kind.")] = False,
) -> None:
    """Write a commented problem file to start from, or copy a worked example; existing files are never replaced."""
    from vpinn.problem import copy_worked, template, worked_problems

    if listed:
        print_columns((found.kind, found.name, found.title) for found in worked_problems())
        return
    if name is None:
        raise InputError("give a name for the problem, as in `vpinn new heat`, or see the worked examples with --list")
    path = Path(f"{name.removesuffix('.toml')}.toml")
    if worked is not None:
        written = copy_worked(worked.removesuffix(".toml"), path)
        say(f"{', '.join(map(str, written))} written; solve it with: vpinn solve {path}")
        return
    text = template(name.removesuffix(".toml"))
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise InputError("exists already; choose another name", str(path)) from None
    except OSError as error:
        raise StorageError(f"{path}: cannot be written: {error.strerror or error}") from None
    say(f"{path} written; solve it with: vpinn solve {path}")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: Command-line arguments without the program's name; by default those this process was started with.

    Returns:
        The exit code: 0 done, 2 bad input, 3 training diverged, 4 a file could not be read or written, 1 a bug in vpinn; 130, 143
        or 129 after SIGINT, SIGTERM or SIGHUP.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    prepare_streams()
    try:
        with Interrupt() as interrupt, interrupt.abandons():  # commands that change a state catch signals themselves
            code = app(args=arguments, prog_name="vpinn", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except VpinnError as error:
        return _fail(str(error), error.exit_code)
    except Stopped as stopped:
        return _fail(str(stopped), stopped.exit_code)
    except KeyboardInterrupt:
        return _fail("interrupted", 130)
    except BrokenPipeError:  # the program that reads our output, such as head, has ended
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        return _unforeseen(error, bool({"-v", "--verbose"} & set(arguments)))


def _unforeseen(error: Exception, verbose: bool) -> int:
    """Print one line for an error that is not a `VpinnError`, and return the exit code."""
    if isinstance(error, OSError):
        return _fail(f"{error.filename or 'file system'}: {error.strerror or error}", StorageError.exit_code)
    if hasattr(error, "format_message"):  # typer's usage errors, whichever library its version takes them from
        return _fail(f"{error.format_message()} (see vpinn --help)" if str(error) else "", 2)
    if verbose:
        traceback.print_exception(error)
    return _fail(f"bug: {type(error).__name__}: {error}; run again with -v for a traceback and report it", 1)


def _fail(message: str, code: int) -> int:
    """Print a message as one line on stderr, and return the exit code given."""
    if message:
        say(" ".join(message.split()), file=sys.stderr)
    return code


def _read(file: Path, changes: list[str] | None, seed: int | None) -> Problem:
    from vpinn.problem import read_problem

    return read_problem(file, [*(changes or []), *([] if seed is None else [f"solver.seed={seed}"])])
