"""Why a method was picked, in one line for the table, the report and metrics.json."""

from __future__ import annotations

from vpinn.domain import Mesh
from vpinn.objective.variation import is_linear
from vpinn.optimization.growth import LeastSquares
from vpinn.problem import Problem


def reason(problem: Problem, name: str, refused: str = "") -> str:
    """Return why ``name`` solves the problem.

    Args:
        problem: the problem.
        name: method that was taken.
        refused: why a better one does not apply, "" where none was tried.
    """
    solver, domain = problem.settings.solver, problem.domain
    if solver.method != "auto":
        return "as asked"
    batches = problem.settings.batch.size != "full"
    where = f"{domain.dimension} dimension{'s' * (domain.dimension > 1)}"
    where += f" on {domain.n_cells:,} cells" if isinstance(domain, Mesh) else " without cells"
    if name == LeastSquares.name:
        kind, each = ("linear", "") if is_linear(problem) else ("nonlinear", " per Newton step")
        rows = "the residual at drawn points, as many as fit fresh ones as well," if batches else "the residual"
        return f"{kind} in {where}: {rows} as rows, made smallest by one factorisation{each}"
    if not refused and solver.precision != "float64":
        refused = f"its columns are nearly dependent and need float64, precision is {solver.precision}"
    if not refused:
        refused = "random features fill few dimensions only"
    steps = "steps see mini-batches, whose noise it bears" if batches else "steps on all points"
    return f"{steps}; least squares does not apply to the {problem.formulation} form in {where}: {refused}"
