"""Obstacles and contact: the bounds of a problem at nodes of elements.

A bound is stated at functions whose integral is positive, over the domain or over its side: the force of contact on such a node
has the sign of the pressure. Quadratic functions of vertices, whose integral is zero, are left free (Brezzi, Hager & Raviart
1977, Numer. Math. 28, 431–443).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vpinn.domain import CellPoints, FacetPoints, LagrangeSpace, bare_points
from vpinn.errors import InputError
from vpinn.finite_elements.active_set import Limits, System, affine, coarse_set, constrained
from vpinn.finite_elements.essential import condition_points, prescribed
from vpinn.finite_elements.form import offsets
from vpinn.finite_elements.mixed import MixedSpace
from vpinn.finite_elements.multilevel import Solver
from vpinn.finite_elements.newton import Converged, solver
from vpinn.forms import Background, evaluate
from vpinn.problem import Bound, Problem

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
POSITIVE = 1e-6
"""Integral of a function, relative to the largest, above which it is positive."""
ABOVE = 1e-9
"""Share of the size of bounds and values by which a bound may be above a value that is given."""


@dataclass(frozen=True)
class Contact:
    """The bounds of a problem on elements.

    Attributes:
        mixed: the elements.
        bounds: of all their functions.
        coarse: of the functions of degree 1 on the same mesh; None where these are the elements.
    """

    mixed: MixedSpace
    bounds: Limits
    coarse: Limits | None

    @classmethod
    def of(cls, problem: Problem, mixed: MixedSpace, background: Background) -> Contact | None:
        """Return the bounds of a problem; None where it has none.

        Raises:
            InputError: a bound is not finite, a lower one is above an upper one, or a value that is given lies outside.
        """
        if not problem.bounds:
            return None
        coarse = None
        if mixed.highest.degree > 1:
            linear = MixedSpace.of(mixed.mesh, [1] * len(mixed.spaces))
            coarse = _limits(problem, linear, background)
        return cls(mixed, _limits(problem, mixed, background), coarse)

    def less(self, values: Array) -> Contact:
        """Return the bounds of what is added to a function with some coefficients [mixed.size]."""
        coarse = None if self.coarse is None else self.coarse.less(self.mixed.of_vertices(values))
        return Contact(self.mixed, self.bounds.less(values), coarse)

    def solve(self, system: System, start: Array, free: Mask, linear: bool, near: Array | None = None) -> tuple[Converged, Mask]:
        """Return the solution within the bounds, and the functions that its matrix is of, those that are free [mixed.size].

        The active set is looked for from where a solution nearby touches its bounds. Without one it is that of elements of
        degree 1, which is found fast, and close to that of any other.

        Args:
            system: F(u) and its derivative, of the free functions.
            start: first guess, of these.
            free: which have no value that is given [mixed.size].
            linear: whether the derivative is the same everywhere.
            near: coefficients of a function close to the solution [mixed.size], nan where it is not known; None without one.

        Raises:
            InputError: the system is singular, whatever is held.
            DivergenceError: no active set was found, or Newton's method does not converge.
        """
        bounds, held = self.bounds.of(free), None
        if linear:
            system = affine(system, start)
            if near is not None:
                held = bounds.touched(near[free])
            elif self.coarse is not None:
                vertices = self.coarse.of(self.mixed.of_vertices(free))
                held = coarse_set(system, start, self.mixed.hats(free), vertices) & bounds.bounded

        def inverse(matrix: Any, which: Mask) -> Solver:
            own = free.copy()
            own[free] = which
            return solver(matrix, self.mixed, own)

        found, which = constrained(system, start, bounds, inverse, held)
        used = free.copy()
        used[free] = which
        return found, used


def _limits(problem: Problem, mixed: MixedSpace, background: Background) -> Limits:
    """Return the bounds of a problem on elements, none where a value is given.

    Raises:
        InputError: a bound is not finite, a lower one is above an upper one, or a value that is given lies outside.
    """
    values, given = prescribed(problem, mixed, background)
    lower, upper = np.full(mixed.size, -np.inf), np.full(mixed.size, np.inf)
    first = dict(zip((u.name for u in problem.unknowns), offsets(problem), strict=False))
    for bound in problem.bounds:
        at = first[bound.unknown] + (bound.component or 0)
        space = mixed.spaces[at]
        for limit, kept, better in ((bound.lower, lower, np.maximum), (bound.upper, upper, np.minimum)):
            if limit is None:
                continue
            dofs, rows = _values(bound, limit, space, background)
            for component, row in enumerate(rows, at):
                numbers = mixed.first[component] + dofs
                kept[numbers] = better(kept[numbers], row)
        for component in range(at, at + (1 if bound.component is not None else problem.unknown(bound.unknown).components)):
            _check(bound, space, Limits(lower, upper).of(own := mixed.numbers(component)), values[own], given[own])
    lower[given], upper[given] = -np.inf, np.inf
    return Limits(lower, upper)


def _values(bound: Bound, limit: Any, space: LagrangeSpace, background: Background) -> tuple[NDArray[np.int64], Array]:
    """Return the functions that a bound is stated at [n], and its components there [k, n]."""
    if bound.on is None:
        weights = _integrals(space, CellPoints(space.mesh, 2 * space.degree))
        places, found = np.arange(space.size), evaluate([limit], bare_points(space.locations()), background)
    else:
        facets = space.mesh.facets(bound.on)
        weights = _integrals(space, FacetPoints(space.mesh, facets, 2 * space.degree))
        points, every = condition_points(bound, space)
        places, one = np.unique(every, return_index=True)
        found = evaluate([limit], points, background)[:, one]
    positive = weights[places] > POSITIVE * weights.max()
    if not np.isfinite(found).all():
        raise InputError("the bound is not finite everywhere", bound.where)
    return places[positive], found[:, positive]


def _integrals(space: LagrangeSpace, points: CellPoints | FacetPoints) -> Array:
    """Return the integrals of all functions over some cells or facets [space.size]."""
    total = np.zeros(space.size)
    for part in points.chunks(50_000):
        taken = points.take(part)
        values = space.tabulate(taken.reference)[0] * taken.w[:, None]
        total += np.bincount(space.dofs[taken.cell].ravel(), values.ravel(), space.size)
    return total


def _check(bound: Bound, space: LagrangeSpace, own: Limits, values: Array, given: Mask) -> None:
    """Refuse bounds that exclude each other, or a value that is given on the boundary or at a point."""
    sizes = [np.abs(part[np.isfinite(part)]).max(initial=0.0) for part in (own.lower, own.upper, values)]
    slack = ABOVE * max(sizes)

    def place(at: int) -> str:
        return ", ".join(f"{axis} = {c:.4g}" for axis, c in zip("xyz", space.locations()[at].round(12) + 0.0, strict=False))

    if (gap := own.lower - own.upper).max() > slack:
        at = int(gap.argmax())
        limits = f"at least {own.lower[at]:.6g} and at most {own.upper[at]:.6g}"
        raise InputError(f"{bound.unknown} is to be {limits} at {place(at)}; no solution is both", bound.where)
    low, high = np.where(given, own.lower - values, -np.inf), np.where(given, values - own.upper, -np.inf)
    for gap, side, limit in ((low, "above", own.lower), (high, "below", own.upper)):
        if gap.max() > slack:
            at = int(gap.argmax())
            raise InputError(
                f"the bound of {bound.unknown}, {limit[at]:.6g}, lies {side} the value that is given at {place(at)}, "
                f"{values[at]:.6g}; no solution meets both",
                bound.where,
            )
