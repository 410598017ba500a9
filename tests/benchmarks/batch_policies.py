"""Compare batch policies with fixed batch sizes, by error against processor time of training; medians over seeds.

    python tests/benchmarks/batch_policies.py problems/poisson_minibatch.toml --seeds 3 \
        --variant "batch.size=256" --variant "batch.size=auto" --variant "batch.size=64 batch.growth=geometric"

A policy is worth its cost if no fixed size reaches its error in its time: give several sizes and numbers of steps to compare. For
the first seed these are printed: sizes and step sizes over the run, half of the largest stable step size last measured, which is
the limit of growing steps, losses of the first and last batches, and rollbacks.
"""

from __future__ import annotations

import argparse
import shlex
import statistics
import time
from pathlib import Path

import numpy as np

from vpinn.comparison.course import make_error
from vpinn.errors import DivergenceError
from vpinn.optimization import COLUMNS, Training, final_parameters, train
from vpinn.problem import read_problem
from vpinn.solving import prepare

_BATCH, _RATE, _LOSS = (COLUMNS.index(name) for name in ("batch_size", "learning_rate", "loss"))


def measured(path: Path, settings: list[str]) -> tuple[float, float, Training]:
    """Return relative error, processor seconds of training, and the state at its end."""
    setup = prepare(read_problem(path, settings))
    training = setup.start()
    began = time.process_time()
    try:
        train(setup.objective, training, setup.plan)
    except DivergenceError:
        return float("nan"), time.process_time() - began, training
    spent = time.process_time() - began
    theta, _ = final_parameters(setup.objective, training)
    return make_error(setup)(theta), spent, training


def main() -> None:
    """Print one line per variant."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--set", action="append", default=[], help="setting of all variants")
    parser.add_argument("--variant", action="append", default=[], help="settings of one")
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    for variant in given.variant:
        runs = []
        for seed in range(given.seeds):
            settings = [*given.set, *shlex.split(variant), f"solver.seed={seed}"]
            runs.append(measured(given.file, settings))
        errors = [run[0] for run in runs]
        seconds = statistics.median(run[1] for run in runs)
        training = runs[0][2]
        history, settled = training.history.table, training.settled.numbers() if training.settled else {}
        at = np.linspace(0, len(history) - 1, 6).astype(int)
        sizes, rates = history[at, _BATCH].astype(int).tolist(), " ".join(f"{rate:.1e}" for rate in history[at, _RATE])
        first, last = history[:10, _LOSS].mean(), history[-10:, _LOSS].mean()
        error = f"{statistics.median(errors):.2e} ({min(errors):.1e} to {max(errors):.1e})"
        found = {name: float(f"{value:.3g}") for name, value in settled.items()}
        print(f"{variant:<60} error {error}  cpu {seconds:6.2f} s", flush=True)
        limit = f", kept below {0.5 * settled['limit']:.1e}" if "limit" in settled else ""
        print(f"  batch {sizes}, rate {rates}{limit}", flush=True)
        print(f"  loss {first:.4e} → {last:.4e} (means of ten), {training.rollbacks} rollbacks, settled {found}", flush=True)


if __name__ == "__main__":
    main()
