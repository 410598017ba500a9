"""``vpinn noise``."""

from __future__ import annotations

import sys
from functools import partial
from typing import Annotated

import typer

from vpinn.cli.display import print_table, say
from vpinn.cli.options import File, Folder, Quiet, Seed, Set, Verbose
from vpinn.storage import check_unused, claimed, inside

EPILOG = "Example: `vpinn noise heat.toml --quick`, then paste results/heat/noise/recommendation.toml into heat.toml"


def noise(
    file: File,
    changes: Set = None,
    output: Folder = None,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer measurements, in about a minute of one core.")] = False,
    seed: Seed = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Measure the noise of mini-batches, hold the theory against it, and recommend batch size, sampler and step size."""
    from vpinn.problem import read_problem, refuse_time

    problem = read_problem(file, [*(changes or []), *([] if seed is None else [f"solver.seed={seed}"])])
    refuse_time(problem, "the noise report takes")
    folder = output or problem.directory / "noise"
    if output is None:
        inside(problem.directory, "noise/noise.json")
        check_unused(folder, "noise.json")
    from vpinn.analysis import true_error
    from vpinn.noise import FULL, QUICK, measure_noise
    from vpinn.output.noise import noise_table, publish_noise

    def report(stage: str) -> None:
        if not quiet:
            say(f"{stage} …", file=sys.stderr)

    with claimed(folder):
        found = measure_noise(problem, QUICK if quick else FULL, report, partial(true_error, problem))
        files = publish_noise(found, folder)
    if not quiet:
        print_table(noise_table(found))
        say("", found.recommendation, *files)
