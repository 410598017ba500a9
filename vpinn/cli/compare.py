"""``vpinn compare``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from vpinn.cli.display import print_table, say
from vpinn.cli.options import Device, File, Quiet, Seed, Set, Threads, Verbose, option
from vpinn.errors import InputError

EPILOG = (
    "Examples: `vpinn compare heat.toml` · `vpinn compare heat.toml --vary batch.size=1/4,1/16,1/64 --seeds 5` · "
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
            help="Values of a setting to compare; several --vary are combined, each value with each. batch.size also takes a "
            "share of the points, as 1/16. Repeatable.",
        ),
    ] = None,
    variant: Annotated[
        list[str] | None,
        option(
            "--variant", metavar="'KEY=VALUE KEY=VALUE'", help="One variant by itself, instead of or beside --vary. Repeatable."
        ),
    ] = None,
    seeds: Annotated[int | None, option(min=1, help="Runs of every variant, with as many seeds; default 3.")] = None,
    seconds: Annotated[
        float | None, option(help="Seconds of training of every run; default what the steps of the first run take.")
    ] = None,
    changes: Set = None,
    output: Annotated[
        Path | None,
        option("-o", "--output", metavar="DIR", help="Folder; default results/, the name of the file and -compare."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on: run what the folder lacks.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the comparison in the folder.")] = False,
    seed: Seed = None,
    threads: Threads = None,
    device: Device = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Compare full with mini-batch quadrature, and samplers, estimators, solvers: at equal time and at equal accuracy.

    Without --vary and --variant, all points in every step are held against mini-batches: those of the file, or 1/16 of the
    points, stratified; both with the file's method if it takes mini-batches, else with adam. A variant with all points is
    always among them. A method that needs all points has them, whatever batch.size is varied to; variants that come out
    the same are run once.

    Every run has the same seconds of training, precision and threads, and a process of its own. Seeds take turns, so that a
    busy machine is busy for all. The clock stands still while the error is measured: the true one where [reference] knows it,
    else the estimate. Step size schedules are stretched over the seconds. The folder gets comparison.json and figures.
    """
    if resume and overwrite:
        raise InputError("--resume goes on with a comparison and --overwrite replaces it; give one of them")
    from vpinn.problem import read_problem, refuse_nodal, refuse_time

    chosen = [*(changes or []), *([] if seed is None else [f"solver.seed={seed}"])]
    problem = read_problem(file, chosen)  # what is wrong is told at once, before torch loads
    refuse_time(problem, "a comparison takes")
    refuse_nodal(problem, "a comparison takes")
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
        say(*notes(comparison, courses), f"Written to {folder}: comparison.json, figures")
