"""Output of a finished run into its folder: field files, figures and the HTML report. Start from `publish`."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

from vpinn.errors import InputError
from vpinn.march import MarchedSolution
from vpinn.output.fields import export
from vpinn.output.figures import draw as draw_steady
from vpinn.output.instants import draw_in_time, draw_snapshots
from vpinn.output.report import write_report
from vpinn.output.series import export_in_time
from vpinn.problem import Case
from vpinn.run_files import FIELDS
from vpinn.solution import Solution
from vpinn.solution_in_time import SolutionInTime

FIGURES = (
    "conditions", "convergence", "data", "error", "estimate", "fields", "learning", "quadrature", "quantities", "snapshots",
    "solution", "time", "vector",
)  # fmt: skip
"""Names of the figures of a run."""


def field_formats(problem: Case) -> tuple[str, ...]:
    """Return the file formats for the fields of a problem: ``output.formats``, or csv by default in more than 3 dimensions.

    Call this before a run, so that a format that cannot work is refused before hours of training.

    Raises:
        InputError: The problem asks for vtu or xdmf in more than three dimensions.
    """
    output, d = problem.settings.output, problem.domain.dimension
    if d <= 3:
        return output.formats
    if "formats" not in output.model_fields_set:
        return ("csv",)
    for name in output.formats:
        if name in ("vtu", "xdmf"):
            where = problem.where("output", "formats")
            raise InputError(f"output.formats: {name} holds at most 3 dimensions and this domain has {d}; use csv or npz", where)
    return output.formats


def publish(solution: Solution, folder: Path) -> dict[str, str]:
    """Write field files, figures and the report of a solution into its run folder, in place of those of an earlier run.

    Args:
        solution: Solution of a finished run.
        folder: The run folder.

    Returns:
        "field", "figures" and "report" → path written, or several joined by commas.

    Raises:
        InputError: A format cannot hold the domain's dimension.
        StorageError: A file could not be written.
    """
    problem = solution.problem
    refine = problem.settings.output.refine
    if isinstance(solution, SolutionInTime):
        targets = [folder / f"solution.{'pvd' if name == 'vtu' else name}" for name in field_formats(problem)]
        written = [export_in_time(solution, target, refine)[0] for target in targets]
    else:
        written = [export(solution, folder / f"solution.{name}", refine) for name in field_formats(problem)]
    beside = [path.with_suffix(".vtu") for path in written if path.suffix == ".pvd"]
    _remove_others((folder / name for name in FIELDS), [*written, *beside])
    draw(solution, folder / "figures")
    report = write_report(solution, folder)
    return {"field": ", ".join(map(str, written)), "figures": str(folder / "figures"), "report": str(report)}


def draw(solution: Solution, directory: Path) -> list[Path]:
    """Draw the figures of a steady or time-dependent solution; see `figures.draw` and `instants.draw_in_time`.

    A field that was found over space and time at once has those of a steady problem with a coordinate more, and snapshots.
    Figures of an earlier run that this one does not have are removed.
    """
    if isinstance(solution, MarchedSolution):
        drawn = draw_in_time(solution, directory)
    else:
        drawn = draw_steady(solution, directory)
        drawn += draw_snapshots(solution, directory) if isinstance(solution, SolutionInTime) else []
    _remove_others((directory / f"{name}.png" for name in FIGURES), drawn)
    return drawn


def _remove_others(known: Iterable[Path], written: Collection[Path]) -> None:
    """Remove files with known names that an earlier run wrote, and this one did not."""
    for path in known:
        if path not in written:
            path.unlink(missing_ok=True)
