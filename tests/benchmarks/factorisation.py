#!/usr/bin/env python
"""Measure the time to factorise a Newton step of a channel flow, in the order that vpinn takes and with symmetric pivots.

Run as ``python tests/benchmarks/factorisation.py --cells 1000 --degree 2``. Processor seconds and fill of both are printed.
"""

from __future__ import annotations

import argparse
import time
from unittest import mock

import numpy as np
from scipy.sparse.linalg import splu

from vpinn.domain import rectangle
from vpinn.finite_elements import newton, solve, solve_fem
from vpinn.problem import make_problem
from vpinn.process import settle_process

SYMMETRIC = {"permc_spec": "MMD_AT_PLUS_A", "diag_pivot_thresh": 1e-3, "options": {"SymmetricMode": True}}


def main() -> None:
    """Solve the flow once, and factorise its last matrix both ways."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, default=1000, help="triangles, about")
    parser.add_argument("--degree", type=int, default=2, help="of the velocity; the pressure has one less")
    options = parser.parse_args()
    settle_process(1)
    across = max(2, round(np.sqrt(options.cells / 8)))
    problem = make_problem(
        rectangle(upper=(4, 1), cells=(4 * across, across)),
        unknowns={"u": "vector", "p": "scalar"},
        weak="(0.02*inner(grad(u), grad(v)) + dot(dot(grad(u), u), v) - p*div(v) + v_p*div(u))*dx",
        boundary=[
            {"on": ["bottom", "top"], "unknown": "u", "value": [0, 0]},
            {"on": "left", "unknown": "u", "value": ["4*y*(1 - y)", 0]},
        ],
    )
    matrices = []

    def kept(*given):  # type: ignore[no-untyped-def]
        found = newton.newton(*given)
        matrices.append(found.matrix)
        return found

    with mock.patch.object(solve, "newton", kept):
        began = time.process_time()
        found = solve_fem(problem, options.degree)
        print(
            f"{found.mesh.n_cells} cells, degrees {found.degrees}: {found.dofs} unknowns, {found.steps} Newton steps, "
            f"{time.process_time() - began:.2f} s in all"
        )
    matrix = matrices[0]
    for name, factorise in (("taken", lambda: newton.factorise(matrix)), ("symmetric", lambda: splu(matrix, **SYMMETRIC))):
        began = time.process_time()
        try:
            factorise()
        except RuntimeError as error:
            print(f"{name}: {error}")
            continue
        print(f"{name}: {time.process_time() - began:.2f} s")


if __name__ == "__main__":
    main()
