"""Check the noise report's advice on samplers: variances of all candidates, then runs by every allocation at equal points.

    python tests/benchmarks/advice.py problems/poisson.toml problems/disk.toml --size 128 --steps 600 --seeds 3

Adam trains with the advised sampler, and with stratified draws under the other allocations; medians over seeds are printed. The
variance is that of a step's gradient, after a quarter and at the end of a pilot run of as many steps. For samplers that learn it
is multiplied by the share of points that their pilots take.
"""

from __future__ import annotations

import argparse
import statistics
from dataclasses import replace
from pathlib import Path

import numpy as np

from vpinn.comparison.course import make_error
from vpinn.noise.advice import Candidate, compared, simplest
from vpinn.optimization import final_parameters, train
from vpinn.problem import read_problem
from vpinn.solving import prepare


def trained(path: Path, settings: list[str], seed: int) -> tuple[float, float]:
    """Return the relative error and J over all points at the end of a run."""
    setup = prepare(read_problem(path, [*settings, f"solver.seed={seed}"]))
    training = train(setup.objective, setup.start(), setup.plan)
    theta, loss = final_parameters(setup.objective, training)
    return make_error(setup)(theta), loss


def lines(candidate: Candidate) -> list[str]:
    """Return a candidate as settings of the command line."""
    return [f"batch.{key}={value}" for key, value in candidate.keys.items()]


def main() -> None:
    """Print one line per way of drawing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--set", action="append", default=[], help="setting of all runs")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    common = ["solver.method=adam", f"solver.steps={given.steps}", "solver.learning_rate=0.01", "solver.schedule=cosine"]
    common += [*given.set, f"batch.size={given.size}"]
    for path in given.files:
        problem = read_problem(path, common)
        setup = prepare(problem)
        training, places = setup.start(), []
        for steps in (given.steps // 4, given.steps):
            part = replace(setup.plan, schedule=replace(setup.plan.schedule, steps=steps))
            places.append(train(setup.objective, training, part).theta.double())
        found = compared(problem.settings, setup.objective, places, given.size, 7)
        advised = simplest(found)
        print(f"{path.stem}, b = {given.size}, {given.steps} steps of Adam: advised is {advised.name}")
        for candidate in found:
            noise = " → ".join(f"{v:.2e} ± {e:.0e}" for v, e in zip(candidate.variance, candidate.error, strict=True))
            told = f"  {candidate.name:<26} variance {noise}"
            if candidate is advised or candidate.keys["sampler"] == "stratified":
                runs = np.array([trained(path, [*common, *lines(candidate)], seed) for seed in range(given.seeds)])
                errors, losses = runs.T
                spread = f"({min(errors):.1e} to {max(errors):.1e})"
                told += f"  error {statistics.median(errors):.2e} {spread}  loss {statistics.median(losses):.4e}"
            print(told, flush=True)


if __name__ == "__main__":
    main()
