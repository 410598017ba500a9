"""Measure the variance of mini-batch gradients by sampler at equal points, and error floors of weak forms.

Usage::

    python tests/benchmarks/sampling_variance.py [--size 256] [--draws 300] [--steps 300]
    python tests/benchmarks/sampling_variance.py --cells [--size 256] [--draws 300] [--steps 300]

The problem is −Δu = f on the unit square, u = −sin 2πx sin 2πy, network 2-30-30-30-1, 8 × 8 squares with 25 points
each, energy form; and the same with a source in one corner. Gradients are those at parameters after some steps of
Adam on all points; pilots of adaptive samplers, five of them, are not counted (they cost 2 batches each, every 50 steps).

``--cells`` measures cluster draws on problem files instead: 1, 2, 4 and all points of the rule in each drawn cell, at parameters
after some steps of Adam on stratified batches; the variance at equal points, and times processor time, that at equal cost. The
processor time of an estimate, the median of several, is fitted by c₀ + c_cell·M + c_point·M·A over M cells with A points.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

import vpinn
from vpinn.optimization import Training, train
from vpinn.optimization.batches import drawn, pilots
from vpinn.process import settle_process
from vpinn.solving import prepare

SMOOTH = {"expressions": {"u_exact": "-sin(2*pi*x)*sin(2*pi*y)", "f": "-div(grad(u_exact))"}}
CORNER = {"expressions": {"u_exact": "x*(1-x)*y*(1-y)*exp(-200*((x-0.1)**2 + (y-0.1)**2))*500", "f": "-div(grad(u_exact))"}}
ENERGY = {"energy": "0.5*inner(grad(u), grad(u))*dx - f*u*dx"}
WEAK = {"weak": "inner(grad(u), grad(v))*dx - f*v*dx", "test_space": {"degree": 3}}
CHOICES: dict[str, dict[str, Any]] = {
    "uniform": {"sampler": "uniform"},
    "uniform, no replacement": {"sampler": "uniform", "replacement": False},
    "cells": {"sampler": "cells"},
    "stratified": {"sampler": "stratified"},
    "stratified, neyman": {"sampler": "stratified", "allocation": "neyman"},
    "stratified, equal-variance": {"sampler": "stratified", "allocation": "equal-variance"},
    "gradient quantiles, neyman": {"sampler": "stratified", "allocation": "neyman", "strata": "gradient"},
    "antithetic": {"sampler": "antithetic"},
    "sobol": {"sampler": "sobol"},
    "importance": {"sampler": "importance"},
}

PROBLEMS = Path(__file__).parents[2] / "problems"
CLUSTERED = ("poisson", "oscillating_coefficient", "composite")
"""Files that cluster draws are looked at on: squares, a million points in parts of squares, curved triangles of a mesh file."""
TIMES = 60
"""Estimates that a processor time is the median of."""


def problem(form: dict[str, Any], source: dict[str, Any], degree: int = 9, **sections: Any) -> vpinn.Problem:
    """Return the problem on 8 × 8 squares."""
    return vpinn.make_problem(
        {"shape": "rectangle", "cells": [8, 8], "cell": "quadrilateral"},
        unknowns={"u": "scalar"},
        boundary=[{"on": "all", "value": 0}],
        reference={"exact": {"u": "u_exact"}},
        network={"layers": [30, 30, 30]},
        quadrature={"degree": degree},
        **source,
        **form,
        **sections,
    )


def trained(source: dict[str, Any], steps: int) -> torch.Tensor:
    """Return parameters after some steps of Adam on all points."""
    setup = prepare(problem(ENERGY, source, solver={"method": "adam", "steps": steps, "learning_rate": 3e-3}))
    theta = setup.trial.network.initial(torch.Generator().manual_seed(0))
    return train(setup.objective, Training.start(theta, setup.plan.method, 0), setup.plan).theta


def spread(source: dict[str, Any], theta: torch.Tensor, batch: dict[str, Any], draws: int) -> tuple[float, float, float]:
    """Return tr Cov of the gradient, its bias in standard errors (largest component), and CPU milliseconds per estimate."""
    setup = prepare(problem(ENERGY, source, batch=batch, solver={"method": "adam"}))
    objective, plan, generator = setup.objective, setup.plan, np.random.default_rng(1)
    learned: Any = ()
    for _ in range(5):
        learned = pilots(objective, plan.samplers, generator, theta, learned)
    full = objective.gradient(theta)[1].numpy()
    began = time.process_time()
    found = np.array([drawn(objective, plan.samplers, plan.batches, generator, learned)(theta)[1].numpy() for _ in range(draws)])
    seconds = (time.process_time() - began) / draws
    variance = found.var(axis=0, ddof=1)
    bias = np.abs(found.mean(axis=0) - full) / np.sqrt(np.maximum(variance / draws, 1e-300))
    return float(variance.sum()), float(bias.max()), 1e3 * seconds


def floors(estimator: str, steps: int, size: int, draws: int) -> tuple[float, dict[str, float]]:
    """Return error and floors by sampler: the relative energy error that a Newton step on one batch's residual would leave.

    That is the root mean square of the batch residual's dual norm over ‖∇u‖ = π√2, at parameters near the solution.
    """
    full = prepare(problem(WEAK, SMOOTH, 12, solver={"method": "gauss-newton", "steps": steps}))
    theta = full.trial.network.initial(torch.Generator().manual_seed(0))
    theta = train(full.objective, Training.start(theta, full.plan.method, 0), full.plan).theta
    found = {}
    for sampler in ("uniform", "stratified", "antithetic", "sobol"):
        batch = {"size": 2 * size, "sampler": sampler, "estimator": estimator}
        setup = prepare(problem(WEAK, SMOOTH, 12, batch=batch, solver={"method": "adam"}))
        plan, generator = setup.plan, np.random.default_rng(2)
        squares = [2.0 * drawn(setup.objective, plan.samplers, 1, generator, ())(theta)[0] for _ in range(draws)]
        found[sampler] = float(np.sqrt(np.mean(squares)) / (np.pi * np.sqrt(2.0)))
    return float(np.sqrt(2.0 * full.objective.value(theta)) / (np.pi * np.sqrt(2.0))), found


def clusters(name: str, size: int, draws: int, steps: int) -> None:
    """Print variance and cost of points in drawn cells on a problem file, and what a cell costs beside its points."""
    changes = ["solver.method='adam'", f"solver.steps={steps}", "solver.learning_rate=0.003", "solver.schedule='constant'"]
    changes += [f"batch.size={size}", "batch.sampler='stratified'"]

    def made(*more: str) -> Any:
        return prepare(vpinn.read_problem(PROBLEMS / f"{name}.toml", [*changes, *more]))

    setup = made()
    theta = setup.trial.network.initial(torch.Generator().manual_seed(0))
    theta = train(setup.objective, Training.start(theta, setup.plan.method, 0), setup.plan).theta
    objective, points = setup.objective, setup.objective.batched[0].points
    q = len(points.rule_weights)
    print(f"{name}: {points.size:,} points, {q} in each cell; batches of {size}, {draws} draws, after {steps} steps of Adam")
    print(f"{'':>24} {'points':>7} {'tr Cov·b':>10} {'error':>7} {'CPU ms':>7} {'tr Cov·ms':>10}")
    for label, per_cell in (("stratified", None), ("uniform", None), *((f"{a} of a cell", a) for a in (1, 2, 4, q, "auto"))):
        how = [f"batch.sampler='{label}'"] if per_cell is None else ["batch.sampler='cells'", f"batch.per_cell={per_cell!r}"]
        plan, generator, learned = made(*how).plan, np.random.default_rng(1), ()
        for _ in range(5):
            learned = pilots(objective, plan.samplers, generator, theta, learned)
        found = np.array(
            [drawn(objective, plan.samplers, plan.batches, generator, learned)(theta)[1].numpy() for _ in range(draws)]
        )
        squares = ((found - found.mean(axis=0)) ** 2).sum(axis=1) * draws / (draws - 1)
        variance, error = float(squares.mean()), float(squares.std() / np.sqrt(draws) / squares.mean())
        ms = estimate_ms(objective, plan, theta, learned)
        b = plan.batch_size or 0
        told = f" A = {plan.samplers[0].points_per_cell(learned[0])}" if per_cell == "auto" else ""
        print(f"{label:>24} {b:7d} {variance * b:10.3e} {error:7.1%} {ms:7.2f} {variance * ms:10.3e}{told}", flush=True)
    rows, times = [], []
    for b in (size, 4 * size):
        for a in (1, 2, 4, q):
            plan = made(f"batch.size={b}", "batch.sampler='cells'", f"batch.per_cell={a}").plan
            rows.append((1.0, plan.samplers[0].size / a, plan.samplers[0].size))
            times.append(estimate_ms(objective, plan, theta, ()))
    found, *_ = np.linalg.lstsq(np.array(rows) / np.array(times)[:, None], np.ones(len(times)), rcond=None)
    step, cell, point = found
    fitted = f"{step:.2f} + {1e3 * cell:.2f}e-3 M + {1e3 * point:.2f}e-3 M A"
    print(f"{'':>24} ms of an estimate: {fitted}; c_cell/c_point {cell / point:.2f}")


def estimate_ms(objective: Any, plan: Any, theta: torch.Tensor, learned: Any) -> float:
    """Return the processor time of one estimate of the gradient in milliseconds, draws included: the median of ``TIMES``."""
    generator, found = np.random.default_rng(3), []
    for _ in range(TIMES):
        began = time.process_time()
        drawn(objective, plan.samplers, plan.batches, generator, learned)(theta)
        found.append(1e3 * (time.process_time() - began))
    return float(np.median(found))


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--draws", type=int, default=300)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--floor-steps", type=int, default=15)
    parser.add_argument("--cells", action="store_true", help="cluster draws on problem files")
    options = parser.parse_args()
    settle_process()
    if options.cells:
        for name in CLUSTERED:
            clusters(name, options.size, options.draws, options.steps)
        return
    for name, source in (("sin 2πx sin 2πy", SMOOTH), ("a corner", CORNER)):
        theta = trained(source, options.steps)
        print(f"energy, {name}, after {options.steps} steps: batches of {options.size} of 1,600 points, {options.draws} draws")
        print(f"{'sampler':>28} {'tr Cov':>10} {'gain':>8} {'bias/se':>8} {'CPU ms':>7}")
        reference = None
        for label, batch in CHOICES.items():
            variance, bias, ms = spread(source, theta, {"size": options.size, **batch}, options.draws)
            reference = reference or variance
            print(f"{label:>28} {variance:10.3e} {reference / variance:8.1f} {bias:8.1f} {ms:7.2f}", flush=True)
    print(f"weak, after {options.floor_steps} steps of Gauss–Newton on all points: what a batch of 1,000 points would leave")
    for estimator in ("two-batch", "control-variate"):
        error, found = floors(estimator, options.floor_steps, 1000, 20)
        print(f"{estimator:>28} error {error:.1e}: " + ", ".join(f"{k} {v:.1e}" for k, v in found.items()), flush=True)


if __name__ == "__main__":
    main()
