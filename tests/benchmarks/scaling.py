"""Strong and weak scaling over workers of a first-order step, a Gauss–Newton step and a least-squares solve.

    python tests/benchmarks/scaling.py --workers 1,2 --points 20000,100000 --steps 20

Every worker is a process of one thread on this machine, connected by gloo. Times are medians over the steps, in seconds of wall
time; communication is the time inside collective operations, where a worker also waits for the others. The model of a step,
t(K, N) = a + cN/K + 2⌈log₂ K⌉(l + m/B), has a fixed part a, a cost c per point, a latency l and a bandwidth B for messages of m
bytes. a and c are fitted to the times of computation of one worker, l and B to sums of several lengths. What it says of 64
workers is an extrapolation and marked so.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import os
import pickle
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch
import torch.distributed as dist

import vpinn
from vpinn.domain import rectangle
from vpinn.features import Recipe, pilot
from vpinn.optimization import train
from vpinn.placement import HERE
from vpinn.process import settle_process
from vpinn.solving import prepare
from vpinn.workers import Group

LENGTHS = (10, 1_000, 100_000, 1_000_000)
"""Numbers in the sums that latency and bandwidth are fitted to."""
FAR = 64
"""Workers that the model is extrapolated to."""
FEATURES = 200
"""Features of the least-squares solve."""
KINDS = ("first-order", "gauss-newton", "least-squares")
NETWORK = {"first-order": [30, 30, 30], "gauss-newton": [20, 20], "least-squares": [20, 20]}


class Spent:
    """Seconds inside collective operations, measured around every one of them."""

    seconds = 0.0

    @classmethod
    @contextmanager
    def watched(cls) -> Iterator[None]:
        names = ("all_reduce", "all_gather", "broadcast", "send", "recv")
        before = {name: getattr(dist, name) for name in names}

        def timed(work: Callable[..., Any]) -> Callable[..., Any]:
            def run(*arguments: Any, **named: Any) -> Any:
                began = time.perf_counter()
                try:
                    return work(*arguments, **named)
                finally:
                    cls.seconds += time.perf_counter() - began

            return run

        for name, work in before.items():
            setattr(dist, name, timed(work))
        try:
            yield
        finally:
            for name, work in before.items():
                setattr(dist, name, work)


def problem_of(kind: str, points: int, steps: int) -> vpinn.Problem:
    """Return Poisson's problem with about as many quadrature points of degree 5 (nine in a cell)."""
    method = {"first-order": "adam", "gauss-newton": "gauss-newton", "least-squares": "least-squares"}[kind]
    asked = {"features": FEATURES} if kind == "least-squares" else {"steps": steps, "project": 0}
    return vpinn.make_problem(
        rectangle(cells=max(2, round(math.sqrt(points / 9))), cell="quadrilateral"),
        unknowns={"u": "scalar"},
        expressions={"f": "2*pi**2*sin(pi*x)*sin(pi*y)"},
        boundary=[{"on": "all", "value": "0"}],
        strong=["-div(grad(u)) - f"],
        network={"layers": NETWORK[kind]},
        quadrature={"degree": 5},
        solver={"method": method, "seed": 1, **asked},
    )


