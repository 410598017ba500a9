"""Train problem files without a known solution, and compare with finite elements of degree 5 on the same mesh.

    python tests/benchmarks/parts.py FILE … [--set solver.method=adam] [--set batch.size=512]

One line per file: relative distance from the elements in the l² norm over nodes of the mesh moved a little inwards, the largest
of all unknowns; the same from elements on a finer mesh, since elements on the mesh are inaccurate where the gradient is infinite;
the run's own error estimate; processor seconds of everything; steps; and which checks fail. One thread.

    python tests/benchmarks/parts.py --beside [NAME …]

A table of the parts of ``engineering.py``: the default solve beside our finite elements of degree 2, 3 and 4, each in a process
of its own: error of what is known, or distance from elements of degree 5 on a finer mesh; error estimate, by default with its
effectivity; processor seconds of the solve, for elements without the estimate; MB.
"""

from __future__ import annotations

import argparse
import math
import resource
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch

import vpinn
from vpinn.analysis import make_estimator
from vpinn.errors import InputError, VpinnError
from vpinn.finite_elements import FiniteElementSolution
from vpinn.problem import Case, Evaluable, read_problem
from vpinn.trial import elements_trial

sys.path.insert(0, str(Path(__file__).parent))
from engineering import PARTS

NODES = 400
"""Nodes that are compared at most."""
CELLS = 10_000
"""Cells of a finer mesh at most."""
INWARDS = 1e-3
"""Share of the way to the middle by which they are moved."""


def finer(problem: vpinn.Problem) -> int:
    """Return how often the mesh is refined for elements that are more exact than its own."""
    cells = problem.domain.n_cells  # type: ignore[union-attr]
    return max(times for times in range(4) if times == 0 or cells * 4**times <= CELLS)


def distance(solution: vpinn.Solution, refinements: int = 0, degree: int = 5) -> float:
    """Return the relative distance from finite elements."""
    nodes = solution.problem.domain.nodes[:NODES]  # type: ignore[union-attr]
    x = nodes + INWARDS * (nodes.mean(0) - nodes)
    elements, fields = vpinn.solve_fem(solution.problem, degree, refinements).evaluate(x), solution.evaluate(x)
    worst = 0.0
    for name, right in elements.items():
        kept = np.isfinite(right)
        worst = max(worst, float(np.linalg.norm((right - fields[name])[kept]) / np.linalg.norm(right[kept])))
    return worst


def beside(name: str, how: str) -> str:
    """Return the cell of a table: a part solved by default, or by elements of a degree, in this process."""
    import vpinn.solving  # imports are no part of a solve

    part = PARTS[name]
    try:
        problem = part.make()
    except (InputError, ImportError, OSError):
        return "not at hand"
    began = time.process_time()
    try:
        fields = vpinn.solve(problem, threads=1) if how == "default" else vpinn.solve_fem(problem, int(how))
    except VpinnError as error:
        return f"{type(error).__name__}: {str(error)[:60]}"
    spent, memory = time.process_time() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    error = part.measure(fields) if part.measure is not None else _to_finer(problem, fields)
    told = ""
    if isinstance(fields, vpinn.Solution):
        metrics, found = fields.metrics, fields.metrics["error_estimate"] or {}
        checks = ", ".join(check.partition(":")[0] for check in metrics["checks"])
        effectivity = f" eff {found['effectivity']:.2f}" if found.get("effectivity") else ""
        told = f" est {found.get('relative_energy', math.nan):.1e}{effectivity} {metrics['method']}"
        told += f" FAILS {checks}" * bool(checks)
    else:
        told = f" est {_estimate(problem, fields):.1e}"
    return f"{error:.1e}{told} {spent:.1f} s {memory:.0f} MB"


def _estimate(problem: Case, found: FiniteElementSolution) -> float:
    """Return the error estimate of a solution by elements, relative to the flux; nan if there is none."""
    trial = elements_trial(problem, found.space, found.values)
    estimator = make_estimator(problem, trial, found.space.degree)
    estimate = None if estimator is None else estimator(torch.zeros(trial.network.size, dtype=torch.float64))
    return math.nan if estimate is None else estimate.relative


def _to_finer(problem: vpinn.Problem, fields: Evaluable) -> float:
    """Return the relative distance of fields from elements of degree 5 on a finer mesh, or of degree 4 in space."""
    mesh, outputs = problem.domain, sum(unknown.components for unknown in problem.unknowns)
    fine = [times for times in range(3) if mesh.n_cells * 4**times * outputs**2 <= CELLS]  # type: ignore[union-attr]
    refined, degree = (0, 4) if mesh.dimension == 3 else (max(fine, default=0), 5)
    x = mesh.nodes[:NODES] + INWARDS * (mesh.nodes.mean(0) - mesh.nodes[:NODES])  # type: ignore[union-attr]
    worst, found = 0.0, fields.evaluate(x)
    for name, right in vpinn.solve_fem(problem, degree, refined).evaluate(x).items():
        kept = np.isfinite(right) & np.isfinite(found[name])
        worst = max(worst, float(np.linalg.norm((right - found[name])[kept]) / np.linalg.norm(right[kept])))
    return worst


def table(names: Sequence[str]) -> None:
    """Print a table of parts, a row as soon as it is known."""
    ways = ("default", "2", "3", "4")
    print("| part | default | degree 2 | degree 3 | degree 4 |\n|---|---|---|---|---|")
    for name in names or PARTS:
        cells = []
        for how in ways:
            with ProcessPoolExecutor(1, get_context("spawn")) as pool:
                cells.append(pool.submit(beside, name, how).result())
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    """Print one line per file, or the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, help="problem files, or names of parts with --beside")
    parser.add_argument("--beside", action="store_true", help="a table of parts by default and by elements of three degrees")
    parser.add_argument("--set", action="append", default=[], dest="changes", metavar="KEY=VALUE")
    options = parser.parse_args()
    if options.beside:
        table([str(name) for name in options.files])
        return
    for file in options.files:
        problem = read_problem(file, options.changes)
        began = time.process_time()
        solution = vpinn.solve(problem, threads=1)
        spent, metrics = time.process_time() - began, solution.metrics
        estimate = (metrics["error_estimate"] or {}).get("relative_energy", float("nan"))
        checks = [check.partition(":")[0] for check in metrics["checks"]]
        print(
            f"{file.stem:12} {metrics['method']:12} to elements {distance(solution):.1e}  "
            f"to finer ones {distance(solution, finer(problem)):.1e}  estimate {estimate:.1e}  "
            f"{spent:5.1f} cpu s  {metrics['steps']} steps  checks {checks}",
            flush=True,
        )


if __name__ == "__main__":
    main()
