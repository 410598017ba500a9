"""The command ``vpinn compare``: train a problem with several settings and compare their errors; see `vpinn.comparison`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from vpinn.cli.display import print_table, say
from vpinn.cli.options import Device, File, Quiet, Seed, Set, Threads, Verbose, option
from vpinn.errors import InputError

EPILOG = (
    "Examples: `vpinn compare heat.toml` · `vpinn compare heat.toml --against elements` · "
    "`vpinn compare heat.toml --vary batch.size=1/4,1/16,1/64 --seeds 5` · "
    "`vpinn compare heat.toml --vary solver.method=adam,lbfgs --seconds 60` · "
    '`vpinn compare heat.toml --variant "batch.size=64 batch.sampler=uniform" --variant "batch.size=64 batch.sampler=sobol"`'
)


def compare(  # noqa: PLR0913 (one argument per option)
    file: File,
    vary: Annotated[
        list[str] | None,
        option(
            "--vary",
            metavar="SECTION.KEY=VALUE,VALUE",
            help="Values of one setting to compare. Repeatable: all combinations of the values are run. For batch.size, a "
            "fraction such as 1/16 is a share of the quadrature points.",
        ),
    ] = None,
    variant: Annotated[
        list[str] | None,
        option(
            "--variant", metavar="'KEY=VALUE KEY=VALUE'", help="Settings of one more variant, with or without --vary. Repeatable."
        ),
    ] = None,
    against: Annotated[
        str | None,
        option(metavar="METHOD", help="Compare the method of the file with another, such as elements; one seed by default."),
    ] = None,
    seeds: Annotated[int | None, option(min=1, help="Number of runs per variant, each with its own seed; default 3.")] = None,
    seconds: Annotated[
        float | None, option(help="Seconds that every run trains; by default what the first run needs for solver.steps steps.")
    ] = None,
    changes: Set = None,
    output: Annotated[
        Path | None,
        option("-o", "--output", metavar="DIR", help="Folder to write; default results/NAME-compare."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on: do the runs that the folder lacks.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the comparison in the folder.")] = False,
    seed: Seed = None,
    threads: Threads = None,
    device: Device = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Train one problem with several settings, and compare their errors at equal time and their times to equal accuracy.

    Without --vary and --variant, training on all quadrature points in every step is compared with training on mini-batches:
    those of the problem file or, if it has none, 1/16 of the points, stratified. Both use the method of the file if it can
    train on mini-batches, and adam if not. One variant always trains on all points. Methods that need all points get them,
    whatever batch.size says. Variants whose settings turn out the same are run once.

    Every run has its own process, the same number of seconds to train, the same precision and the same number of threads. All
    variants run with the first seed, then all with the next, so that other load on the machine affects all variants alike. The
    time to measure the error is not counted. The error is the true one if [reference] gives the solution, and the error
    estimate if not. Step size schedules are stretched to the seconds given. The folder gets comparison.json, figures and a
    report.
    """
    if resume and overwrite:
        raise InputError("--resume goes on with the comparison in the folder and --overwrite replaces it; give one of them")
    from vpinn.problem import read_problem, refuse_nodal, refuse_several

    chosen = [*(changes or []), *([] if seed is None else [f"solver.seed={seed}"])]
    problem = read_problem(file, chosen)  # mistakes are reported before torch loads
    refuse_several(problem, "a comparison takes")
    refuse_nodal(problem, "a comparison takes")
    if against is not None:
        vary, seeds = [*(vary or []), f"solver.method={problem.settings.solver.method},{against}"], seeds or 1
    from vpinn.comparison import Moment, as_tables, notes
    from vpinn.comparison import compare as run
    from vpinn.interrupt import Interrupt, Stopped
    from vpinn.output import RunsProgress

    with Interrupt() as interrupt, RunsProgress(Console(stderr=True), quiet) as progress:

        def report(moment: Moment) -> None:
            name = f"{moment.label}, seed {moment.seed}"
            progress(moment.done, moment.total, name, moment.seconds, moment.budget, moment.error)

        comparison, courses, folder = run(
            file, output, vary=vary or (), single=variant or (), changes=chosen, seeds=seeds, seconds=seconds, threads=threads,
            device=device, resume=resume, overwrite=overwrite, report=report, interrupt=interrupt,
        )  # fmt: skip
    if interrupt.signal is not None:
        total = len(comparison.variants) * len(comparison.seeds)
        done = f"{len(courses)} of {total} runs are kept in {folder}, go on with --resume"
        raise Stopped(interrupt.signal, f"stopped by a signal; {done}")
    if not quiet:
        for table in as_tables(comparison, courses):
            print_table(table)
            print()
        say(*notes(comparison, courses), f"Written to {folder}: comparison.json, figures, report.html")
