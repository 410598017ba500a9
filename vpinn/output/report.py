"""The report of a run: one HTML page that contains its figures and needs no other file. Start from `write_report`."""

from __future__ import annotations

import base64
import json
import tomllib
from html import escape
from pathlib import Path
from typing import Any

from vpinn.errors import StorageError
from vpinn.output.extremes import extreme_rows
from vpinn.output.tables import FAILED, Rows, failed_checks, solution_rows
from vpinn.output.verdict import verdict
from vpinn.output.viewer import viewer
from vpinn.problem import Problem
from vpinn.problem.typeset import equations
from vpinn.solution import Solution
from vpinn.solution_in_time import SolutionInTime
from vpinn.storage import read_regular, write_atomic
from vpinn.text import escaped

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
CODE = "\n\r\t"
"""Control characters that are kept in texts of several lines, such as the problem file."""
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; color: #1f2933; max-width: 60rem; margin: 2.5rem auto; padding: 0 1.25rem; }}
h1 {{ font-size: 1.7rem; line-height: 1.25; }}
h2 {{ font-size: 1.15rem; margin-top: 2.5rem; border-bottom: 1px solid #d9dee3; padding-bottom: .25rem; }}
table {{ border-collapse: collapse; }}
th {{ text-align: left; font-weight: 600; padding: .15rem 1.5rem .15rem 0; vertical-align: top; white-space: nowrap; }}
td {{ padding: .15rem 0; }}
.verdict {{ font-size: 1.15rem; font-weight: 600; padding: .75rem 1rem; border-radius: .3rem; background: #e3f1e5; }}
.verdict.failed {{ background: #fbe4e1; }}
img {{ max-width: 100%; height: auto; background: #fff; border-radius: .3rem; }}
.view canvas {{ width: 100%; height: min(34rem, 70vh); touch-action: none; cursor: crosshair; display: block; }}
.view .scale {{ display: flex; gap: .75rem; align-items: center; }}
#view-bar {{ flex: 1; height: .7rem; border-radius: .2rem; }}
#view-frame {{ width: 60%; vertical-align: middle; }}
#view-probe {{ font-variant-numeric: tabular-nums; }}
pre {{ background: #f4f6f8; padding: 1rem; overflow-x: auto; font-size: .85rem; border-radius: .3rem; }}
@media (max-width: 40rem) {{
  body {{ margin: 1rem auto; }}
  th, td {{ display: block; white-space: normal; padding: 0; }}
  td {{ padding-bottom: .5rem; overflow-wrap: anywhere; }}
}}
@media (prefers-color-scheme: dark) {{
  body {{ color: #e4e7eb; background: #16191d; }}
  h2 {{ border-color: #3a424b; }}
  pre {{ background: #22272d; }}
  .verdict {{ background: #1f3a25; }}
  .verdict.failed {{ background: #4a2320; }}
}}
</style>
</head>
<body>
<h1>{title}</h1>
{body}
</body>
</html>
"""


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
    failed = "".join(f"<li>{_shown(text.removeprefix(FAILED))}</li>\n" for text in failed_checks(solution))
    mark = "failed" if failed else "passed"
    parts = [f'<p class="verdict {mark}">{_shown(verdict(solution))}</p>']
    parts += [f"<h2>Checks that failed</h2>\n<ul>\n{failed}</ul>"] if failed else []
    posed = solution.posed if isinstance(solution, SolutionInTime) else solution.problem
    parts += [
        _table(solution_rows(solution)),
        f"<h2>Equations</h2>\n{equations(posed)}",
        f"<h2>Smallest and largest values</h2>\n{_table(extreme_rows(solution))}",
    ]
    parts += [viewer(solution)]
    for name, heading in CAPTIONS.items():
        picture = _read(folder / "figures" / f"{name}.png")
        if picture is not None:
            source = base64.b64encode(picture).decode()
            parts.append(f'<h2>{heading}</h2>\n<img alt="{heading}" src="data:image/png;base64,{source}">')
    text = _read(folder / "problem.toml")
    if text is not None:
        parts.append(f"<h2>Problem file</h2>\n{_code(text.decode('utf-8', errors='replace'))}")
    else:
        parts.append(f"<h2>Problem</h2>\n{_code(json.dumps(solution.problem.source.data, indent=2, default=str))}")
    run = _read(folder / "run.json")
    if changed := _changed(solution.problem, text):
        parts.append(f"<h2>Changed on the command line</h2>\n{_code(changed)}")
    if run is not None:
        parts.append(f"<h2>Machine and versions</h2>\n{_code(_machine(run))}")
    page = _PAGE.format(title=_shown(solution.problem.title or folder.name), body="\n".join(parts))
    write_atomic(folder / "report.html", page.encode())
    return folder / "report.html"


def _table(rows: Rows) -> str:
    lines = [f"<tr><th>{_shown(label)}</th><td>{_shown(text)}</td></tr>" for label, text in rows]
    return "<table>\n" + "\n".join(lines) + "\n</table>"


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


def _code(text: str) -> str:
    return f"<pre>{_shown(text, keep=CODE)}</pre>"


def _shown(text: str, keep: str = "") -> str:
    """Return a text for HTML, with its control characters, except those to keep, as visible escapes."""
    return escape(escaped(text, keep))


def _json(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False)


def _read(path: Path) -> bytes | None:
    """Return the content of a file, None if there is no such file."""
    try:
        return read_regular(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageError(f"{path}: cannot be read: {error.strerror or error}") from None
