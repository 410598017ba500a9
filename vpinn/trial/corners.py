"""Which functions of corners a solution may hold: exponents from the angle and from what is imposed on either side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from vpinn.domain import Corner, Mesh, corners_of
from vpinn.problem import Problem
from vpinn.trial.imposed import Imposed

HIGHEST = 4.0
"""Exponents up to which functions are taken; smooth features see to the others."""
WHOLE = 1e-6
"""Distance from a whole number at which an exponent counts as one: r^λ is smooth then, r^λ ln r is not."""

Function = tuple[float, ...]
"""Corner, direction, exponent, phase and power of the logarithm; see ``CornerChart``."""


def corner_functions(problem: Problem, imposed: Sequence[Imposed]) -> tuple[Function, ...]:
    """Return the functions of all corners of a plane mesh; () where no corner bounds the gradient's smoothness.

    With conditions of one kind on both sides of a corner of angle ω the exponents are kπ/ω, and (k − ½)π/ω where a value is
    imposed on one side alone; the trace on the edge θ = 0 vanishes, or the slope does. Corners at which every exponent is two
    or more are taken where others are worse.
    """
    mesh = problem.domain
    if not isinstance(mesh, Mesh) or mesh.dimension != 2:
        return ()
    held = _held(problem, mesh, imposed)
    _, parts = np.unique(held, axis=1, return_inverse=True)
    found: list[Function] = []
    strong = False
    for corner in corners_of(mesh, parts.reshape(-1)):
        sides = sorted({(bool(row[corner.facets[0]]), bool(row[corner.facets[1]])) for row in held})
        for fixed, other in sides:
            functions = list(_at(corner, fixed, other))
            strong = strong or any(function[3] < 2.0 - WHOLE for function in functions)
            found += functions
    return tuple(found) if strong else ()


def _at(corner: Corner, fixed: bool, other: bool) -> Iterator[Function]:
    """Yield the functions of one corner; ``fixed`` and ``other`` say whether a value is imposed on the edges θ = 0 and ω."""
    middle = corner.direction + corner.angle / 2
    step = np.pi / corner.angle
    first = step if fixed == other else step / 2
    for power in np.arange(first, HIGHEST + WHOLE, step):
        whole = abs(power - round(power)) < WHOLE
        phase = power * corner.angle / 2 - (np.pi / 2 if fixed else 0.0)
        yield (*corner.place, middle, round(power) if whole else float(power), float(phase), float(whole))


def _held(problem: Problem, mesh: Mesh, imposed: Sequence[Imposed]) -> NDArray[np.bool_]:
    """Return whether a value is imposed, for every component and boundary facet."""
    rows = []
    for unknown in problem.unknowns:
        for component in range(unknown.components):
            row = np.zeros(len(mesh.boundary), bool)
            for i in imposed:
                if (i.condition.unknown, i.component) == (unknown.name, component):
                    row[mesh.facets(i.condition.on)] = True
            rows.append(row)
    return np.array(rows)