def measured(group: Group, kind: str, points: int, steps: int) -> dict[str, float]:
    """Return points, seconds per step or solve, those inside collective operations, and the numbers of the longest message."""
    setup = prepare(problem_of(kind, points, steps), replace(HERE, group=group))
    times, inside = [], []
    group.largest([0.0])
    Spent.seconds, last = 0.0, time.perf_counter()

    def note(*_: Any) -> None:
        nonlocal last
        now = time.perf_counter()
        times.append(now - last)
        inside.append(Spent.seconds)
        Spent.seconds, last = 0.0, time.perf_counter()

    if kind == "least-squares":
        assert setup.objectives is not None
        for _ in range(max(3, steps // 5)):
            pilot(setup.objective, setup.trial.network, FEATURES, 1, setup.problem.domain, Recipe("tanh", 3.0))
            note()
    else:
        train(setup.objective, setup.start(), replace(setup.plan, rules=None), report=note)
    size = setup.trial.network.size
    return {
        "points": setup.objective.size,
        "seconds": float(np.median(times[1:])),
        "inside": float(np.median(inside[1:])),
        "numbers": {"first-order": size, "gauss-newton": size**2, "least-squares": (FEATURES + 3) ** 2}[kind],
    }


def summed(group: Group) -> list[tuple[int, float]]:
    """Return the median seconds of sums of several lengths, with their bytes."""
    found = []
    for length in LENGTHS:
        numbers, times = torch.ones(length, dtype=torch.float64), []
        for _ in range(12):
            group.largest([0.0])
            began = time.perf_counter()
            group.sum(numbers)
            times.append(time.perf_counter() - began)
        found.append((8 * length, float(np.median(times))))
    return found


def work(rank: int, workers: int, folder: str, sizes: list[int], steps: int) -> None:
    settle_process()
    if workers > 1:
        dist.init_process_group("gloo", init_method=f"file://{folder}/meeting.{workers}", rank=rank, world_size=workers)
    group, found = Group(rank, workers), dict[tuple[str, int, str], dict[str, float]]()
    with Spent.watched():
        for kind in KINDS:
            for size in sizes:
                found[kind, size, "strong"] = measured(group, kind, size, steps)
                if workers > 1:
                    found[kind, size, "weak"] = measured(group, kind, size * workers, steps)
    sums = summed(group) if workers > 1 else []
    if rank == 0:
        Path(folder, f"found.{workers}").write_bytes(pickle.dumps((found, sums)))
    if workers > 1:
        dist.destroy_process_group()


def all_workers(workers: int, folder: str, sizes: list[int], steps: int) -> tuple[Any, Any]:
    """Return what worker 0 of a group measures."""
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=work, args=(rank, workers, folder, sizes, steps)) for rank in range(workers)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    if any(process.exitcode for process in processes):
        sys.exit("a worker failed")
    found: tuple[Any, Any] = pickle.loads(Path(folder, f"found.{workers}").read_bytes())
    return found


def line(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Return intercept ≥ 0 and slope ≥ 0 of the line of least relative squares."""
    from scipy.optimize import nnls

    rows = np.stack([np.ones_like(x), x], 1) / y[:, None]
    scale = np.linalg.norm(rows, axis=0)
    intercept, slope = nnls(rows / scale, np.ones(len(y)))[0] / scale
    return float(intercept), float(slope)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", default="1,2", help="numbers of workers, the first of which is 1")
    parser.add_argument("--points", default="20000,100000", help="points per step (strong), or per worker (weak)")
    parser.add_argument("--steps", type=int, default=20)
    asked = parser.parse_args()
    counts, sizes = ([int(n) for n in text.split(",")] for text in (asked.workers, asked.points))
    with tempfile.TemporaryDirectory() as folder:
        found = {count: all_workers(count, folder, sizes, asked.steps) for count in counts}
    alone = found[1][0]
    print("| step | points | workers | scaling | ms | of these communication | times faster, or efficiency |")
    print("|---|---|---|---|---|---|---|")
    for count, (rows, _) in found.items():
        for (kind, size, how), row in rows.items():
            one = alone[kind, size, "strong"]["seconds"]
            gain = f"{one / row['seconds']:.2f}×" if how == "strong" else f"{100 * one / row['seconds']:.0f} %"
            spent = f"{1e3 * row['seconds']:.2f} | {1e3 * row['inside']:.2f}"
            print(f"| {kind} | {row['points']:,.0f} | {count} | {how} | {spent} | {gain} |")
    sums = [(size, seconds / (2 * math.ceil(math.log2(n)))) for n, (_, seen) in found.items() for size, seconds in seen]
    if len(sums) < 2 or len(sizes) < 2:
        return
    latency, per_byte = line(*(np.array(column, dtype=float) for column in zip(*sums, strict=True)))
    bandwidth = 1e-6 / per_byte if per_byte else math.inf
    print(f"\nsums between workers: latency {1e6 * latency:.0f} µs, bandwidth {bandwidth:.0f} MB/s")
    for kind in KINDS:
        rows = [alone[kind, size, "strong"] for size in sizes]
        fixed, cost = line(np.array([r["points"] for r in rows]), np.array([r["seconds"] for r in rows]))
        bytes_sent = 8 * rows[0]["numbers"]
        most = rows[-1]["points"]
        far = fixed + cost * most / FAR + 2 * math.ceil(math.log2(FAR)) * (latency + bytes_sent * per_byte)
        print(
            f"{kind}: {1e3 * fixed:.2f} ms + {1e6 * cost:.2f} µs per point; EXTRAPOLATED to {FAR} workers at {most:,.0f} points: "
            f"{1e3 * far:.2f} ms, {(fixed + cost * most) / far:.1f}× one worker"
        )


if __name__ == "__main__":
    main()
