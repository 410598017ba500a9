"""`vpinn.solve`: what the command ``vpinn solve`` does, from Python, with progress in terminals and notebooks."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict, Unpack

from rich.console import Console

from vpinn.optimization import Plan, Training
from vpinn.problem import Case
from vpinn.solution import Solution
from vpinn.solving.events import Callback, phases
from vpinn.solving.run import Report
from vpinn.solving.run import solve as run


class Options(TypedDict, total=False):
    """Further arguments of `solve`, which are those of a run.

    Attributes:
        method: instead of the problem's ``solver.method``.
        resume: go on from the folder's checkpoint.
        overwrite: replace what is in the folder.
        threads: threads that share the work, ≥ 1; by default one for less than a million points, else as many as there are cores.
        device: device for the steps of training: cpu (the default), cuda or mps.
    """

    method: str | None
    resume: bool
    overwrite: bool
    threads: int | None
    device: str | None
    start: str | os.PathLike[str] | None


def solve(
    problem: Case,
    directory: str | os.PathLike[str] | None = None,
    *,
    callbacks: Sequence[Callback] = (),
    progress: bool | None = None,
    report: Report | None = None,
    **options: Unpack[Options],
) -> Solution:
    """Solve a problem and, in a folder, publish its fields, figures and report.

    Args:
        problem: what to solve.
        directory: run folder; None keeps everything in memory.
        callbacks: called with every `Event`; one that returns False after a step or stage ends the run, which is then assessed.
        progress: whether to show it, as a bar in terminals and as lines elsewhere; by default in terminals and notebooks.
        report: called with the training state and its plan after every step.
        **options: method, resume, overwrite, threads, device and start, see `Options`.

    Returns:
        the solution with its errors, error estimate and metrics; without these where a signal ended training.

    Raises:
        Stopped: a signal came before training, with the folder as it was before, or after it, with its end in the folder.
        InputError: the problem cannot be solved as stated, the device is not there, or the folder holds a run already, or another
            one writes into it.
        DivergenceError: training diverged.
        StorageError: the folder could not be written.
    """
    console = Console(stderr=True)
    shown = progress if progress is not None else console.is_terminal or console.is_jupyter
    if directory is None and not shown:
        return run(problem, report=report, callbacks=callbacks, **options)
    from vpinn.output import TrainingProgress, field_formats, publish  # drawing is loaded where it is needed

    if directory is not None:
        field_formats(problem)
    if console.is_jupyter:  # a bar would need ipywidgets there; lines do not
        console = Console(force_jupyter=False, force_terminal=False)
    with TrainingProgress(console, quiet=not shown) as bar:

        def told(training: Training, plan: Plan) -> None:
            bar(training, plan)
            if report is not None:
                report(training, plan)

        solution = run(problem, directory, report=told, callbacks=(phases(bar.phase), *callbacks), **options)
    if directory is not None and solution.metrics.get("stopped") != "signal":
        publish(solution, Path(directory))
    return solution
