"""The noise page: `python results/noise.py [--quick] [--jobs 1]`.

Measures the noise of mini-batches on three problems, an energy, a strong and a weak form, and trains by the recommended
settings. Writes results/noise/README.md with its figures. A process per core shares the work; times are processor times, which
what else runs does not lengthen much.
"""

from __future__ import annotations

import argparse
import dataclasses
import multiprocessing
import os
import sys
import time
import tomllib
from collections.abc import Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

os.environ |= {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}

import numpy as np
from rich.table import Table

import vpinn
from vpinn.analysis import true_error
from vpinn.noise import FULL, QUICK, Effort, measure_noise
from vpinn.output.noise import PANELS, noise_table, publish_noise
from vpinn.problem import read_problem
from vpinn.problem.build import build_problem
from vpinn.problem.validation import validate

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "results" / "noise"
MEASURED = {
    "poisson": "an energy: its integrand does not vanish at the solution, and neither does its noise",
    "disk": "a strong form: every point's residual vanishes at the solution, and the noise with it",
    "convection_diffusion": "a weak form: its loss is a product of two batches' residuals, and part of its noise is quadratic",
}
UNSEEN = ("elasticity", "nonlinear_diffusion")
"""Problems that no rule of the recommendation was chosen on: a vector by an energy, and a nonlinear weak form."""
STEPS, SHORT, SEEDS = 400, (60, 120), 3
"""Steps of the runs by defaults that the recommendation is held against, of two runs that tell its time per step, and seeds."""


def run(name: str, settings: Mapping[str, Mapping[str, Any]], steps: int, seed: int) -> tuple[float, float]:
    """Train a problem by Adam with some settings instead of the file's own; return seconds of training and the final error."""
    problem = read_problem(ROOT / "problems" / f"{name}.toml")
    data = {k: v for k, v in problem.source.data.items() if k not in ("batch", "solver", "output")}
    asked = {**settings, "solver": {**settings["solver"], "steps": steps, "seed": seed}}
    source = dataclasses.replace(problem.source, data={**data, **asked}, text=None)
    made = build_problem(source, validate(source), ROOT / "problems")
    with patch.object(time, "perf_counter", time.process_time):  # one thread: what it would take alone on a core
        solution = vpinn.solve(made, threads=1)
    return solution.metrics["seconds"]["solve"], max(errors["relative_l2"] for errors in solution.errors.values())


def trial(name: str, recommendation: str) -> str:
    """Return the line of the table of one problem: errors by the defaults and by the recommendation at equal processor time."""
    asked: dict[str, Any] = tomllib.loads(recommendation)
    blocks = {"defaults": {"solver": {"method": "adam"}}, "recommended": asked}
    told, errors, spent = list[str](), list[np.ndarray](), 0.0
    for way, block in blocks.items():
        steps = STEPS
        if way == "recommended":
            first, second = (run(name, block, short, 0)[0] for short in SHORT)
            steps = max(SHORT[0], round(SHORT[1] + (spent - second) * (SHORT[1] - SHORT[0]) / (second - first)))
        seconds, found = np.array([run(name, block, steps, seed) for seed in range(SEEDS)]).T
        spent = float(np.median(seconds))
        errors.append(np.log(found))
        told += [f"{steps:,}", f"{spent:.1f}", f"{np.median(found):.1e} ({found.min():.1e} to {found.max():.1e})"]
    gap, wrong = errors[1].mean() - errors[0].mean(), float(np.hypot(*(e.std(ddof=1) for e in errors))) / SEEDS**0.5
    verdict = "equal within errors" if abs(gap) <= 2.0 * wrong else "better" if gap < 0.0 else "worse"
    batch = ", ".join(f"{key} {value}" for key, value in asked["batch"].items())
    rate, clip = asked["solver"]["learning_rate"], asked["solver"]["clip"]
    print(f"{name}: {told} {verdict}", flush=True)
    return f"| {name} | {batch}; η = {rate}, clip {clip} | {' | '.join(told)} | {verdict} |"


def recommended(name: str) -> str:
    """Return the line of a problem that has no part of the page, by a quick report."""
    report = measure_noise(read_problem(ROOT / "problems" / f"{name}.toml"), QUICK)
    return trial(name, report.recommendation)


def again(name: str) -> str:
    """Return the line of a problem with the recommendation that its part of the page left."""
    return trial(name, (PAGE / name / "recommendation.toml").read_text(encoding="utf-8"))


def markdown(table: Table) -> str:
    """Return a table for the console as one in Markdown, without its title."""
    lines = [f"| {' | '.join(str(column.header) for column in table.columns)} |"]
    lines.append(f"|{'|'.join('---:' if column.justify == 'right' else '---' for column in table.columns)}|")
    rows = zip(*(column.cells for column in table.columns), strict=True)
    return "\n".join([*lines, *(f"| {' | '.join(str(cell).replace('|', '∣') for cell in row)} |" for row in rows), ""])


def section(name: str, why: str, effort: Effort) -> str:
    """Return the part of the page about one problem, with its figures written beside it."""
    problem = read_problem(ROOT / "problems" / f"{name}.toml")
    report = measure_noise(problem, effort, lambda stage: print(f"{name}: {stage}", flush=True), partial(true_error, problem))
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
            markdown(noise_table(report)),
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
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer measurements")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes")
    given = parser.parse_args(arguments)
    effort = QUICK if given.quick else FULL
    head = [
        "# Noise of mini-batches: theory beside measurement",
        "",
        f"Made by `python results/noise.py{' --quick' if effort is QUICK else ''}`, one thread per problem, times are processor",
        "times. A prediction holds where the gap to the measurement and its standard error are within 10 %, unless another",
        "tolerance is its own. The two are equal within x %, their gap and two standard errors, where x is at most three times",
        "that. A prediction fails where the gap is beyond the tolerance and three standard errors; what assumes something that",
        "is measured not to be so is outside its assumption instead. Anything else is undecided. Samples behind open verdicts",
        "are drawn until they are decided or the points of the report are spent. Batches drawn at one place are sums of kept",
        "contributions of their points, which are those of training to rounding.",
        "",
    ]
    tail = [
        "## The recommendation, tried",
        "",
        f"Adam for {STEPS} steps by its defaults (all points), and by the lines above as a whole for as many as take the",
        f"same processor time; relative L² errors at the end, medians of {SEEDS} seeds with their range. Differences below two",
        f"standard errors of mean logarithms count as equal. No rule was chosen on {' and '.join(UNSEEN)}.",
        "",
        "| problem | recommended | steps | seconds | error by defaults | steps | seconds | error by these | these are |",
        "|---|---|---:|---:|---:|---:|---:|---:|---|",
    ]
    PAGE.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(given.jobs, multiprocessing.get_context("spawn")) as pool:
        parts = [pool.submit(section, name, why, effort) for name, why in MEASURED.items()]
        rows = list[Future[str]]()
        for job in parts:
            job.result()
            _write(head, parts, tail, rows)
        rows = [*(pool.submit(again, name) for name in MEASURED), *(pool.submit(recommended, name) for name in UNSEEN)]
        for job in rows:
            job.result()
            _write(head, parts, tail, rows)


def _write(head: list[str], parts: list[Future[str]], tail: list[str], rows: list[Future[str]]) -> None:
    """Write the page with all parts and rows that are there."""
    shown, tried = ([job.result() for job in jobs if job.done()] for jobs in (parts, rows))
    (PAGE / "README.md").write_text("\n".join([*head, *shown, *(tail if tried else []), *tried, ""]), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
