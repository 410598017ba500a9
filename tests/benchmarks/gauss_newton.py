"""Measure error against time of a trained network for five seeds: Gauss–Newton, self-scaled Broyden, SPRING.

The problem is −Δu = f on the unit square with u = −sin 2πx sin 2πy, solved through the command line's own pipeline:

    python tests/benchmarks/gauss_newton.py --method gauss-newton --form energy --layers 20 20 --seconds 20

or on growing batches of 102,400 points:

    python tests/benchmarks/gauss_newton.py --form strong --layers 16 16 --cells 8 --degree 9 --refine 3 --batch 1024 \
        --growth norm-test --every 1 --seconds 60

Relative L² errors are measured after every tenth step, which is part of the time. Seconds depend on what else the machine
does: its load is printed, and the processor time of all threads beside the wall clock's.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

from vpinn.placement import Placement

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

FORMS = {
    "energy": "0.5*inner(grad(u), grad(u))*dx - f*u*dx",
    "weak": "inner(grad(u), grad(v))*dx - f*v*dx",
    "strong": "-div(grad(u)) - f",
}
BOUNDS = (1e-4, 1e-5, 1e-6, 1e-7)
"""Errors whose first time is shown."""
EVERY = 10
"""Steps between measured errors."""


def measure(options: argparse.Namespace, seed: int) -> None:
    """Train once and print a line."""
    import dataclasses

    import torch

    import vpinn
    from vpinn.analysis import WATCHED_DEGREE, TrueError, independent_points
    from vpinn.optimization import COLUMNS, train
    from vpinn.solving import prepare

    threshold = {"threshold": options.threshold} if options.threshold else {}
    problem = vpinn.make_problem(
        {"shape": "rectangle", "cells": [options.cells] * 2, "cell": "quadrilateral"},
        unknowns={"u": "scalar"},
        expressions={"u_exact": "-sin(2*pi*x)*sin(2*pi*y)", "f": "-div(grad(u_exact))"},
        boundary=[{"on": "all", "value": 0}],
        reference={"exact": {"u": "u_exact"}},
        network={"layers": options.layers},
        quadrature={"degree": options.degree, "refine": options.refine},
        batch={"size": options.batch or "full", **({"growth": options.growth} if options.growth else {}), **threshold},
        solver={"method": options.method, "time_limit": options.seconds, "seed": seed, "steps": options.steps},
        **{options.form: FORMS[options.form]},
    )
    setup = prepare(problem, Placement(threads=options.threads))
    truth = TrueError(problem, setup.trial, independent_points(problem, WATCHED_DEGREE))
    seen: list[tuple[float, float, float]] = []
    wall, cpu = time.perf_counter(), time.process_time()
    training = setup.start()

    def watch(parameters: torch.Tensor) -> dict[str, float]:
        error = max(e["relative_l2"] for e in truth(parameters).values())
        seen.append((time.perf_counter() - wall, time.process_time() - cpu, error))
        return {"error": error}

    train(setup.objective, training, dataclasses.replace(setup.plan, monitor_every=options.every), watch)
    texts = []
    for bound in BOUNDS:
        reached = next(((w, c) for w, c, error in seen if error <= bound), None)
        texts.append(f"≤ {bound:.0e} " + (f"after {reached[0]:.1f} s (cpu {reached[1]:.1f} s)" if reached else "never"))
    print(
        f"seed {seed}  {setup.trial.network.size} weights  {training.step} steps  {seen[-1][0]:.1f} s (cpu {seen[-1][1]:.1f} s)  "
        f"load {os.getloadavg()[0]:.1f}  last batch {training.history[-1][COLUMNS.index('batch_size')]:,.0f}  "
        f"end {seen[-1][2]:.1e}  " + "  ".join(texts),
        flush=True,
    )


def main() -> None:
    """Run all seeds."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--method", default="gauss-newton", choices=["gauss-newton", "broyden", "spring", "lbfgs"])
    parser.add_argument("--form", default="energy", choices=list(FORMS))
    parser.add_argument("--layers", type=int, nargs="+", default=[20, 20])
    parser.add_argument("--cells", type=int, default=5)
    parser.add_argument("--degree", type=int, default=15)
    parser.add_argument("--refine", type=int, default=0, help="halvings of every cell: points without limit")
    parser.add_argument("--batch", type=int, help="points per step; default all")
    parser.add_argument("--growth", choices=["norm-test", "geometric", "logarithmic"], help="of the batch; default none")
    parser.add_argument("--threshold", type=float, help="of the norm test; default that of problem files")
    parser.add_argument("--every", type=int, default=EVERY, help="steps between measured errors")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    print(f"{Path(__file__).name}: {vars(options)}")
    for seed in options.seeds:
        measure(options, seed)


if __name__ == "__main__":
    main()
