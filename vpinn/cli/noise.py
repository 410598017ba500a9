"""The command ``vpinn noise``: measure the noise of mini-batch gradients of a problem; see `vpinn.noise`."""

from __future__ import annotations

import dataclasses
import sys
from functools import partial
from typing import Annotated

import typer

from vpinn.cli.display import print_table, say
from vpinn.cli.options import File, Folder, Quiet, Seed, Set, Verbose
from vpinn.errors import InputError
from vpinn.interrupt import Interrupt
from vpinn.storage import check_unused, claimed, inside

EPILOG = "Example: `vpinn noise heat.toml --quick`, then paste results/heat/noise/recommendation.toml into heat.toml"
KEPT = "stopped by a signal; the measurements made so far are saved, go on with --resume"


def noise(  # noqa: PLR0913 (one argument per option)
    file: File,
    changes: Set = None,
    output: Folder = None,
    quick: Annotated[bool, typer.Option("--quick", help="Make fewer measurements, in about a minute on one core.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on: make the measurements that the folder lacks.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the report in the folder.")] = False,
    seed: Seed = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Measure the noise of mini-batch gradients, compare it with theory, and recommend batch size, sampler and step size."""
    if resume and overwrite:
        raise InputError("--resume goes on with the report in the folder and --overwrite replaces it; give one of them")
    from vpinn.problem import over_time, read_problem, refuse_nodal, refuse_several

    problem = read_problem(file, [*(changes or []), *([] if seed is None else [f"solver.seed={seed}"])])
    refuse_several(problem, "the noise report takes")
    problem = over_time(problem)
    refuse_nodal(problem, "the noise report takes")
    folder = output or problem.directory / "noise"
    if output is None:
        inside(problem.directory, "noise/noise.json")
        check_unused(folder, "noise.json", ("noise.npz",))
    from vpinn.analysis import true_error
    from vpinn.noise import FULL, QUICK, begin, measure_noise
    from vpinn.output.noise import noise_table, publish_noise
    from vpinn.process import settle_process
    from vpinn.run_folder import fingerprints

    def report(stage: str) -> None:
        if not quiet:
            say(f"{stage} …", file=sys.stderr)

    settings = problem.settings.model_dump(mode="json")
    asked = {key: settings[key] for key in settings if key not in ("title", "output")}
    effort = QUICK if quick else FULL
    with claimed(folder), Interrupt() as interrupt:
        record = begin(folder, asked | {"effort": dataclasses.asdict(effort), "files": fingerprints(problem)}, resume, overwrite)
        settle_process()
        with interrupt.abandons(KEPT):
            found = measure_noise(problem, effort, report, partial(true_error, problem), record)
            files = publish_noise(found, folder)
    if not quiet:
        print_table(noise_table(found))
        say("", found.recommendation, *files)
