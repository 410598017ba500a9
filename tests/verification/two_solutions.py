"""Count how often each method finds each of the two solutions of Bratu's problem, from several starts.

Usage::

    python -m tests.verification.two_solutions [--seeds 8] [--only NAME] [--one SEED]

−u″ = λ exp(u) of problems/bratu.toml as a strong form, u = 4x(1 − x) · network, one layer of 8. Starts are the network's initial
weights of seeds 0, 1, …, their last layer scaled so that u(½) is 1, 3 or 5; every method has the same ones. With --one all runs
start from the weights of that seed, and only batches and candidates differ. A run has found a solution where its peak u(½) is
within 0.1 of 0.1405 or of 4.0915. On the straight line between the two solutions the loss has its
ridge where the peak is 2.6.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path

import torch

import vpinn
from vpinn.errors import DivergenceError
from vpinn.optimization import Training, final_parameters, train
from vpinn.process import settle_process
from vpinn.solution import Solution
from vpinn.solving import prepare

FILE = Path(__file__).parents[2] / "problems" / "bratu.toml"
PEAKS = {"lower": 0.14053921440047, "upper": 4.09146724618926}
STRONG = ["form={strong='-div(grad(u)) - lam*exp(u)'}", "network.layers=[8]", "quadrature.degree=9"]
SGD = ["solver.method='sgd'", "solver.momentum=0.0", "solver.scaling='none'", "solver.learning_rate=1e-3", "solver.steps=800"]
SGD += ["solver.clip=20.0"]
NOISY = ["batch.size=2", "batch.sampler='uniform'", "batch.growth='logarithmic'"]
METHODS: dict[str, list[str]] = {
    "lbfgs, all points": ["solver.method='lbfgs'", "solver.steps=200"],
    "evolution": ["solver.method='evolution'", "solver.steps=200"],
    "evolution, spread 0.1": ["solver.method='evolution'", "solver.steps=200", "solver.spread=0.1"],
    "sgd, all points": SGD,
    "sgd, b = 2 ln(k + e)": [*SGD, *NOISY],
    "adam, b = 2 ln(k + e)": ["solver.method='adam'", "solver.learning_rate=0.02", "solver.steps=800", *NOISY],
}
"""Name → settings."""
STARTS = (3.0, 5.0, 1.0)
"""Peaks u(½) of the starts."""


def peak(settings: list[str], start: float, weights: int, seed: int) -> float:
    """Return u(½) at the end of a run from the weights of a seed, scaled to u(½) = start; nan where the run diverged."""
    problem = vpinn.read_problem(FILE, [*STRONG, *settings, f"solver.seed={seed}"])
    setup = prepare(problem)
    theta = setup.trial.network.initial(torch.Generator().manual_seed(weights))

    def middle(at: torch.Tensor) -> float:
        return float(Solution(problem, setup.trial, at).evaluate([[0.5]])["u"][0])

    theta[-9:] *= start / middle(theta)  # the last layer's eight weights and its bias
    training = Training.start(theta, setup.plan.method, seed)
    try:
        return middle(final_parameters(setup.objective, train(setup.objective, training, setup.plan))[0])
    except DivergenceError:
        return math.nan


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--only", default="")
    parser.add_argument("--one", type=int)
    parser.add_argument("--start", type=float, action="append")
    options = parser.parse_args()
    settle_process()
    for start in options.start or STARTS:
        for name, settings in METHODS.items():
            if options.only not in name:
                continue
            began = time.process_time()
            ends = [peak(settings, start, seed if options.one is None else options.one, seed) for seed in range(options.seeds)]
            counts = [f"{which} {sum(abs(end - value) < 0.1 for end in ends)}" for which, value in PEAKS.items()]
            told = f"{', '.join(counts)} of {options.seeds}; {time.process_time() - began:.0f} s"
            print(f"u(½) = {start:g}, {name:>24}: {told}; {' '.join(f'{end:.2f}' for end in ends)}", flush=True)


if __name__ == "__main__":
    main()
