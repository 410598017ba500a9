"""Why a method was picked, in one line for the table, the report and metrics.json."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from vpinn.domain import Mesh
from vpinn.features.direct import LeastSquares
from vpinn.objective.variation import is_linear
from vpinn.problem import Problem

MANY_DIMENSIONS = 5
"""Dimensions above which points without cells are drawn unless all are asked for."""
BATCH = 512
"""Points per step there."""
STEPS: Final[dict[str, Any]] = {"learning_rate": 1e-2, "schedule": "cosine", "warmup": 20}
"""Steps there, where the problem file says nothing else."""


def with_batches(problem: Problem) -> Problem:
    """Return the problem with mini-batches where neither method nor batches are asked for and dimensions are many.

    Points that fill many dimensions are many, and a step on all of them takes seconds: a hundred steps of Adam on some of them
    come further. Their size goes down along a cosine, since noise would stay otherwise.
    """
    settings, domain = problem.settings, problem.domain
    asked = settings.solver.method != "auto" or "size" in settings.batch.model_fields_set
    if asked or isinstance(domain, Mesh) or domain.dimension <= MANY_DIMENSIONS:
        return problem
    chosen = {name: value for name, value in STEPS.items() if name not in settings.solver.model_fields_set}
    sections = {"batch": settings.batch.model_copy(update={"size": BATCH}), "solver": settings.solver.model_copy(update=chosen)}
    return replace(problem, settings=settings.model_copy(update=sections))


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
    if problem.nodal[0]:
        return f"{problem.nodal[0]} is met at nodes, which elements have"
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
    if batches and not isinstance(domain, Mesh) and domain.dimension > MANY_DIMENSIONS:
        steps += ', and in many dimensions go farther than steps on all points do (batch.size = "full")'
    return f"{steps}; least squares does not apply to the {problem.formulation.name} form in {where}: {refused}"
