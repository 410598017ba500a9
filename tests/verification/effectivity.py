"""Compute the effectivity of the error estimate for every problem file with a known solution.

``python -m tests.verification.effectivity`` prints a table of the estimate divided by the true error, both in the flux. Each
problem is solved by least squares, by a short run of L-BFGS and by a short run of Adam, so that errors range from 1e-13 to one.
"""

from __future__ import annotations

import dataclasses
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import vpinn
from vpinn.problem import Problem
from vpinn.problem.validation import validate

FOLDER = Path(__file__).parents[2] / "problems"
METHODS: Mapping[str, Mapping[str, Any]] = {
    "least-squares": {"method": "least-squares"},
    "lbfgs": {"method": "lbfgs", "steps": 60},
    "adam": {"method": "adam", "steps": 150, "learning_rate": 1e-2},
}
ROWLESS = {("hypercube_5d", "least-squares")}
"""Problems that a method refuses: an energy without a mesh has no rows."""
NODAL = ("contact", "contact_resistance", "obstacle", "point_load")
"""Problems that elements alone solve; their effectivity is tested with them."""
OTHERS = ("parameters", "infer", "eigen", "learn")
"""Sections of problems that are no single steady one; as those in time, their estimates are tested with what solves them."""


def solved(name: str, method: str) -> Problem:
    """Return a problem file with the solver of ``METHODS`` and all points in every step."""
    problem = vpinn.read_problem(FOLDER / f"{name}.toml")
    kept = {key: value for key, value in problem.source.data.get("solver", {}).items() if key in ("features", "tolerance")}
    solver = {**(kept if method == "least-squares" else {}), **METHODS[method]}
    source = dataclasses.replace(problem.source, data={**problem.source.data, "solver": solver, "batch": {}})
    return dataclasses.replace(problem, source=source, settings=validate(source))


def cases() -> Iterator[tuple[str, str]]:
    """Yield problem and method of every case: of steady problems with a known solution."""
    for path in sorted(FOLDER.glob("*.toml")):
        data = tomllib.loads(path.read_text())
        steady = path.stem not in NODAL and "time" not in data["domain"] and not any(name in data for name in OTHERS)
        if steady and data.get("reference", {}).get("exact"):
            yield from ((path.stem, method) for method in METHODS if (path.stem, method) not in ROWLESS)


def estimate(name: str, method: str) -> Mapping[str, Any]:
    """Solve, and return the error estimate of the metrics."""
    return vpinn.solve(solved(name, method), threads=1).error_estimate


def main(names: Sequence[str]) -> None:
    """Print the table for the problems named on the command line, or for all."""
    print("| problem | method | estimate | effectivity | residual left |\n|---|---|---:|---:|---:|")
    for name, method in cases():
        if not names or name in names:
            found = estimate(name, method)
            index = "rounding" if found["effectivity"] is None else f"{found['effectivity']:.2f}"
            cells = (f"{found['relative_energy']:.1e}", index, f"{found['unexplained']:.0%}")
            print(f"| {name} | {method} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
