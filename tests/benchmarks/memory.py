"""Measure resident memory and time per step against the number of quadrature points, with batches of 1,000 on 8 × 8 squares.

Usage::

    python tests/benchmarks/memory.py [--forms energy weak] [--steps 50]
    python tests/benchmarks/memory.py --forms strong --method least-squares [--batch full --refine 3 5 7]
    python tests/benchmarks/memory.py --file tests/benchmarks/million_cells.toml

Every row is a process of its own: `vpinn.solve` by Adam or by 100 features of least squares, closing checks included. The
points are those of a Gauss rule of degree 9 (25 points) in cells halved 3 to 13 times without being stored; weak forms use
the control variate. Least squares takes as many batches as it needs, or all points, which are factorised as they come.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile

REFINE = (3, 5, 8, 10, 13)
"""Halvings: 1.0e5, 1.6e6, 1.0e8, 1.7e9 and 1.1e11 points."""
FORMS = {
    "energy": "0.5*inner(grad(u), grad(u))*dx - f*u*dx",
    "weak": "inner(grad(u), grad(v))*dx - f*v*dx",
    "strong": "-div(grad(u)) - f",
}


def measure(form: str, refine: int, steps: int, method: str, batch: str) -> dict[str, float]:
    """Solve in this process; return points, peak resident memory in MB, seconds per step, and the relative L² error."""
    import vpinn

    problem = vpinn.make_problem(
        {"shape": "rectangle", "cells": [8, 8], "cell": "quadrilateral"},
        unknowns={"u": "scalar"},
        expressions={"u_exact": "-sin(2*pi*x)*sin(2*pi*y)", "f": "-div(grad(u_exact))"},
        boundary=[{"on": "all", "value": 0}],
        network={"layers": [30, 30, 30]},
        quadrature={"degree": 9, "refine": refine},
        reference={"exact": {"u": "u_exact"}},
        batch={"size": batch if batch == "full" else int(batch)},
        solver={"method": "adam", "steps": steps} if method == "adam" else {"method": method, "features": 100},
        **{form: FORMS[form]},
        **({"test_space": {"degree": 3}} if form == "weak" else {}),
    )
    found = vpinn.solve(problem, threads=1).metrics
    return {
        "points": found["quadrature_points"],
        "megabytes": found["peak_memory_mb"],
        "milliseconds": 1e3 * found["seconds"]["solve"] / found["steps"],
        "error": found["errors"]["u"]["relative_l2"],
    }


def whole(file: str) -> None:
    """Print processor time and peak memory of ``vpinn solve``, from its start to the report, and its closing table."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-P", "-m", "vpinn.cli", "solve", file, "--threads", "1", "-o", folder]
        done = subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.PIPE, text=True, check=True)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(done.stdout)
    print(f"{used.ru_utime + used.ru_stime:.1f} s of processor time, peak memory {used.ru_maxrss * 1024e-6:.0f} MB")


def main() -> None:
    """Print one row per form and number of points."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--forms", nargs="+", default=["energy", "weak"], choices=list(FORMS))
    parser.add_argument("--refine", type=int, nargs="+", default=list(REFINE))
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--method", default="adam", choices=["adam", "least-squares"])
    parser.add_argument("--batch", default="1000", help="points per step, or full")
    parser.add_argument("--file", help="a problem file instead: the whole of vpinn solve, with its files and figures")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        print(json.dumps(measure(options.forms[0], options.refine[0], options.steps, options.method, options.batch)))
        return
    if options.file is not None:
        whole(options.file)
        return
    print(f"{'form':>8} {'points':>15} {'peak MB':>8} {'ms/step':>8} {'error':>8}")
    for form in options.forms:
        for refine in options.refine:
            given = {"forms": form, "refine": refine, "steps": options.steps, "method": options.method, "batch": options.batch}
            words = [word for name, value in given.items() for word in (f"--{name}", str(value))]
            environment = {**os.environ, "OMP_NUM_THREADS": "1"}
            command = [sys.executable, __file__, "--worker", *words]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
            row = json.loads(done.stdout.strip().splitlines()[-1])
            numbers = f"{row['points']:15,} {row['megabytes']:8.0f} {row['milliseconds']:8.1f} {row['error']:8.1e}"
            print(f"{form:>8} {numbers}", flush=True)


if __name__ == "__main__":
    main()
