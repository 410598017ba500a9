"""Choose mini-batches for problems in many dimensions, and say in one line why a method was picked.

The line appears in the closing table, in the report and in metrics.json.
"""

from __future__ import annotations

from typing import Any, Final

from vpinn.features.direct import LeastSquares
from vpinn.objective.variation import is_linear
from vpinn.problem import Problem, Settings

MANY_DIMENSIONS = 5
"""Dimension above which a problem without a mesh is trained on mini-batches, unless the problem file asks for all points."""
BATCH = 512
"""Points per step of these mini-batches."""
STEPS: Final[dict[str, Any]] = {"learning_rate": 1e-2, "schedule": "cosine", "warmup": 20}
"""Settings of the steps on these mini-batches, each where the problem file does not give it."""


def with_batches(problem: Problem, settings: Settings) -> Settings:
    """Return the settings with mini-batches where dimensions are many and they give neither a method nor a batch size.

    A domain of many dimensions needs so many points that one step on all of them takes seconds; in the same time a hundred
    steps of Adam on mini-batches lower the loss further. The step size falls along a cosine; otherwise noise would remain.
    """
    domain = problem.domain
    asked = settings.solver.method != "auto" or "size" in settings.batch.model_fields_set
    if asked or domain.n_cells or domain.dimension <= MANY_DIMENSIONS:
        return settings
    chosen = {name: value for name, value in STEPS.items() if name not in settings.solver.model_fields_set}
    sections = {"batch": settings.batch.model_copy(update={"size": BATCH}), "solver": settings.solver.model_copy(update=chosen)}
    return settings.model_copy(update=sections)


def reason(problem: Problem, settings: Settings, name: str, refused: str = "") -> str:
    """Return in words why the method ``name`` solves the problem.

    Args:
        problem: the problem.
        settings: how it is solved.
        name: method that was picked.
        refused: why a better method does not apply, "" where none was tried.
    """
    solver, domain = settings.solver, problem.domain
    if solver.method != "auto":
        return "as the problem file asks"
    if problem.nodal[0]:
        return f"{problem.nodal[0]} needs the nodes of finite elements"
    batches = settings.batch.size != "full"
    where = f"{domain.dimension} dimension{'s' * (domain.dimension > 1)}"
    where += f" on {domain.n_cells:,} cells" if domain.n_cells else " without cells"
    if name == LeastSquares.name:
        kind, each = ("linear", "") if is_linear(problem) else ("nonlinear", " per Newton step")
        rows = "the residual at drawn points, enough of them for others to be fitted as well," if batches else "the residual"
        return f"{kind} in {where}: {rows} is minimised by one factorisation{each}"
    if not refused and solver.precision != "float64":
        refused = f"its columns are nearly dependent and need float64, but solver.precision is {solver.precision}"
    if not refused:
        refused = "random features approximate well in few dimensions only"
    steps = "steps use mini-batches, whose noise it tolerates" if batches else "steps use all points"
    if batches and not domain.n_cells and domain.dimension > MANY_DIMENSIONS:
        steps += ', and in many dimensions lower the loss further than steps on all points do (batch.size = "full")'
    return f"{steps}; least squares does not apply to the {problem.formulation.name} form in {where}: {refused}"
