"""Compare this version with another one by seconds and errors of all problem files with their own settings.

    python tests/benchmarks/defaults.py --against /path/to/another/checkout [poisson disk …]

Both are run in turn, one thread, processor seconds of the whole command, each with its own copy of the file where it has one.
Errors are the largest relative L² error of any unknown where the exact solution is known, else the error estimate. The second
total is that of the files which both solve.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def run(checkout: Path, file: Path, limit: int) -> tuple[float, float, int]:
    """Return processor seconds, error and number of failed checks; nan if the run did not end within the limit."""
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "run"
        command = [sys.executable, "-P", "-m", "vpinn", "solve", str(file), "-o", str(out), "-q", "--threads", "1"]
        environment = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        limited = ["bash", "-c", f'ulimit -t {limit}; exec "$@"', "limited", *command]
        subprocess.run(limited, env=environment, cwd=scratch, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        if not (out / "metrics.json").exists():
            return seconds, float("nan"), -1
        metrics = json.loads((out / "metrics.json").read_text())
        errors = [found["relative_l2"] for found in metrics["errors"].values() if "relative_l2" in found]
        estimate = (metrics.get("error_estimate") or {}).get("relative_energy", float("nan"))
        return seconds, max(errors, default=estimate), len(metrics["checks"])


def main() -> None:
    """Print a row per file and the totals."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="problem files without .toml; all by default")
    parser.add_argument("--against", type=Path, required=True, help="checkout of another version")
    parser.add_argument("--limit", type=int, default=200, help="processor seconds after which a run is ended")
    options = parser.parse_args()
    files = sorted((ROOT / "problems").glob("*.toml"))
    totals, both = [0.0, 0.0], [0.0, 0.0]
    print(f"{'file':24} {'before s':>9} {'now s':>8} {'ratio':>6} {'before':>9} {'now':>9}  checks failed before/now")
    for file in files:
        if options.names and file.stem not in options.names:
            continue
        own = options.against.resolve() / "problems" / file.name
        found = [
            run(options.against.resolve(), own if own.exists() else file, options.limit),
            run(ROOT, file, options.limit),
        ]
        (before, was, failed), (now, error, fails) = found
        totals = [totals[0] + before, totals[1] + now]
        if min(failed, fails) >= 0:
            both = [both[0] + before, both[1] + now]
        times = f"{before:9.1f} {now:8.1f} {now / before:6.2f}"
        print(f"{file.stem:24} {times} {was:9.1e} {error:9.1e}  {failed}/{fails}", flush=True)
    for name, (before, now) in {"total": totals, "total of both": both}.items():
        print(f"{name:24} {before:9.1f} {now:8.1f} {now / max(before, 1e-9):6.2f}")


if __name__ == "__main__":
    main()
