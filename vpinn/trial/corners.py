"""The singular functions that a solution may have at the corners of a plane domain.

They depend on the angle of the corner, on the coefficients of the form there (its principal part), and on the components whose
values are imposed on either side. Start with `corner_functions`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vpinn.domain import Corner, Mesh, Points, corners_of
from vpinn.problem import Problem
from vpinn.trial.corner_chart import CornerFunction
from vpinn.trial.imposed import Imposed
from vpinn.trial.principal import principal_part
from vpinn.trial.wedge import WHOLE, WedgeSolution, is_elliptic, solutions

HIGHEST = 4.0
"""Largest real part of the exponents that are used; functions of higher exponents are smooth enough for random features."""
DIGITS = 12
"""Digits in which two corners must agree to share the solutions of one sector."""
JUMP = 1e-9
"""Relative difference of the principal parts on both sides of a corner up to which it counts as rounding."""

Array = NDArray[np.float64]


def corner_functions(problem: Problem, imposed: Sequence[Imposed]) -> tuple[CornerFunction, ...]:
    """Return the singular functions of all corners; () if the domain is no plane mesh or every exponent is 2 or more.

    The functions belong to the principal part of the form at the corner. The Laplacian of every component is used instead if the
    principal part is unknown, not elliptic, or differs between the two sides. It is also used for coupled strong equations unless
    values of all components are imposed on both sides, because strong equations do not determine the flux of natural conditions.
    For the Laplacian at a corner of angle ω the exponents are kπ/ω with conditions of the same kind on both sides, and
    (k − ½)π/ω with a value imposed on one side only (k = 1, 2, …).

    Args:
        problem: the problem.
        imposed: how its conditions are imposed; tells where values are given.
    """
    mesh = problem.domain.mesh
    if mesh is None or mesh.dimension != 2:
        return ()
    held = _held(problem, mesh, imposed)
    _, parts = np.unique(held, axis=1, return_inverse=True)
    corners = corners_of(mesh, parts.reshape(-1))
    known, found = dict[Any, tuple[WedgeSolution, ...]](), list[CornerFunction]()
    for corner, tensor in zip(corners, _tensors(problem, mesh, corners, held), strict=True):
        middle, sides = corner.direction + corner.angle / 2, tuple(tuple(map(bool, held[:, facet])) for facet in corner.facets)
        turn = np.array([[np.cos(middle), np.sin(middle)], [-np.sin(middle), np.cos(middle)]])
        turned = np.einsum("ac,icke,be->iakb", turn, tensor / np.abs(tensor).max(), turn)
        if not is_elliptic(turned):  # rounding decides, as of a material that is almost incompressible
            turned = _laplacian(len(turned))
        key = (*np.round(turned, DIGITS).ravel(), round(corner.angle, DIGITS), sides)
        if key not in known:
            known[key] = solutions(turned, corner.angle, (sides[0], sides[1]), HIGHEST)
        found += [CornerFunction(corner.place, middle, solution) for solution in known[key]]
    return tuple(found) if any(one.solution.exponent.real < 2.0 - WHOLE for one in found) else ()


def _tensors(problem: Problem, mesh: Mesh, corners: Sequence[Corner], held: NDArray[np.bool_]) -> list[Array]:
    """Return the principal part at every corner [n, 2, n, 2], or the Laplacian; n is the number of components.

    Args:
        problem: the problem.
        mesh: its mesh.
        corners: the corners.
        held: whether a value is imposed [n, boundary facets].
    """
    n = sum(u.components for u in problem.unknowns)
    laplacian = _laplacian(n)
    cells = mesh.boundary[[facet for corner in corners for facet in corner.facets], 0]
    places = np.repeat([corner.place for corner in corners], 2, axis=0).reshape(-1, 2)
    none = np.full(len(cells), -1)
    points = Points(places, np.zeros(len(cells)), cells, cells, np.full_like(places, np.nan), None, mesh.h[cells], none)
    found = principal_part(problem, points) if len(corners) else None
    if found is None:
        return [laplacian] * len(corners)
    weak, alone = not problem.formulation.pointwise, laplacian.any(axis=(1, 3))[:, None, :, None]

    def fits(corner: Corner, one: Array, other: Array) -> bool:
        same = np.abs(one - other).max() <= JUMP * np.abs(one).max() and is_elliptic(one)
        return bool(same and (weak or held[:, corner.facets].all() or not one[~np.broadcast_to(alone, one.shape)].any()))

    sides = zip(corners, found[::2], found[1::2], strict=True)
    return [one if fits(corner, one, other) else laplacian for corner, one, other in sides]


def _laplacian(components: int) -> Any:
    """Return the principal part of the Laplacian of every component [n, 2, n, 2]."""
    return np.einsum("ik,ab->iakb", np.eye(components), np.eye(2))


def _held(problem: Problem, mesh: Mesh, imposed: Sequence[Imposed]) -> NDArray[np.bool_]:
    """Return whether a value is imposed [components, boundary facets]."""
    rows = []
    for unknown in problem.unknowns:
        for component in range(unknown.components):
            row = np.zeros(len(mesh.boundary), bool)
            for i in imposed:
                if (i.condition.unknown, i.component) == (unknown.name, component):
                    row[mesh.facets(i.condition.on)] = True
            rows.append(row)
    return np.array(rows)
