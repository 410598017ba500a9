"""Measure mean, temperature and intervals of Langevin sampling with default settings, on problem files and known posteriors.

    python tests/benchmarks/langevin.py problems/interval_1d.toml problems/poisson.toml problems/disk.toml
    python tests/benchmarks/langevin.py --posterior

For a file these are printed: relative L² distance of the chain's mean from the exact solution (of the trained field if samples
are withheld), measured temperature over T, share of the exact values within mean ± 1.96 deviations, share of the variance from
held directions, failed checks, and processor seconds of everything. For a posterior, the share of the known distribution within
the intervals is printed instead, with deviations relative to the known ones, and the distance of the means in known deviations.
One thread is used.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import vpinn
from vpinn.analysis.errors import independent_points
from vpinn.problem import Problem, read_problem

sys.path.insert(0, str(Path(__file__).parents[1]))
from optimization.posteriors import POSTERIORS

SEEN = 2_000
"""Points at most that intervals are looked at."""


def mean_and_cover(solution: vpinn.Solution) -> tuple[float, float]:
    """Return the relative L² distance of the mean from the exact solution, and the share of exact values in the intervals."""
    points = independent_points(solution.problem, 10)
    points = points.take(np.unique(np.linspace(0, points.size - 1, min(SEEN, points.size)).astype(np.int64)))
    exact = solution.exact(points)
    means, deviations = solution.spread(points)
    squares, inside = np.zeros(2), []
    for name, truth in exact.items():
        off = (means or solution.at(points))[name] - truth
        squares += [float(points.w @ off**2), float(points.w @ truth**2)]
        if deviations:
            inside.append(np.abs(off) <= 1.96 * deviations[name])
    return float(np.sqrt(squares[0] / squares[1])), float(np.mean(inside)) if inside else float("nan")


def solved(problem: Problem) -> tuple[vpinn.Solution, str]:
    """Return the solution and what every line tells."""
    began = time.process_time()
    solution = vpinn.solve(problem, threads=1)
    spent, walk = time.process_time() - began, solution.metrics["walk"]
    told = f"virial {walk.get('measured', float('nan')):.3f} ± {walk.get('standard_error', float('nan')):.3f}"
    told += f" in {walk['directions']} directions, held {100 * walk.get('held', float('nan')):.0f} % of the variance"
    checks: list[Any] = solution.metrics["checks"] or ["none"]
    return solution, f"{told}, {spent:.1f} cpu s, failed: {'; '.join(checks)}"


def main() -> None:
    """Print one line per run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--set", action="append", default=[], dest="changes", metavar="KEY=VALUE")
    parser.add_argument("--posterior", nargs="*", default=None, metavar="NAME", help="known posteriors, all by default")
    parser.add_argument("--seeds", type=int, default=1)
    options = parser.parse_args()
    names = [] if options.posterior is None else options.posterior or list(POSTERIORS)
    for seed in range(options.seeds):
        for file in options.files:
            solution, told = solved(read_problem(file, ["solver.method=langevin", f"solver.seed={seed}", *options.changes]))
            off, inside = mean_and_cover(solution)
            told = f"mean {off:.1e} off, exact values in 95 % intervals {inside:.2f}, {told}"
            print(f"{file.stem}, seed {seed}: {told}", flush=True)
        for name in names:
            posterior = POSTERIORS[name]
            solution, told = solved(posterior.problem(seed))
            if solution.samples is not None:
                inside, wide, off = posterior.covered(solution)
                told = f"coverage {inside:.3f}, deviation {wide:.2f} of the known, mean {off:.2f} deviations off, {told}"
            print(f"{name}, seed {seed}: {told}", flush=True)


if __name__ == "__main__":
    main()
