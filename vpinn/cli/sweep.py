"""The command ``vpinn sweep``: one run per value of a setting, with a table and one figure of all."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.console import Console

from vpinn.cli.display import acknowledged, print_table, say
from vpinn.cli.options import File, Folder, Quiet, Set, option
from vpinn.errors import InputError
from vpinn.interrupt import Interrupt, Stopped
from vpinn.run_files import CHECKPOINT
from vpinn.storage import check_unused, claimed, inside, write_atomic

TABLE, FIGURE = "sweep.csv", "sweep.png"
EPILOG = "Examples: `vpinn sweep heat.toml --vary constants.k=1,2,5` · `vpinn sweep heat.toml --vary domain.cells=[2,2],[4,4]`"


def sweep(
    file: File,
    vary: Annotated[
        list[str] | None,
        option("--vary", metavar="SECTION.KEY=VALUE,VALUE", help="Values of one setting. Repeatable: all combinations are run."),
    ] = None,
    changes: Set = None,
    output: Folder = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on: keep the runs that have ended.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the runs in the folder.")] = False,
    quiet: Quiet = False,
) -> None:
    """Solve a problem once per value of a setting, and show quantities, errors and times side by side.

    Every run has its folder below results/NAME/sweep, where sweep.csv and sweep.png show all of them.
    """
    if resume and overwrite:
        raise InputError("--resume goes on with the runs in the folder and --overwrite replaces them; give one of them")
    from vpinn.output import TrainingProgress, field_formats, publish
    from vpinn.output.sweep import draw_sweep, sweep_csv, sweep_table
    from vpinn.solution import Solution
    from vpinn.solving import phases
    from vpinn.solving import solve as run
    from vpinn.solving.sweep import Member, members, run_all

    runs = members(file, vary or (), changes or (), output)
    folder = runs[0].folder.parent
    for member in runs:
        field_formats(member.problem)
    if output is None:
        inside(folder.parent, f"{folder.name}/{TABLE}")
        check_unused(folder, TABLE, (FIGURE, *(member.folder.name for member in runs)))
    console, ended = Console(stderr=True), list[Member]()

    def solve(member: Member) -> Solution:
        if not quiet:
            say(f"{member.label} ({len(ended) + 1} of {len(runs)})", file=sys.stderr)
        begun = resume and (member.folder / CHECKPOINT).exists()
        with claimed(member.folder):
            with TrainingProgress(console, quiet) as progress:
                solution = run(
                    member.problem, member.folder, resume=begun, overwrite=overwrite or (resume and not begun),
                    report=progress, interrupt=interrupt, callbacks=[phases(progress.phase)],
                )  # fmt: skip
            done = f"{len(ended)} of {len(runs)} runs have ended, go on with --resume"
            if interrupt.signal is not None:
                raise Stopped(interrupt.signal, f"stopped by a signal; {done}")
            with interrupt.abandons(f"stopped by a signal; {done}"):
                publish(solution, member.folder)
        return solution

    with claimed(folder), Interrupt(acknowledged) as interrupt:
        if not (folder / TABLE).exists():  # by which the folder is known as that of a sweep, before a run has ended
            write_atomic(folder / TABLE, sweep_csv(runs[0].values, (), ()))
        for member in run_all(runs, solve, resume):
            ended.append(member)
            values, found = [one.values for one in ended], [one.metrics or {} for one in ended]
            write_atomic(folder / TABLE, sweep_csv(runs[0].values, values, found))
        draw_sweep(values, found, folder / FIGURE)
    if not quiet:
        print_table(sweep_table([member.label for member in ended], found))
        say(f"Written to {folder}: {TABLE}, {FIGURE}")
