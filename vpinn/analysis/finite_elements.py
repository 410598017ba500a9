"""The network's field beside the finite element solution of the same form."""

from __future__ import annotations

from typing import Any

from vpinn.finite_elements import relative_errors, solve_fem
from vpinn.problem.schema import FiniteElements
from vpinn.solution import Solution


def compare_with_finite_elements(solution: Solution, asked: FiniteElements) -> dict[str, Any]:
    """Return the entry "fem" of metrics.json.

    Args:
        solution: the network's.
        asked: degree and refinements.

    Returns:
        degree (the highest), degrees by unknown, refine, dofs, steps, seconds; "errors" of the finite elements themselves where
        the exact solution is known;
        and "difference", unknown → relative_l2 and relative_h1 of the network against them, on a rule of degree 2p + 4.

    Raises:
        InputError: the problem has no such solution.
        DivergenceError: Newton's method found none.
    """
    found = solve_fem(solution.problem, asked.degree, asked.refine)
    return {
        "degree": found.space.degree,
        "degrees": found.degrees,
        "refine": asked.refine,
        "dofs": found.dofs,
        "steps": found.steps,
        "seconds": sum(found.seconds.values()),
        "errors": found.errors,
        "difference": relative_errors(lambda points, order: solution.at(found.unrefined(points), order), found.at, found.points),
    }
