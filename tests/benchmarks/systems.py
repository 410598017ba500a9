"""Measure what a system of two equations costs beside one equation with the same solution.

    python tests/benchmarks/systems.py [auto elements …]

A reaction and its heat in a disk of 864 cells: concentration c and temperature T, or c alone with T = 1 + β(1 − c). Processor
seconds of the whole solution in memory, one thread, and the error estimates.
"""

from __future__ import annotations

import sys
import time

import vpinn
import vpinn.output  # torch and matplotlib take seconds to load

DISK = {"shape": "disk", "radius": 1.0, "cells": 12}
RATE = "2*c*exp(10*(1 - 1/{T}))"
METHODS = {
    "auto": {},
    "least-squares": {"method": "least-squares"},
    "elements": {"method": "elements"},
    "gauss-newton": {"method": "gauss-newton", "steps": 20},
    "adam": {"method": "adam", "steps": 200},
}


def solved(two: bool, strong: bool, solver: dict[str, object]) -> tuple[float, vpinn.Solution]:
    """Return processor seconds and the solution of two equations or of one."""
    rate = RATE.format(T="T" if two else "(1 + 0.2*(1 - c))")
    unknowns = {"c": {"shape": "scalar", "test": "v"}, **({"T": {"shape": "scalar", "test": "w"}} if two else {})}
    if strong:
        stated = {"strong": [f"-div(grad(c)) + {rate}", *([f"-div(grad(T)) - 0.2*{rate}"] if two else [])]}
    else:
        heat = f" + inner(grad(T), grad(w))*dx - 0.2*{rate}*w*dx" if two else ""
        stated = {"weak": f"inner(grad(c), grad(v))*dx + {rate}*v*dx{heat}"}
    boundary = [{"on": "all", "unknown": name, "value": 1} for name in unknowns]
    problem = vpinn.make_problem(DISK, unknowns=unknowns, boundary=boundary, solver=solver, **stated)
    began = time.process_time()
    solution = vpinn.solve(problem, threads=1)
    return time.process_time() - began, solution


def main() -> None:
    """Print a row per method and formulation."""
    print(f"{'method':14} {'form':7} {'one s':>7} {'two s':>7} {'ratio':>6} {'estimates':>18}  solved by")
    for name in sys.argv[1:] or METHODS:
        for strong in (False, True):
            if strong and name == "elements":
                continue
            (one, first), (two, second) = (solved(count, strong, METHODS[name]) for count in (False, True))
            told = " ".join(f"{found.error_estimate.get('relative_energy', float('nan')):.1e}" for found in (first, second))
            ways = " and ".join(found.metrics["method"] for found in (first, second))
            form = "strong" if strong else "weak"
            print(f"{name:14} {form:7} {one:7.1f} {two:7.1f} {two / one:6.2f} {told:>18}  {ways}", flush=True)


if __name__ == "__main__":
    main()
