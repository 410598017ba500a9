"""The noise page: `python results/noise.py [--quick]`.

Measures the noise of mini-batches on three problems, an energy, a strong and a weak form, and tries the recommended settings
on five problem files. Writes results/noise/README.md with its figures. A process per core shares the work; times are processor
times, which what else runs does not lengthen much.
"""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import sys
import time
import tomllib
from collections.abc import Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path
from typing import Any
from unittest.mock import patch

os.environ |= {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}

import numpy as np

import vpinn
from vpinn.noise import FULL, QUICK, Effort, measure_noise
from vpinn.optimization import COLUMNS
from vpinn.output.noise import PANELS, noise_markdown, publish_noise
from vpinn.problem import read_problem

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "results" / "noise"
MEASURED = {
    "poisson": "an energy: its integrand does not vanish at the solution, and neither does its noise",
    "disk": "a strong form: every point's residual vanishes at the solution, and the noise with it",
    "convection_diffusion": "a weak form: its loss is a product of two batches' residuals, and part of its noise is quadratic",
}
TRIED = ("poisson", "disk", "convection_diffusion", "nonlinear_diffusion", "interval_1d")
STEPS = 1000
"""Steps of the runs that the recommendation is tried on."""
TRIAL = Effort(100, 60, 300, 60, 30, 20, (0.25, 1, 4), probes=10, falls=10)


def seconds_to(error: float, history: np.ndarray[Any, Any]) -> float:
    """Return the processor time after which a run's error was first seen at most ``error``, infinite where it never was."""
    columns = dict(zip(COLUMNS, history.T, strict=True))
    reached = columns["seconds"][columns["error"] <= error]
    return float(reached[0]) if len(reached) else float("inf")


def run(name: str, settings: Mapping[str, Mapping[str, Any]]) -> np.ndarray[Any, Any]:
    """Train a problem by Adam with some settings instead of the file's own; return the history."""
    problem = read_problem(ROOT / "problems" / f"{name}.toml")
    data = {k: v for k, v in problem.source.data.items() if k not in ("batch", "solver", "output")}
    source = dataclasses.replace(problem.source, data={**data, **settings}, text=None)
    from vpinn.problem.build import build_problem
    from vpinn.problem.validation import validate

    made = build_problem(source, validate(source), ROOT / "problems")
    with patch.object(time, "perf_counter", time.process_time):  # one thread: what it would take alone on a core
        return vpinn.solve(made, threads=1).history


def trial(name: str) -> str:
    """Return the line of the table of one problem: time to the accuracy of the defaults, with and without recommendation."""
    report = measure_noise(read_problem(ROOT / "problems" / f"{name}.toml"), TRIAL)
    asked: dict[str, Any] = tomllib.loads(report.recommendation)
    plain = run(name, {"solver": {"method": "adam", "steps": STEPS}})
    tuned = run(name, {**asked, "solver": {**asked["solver"], "steps": STEPS}})
    errors = plain[:, COLUMNS.index("error")]
    goal = float(np.nanmin(errors))
    before, after = seconds_to(goal, plain), seconds_to(goal, tuned)
    last = float(np.nanmin(tuned[:, COLUMNS.index("error")]))
    batch = ", ".join(f"{key} {value}" for key, value in asked["batch"].items())
    rate = asked["solver"]["learning_rate"]
    print(f"{name}: {before:.1f} s → {after:.1f} s", flush=True)
    return f"| {name} | {batch}; η = {rate} | {goal:.1e} | {before:.1f} | {after:.1f} | {after / before:.2f} | {last:.1e} |"


def section(name: str, why: str, effort: Effort) -> str:
    """Return the part of the page about one problem, with its figures written beside it."""
    report = measure_noise(
        read_problem(ROOT / "problems" / f"{name}.toml"), effort, lambda stage: print(f"{name}: {stage}", flush=True)
    )
    files = publish_noise(report, PAGE / name)
    pictures = {path.stem: f"{name}/figures/{path.name}" for path in files if path.suffix == ".png"}
    shown = [f"![{panel.title}]({pictures[panel.file]})" for panel in PANELS if panel.file in pictures]
    return "\n".join(
        [
            f"## {report.title}",
            "",
            f"[{name}.toml](../../problems/{name}.toml): {why}. {report.numbers['quadrature_points']:,} points, "
            f"{report.numbers['parameters']:,} weights, {report.numbers['seconds']:.0f} s.",
            "",
            noise_markdown(report),
            "Recommended:",
            "",
            "```toml",
            report.recommendation.rstrip(),
            "```",
            "",
            "\n".join(shown),
            "",
        ]
    )


def main(arguments: list[str]) -> None:
    """Write the page, anew after every part, so that what was measured is there early."""
    effort = QUICK if "--quick" in arguments else FULL
    head = [
        "# Noise of mini-batches: theory beside measurement",
        "",
        f"Made by `python results/noise.py{' --quick' if effort is QUICK else ''}`, one thread per problem, times are processor",
        "times. A prediction holds where the gap to the measurement and its standard error are within 10 %, unless another",
        "tolerance is its own; it fails where the gap is larger and more than three standard errors; anything else is undecided,",
        "and a longer measurement would tell. Where theory fails, the verdict says why. Batches drawn at one place are sums of",
        "kept contributions of their points, which are those of training to rounding.",
        "",
    ]
    tail = [
        "## The recommendation, tried",
        "",
        f"Adam for {STEPS} steps: with its defaults (all points), and with what `vpinn noise` recommends. The goal is",
        "the least relative L² error of the defaults; processor seconds until it is reached, errors looked at every 100 steps.",
        "",
        "| problem | recommended | goal | defaults, s | recommended, s | ratio | least error with it |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    PAGE.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn")) as pool:
        parts = [pool.submit(section, name, why, effort) for name, why in MEASURED.items()]
        rows = [pool.submit(trial, name) for name in TRIED]
        for job in [*parts, *rows]:
            job.result()
            _write(head, parts, tail, rows)


def _write(head: list[str], parts: list[Future[str]], tail: list[str], rows: list[Future[str]]) -> None:
    """Write the page with all parts and rows that are there."""
    shown, tried = ([job.result() for job in jobs if job.done()] for jobs in (parts, rows))
    (PAGE / "README.md").write_text("\n".join([*head, *shown, *(tail if tried else []), *tried, ""]), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
