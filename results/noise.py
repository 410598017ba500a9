"""The noise page: `python results/noise.py [--quick]`.

Measures the noise of mini-batches on three problems, an energy, a strong and a weak form, and trains by the recommended
settings. Writes results/noise/README.md with its figures. A process per core shares the work; times are processor times, which
what else runs does not lengthen much.
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

import vpinn
from vpinn.noise import FULL, QUICK, Effort, measure_noise
from vpinn.output.noise import PANELS, noise_markdown, publish_noise
from vpinn.problem import read_problem

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "results" / "noise"
MEASURED = {
    "poisson": "an energy: its integrand does not vanish at the solution, and neither does its noise",
    "disk": "a strong form: every point's residual vanishes at the solution, and the noise with it",
    "convection_diffusion": "a weak form: its loss is a product of two batches' residuals, and part of its noise is quadratic",
}
STEPS, SHORT = 400, 100
"""Steps of the runs by defaults that the recommendation is held against, and of the runs that tell its time per step."""


def run(name: str, settings: Mapping[str, Mapping[str, Any]]) -> tuple[float, float]:
    """Train a problem by Adam with some settings instead of the file's own; return seconds of training and the final error."""
    problem = read_problem(ROOT / "problems" / f"{name}.toml")
    data = {k: v for k, v in problem.source.data.items() if k not in ("batch", "solver", "output")}
    source = dataclasses.replace(problem.source, data={**data, **settings}, text=None)
    from vpinn.problem.build import build_problem
    from vpinn.problem.validation import validate

    made = build_problem(source, validate(source), ROOT / "problems")
    with patch.object(time, "perf_counter", time.process_time):  # one thread: what it would take alone on a core
        solution = vpinn.solve(made, threads=1)
    return solution.metrics["seconds"]["solve"], max(errors["relative_l2"] for errors in solution.errors.values())


def trial(name: str) -> str:
    """Return the line of the table of one problem: errors by the defaults and by the recommendation at equal processor time."""
    asked: dict[str, Any] = tomllib.loads((PAGE / name / "recommendation.toml").read_text(encoding="utf-8"))
    blocks = {"defaults": {"solver": {"method": "adam"}}, "recommended": asked}
    told, spent = list[str](), 0.0
    for way, block in blocks.items():
        steps = STEPS
        if way == "recommended":
            short, _ = run(name, {**block, "solver": {**block["solver"], "steps": SHORT}})
            steps = max(SHORT, round(SHORT * spent / short))
        spent, error = run(name, {**block, "solver": {**block["solver"], "steps": steps}})
        told += [f"{steps:,}", f"{spent:.1f}", f"{error:.1e}"]
    batch = ", ".join(f"{key} {value}" for key, value in asked["batch"].items())
    rate, clip = asked["solver"]["learning_rate"], asked["solver"]["clip"]
    print(f"{name}: {told}", flush=True)
    return f"| {name} | {batch}; η = {rate}, clip {clip} | {' | '.join(told)} |"


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
        f"Adam for {STEPS} steps by its defaults (all points), and by the lines above as a whole for as many as take the same",
        "processor time; relative L² errors at the end, one seed.",
        "",
        "| problem | recommended | steps | seconds | error by defaults | steps | seconds | error by the recommendation |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    PAGE.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn")) as pool:
        parts = [pool.submit(section, name, why, effort) for name, why in MEASURED.items()]
        rows = list[Future[str]]()
        for job in parts:
            job.result()
            _write(head, parts, tail, rows)
        rows = [pool.submit(trial, name) for name in MEASURED]
        for job in rows:
            job.result()
            _write(head, parts, tail, rows)


def _write(head: list[str], parts: list[Future[str]], tail: list[str], rows: list[Future[str]]) -> None:
    """Write the page with all parts and rows that are there."""
    shown, tried = ([job.result() for job in jobs if job.done()] for jobs in (parts, rows))
    (PAGE / "README.md").write_text("\n".join([*head, *shown, *(tail if tried else []), *tried, ""]), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
