"""Measure the processor time from a signal to the end of the process, in every phase of a run.

Usage::

    python tests/benchmarks/signals.py problems/gear.toml [--after 0 1 4] [--set solver.method=adam …]

Every row is a run of its own, to which SIGTERM is sent a number of seconds of processor time after the beginning of a phase. A
phase that was over by then, or that the run never reached, is marked as such.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PHASES = Path(__file__).parents[1] / "reliability" / "phases.py"
NAMES = ("fields", "first stage", "fit", "steps", "assessment", "reference elements", "files", "figures")


def processor_seconds(pid: int) -> float:
    """Return the processor time of a process so far; NaN if it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return float("nan")
    return float("nan") if fields[0] == "Z" else (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(file: str, phase: str, after: float, words: list[str]) -> str:
    """Return how a run ended that got a signal ``after`` seconds of a phase."""
    with tempfile.TemporaryDirectory() as folder:
        marks, run = Path(folder) / "marks", Path(folder) / "run"
        marks.mkdir()
        command = [sys.executable, str(PHASES), str(marks), "solve", file, "-q", "--threads", "1", "-o", str(run), *words]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env=environment)
        while not (marks / phase).exists() and process.poll() is None:
            time.sleep(0.005)
        begun = processor_seconds(process.pid)
        while processor_seconds(process.pid) < begun + after:
            time.sleep(0.005)
        reached = sorted((mark for mark in marks.iterdir()), key=lambda mark: mark.stat().st_mtime_ns)
        process.send_signal(signal.SIGTERM)
        sent = last = processor_seconds(process.pid)
        while (now := processor_seconds(process.pid)) == now:
            last = now
            time.sleep(0.005)
        _, errors = process.communicate()
        if process.returncode == 0:
            return "not reached"
        left = [path.name for path in run.rglob(".*")] if run.exists() else []
        said = " ".join(errors.strip().splitlines()[-1:])
        return f"{last - sent:6.2f} s in {reached[-1].name}, exit {process.returncode}, half-written: {left}; {said}"


def main() -> None:
    """Print one row per phase and delay."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file")
    parser.add_argument("--after", type=float, nargs="+", default=[0.0, 1.0])
    parser.add_argument("--phases", nargs="+", default=list(NAMES), choices=NAMES)
    parser.add_argument("--set", action="append", default=[], help="SECTION.KEY=VALUE")
    options = parser.parse_args()
    words = [word for change in options.set for word in ("--set", change)]
    for phase in options.phases:
        for after in options.after:
            print(f"{phase:>20} + {after:4.1f} s: {measure(options.file, phase, after, words)}", flush=True)


if __name__ == "__main__":
    main()
