"""Measure the cost of noise monitoring per step: the same run with and without it, in turns of a hundred steps.

    python tests/benchmarks/monitor_cost.py [--forms energy weak strong] [--batches 64 256 1024 full] [--turns 15]

Processor time of this process, medians over the turns; the share is the median of the ratios of neighbouring turns, with and
without first by turns. The last column is the time spent inside the monitoring over that of its turn, which other work on the
machine disturbs less. The curvature, one gradient in fifty steps, is part of both.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import time
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import vpinn
from vpinn.optimization import Training, train
from vpinn.optimization.watch import UNKNOWN, Watch
from vpinn.solving import Setup, prepare

FORMS = {
    "energy": "0.5*inner(grad(u), grad(u))*dx - f*u*dx",
    "weak": "inner(grad(u), grad(v))*dx - f*v*dx",
    "strong": "-div(grad(u)) - f",
}
STEPS = 100
"""Steps of a turn."""


def setup_of(form: str, batch: int | str) -> Setup:
    """Return a setup with 6,400 points and a network 2-30-30-1 of 1,051 weights."""
    problem = vpinn.make_problem(
        {"shape": "rectangle", "cells": [16, 16], "cell": "quadrilateral"},
        unknowns={"u": "scalar"},
        expressions={"f": "sin(3*x)"},
        boundary=[{"on": "all", "value": 0}],
        network={"layers": [30, 30]},
        quadrature={"degree": 9},
        batch={"size": batch},
        solver={"method": "adam", "learning_rate": 1e-6, "steps": 10_000_000},
        **{form: FORMS[form]},
    )
    return prepare(problem)


def advance(setup: Setup, training: Training, watching: bool) -> tuple[float, float]:
    """Return the processor time of a step over one turn, and the part of it inside the monitoring."""
    inside = [0.0]

    def timed(look: Callable[..., Any]) -> Callable[..., Any]:
        def looked(*seen: Any) -> Any:
            began = time.thread_time()
            try:
                return look(*seen)
            finally:
                inside[0] += time.thread_time() - began

        return looked

    steps = training.step + STEPS
    plan = dataclasses.replace(setup.plan, schedule=dataclasses.replace(setup.plan.schedule, steps=steps))
    looks = {name: getattr(Watch, name) for name in ("observe", "observe_all")}
    patched = {name: timed(look) if watching else lambda *seen: UNKNOWN for name, look in looks.items()}
    with patch.multiple(Watch, **patched):
        began = time.process_time()
        train(setup.objective, training, plan)
        return (time.process_time() - began) / STEPS, inside[0] / STEPS


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batches", nargs="+", default=["64", "256", "1024", "full"])
    parser.add_argument("--forms", nargs="+", default=list(FORMS), choices=FORMS)
    parser.add_argument("--turns", type=int, default=15)
    asked = parser.parse_args()
    print("form    batch  step without, ms  with, ms  share of the step  inside")
    for form in asked.forms:
        for batch in asked.batches:
            setup = setup_of(form, int(batch) if batch.isdecimal() else batch)
            training = setup.start()
            advance(setup, training, True)
            pairs, shares = [], []
            for turn in range(asked.turns):
                spent = {watching: advance(setup, training, watching) for watching in (turn % 2 == 0, turn % 2 == 1)}
                pairs.append((spent[False][0], spent[True][0]))
                shares.append(spent[True][1] / spent[True][0])
            without, watched = (statistics.median(column) for column in zip(*pairs, strict=True))
            share = statistics.median(b / a - 1.0 for a, b in pairs)
            told = f"{1e3 * without:16.3f}  {1e3 * watched:8.3f}  {100 * share:+15.1f} %  {100 * statistics.median(shares):.1f} %"
            print(f"{form:7s} {batch:>5s}  {told}", flush=True)


if __name__ == "__main__":
    main()
