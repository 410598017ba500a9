"""Measure error against time with vpinn itself, once, in a process of its own: see ``error_against_time.py``.

Prints one JSON line: set-up seconds, and ``points``, a list of [solving seconds, relative L² error, unknowns]. Least squares and
finite elements are solved anew for every point. Training is measured at several times of one run, from parameters that are stored
and evaluated afterwards, so that evaluation costs no time. Set-up is reading the form, the mesh, the lift and the quadrature
points; numbering, assembly and factorisation belong to solving.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import numpy as np
import torch
from error_problems import domain, measuring_points, statement
from numpy.typing import NDArray

import vpinn
from vpinn.domain import located_points
from vpinn.optimization import Training
from vpinn.placement import Placement
from vpinn.solution import Solution
from vpinn.solving import prepare

CELLS = {"poisson": 5, "nonlinear": 5, "plate": 4, "l-shape": 6}
"""Meshes that networks are trained on, as ``error_problems.domain`` takes them; that of the plate is 2e-5 off its circles."""
PLATE, PLATE_DEGREE = 12, 3
"""Mesh and rule of the plate for least squares in the strong form, which functions with poles in the holes suit: 3e-7 off."""
TOLERANCES = tuple(10.0**-k for k in range(2, 14))
LARGEST = 200_000
"""Degrees of freedom beyond which no mesh is tried."""
SNAPSHOTS = 60


def error(found: NDArray[np.float64], truth: NDArray[np.float64]) -> float:
    """Return the relative L² error at the points inside the mesh."""
    inside = np.isfinite(found)
    return float(np.linalg.norm(found[inside] - truth[inside]) / np.linalg.norm(truth[inside]))


def finite_elements(name: str, degree: int, seconds: float) -> dict[str, Any]:
    """Solve on finer and finer meshes, as long as the next is likely to take no more than the given seconds."""
    x, truth = measured(name)
    points: list[tuple[float, float, int]] = []
    n, setup = 4, 0.0
    while not points or (4.5 * points[-1][0] <= seconds and 4 * points[-1][2] <= LARGEST):
        began = time.perf_counter()
        problem = vpinn.make_problem(domain(name, n), **statement(name, "weak"))
        found = vpinn.solve_fem(problem, degree)
        setup = time.perf_counter() - began - found.seconds["solve"]
        points.append((found.seconds["solve"], error(found.evaluate(x)["u"], truth), found.dofs))
        n *= 2
    return {"setup": setup, "points": points}


def least_squares(name: str, seconds: float, seed: int, enriched: bool) -> dict[str, Any]:
    """Solve with sharper and sharper tolerances, until one is not met or the next is likely to take more than the seconds."""
    x, truth = measured(name)
    # the gradient of a corner function is too singular for a weak form's rule; in the strong form nothing is integrated
    form, more = ("strong", {"network": {"enrich": ["singular"]}}) if enriched else ("weak", {})
    cells = CELLS[name]
    if name == "plate":
        cells, form, more = PLATE, "strong", {"quadrature": {"degree": PLATE_DEGREE}}
    points: list[tuple[float, float, int]] = []
    setup = 0.0
    for tolerance in TOLERANCES:
        solver = {"method": "least-squares", "tolerance": tolerance, "seed": seed}
        problem = vpinn.make_problem(domain(name, cells), **statement(name, form), solver=solver, **more)
        found = vpinn.solve(problem, threads=threads())
        setup = found.metrics["seconds"]["setup"]
        spent = found.metrics["seconds"]["solve"]
        points.append((spent, error(found.evaluate(x)["u"], truth), found.metrics["parameters"]))
        if found.metrics["stopped"] != "tolerance" or 3.0 * spent > seconds:
            break
    return {"setup": setup, "points": points}


def trained(name: str, method: str, seconds: float, seed: int) -> dict[str, Any]:
    """Train until the time is over, then compute errors of parameters stored at geometrically growing times."""
    x, truth = measured(name)
    problem = vpinn.make_problem(
        domain(name, CELLS[name]),
        **statement(name, "energy"),
        solver={"method": method, "steps": 100_000_000, "seed": seed, "time_limit": seconds},
        network={"layers": [20, 20] if method == "gauss-newton" else [30, 30, 30]},
    )
    began = time.perf_counter()
    setup = prepare(problem, Placement(threads=threads()))
    ready = time.perf_counter() - began
    kept: list[tuple[float, torch.Tensor]] = []

    def keep(training: Training, plan: object) -> None:
        if not kept or training.seconds >= kept[-1][0] * (seconds / 0.02) ** (1 / SNAPSHOTS):
            kept.append((training.seconds, training.theta.clone()))

    solution = vpinn.solve(problem, threads=threads(), report=keep)
    kept.append((solution.metrics["seconds"]["solve"], solution.theta))
    located, inside = located_points(problem.domain, x)
    located = located.rows(np.flatnonzero(inside))
    points = []
    for spent, theta in kept:
        found = Solution(problem, setup.trial, theta.double()).at(located)["u"]
        points.append((spent, error(found, truth[inside]), setup.trial.network.size))
    return {"setup": ready, "points": points}


def measured(name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the measuring points of a problem and its solution there."""
    found = measuring_points(name)
    assert found is not None
    return found


def threads() -> int:
    """Return the number of threads from the command line."""
    return int(OPTIONS.threads)


def main() -> None:
    """Measure, and print one JSON line."""
    name, method, seconds, seed = OPTIONS.problem, OPTIONS.method, OPTIONS.seconds, OPTIONS.seed
    if method.startswith("fem-"):
        result = finite_elements(name, int(method[4:]), seconds)
    elif method.startswith("least-squares"):
        result = least_squares(name, seconds, seed, method.endswith("enriched"))
    else:
        result = trained(name, method, seconds, seed)
    print(json.dumps(result))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--problem", required=True)
    parser.add_argument("--method", required=True)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    OPTIONS = parser.parse_args()
    main()
