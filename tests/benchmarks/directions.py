"""Time a step of Adam against the dimension, with all second derivatives and with drawn ones.

Usage::

    python tests/benchmarks/directions.py [--dimensions 10 30 100 300 1000] [--points 32] [--drawn 16] [--repeats 7]

The problem is -Δu = f on a ball of volume about one with u = 0 on the sphere, with a network of two layers of 64. Times are
processor seconds of value and gradient on one batch, medians over repeats in which both ways alternate; memory is that of the
process after each.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import statistics
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

import vpinn
from vpinn.objective import Objective, make_objective
from vpinn.process import peak_memory_mb
from vpinn.trial import make_trial


def objective_of(dimension: int, drawn: int, points: int) -> tuple[Objective, torch.Tensor]:
    """Return the objective that draws ``drawn`` second derivatives, and parameters."""
    problem = vpinn.make_problem(
        {"shape": "ball", "dimension": dimension, "radius": (dimension / (2 * math.pi * math.e)) ** 0.5},
        unknowns={"u": "scalar"},
        strong=["-div(grad(u)) - 1 - x[0]"],
        boundary=[{"on": "all", "value": 0}],
        network={"layers": [64, 64]},
        quadrature={"points": 32 * points},
        batch={"size": points, "sampler": "uniform", "directions": drawn},
        solver={"method": "adam"},
    )
    trial = make_trial(problem)
    return make_objective(problem, trial), trial.network.initial(torch.Generator().manual_seed(0))


def main() -> None:
    """Print one row per dimension."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dimensions", type=int, nargs="+", default=[10, 30, 100, 300, 1000])
    parser.add_argument("--points", type=int, default=32)
    parser.add_argument("--drawn", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=7)
    given = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{platform.processor() or platform.machine()}, one thread, float64, {given.points} points, torch {torch.__version__}")
    print("dimension | all: ms | drawn | drawn: ms | ratio | a derivative over value and gradient | peak MB")
    for d in given.dimensions:
        k = min(given.drawn, d)
        objective, theta = objective_of(d, k, given.points)
        generator = np.random.default_rng(0)
        measure, index = objective.measures[0], np.arange(given.points)
        scale = np.full(given.points, 32.0)
        batches = {
            "all": measure.batch(index, scale),
            "drawn": measure.batch(index, scale, generator),
            "two": objective.taking(2).measures[0].batch(index, scale, generator),
        }
        times: dict[str, list[float]] = {name: [] for name in batches}
        for _ in range(given.repeats + 1):
            for name, batch in batches.items():
                began = time.process_time()
                measure.gradient(theta, batch)
                times[name].append(1e3 * (time.process_time() - began))
        every, some, two = (statistics.median(found[1:]) for found in times.values())
        each = (some - two) / (k - 2) if k > 2 else float("nan")
        share = each / max(two - 2 * each, 1e-9)
        print(f"{d} | {every:.1f} | {k} | {some:.1f} | {every / some:.1f} | {share:.2f} | {peak_memory_mb():.0f}")


if __name__ == "__main__":
    main()
