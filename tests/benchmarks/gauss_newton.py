"""Error against time of a trained network, five seeds: Gauss–Newton, self-scaled Broyden, SPRING.

The problem is −Δu = f on the unit square with u = −sin 2πx sin 2πy, solved through the command line's own pipeline:

    python tests/benchmarks/gauss_newton.py --method gauss-newton --form energy --layers 20 20 --seconds 20

Relative L² errors are those of the run's best state at the given times, from the monitor after every tenth step; it costs
little, and its time is part of the run. Times depend on what else the machine does: the load is printed.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

FORMS = {
    "energy": "0.5*inner(grad(u), grad(u))*dx - f*u*dx",
    "weak": "inner(grad(u), grad(v))*dx - f*v*dx",
    "strong": "-div(grad(u)) - f",
}
MARKS = (1, 2, 5, 10, 15, 20, 30, 60)
"""Seconds at which errors are shown."""
EVERY = 10
"""Steps between measured errors."""


def measure(options: argparse.Namespace, seed: int) -> None:
    """Train once and print a line."""
    import dataclasses

    import torch

    import vpinn
    from vpinn.analysis import TrueError, independent_points
    from vpinn.optimization import Training, train
    from vpinn.run import MONITOR_DEGREE, prepare

    problem = vpinn.make_problem(
        {"shape": "rectangle", "cells": [options.cells] * 2, "cell": "quadrilateral"},
        unknowns={"u": "scalar"},
        expressions={"u_exact": "-sin(2*pi*x)*sin(2*pi*y)", "f": "-div(grad(u_exact))"},
        boundary=[{"on": "all", "value": 0}],
        reference={"exact": {"u": "u_exact"}},
        network={"layers": options.layers},
        quadrature={"degree": options.degree},
        batch={"size": options.batch or "full"},
        solver={"method": options.method, "time_limit": options.seconds, "seed": seed, "steps": options.steps},
        **{options.form: FORMS[options.form]},
    )
    setup = prepare(problem, options.threads)
    truth = TrueError(problem, setup.trial, independent_points(problem, MONITOR_DEGREE))
    theta = setup.trial.network.initial(torch.Generator().manual_seed(seed))
    training = Training.start(theta, setup.plan.method, seed)
    plan = dataclasses.replace(setup.plan, monitor_every=EVERY)
    began = time.process_time()
    train(setup.objective, training, plan, lambda t: {"error": max(e["relative_l2"] for e in truth(t).values())})
    cpu = time.process_time() - began
    seen = [(row[1], row[7]) for row in training.history if row[7] == row[7]]
    texts = []
    for mark in MARKS:
        errors = [error for seconds, error in seen if seconds <= mark]
        if errors and mark <= options.seconds:
            texts.append(f"{mark:d} s: {min(errors) if options.best else errors[-1]:.1e}")
    print(
        f"seed {seed}  {setup.trial.network.size} weights  {training.step} steps  {training.seconds:.1f} s (cpu {cpu:.1f} s)  "
        f"load {os.getloadavg()[0]:.1f}  " + "  ".join(texts) + f"  end: {seen[-1][1]:.1e}",
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
    parser.add_argument("--batch", type=int, help="points per step; default all")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--best", action="store_true", help="smallest error so far instead of the current one")
    options = parser.parse_args()
    print(f"{Path(__file__).name}: {vars(options)}")
    for seed in options.seeds:
        measure(options, seed)


if __name__ == "__main__":
    main()
