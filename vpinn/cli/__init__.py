"""The command line ``vpinn``. Only this package prints, and only `main` turns errors into a message and an exit code."""

from __future__ import annotations

import os
import sys
import traceback
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from vpinn.cli import compare, noise, runs, start, sweep
from vpinn.cli.display import acknowledged, log_to, prepare_streams, print_table, say, show_problem
from vpinn.cli.launch import after_restart, is_worker, launch, rank, read_together
from vpinn.cli.options import (
    Device,
    File,
    Folder,
    Log,
    MeshRoot,
    Quiet,
    Restarts,
    Seed,
    Set,
    Start,
    Strict,
    Threads,
    Verbose,
    Workers,
)
from vpinn.errors import InputError, StorageError, VpinnError
from vpinn.interrupt import Interrupt, Stopped
from vpinn.storage import check_unused, claimed
from vpinn.waiting import Waiting

if TYPE_CHECKING:
    from vpinn.problem import Case

CHECK_FAILED = 5
"""Exit code of ``--strict`` where a check of the solution fails."""

LEARN = "learn"
"""Name of the command that learns from a family; it has the options of ``solve``."""
LEARN_HELP = """Learn from members of a family, a file with [parameters], what makes further members fast: weights and features.

The run folder, by default results/NAME-learned, is one that `vpinn solve … --from` starts from. Its report compares ways to solve
members that were not learned from, at equal time and at equal accuracy: a network trained from random weights, from those of the
nearest solved member and from learned weights; learned features; plain least squares; and a reduced space.
"""
LEARN_EPILOG = "Example: `vpinn learn family.toml`, then `vpinn solve member.toml --from results/family-learned`"

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
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", is_eager=True, callback=_show_version, help="Print the version.")] = False,
) -> None:
    """Take the options that stand before a command, such as ``--version``; worker 0 alone runs commands that are not divided."""
    if rank() and context.invoked_subcommand != "solve":
        raise typer.Exit


@app.command(epilog="Examples: `vpinn solve heat.toml` · `vpinn solve heat.toml --set network.layers=[40,40] -o results/wide`")
def solve(  # noqa: PLR0913 (one argument per option)
    context: typer.Context,
    file: File,
    changes: Set = None,
    output: Folder = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in the folder, from its checkpoint.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the run in the folder.")] = False,
    seed: Seed = None,
    threads: Threads = None,
    device: Device = None,
    workers: Workers = None,
    restarts: Restarts = 0,
    start: Start = None,
    mesh_root: MeshRoot = None,
    strict: Strict = False,
    log: Log = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Solve a problem and write a run folder: field, figures, report, metrics and checkpoint."""
    if resume and overwrite:
        raise InputError("--resume goes on with the run in the folder and --overwrite replaces it; give one of them")
    if workers is not None and not is_worker():
        raise typer.Exit(launch(workers, restarts, main, context.obj, partial(_read, file, changes, seed, mesh_root)))
    learns, console = context.command.name == LEARN, Console(stderr=True)
    quiet, log = quiet or rank() > 0, None if rank() else log
    with Waiting(console, quiet) as waiting:
        waiting.begin(f"reading {file}", line=False)
        problem, group = read_together(partial(_read, file, changes, seed, mesh_root))
        directory = output or (_learned_folder(problem) if learns else problem.directory)
        resume, overwrite = after_restart(group, directory, resume, overwrite)
        waiting.begin("loading libraries", line=False)
        from vpinn.output import TrainingProgress, as_table, failed_checks, field_formats, publish, solution_rows
        from vpinn.solving import learning_method, phases
        from vpinn.solving import solve as run

        field_formats(problem)
        if output is None:
            group.by_first(lambda: check_unused(directory, "run.json", ("noise", "sweep")))
        if verbose and group.first:
            waiting.end()
            show_problem(problem, device)
        with group.held_by_first(claimed(directory)):
            waiting.end()
            with Interrupt(acknowledged) as interrupt, TrainingProgress(console, quiet) as progress, log_to(log) as told:
                solution = run(
                    problem, directory, method=learning_method(problem) if learns else None, resume=resume, overwrite=overwrite,
                    threads=threads, device=device, report=progress, interrupt=interrupt,
                    callbacks=(phases(progress.phase), *told), start=start,
                )  # fmt: skip
            unpublished = f"stopped by a signal after the solution was saved; draw its figures with vpinn report {directory}"
            if interrupt.signal is not None and solution.metrics.get("stopped") == "signal":
                steps = solution.metrics["steps"]
                raise Stopped(interrupt.signal, f"stopped by a signal at step {steps}; the state is saved, go on with --resume")
            if not group.first:
                return
            waiting.begin("figures and report")
            with interrupt, interrupt.abandons(unpublished):
                files = publish(solution, directory)
    if not quiet and log != "-":
        print_table(as_table(solution_rows(solution), files))
    failed = failed_checks(solution)
    for text in failed:
        say(text, file=sys.stderr)
    if failed and strict:
        raise typer.Exit(CHECK_FAILED)


app.command(LEARN, help=LEARN_HELP, epilog=LEARN_EPILOG)(solve)
app.command(epilog=sweep.EPILOG)(sweep.sweep)
app.command(epilog=compare.EPILOG)(compare.compare)


@app.command(epilog="Example: `vpinn check heat.toml --set quadrature.degree=6`")
def check(
    file: File,
    changes: Set = None,
    seed: Seed = None,
    device: Device = None,
    mesh_root: MeshRoot = None,
    verbose: Verbose = False,
) -> None:
    """Check a problem file without solving it, and show the lowered form, points, parameters, method and memory needed."""
    show_problem(_read(file, changes, seed, mesh_root), device)


app.command(epilog=noise.EPILOG)(noise.noise)


for command, epilog in (*runs.COMMANDS, *start.COMMANDS):
    app.command(epilog=epilog)(command)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: Command-line arguments without the program's name; by default those this process was started with.

    Returns:
        The exit code: 0 done, 2 bad input, 3 training diverged, 4 a file could not be read or written, 5 a check of the solution
        failed (with ``--strict``), 1 a bug in vpinn; 130, 143 or 129 after SIGINT, SIGTERM or SIGHUP.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    prepare_streams()
    try:
        with Interrupt() as interrupt, interrupt.abandons():  # commands that change a state catch signals themselves
            code = app(args=arguments, prog_name="vpinn", standalone_mode=False, obj=arguments)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except VpinnError as error:
        for each in (error, *getattr(error, "others", ())):
            _fail(str(each), each.exit_code)
        return error.exit_code
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
    if rank():
        say(f"worker {rank()}: bug: {type(error).__name__}: {error}", file=sys.stderr)
    return _fail(f"bug: {type(error).__name__}: {error}; run again with -v for a traceback and report it", 1)


def _fail(message: str, code: int) -> int:
    """Print a message as one line on stderr, in worker 0 alone, and return the exit code given."""
    if message and not rank():
        say(" ".join(message.split()), file=sys.stderr)
    return code


def _learned_folder(problem: Case) -> Path:
    """Return the default folder of what is learned from a family.

    Raises:
        InputError: the problem is a single one.
    """
    from vpinn.problem import refuse_single

    refuse_single(problem)
    return problem.directory.with_name(f"{problem.directory.name}-learned")


def _read(file: Path, changes: list[str] | None, seed: int | None, mesh_root: Path | None) -> Case:
    from vpinn.problem import read_problem

    return read_problem(file, [*(changes or []), *([] if seed is None else [f"solver.seed={seed}"])], mesh_root)
