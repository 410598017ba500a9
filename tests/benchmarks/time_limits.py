"""Measure how long every method works on after ``solver.time_limit``.

    python tests/benchmarks/time_limits.py [least-squares march …]

One run in memory per row, one thread. Each problem would take longer than its limit. "set-up" are the processor seconds before
solving begins, "over" those between the limit and the closing assessment, and "assessment" those from there to the end.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ENDLESS = ("solver.tolerance=1e-14", "solver.steps=1000000")
ROWS: dict[str, tuple[str, float, tuple[str, ...]]] = {
    "auto": ("gear", 3.0, ENDLESS[:1]),
    "auto, in space": ("box_3d", 4.0, ENDLESS[:1]),
    "set-up only": ("gear", 0.05, ()),
    "least-squares": ("gear", 3.0, (*ENDLESS[:1], "solver.method=least-squares")),
    "least-squares, nonlinear": ("kovasznay", 3.0, (*ENDLESS[:1], "solver.method=least-squares")),
    "least-squares, in space": ("box_3d", 4.0, (*ENDLESS[:1], "solver.method=least-squares")),
    "elements": ("gear", 3.0, (*ENDLESS[:1], "solver.method=elements")),
    "elements, in space": ("box_3d", 4.0, (*ENDLESS[:1], "solver.method=elements", "domain.cells=[8,8,8]")),
    "elements, contact": ("contact", 2.0, (*ENDLESS[:1], "domain.cells=[64,64]")),
    **{
        method: ("poisson", 3.0, (*ENDLESS, f"solver.method={method}"))
        for method in ("gauss-newton", "adam", "sgd", "lbfgs", "broyden", "langevin", "evolution")
    },
    "spring": ("disk", 3.0, (*ENDLESS, "solver.method=spring", "batch.size=64")),
    "adam, automatic batches": ("poisson_minibatch", 3.0, (*ENDLESS, "solver.method=adam", "batch.size=auto")),
    "gauss-newton, four holes": ("four_holes", 5.0, (*ENDLESS, "solver.method=gauss-newton")),
    "march, features": ("burgers", 3.0, ENDLESS[:1]),
    "march, elements": ("cylinder", 5.0, ENDLESS[:1]),
    "march, modes": ("wave_disk", 3.0, ENDLESS[:1]),
    "space-time": ("space_time", 4.0, ENDLESS),
    "reduced": ("twisted_bars", 4.0, ENDLESS[:1]),
    "reduced, materials": ("thermal_block", 3.0, ENDLESS[:1]),
    "eigenvalues": ("plate_modes", 3.0, ENDLESS[:1]),
    "inference": ("poisson_inverse", 2.0, ENDLESS[:1]),
    "inference in time": ("predator_prey", 4.0, ENDLESS[:1]),
    "reptile": ("moving_source", 4.0, ENDLESS),
    "maml": ("moving_source", 4.0, (*ENDLESS, "solver.method=maml")),
    "few coordinates": ("two_body", 5.0, ENDLESS[:1]),
    "few coordinates, 10-D": ("poisson_10d", 2.0, ENDLESS[:1]),
    "adam in 7-D": ("pairs_7d", 4.0, (*ENDLESS, "solver.method=adam", "batch.size=512")),
}


def measure(name: str) -> None:
    """Run one row and print it."""
    import vpinn
    import vpinn.output  # torch and matplotlib take seconds to load, which no limit is meant for
    from vpinn.errors import VpinnError

    file, limit, settings = ROWS[name]
    marks: dict[str, float] = {}
    problem = vpinn.read_problem(ROOT / "problems" / f"{file}.toml", [*settings, f"solver.time_limit={limit}"])

    def told(event: vpinn.Event) -> None:
        if event.kind == "phase":
            marks.setdefault(event.phase, time.process_time())

    def ring() -> None:
        marks["limit"] = time.process_time()

    timer = threading.Timer(limit, ring)
    timer.daemon = True
    began = time.process_time()
    timer.start()
    try:
        solution = vpinn.solve(problem, threads=1, callbacks=[told], progress=False)
        stopped, checks = solution.metrics["stopped"], len(solution.metrics["checks"])
        ended = f"{stopped}, {checks} checks failed"
    except VpinnError as error:
        ended = f"{type(error).__name__}: {error}"
    end = time.process_time()
    solved = marks.get("assessment", end)
    over = f"{solved - marks['limit']:8.2f}" if "limit" in marks else f"{'-':>8}"
    ready = marks.get("solving", end) - began
    print(f"{name:26} {file:18} {limit:6.2f} {ready:7.2f} {over} {end - solved:10.2f}  {ended}", flush=True)


def main() -> None:
    """Print a row per method."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="rows; all by default")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.here:
        measure(options.names[0])
        return
    print(f"{'row':26} {'problem':18} {'limit':>6} {'set-up':>7} {'over':>8} {'assessment':>10}  ended", flush=True)
    for name in options.names or ROWS:
        command = [sys.executable, __file__, "--here", "--", name]
        if subprocess.run(command, timeout=600).returncode:
            print(f"{name:26} failed", flush=True)


if __name__ == "__main__":
    main()
