"""Compare time and memory of one Adam step with FastVPINNs on its Poisson problem: float32, network 2-30-30-30-1.

Usage::

    python tests/benchmarks/step_time.py --fastvpinns PEER/bin/python [--points 400 1600] [--threads 1 2] [--repeats 3]

where PEER is the environment that ``peers/fastvpinns_poisson.py`` describes. Without ``--fastvpinns`` only vpinn is
timed. Every measurement is a process of its own; tools alternate, and medians over the repeats are compared, so that a
busy machine is busy for both. The optimiser is part of the step, set-up is not.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

CELLS = {400: 2, 1600: 4, 6400: 8, 25600: 16}
"""Points → cells per side, each with 10 × 10 quadrature points; the peer has half as many with 20 × 20."""
TEST_DEGREE = 3
"""Conforming Q3: about as many test functions as the peer's 36 per cell."""
FORMS = {"energy": "0.5*inner(grad(u), grad(u))*dx - f*u*dx", "weak": "inner(grad(u), grad(v))*dx - f*v*dx"}


def measure(form: str, points: int, threads: int, steps: int) -> dict[str, float]:
    """Time vpinn's own training loop in this process: seconds per step (median of 7 stretches) and peak memory in MB."""
    import dataclasses

    import torch

    import vpinn
    from vpinn.optimization import Training, train
    from vpinn.placement import Placement
    from vpinn.process import peak_memory_mb
    from vpinn.solving import prepare

    test_space = {"test_space": {"degree": TEST_DEGREE}} if form == "weak" else {}
    problem = vpinn.make_problem(
        {"shape": "rectangle", "cells": [CELLS[points]] * 2, "cell": "quadrilateral"},
        unknowns={"u": "scalar"},
        expressions={"u_exact": "-sin(2*pi*x)*sin(2*pi*y)", "f": "-div(grad(u_exact))"},
        boundary=[{"on": "all", "value": 0}],
        network={"layers": [30, 30, 30]},
        quadrature={"degree": 18},
        solver={"method": "adam", "precision": "float32"},
        **{form: FORMS[form]},
        **test_space,
    )
    setup = prepare(problem, Placement(threads=threads))
    trial, objective, plan = setup.trial, setup.objective, setup.plan
    assert objective.size == points, objective.size
    training = Training.start(trial.network.initial(torch.Generator().manual_seed(0)).float(), plan.method, 0)

    def advance(count: int) -> float:
        training.stopped = ""
        began = time.perf_counter()
        schedule = dataclasses.replace(plan.schedule, steps=training.step + count)
        train(objective, training, dataclasses.replace(plan, schedule=schedule))
        return (time.perf_counter() - began) / count

    advance(20)
    seconds = statistics.median(advance(steps) for _ in range(7))
    return {"seconds_per_step": seconds, "peak_memory_mb": peak_memory_mb()}


def worker(python: str, script: list[str], threads: int) -> dict[str, float]:
    """Run one measurement in a process of its own."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(
        [python, *script, "--threads", str(threads)], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{script[0]} failed:\n{done.stderr[-2000:]}")
    result: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def main() -> None:
    """Compare, and print a table and one JSON line per row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fastvpinns", help="interpreter of the peer's environment")
    parser.add_argument("--points", type=int, nargs="+", default=list(CELLS), choices=list(CELLS))
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--forms", nargs="+", default=list(FORMS), choices=list(FORMS))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--worker", choices=list(FORMS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        steps = max(10, 40_000 // options.points[0])
        print(json.dumps(measure(options.worker, options.points[0], options.threads[0], steps)))
        return
    if not options.fastvpinns:
        print("no --fastvpinns interpreter: timing vpinn alone")
    peer = str(Path(__file__).parent / "peers" / "fastvpinns_poisson.py")
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, float32, medians of {options.repeats} runs")
    print(f"{'points':>7} {'threads':>7} {'tool':>14} {'ms/step':>8} {'ratio':>6} {'peak MB':>8}")
    for points in options.points:
        for threads in options.threads:
            steps = str(max(20, 40_000 // points))
            jobs = {
                f"vpinn {form}": (sys.executable, [__file__, "--worker", form, "--points", str(points)]) for form in options.forms
            }
            if options.fastvpinns:
                jobs["fastvpinns"] = (options.fastvpinns, [peer, "--points", str(points), "--steps", steps, "--repeats", "7"])
            runs = [{name: worker(*job, threads) for name, job in jobs.items()} for _ in range(options.repeats)]
            for name in jobs:
                time_ = statistics.median(run[name]["seconds_per_step"] for run in runs)
                pairs = [
                    run[name]["seconds_per_step"] / run["fastvpinns"]["seconds_per_step"] for run in runs if "fastvpinns" in run
                ]
                ratio = f"{statistics.median(pairs):6.2f}" if pairs else "     -"
                memory = statistics.median(run[name]["peak_memory_mb"] for run in runs)
                print(f"{points:7d} {threads:7d} {name:>14} {1e3 * time_:8.2f} {ratio} {memory:8.0f}", flush=True)


if __name__ == "__main__":
    main()
