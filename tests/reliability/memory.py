"""Measure resident memory over many steps: ``python tests/reliability/memory.py --steps 200000`` prints it ten times.

The history of a run grows with its steps; its memory is printed separately.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

KINDS: dict[str, dict[str, Any]] = {"adam": {}, "batches": {"batch": {"size": 8}}}


def resident_mb() -> float:
    """Return the current resident memory in MB."""
    fields = Path("/proc/self/statm").read_text().split()
    return int(fields[1]) * 4096 / 1e6


def measured(steps: int, kind: str = "batches") -> list[tuple[int, float, float]]:
    """Train; return steps, resident memory and memory of the history in MB, after every tenth of the steps."""
    import vpinn
    from vpinn.optimization import train
    from vpinn.solving import prepare

    problem = vpinn.make_problem(
        {"shape": "interval", "cells": 8},
        unknowns={"u": "scalar"},
        energy="0.5*inner(grad(u), grad(u))*dx - u*dx",
        boundary=[{"on": "all", "value": 0}],
        network={"layers": [4]},
        solver={"method": "adam", "steps": steps, "learning_rate": 1e-3},
        **KINDS[kind],
    )
    setup = prepare(problem)
    found: list[tuple[int, float, float]] = []

    def report(training: Any) -> None:
        if training.step % max(1, steps // 10) == 0:
            found.append((training.step, resident_mb(), training.history.table.nbytes / 1e6))
            print(*(f"{value:10.1f}" for value in found[-1]), flush=True)

    train(setup.objective, setup.start(), setup.plan, report=report)
    return found


def main() -> int:
    """Run the command line and print the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=200_000)
    parser.add_argument("--kind", choices=tuple(KINDS), default="batches")
    options = parser.parse_args()
    found = measured(options.steps, options.kind)
    (first, before, held), *_, (last, after, holds) = found
    growth = after - before - (holds - held)
    print(f"{last - first} steps: {before:.0f} to {after:.0f} MB, {holds - held:.0f} of that the history; {growth:.1f} besides")
    return int(growth > 10.0)


if __name__ == "__main__":
    sys.exit(main())
