"""Run a small problem in a process of its own, which a test can kill."""

from __future__ import annotations

import dataclasses
import json
import os
import time
from pathlib import Path
from typing import Any

STEPS = {"lbfgs": 90, "adam": 150, "batches": 120}
"""Full-batch L-BFGS, full-batch Adam and mini-batch Adam: some tenths of a second each."""


def settings(kind: str, steps: int | None = None) -> dict[str, Any]:
    solver = {"method": "lbfgs" if kind == "lbfgs" else "adam", "steps": steps or STEPS[kind], "seed": 7, "checkpoint": 0.02}
    return {
        "unknowns": {"u": "scalar"},
        "energy": "0.5*inner(grad(u), grad(u))*dx - 2*pi**2*sin(pi*x)*sin(pi*y)*u*dx - x*u*ds('top')",
        "boundary": [{"on": ["left", "right", "bottom"], "value": 0}],
        "reference": {"exact": {"u": "sin(pi*x)*sin(pi*y)"}},
        "network": {"layers": [8, 8]},
        "quadrature": {"degree": 5},
        "solver": solver,
        **({"batch": {"size": 64}} if kind == "batches" else {}),
    }


def work(folder: str, kind: str, resume: bool, naive: bool = False, steps: int | None = None) -> None:
    """Solve; write the file ``started`` at the first step and the file ``finished`` at the end."""
    import vpinn
    from vpinn.optimization import Training
    from vpinn.solving import solve

    if naive:  # a saver that keeps the parameters and the history, but not what the next step depends on besides
        whole = Training.from_arrays.__func__  # type: ignore[attr-defined]

        def half(cls: type[Training], *given: Any) -> Training:
            training: Training = whole(cls, *given)
            fresh = Training.start(training.theta, vpinn.solving.prepare(problem).plan.method, 7)
            kept = {"generator": fresh.generator} if kind == "batches" else {"state": fresh.state}
            return dataclasses.replace(training, **kept)

        Training.from_arrays = classmethod(half)  # type: ignore[assignment, method-assign]

    problem = vpinn.make_problem({"shape": "rectangle", "cells": 4}, **settings(kind, steps))
    path = Path(folder)

    def report(training: Training, plan: Any) -> None:
        if not (path / "started").exists():
            (path / "started").touch()
        while (path / "held").exists():  # until somebody has sent a signal
            time.sleep(0.002)

    solution = solve(problem, folder, resume=resume, overwrite=not resume, threads=1, report=report)
    outcome = {"stopped": solution.metrics["stopped"], "pid": os.getpid(), "processor": time.process_time()}
    (path / "finished").write_text(json.dumps(outcome))
