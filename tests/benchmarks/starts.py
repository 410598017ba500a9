"""Compare starts of training, and solves for the last layer during training, by relative L² errors after equal steps.

    python tests/benchmarks/starts.py [NAME …] [--method adam] [--steps 1000] [--batch 256] [--seeds 2]

Columns: random weights without solves; random weights with solves every 100 and 250 steps (methods along gradients); a start from
the solved last layer without further solves. NAME is a file of ``problems/`` with a known solution. One thread.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import torch

import vpinn
from vpinn.analysis import true_error
from vpinn.optimization import Training, train
from vpinn.problem import Problem
from vpinn.problem.validation import validate
from vpinn.solving import prepare

ROOT = Path(__file__).parents[2]
NAMES = ("poisson", "disk", "convection_diffusion", "elasticity")
VARIANTS = (("plain", 0), ("plain", 100), ("plain", 250), ("solved", 0))


def stated(name: str, method: str, steps: int, batch: int, seed: int, project: int) -> Problem:
    """Return a problem file with other settings of the solver."""
    problem = vpinn.read_problem(ROOT / "problems" / f"{name}.toml")
    changed = {"solver": {"method": method, "steps": steps, "seed": seed, "project": project}}
    if batch:
        changed["batch"] = {"size": batch}
    source = dataclasses.replace(problem.source, data={**problem.source.data, **changed})
    return dataclasses.replace(problem, source=source, settings=validate(source))


def measured(name: str, options: argparse.Namespace, seed: int, start: str, project: int) -> float:
    """Return the error after the steps."""
    problem = stated(name, options.method, options.steps, options.batch, seed, project)
    setup = prepare(problem)
    assert setup.begun is not None
    training = Training.start(getattr(setup.begun, start), setup.plan.method, seed)  # type: ignore[arg-type]
    train(setup.objective, training, setup.plan)
    error = true_error(problem, setup.trial)
    assert error is not None
    return error(training.theta)


def main() -> None:
    """Print one line per problem and seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=NAMES, help="problem files")
    parser.add_argument("--method", default="adam")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--batch", type=int, default=256, help="points per step; 0 for all")
    parser.add_argument("--seeds", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(1)
    variants = VARIANTS if options.method in ("adam", "sgd") else (VARIANTS[0], VARIANTS[3])
    for name in options.names:
        for seed in range(options.seeds):
            found = [f"{start}, {every}: {measured(name, options, seed, start, every):.2e}" for start, every in variants]
            print(f"{name} {options.method} seed {seed}  " + " | ".join(found), flush=True)


if __name__ == "__main__":
    main()
