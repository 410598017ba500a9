"""Output: solution → files and figures, training → progress, problem and run → tables.

    Solution ─┬─ export ─────── vtu, pvd, xdmf, csv, npz   (canvas → fields → formats)
              ├─ draw ───────── figures/*.png              (scenes → figures)
              ├─ solution_rows ─ closing table ┐
              └─ write_report ────────────────┴─ report.html

``publish`` does all of it for a run folder.
"""

from vpinn.output.fields import Fields, export, fields_at
from vpinn.output.figures import draw
from vpinn.output.folder import field_formats, publish
from vpinn.output.given import points_of
from vpinn.output.memory import estimate_memory
from vpinn.output.progress import TrainingProgress
from vpinn.output.report import write_report
from vpinn.output.tables import as_table, failed_checks, problem_rows, solution_rows

__all__ = [
    "Fields",
    "TrainingProgress",
    "as_table",
    "draw",
    "estimate_memory",
    "export",
    "failed_checks",
    "field_formats",
    "fields_at",
    "points_of",
    "problem_rows",
    "publish",
    "solution_rows",
    "write_report",
]
