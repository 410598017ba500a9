"""Find boundary values that disagree where two conditions meet.

The solution jumps at such a corner, so that its gradient has no finite norm, and the jump dominates the error estimate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vpinn.domain import LagrangeSpace
from vpinn.errors import InputError
from vpinn.finite_elements import boundary_values
from vpinn.forms import Background
from vpinn.problem import Problem

APART = 1e-6
"""Difference of two values at a node, relative to the largest value on the boundary, above which they disagree."""


def clashing_values(problem: Problem) -> str | None:
    """Return in one line where the boundary values of one component disagree most; None if they agree everywhere.

    Args:
        problem: problem on any domain; on a domain without cells nothing is checked.
    """
    mesh = problem.domain.mesh
    if mesh is None:
        return None
    space, background = LagrangeSpace(mesh, 1), Background(mesh)
    seen: dict[tuple[str, int], list[_Given]] = {}
    found = list[tuple[float, str]]()
    size = 0.0
    for condition in problem.boundary:
        if condition.value is None or condition.unknown is None:
            continue
        try:
            nodes, components = boundary_values(condition, condition.value, space, background)
        except InputError:  # not finite at a node
            return None
        size = max(size, float(np.abs(components).max(initial=0.0)))
        for k, values in enumerate(components):
            others = seen.setdefault((condition.unknown, (condition.component or 0) + k), [])
            this = _Given(", ".join(condition.on), nodes, values)
            found += [_gap(condition.unknown, other, this, space) for other in others]
            others.append(this)
    gap, text = max(found, default=(0.0, ""))
    return text if gap > APART * size else None


@dataclass(frozen=True)
class _Given:
    """Values that a condition prescribes for one component: names of its boundary parts, node numbers [n] and values [n]."""

    tags: str
    nodes: NDArray[np.int64]
    values: NDArray[np.float64]


def _gap(unknown: str, one: _Given, other: _Given, space: LagrangeSpace) -> tuple[float, str]:
    """Return the largest difference of two conditions at the nodes that they share, and the line that reports it."""
    both, here, there = np.intersect1d(one.nodes, other.nodes, return_indices=True)
    if not len(both):
        return 0.0, ""
    gaps = np.abs(one.values[here] - other.values[there])
    at = int(gaps.argmax())
    place = ", ".join(f"{value:.4g}" for value in space.locations()[both[at]].round(12) + 0.0)
    return float(gaps[at]), (
        f"{unknown} is {one.values[here][at]:.4g} on {one.tags} and {other.values[there][at]:.4g} on {other.tags} at the corner "
        f"({place}): it jumps there, its flux has no finite norm, and the error estimate is that of the jump; away from such "
        "corners the solution may be right"
    )
