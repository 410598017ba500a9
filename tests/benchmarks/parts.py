"""Train problem files without a known solution, and compare with finite elements of degree 5 on the same mesh.

    python tests/benchmarks/parts.py FILE … [--set solver.method=adam] [--set batch.size=512]

One line per file: relative distance from the elements in the l² norm over nodes of the mesh moved a little inwards, the largest
of all unknowns; the same from elements on a finer mesh, since elements on the mesh are inaccurate where the gradient is infinite;
the run's own error estimate; processor seconds of everything; steps; and which checks fail. One thread.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

import vpinn
from vpinn.problem import read_problem

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


def main() -> None:
    """Print one line per file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--set", action="append", default=[], dest="changes", metavar="KEY=VALUE")
    options = parser.parse_args()
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
