"""The report of a run: one HTML page that contains its figures and needs no other file. Start from `write_report`."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

from vpinn.errors import StorageError
from vpinn.output.extremes import extreme_rows
from vpinn.output.page import code, picture, read, shown, table, write_page
from vpinn.output.tables import FAILED, failed_checks, solution_rows
from vpinn.output.verdict import verdict
from vpinn.output.viewer import viewer
from vpinn.problem import Problem
from vpinn.problem.typeset import equations
from vpinn.solution import Solution
from vpinn.solution_in_time import SolutionInTime

CAPTIONS = {
    "conditions": "Boundary conditions",
    "solution": "Solution",
    "fields": "Further fields",
    "vector": "Deformation or flow",
    "quantities": "Quantities over time",
    "snapshots": "Course in time",
    "error": "Error",
    "time": "Error over time",
    "data": "Data and fit",
    "learning": "Learning from members",
    "estimate": "Error estimate",
    "convergence": "Convergence",
    "quadrature": "Quadrature points",
}
"""Figures in the order of the page: stem of the file → heading."""


def write_report(solution: Solution, folder: Path) -> Path:
    """Write ``report.html`` into a run folder: verdict, results, figures, problem file, changes to it, machine and versions.

    Args:
        solution: Solution of the run.
        folder: Run folder, whose figures, problem.toml and run.json become part of the page if they exist.

    Returns:
        Path of the page.

    Raises:
        StorageError: A file of the folder could not be read, or the page could not be written.
    """
    failed = "".join(f"<li>{shown(text.removeprefix(FAILED))}</li>\n" for text in failed_checks(solution))
    parts = [f"<h2>Checks that failed</h2>\n<ul>\n{failed}</ul>"] if failed else []
    posed = solution.posed if isinstance(solution, SolutionInTime) else solution.problem
    parts += [
        table(solution_rows(solution)),
        f"<h2>Equations</h2>\n{equations(posed)}",
        f"<h2>Smallest and largest values</h2>\n{table(extreme_rows(solution))}",
    ]
    parts += [viewer(solution)]
    parts += [picture(folder / "figures" / f"{name}.png", heading) for name, heading in CAPTIONS.items()]
    text = read(folder / "problem.toml")
    if text is not None:
        parts.append(f"<h2>Problem file</h2>\n{code(text.decode('utf-8', errors='replace'))}")
    else:
        parts.append(f"<h2>Problem</h2>\n{code(json.dumps(solution.problem.source.data, indent=2, default=str))}")
    run = read(folder / "run.json")
    if changed := _changed(solution.problem, text):
        parts.append(f"<h2>Changed on the command line</h2>\n{code(changed)}")
    if run is not None:
        parts.append(f"<h2>Machine and versions</h2>\n{code(_machine(run))}")
    title = solution.problem.title or folder.name
    return write_page(folder / "report.html", title, verdict(solution), not failed, filter(None, parts))


def _changed(problem: Problem, text: bytes | None) -> str:
    """Return the settings of a run that differ from its problem file, line by line in the file's own words; "" without any."""
    try:
        stated = {} if text is None else tomllib.loads(text.decode())
    except ValueError:
        return ""
    lines = []
    for section, entries in problem.source.data.items():
        before = stated.get(section)
        if section == "output" or before == entries:
            continue
        if isinstance(entries, dict) and isinstance(before, dict | None):
            known = before or {}
            lines += [f"{section}.{key} = {_plain(value)}" for key, value in entries.items() if known.get(key) != value]
        else:
            lines.append(f"{section} = {_plain(entries)}")
    return "\n".join(lines) if text is not None else ""


def _plain(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _machine(run: bytes) -> str:
    """Return the part of run.json about method, seed, threads, machine and versions.

    Raises:
        StorageError: The file is not JSON.
    """
    try:
        record = json.loads(run)
    except ValueError as error:
        raise StorageError(f"run.json is damaged: {error}; run again with --overwrite") from None
    return _json({key: record.get(key) for key in ("method", "seed", "threads", "machine", "versions")})


def _json(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False)
