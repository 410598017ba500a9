"""Output: files, figures, tables and progress displays. Nothing is computed here that changes a solution.

In goes a `Solution`, or a run in progress; out come the files of a run folder (`publish`), tables and progress bars.

    Solution ─┬─ export ─────── vtu, pvd, xdmf, csv, npz   (canvas → fields → formats, cells)
              ├─ draw ───────── figures/*.png              (scene → curves, planes, raster; convergence, quadrature → figures)
              ├─ solution_rows ─ closing table ┐           (tables, settled)
              └─ write_report ────────────────┴─ report.html

`publish` does all of this for a run folder (`folder`). Problems in time have `series` (files) and `instants` (figures);
`viewer` shows a field in the report, to zoom, turn, probe and play. `given` reads points that the user gives, `profile` draws
along a line. `plans` and `formula` show a problem before it is solved, and `memory` what it will need; `progress` and
`runs_progress` show runs in progress; `bands` and `noise` draw comparisons and noise reports. `style` and `backend` set up all
figures.
"""

import vpinn.output.backend  # noqa: F401
from vpinn.output.bands import Ribbon, ribbons_figure, scaling_figure
from vpinn.output.family import rows_of_family
from vpinn.output.fields import export, fields_at
from vpinn.output.figures import write_figures
from vpinn.output.folder import draw, field_formats, publish
from vpinn.output.given import line_of, points_of
from vpinn.output.memory import estimate_memory
from vpinn.output.page import write_summary
from vpinn.output.plans import problem_rows, rows_in_many_dimensions, rows_in_time, rows_of_eigenproblem, rows_of_inverse
from vpinn.output.profile import draw_profile
from vpinn.output.progress import TrainingProgress
from vpinn.output.report import write_report
from vpinn.output.runs_progress import RunsProgress
from vpinn.output.series import is_timed, table_at, write
from vpinn.output.style import styled
from vpinn.output.tables import as_table, failed_checks, solution_rows

__all__ = [
    "Ribbon",
    "RunsProgress",
    "TrainingProgress",
    "as_table",
    "draw",
    "draw_profile",
    "estimate_memory",
    "export",
    "failed_checks",
    "field_formats",
    "fields_at",
    "is_timed",
    "line_of",
    "points_of",
    "problem_rows",
    "publish",
    "ribbons_figure",
    "rows_in_many_dimensions",
    "rows_in_time",
    "rows_of_eigenproblem",
    "rows_of_family",
    "rows_of_inverse",
    "scaling_figure",
    "solution_rows",
    "styled",
    "table_at",
    "write",
    "write_figures",
    "write_report",
    "write_summary",
]
