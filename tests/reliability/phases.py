"""Run ``vpinn solve`` in a process that writes a file for every phase it reaches: ``python phases.py FOLDER ARGUMENTS …``."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

PHASES = {
    "reading": ("vpinn.problem", "read_problem"),
    "fields": ("vpinn.solving.preparation", "make_trial"),
    "first stage": ("vpinn.features.stages", "Stages.make"),
    "fit": ("vpinn.features.least_squares", "solve_columns"),
    "steps": ("vpinn.solving.steps", "train"),
    "assessment": ("vpinn.solving.steady", "assess"),
    "reference elements": ("vpinn.analysis.assessment", "compare_with_finite_elements"),
    "files": ("vpinn.output", "publish"),
    "figures": ("vpinn.output.folder", "draw"),
}
"""Phase → module, and the function that begins it."""


def announce(folder: Path, phase: str, module: str, name: str, hold: Callable[[str], None]) -> None:
    """Make a function write the file of its phase before it begins."""
    owner: Any = importlib.import_module(module)
    *outer, last = name.split(".")
    for part in outer:
        owner = getattr(owner, part)
    begun = getattr(owner, last)

    def announced(*args: Any, **options: Any) -> Any:
        (folder / phase).touch()
        hold(phase)
        return begun(*args, **options)

    setattr(owner, last, announced)


def main(folder: Path, arguments: list[str], hold: Callable[[str], None] = lambda phase: None) -> int:
    """Run the command line with all phases announced; ``hold`` is called at the beginning of each."""
    from vpinn.cli import main as command

    for phase, (module, name) in PHASES.items():
        announce(folder, phase, module, name, hold)
    return command(arguments)


if __name__ == "__main__":
    from vpinn.interrupt import leave

    leave(main(Path(sys.argv[1]), sys.argv[2:]))
