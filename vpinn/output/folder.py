"""What a finished run leaves for its readers: fields, figures and the report."""

from __future__ import annotations

from pathlib import Path

from vpinn.errors import InputError
from vpinn.march import MarchedSolution
from vpinn.objective import Objective
from vpinn.output.fields import export
from vpinn.output.figures import draw as draw_steady
from vpinn.output.instants import draw_in_time
from vpinn.output.report import write_report
from vpinn.output.series import export_in_time
from vpinn.problem import Problem
from vpinn.solution import Solution


def field_formats(problem: Problem) -> tuple[str, ...]:
    """Return the formats that fields of a problem are written in: those asked for; csv by default beyond three dimensions.

    Raises:
        InputError: vtu or xdmf are asked for in more than three dimensions; ask before a long run, not after it.
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


def publish(solution: Solution, folder: Path, objective: Objective | None = None) -> dict[str, str]:
    """Write fields, figures and the report into a run folder.

    Args:
        solution: of a finished run.
        folder: its folder.
        objective: what training minimised, which saves making it anew for the figure of its points.

    Returns:
        what was written: "field", "figures" and "report" → path, or several joined by commas.

    Raises:
        InputError: a format that the domain's dimension rules out.
        StorageError: a file could not be written.
    """
    problem = solution.problem
    refine = problem.settings.output.refine
    if isinstance(solution, MarchedSolution):
        targets = [folder / f"solution.{'pvd' if name == 'vtu' else name}" for name in field_formats(problem)]
        written = [export_in_time(solution, target, refine)[0] for target in targets]
    else:
        written = [export(solution, folder / f"solution.{name}", refine) for name in field_formats(problem)]
    draw(solution, folder / "figures", objective)
    report = write_report(solution, folder)
    return {"field": ", ".join(map(str, written)), "figures": str(folder / "figures"), "report": str(report)}


def draw(solution: Solution, directory: Path, objective: Objective | None = None) -> list[Path]:
    """Draw the figures of a solution, in time or not; see `draw_steady` and `draw_in_time`."""
    if isinstance(solution, MarchedSolution):
        return draw_in_time(solution, directory)
    return draw_steady(solution, directory, objective)
