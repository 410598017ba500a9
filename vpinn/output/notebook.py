"""A solution in a notebook: a figure, and a page with the verdict, the table and a picture."""

from __future__ import annotations

import base64
from html import escape

from matplotlib.figure import Figure

from vpinn.output.figures import make_scene, png, solution_figure
from vpinn.output.style import styled
from vpinn.output.tables import solution_rows
from vpinn.output.verdict import verdict
from vpinn.solution import Solution
from vpinn.text import escaped

LEFT = "style='text-align:left'"
ROWS = ("method", "error estimate", "quantities", "eigenvalues", "time")
"""Labels of the table's rows that the page has, besides those of errors."""


def plot(solution: Solution) -> Figure:
    """Return a figure of all unknowns; of a solution in time at its last instant."""
    with styled():
        return solution_figure(solution, make_scene(solution.problem.domain))


def page(solution: Solution) -> str:
    """Return a solution as HTML: verdict, main rows of the closing table, picture."""
    shown = []
    last = ""
    for label, text in solution_rows(solution):
        last = label or last
        if last in ROWS or last.startswith("error of"):
            shown.append(f"<tr><th {LEFT}>{escape(escaped(label))}</th><td {LEFT}>{escape(escaped(text))}</td></tr>")
    with styled():
        picture = base64.b64encode(png(plot(solution))).decode()
    told = escape(escaped(verdict(solution)))
    image = f"<img style='max-width:40em' src='data:image/png;base64,{picture}'>"
    return f"<p><b>{told}</b></p><table>{''.join(shown)}</table>{image}"
