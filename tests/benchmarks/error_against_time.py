"""Measure error against time of vpinn's methods, finite elements and other codes on four problems; write a table and a figure.

Usage::

    python tests/benchmarks/error_against_time.py --fastvpinns FV/bin/python --deepxde DDE/bin/python [--seconds 60]
    python tests/benchmarks/error_against_time.py --only 'plate/*' 'poisson/fem-*'     # some of it; the rest stays
    python tests/benchmarks/error_against_time.py --draw                               # table and figure of what is there

The scripts in ``peers`` say how to set up the two interpreters; without them their lines are left out. Each run is a process
of its own, on one thread unless said; what has run already (in ``error_against_time.json``) is not run again without ``--redo``.
Errors are relative L² at 10,000 random points. Seconds are those of solving; set-up stands beside them in the table.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from error_figure import draw, table
from error_problems import TITLES, measuring_points

HERE = Path(__file__).parent
METHODS = {
    "least-squares": "vpinn least squares",
    "least-squares-enriched": "vpinn least squares + corner function",
    "gauss-newton": "vpinn Gauss–Newton",
    "broyden": "vpinn self-scaled Broyden",
    "lbfgs": "vpinn L-BFGS",
    "adam": "vpinn Adam",
    **{f"fem-{p}": f"vpinn finite elements P{p}" for p in (1, 2, 3, 4)},
    **{f"scikit-fem-{p}": f"scikit-fem P{p}" for p in (2, 3, 4)},
    "fastvpinns": "FastVPINNs",
    "deepxde": "DeepXDE",
}
DIRECT_SECONDS = 10.0
"""Most that a single solution is allowed, of methods that solve anew for every point."""


def main() -> None:
    """Run what is missing, then write table and figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fastvpinns", help="interpreter of FastVPINNs' environment")
    parser.add_argument("--deepxde", help="interpreter of DeepXDE's environment")
    parser.add_argument("--only", nargs="+", default=["*"], help="problem/method patterns, e.g. 'plate/*' '*/fem-?'")
    parser.add_argument("--seconds", type=float, default=60.0, help="training time of each run")
    parser.add_argument("--repeats", type=int, default=3, help="runs, with seeds 0, 1, …")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--redo", action="store_true", help="run again what is there already")
    parser.add_argument("--draw", action="store_true", help="run nothing")
    parser.add_argument("--output", type=Path, default=HERE.parents[1] / "results" / "benchmarks")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    store = options.output / "error_against_time.json"
    record: dict[str, Any] = json.loads(store.read_text()) if store.exists() else {"runs": {}}
    record |= {"methods": METHODS, "titles": TITLES}
    for repeat in range(0 if options.draw else options.repeats):
        for problem in TITLES:
            if measuring_points(problem) is None:
                print(f"{problem}: left out, its truth is not here")
                continue
            for method in METHODS:
                key = f"{problem}/{method}/{repeat}"
                wanted = any(fnmatch(f"{problem}/{method}", pattern) for pattern in options.only)
                if wanted and (options.redo or key not in record["runs"]):
                    run(record, key, options)
                    store.with_suffix(".part").write_text(json.dumps(record, indent=1) + "\n")
                    store.with_suffix(".part").replace(store)
    if not record["runs"]:
        sys.exit("there is nothing to draw")
    (options.output / "error_against_time.md").write_text(table(record))
    draw(record, options.output / "error_against_time.png")
    print(table(record))


def run(record: dict[str, Any], key: str, options: argparse.Namespace) -> None:
    """Measure once in a new process, and store the result, or the reason why there is none."""
    problem, method, repeat = key.split("/")
    job = command(problem, method, options)
    if job is None:
        print(f"{key}: left out")
        return
    if "fem-" not in method:
        job += ["--seed", repeat, "--threads", str(options.threads)]
    threads = {"OMP_NUM_THREADS": str(options.threads), "OMP_WAIT_POLICY": "PASSIVE"}
    path = os.pathsep.join([str(HERE.parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])])
    began = time.perf_counter()
    done = subprocess.run(job, env={**os.environ, **threads, "PYTHONPATH": path}, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"{key}: failed: {(done.stderr.strip().splitlines() or ['?'])[-1]}", flush=True)
        return
    result = json.loads(done.stdout.strip().splitlines()[-1])
    machine = {"processor": processor(), "cores": os.cpu_count(), "load": round(os.getloadavg()[0], 2)}
    record["runs"][key] = {**result, "seconds": options.seconds, "threads": options.threads, **machine}
    spent, error, _ = result["points"][-1]
    print(f"{key}: {error:.1e} after {spent:.2f} s of solving; {time.perf_counter() - began:.0f} s in all", flush=True)


def command(problem: str, method: str, options: argparse.Namespace) -> list[str] | None:
    """Return the command of the measuring process; None if there is nothing to measure."""
    direct = ["--problem", problem, "--seconds", str(DIRECT_SECONDS)]
    trained = ["--problem", problem, "--seconds", str(options.seconds)]
    if method == "least-squares-enriched" and problem != "l-shape":
        return None
    if method in ("fastvpinns", "deepxde"):
        interpreter = getattr(options, method)
        return [interpreter, str(HERE / "peers" / f"{method}_problems.py"), *trained] if interpreter else None
    if method.startswith("scikit-fem"):
        return [sys.executable, str(HERE / "peers" / "scikit_fem.py"), *direct, "--degree", method[-1]]
    own = direct if method.startswith(("fem", "least-squares")) else trained
    return [sys.executable, str(HERE / "error_own.py"), *own, "--method", method]


def processor() -> str:
    """Return the name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
