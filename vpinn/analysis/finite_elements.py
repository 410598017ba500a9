"""Compare a network's solution with the finite element solution of the same form."""

from __future__ import annotations

from typing import Any

from vpinn.finite_elements import relative_errors, solve_fem
from vpinn.problem.given_sections import FiniteElements
from vpinn.solution import Solution


def compare_with_finite_elements(solution: Solution, asked: FiniteElements) -> dict[str, Any]:
    """Solve the problem with finite elements, and return the entry "fem" of metrics.json.

    Args:
        solution: solution of a network.
        asked: degree and refinements of the finite elements, from the problem file.

    Returns:
        "degree": the highest degree p; "degrees" by unknown; "refine"; "dofs"; "steps"; "seconds"; "errors" of the finite element
        solution against the exact one, empty if that is not known; "difference": unknown → relative_l2 and relative_h1 of the
        network against finite elements, on a rule of degree 2p + 4.

    Raises:
        InputError: finite elements cannot solve the problem.
        DivergenceError: Newton's method does not converge.
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
