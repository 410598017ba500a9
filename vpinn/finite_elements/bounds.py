"""Obstacles and contact: bounds at nodes of elements, and the primal–dual active set that meets them.

A bound is stated at functions whose integral is positive, over the domain or over its side: the force of contact on such a node
has the sign of the pressure. Quadratic functions of vertices, whose integral is zero, are left free (Brezzi, Hager & Raviart
1977, Numer. Math. 28, 431–443).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vpinn.domain import CellPoints, FacetPoints, LagrangeSpace, bare_points
from vpinn.errors import DivergenceError, InputError
from vpinn.finite_elements.essential import condition_points, prescribed
from vpinn.finite_elements.form import offsets
from vpinn.finite_elements.mixed import MixedSpace
from vpinn.finite_elements.multilevel import Solver
from vpinn.finite_elements.newton import Converged, factorise, newton, solver
from vpinn.forms import Background, evaluate
from vpinn.problem import Bound, Problem

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
System = Callable[[Array, bool], tuple[Array, Any]]
Inverse = Callable[[Any, Mask], Solver]
POSITIVE = 1e-6
"""Integral of a function, relative to the largest, above which it is positive."""
ROUNDED = 1e-11
"""Distance from a bound, relative to the largest value, and force, relative to its terms, that are rounding."""
TOUCHES = 1e-6
"""Distance from a bound, relative to the largest value, at which a function nearby is taken to be on it."""
STEPS = 200
"""Active sets that are tried, at most."""
TRIES = 10
"""Whole exchanges in a row that may leave as many nodes wrong as before; then one node is exchanged at a time."""
WHOLE = 1e-9
"""What the values of vertices around a node may lack of one."""
ABOVE = 1e-9
"""Share of the size of bounds and values by which a bound may be above a value that is given."""


@dataclass(frozen=True)
class Limits:
    """Bounds of the functions of elements.

    Attributes:
        lower: least coefficients [n], −∞ where there is no bound.
        upper: largest ones [n], ∞ where there is none.
    """

    lower: Array
    upper: Array

    def of(self, which: NDArray[Any]) -> Limits:
        """Return the bounds of some functions."""
        return Limits(self.lower[which], self.upper[which])

    def less(self, values: Array) -> Limits:
        """Return the bounds of what is added to some coefficients [n]."""
        return Limits(self.lower - values, self.upper - values)

    @property
    def bounded(self) -> Mask:
        """Which functions have a bound [n]."""
        return np.isfinite(self.lower) | np.isfinite(self.upper)

    def touched(self, values: Array) -> Mask:
        """Return which functions are on a bound, or outside, for some coefficients [n]."""
        slack = TOUCHES * max(np.abs(part[np.isfinite(part)]).max(initial=0.0) for part in (self.lower, self.upper, values))
        return self.outside(values, -slack)

    def nearest(self, values: Array) -> Array:
        """Return the bounds that are closest to some coefficients, or that these are beyond [n]; infinite without any."""
        return np.where(values - self.lower <= self.upper - values, self.lower, self.upper)

    def outside(self, values: Array, slack: float | Array = 0.0) -> Mask:
        """Return which coefficients lie outside their bounds by more than a slack [n]."""
        return np.asarray((values < self.lower - slack) | (values > self.upper + slack))


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

    def solve(
        self, system: System, start: Array, free: Mask, linear: bool, near: Array | None = None
    ) -> tuple[Converged, Mask]:
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
            system = _affine(system, start)
            if near is not None:
                held = bounds.touched(near[free])
            elif self.coarse is not None:
                vertices = self.coarse.of(self.mixed.of_vertices(free))
                held = _coarse_set(system, start, self.mixed.hats(free), vertices) & bounds.bounded

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
        raise InputError(f"{bound.unknown} is to be at least {own.lower[at]:.6g} and at most {own.upper[at]:.6g} at {place(at)}", bound.where)
    low, high = np.where(given, own.lower - values, -np.inf), np.where(given, values - own.upper, -np.inf)
    for gap, side, limit in ((low, "above", own.lower), (high, "below", own.upper)):
        if gap.max() > slack:
            at = int(gap.argmax())
            raise InputError(
                f"the bound of {bound.unknown}, {limit[at]:.6g}, lies {side} the value that is given at {place(at)}, {values[at]:.6g}; "
                "no solution meets both",
                bound.where,
            )


def constrained(
    system: System, start: Array, bounds: Limits, inverse: Inverse, held: Mask | None = None
) -> tuple[Converged, Mask]:
    """Solve F(u) = 0 where no bound is met, with forces that hold u on its bounds where they are.

    Nodes on a bound that is not needed are set free, others that lie outside are put on theirs, all at once: the active set of
    primal and dual variables (Hintermüller, Ito & Kunisch 2003, SIAM J. Optim. 13, 865–888), a semismooth Newton method. Where
    this does not lower the number of nodes that are wrong any more, one is exchanged at a time (Júdice & Pires 1994, Comput. Oper.
    Res. 21, 587–596), which ends for positive definite matrices.

    Args:
        system: (u [n], whether J is wanted) → F(u) [n] and its derivative, sparse CSC.
        start: first guess [n].
        bounds: of u [n].
        inverse: (matrix, which of u it is of [n]) → its solver.
        held: what may be on its bound; by default where the start lies outside [n].

    Returns:
        the solution [n] with the number of factorisations and the matrix of the nodes that are free, and which these are [n].

    Raises:
        InputError: the system is singular, whatever is held.
        DivergenceError: no active set was found.
    """
    values, steps = start.copy(), 0
    held = bounds.outside(values) if held is None else held
    best, tries = len(start) + 1, TRIES
    for attempt in range(STEPS):
        free = ~held
        values[held] = bounds.nearest(values)[held]
        try:
            found = newton(_part(system, values, free), values[free], lambda matrix, free=free: inverse(matrix, free))
        except InputError:
            if attempt or held.all():
                raise
            held = bounds.bounded  # nothing but contact holds the body: all of it at first
            continue
        values[free], steps = found.values, steps + found.steps
        forces, matrix = system(values, True)
        wrong = _wrong(values, forces, matrix, bounds, held)
        count = int(wrong.sum())
        if not count:
            return Converged(values, steps, found.matrix), free
        if count < best:
            best, tries = count, TRIES
        else:
            tries -= 1
        held = held ^ (wrong if tries >= 0 else _last(wrong))
    raise DivergenceError(f"finite elements: no part of the bounds was found to hold after {STEPS} tries; refine, or check the form")


def _wrong(values: Array, forces: Array, matrix: Any, bounds: Limits, held: Mask) -> Mask:
    """Return which nodes are free outside their bounds, or held by a force that pulls [n]."""
    finite = [np.abs(part[np.isfinite(part)]).max(initial=0.0) for part in (values, bounds.lower, bounds.upper)]
    slack = ROUNDED * max(finite)
    outside = ~held & bounds.outside(values, slack)
    signs = np.sign(matrix.diagonal())
    terms = ROUNDED * (abs(matrix) @ np.abs(values))
    pushes_up = values - bounds.lower <= bounds.upper - values
    pulled = np.where(pushes_up, -forces, forces) * signs > terms
    return outside | (held & pulled)


def _last(wrong: Mask) -> Mask:
    """Return the last of some nodes alone."""
    result = np.zeros_like(wrong)
    result[np.flatnonzero(wrong)[-1]] = True
    return result


def _coarse_set(system: System, start: Array, hats: Any, bounds: Limits) -> Mask:
    """Return what elements of degree 1 hold on bounds, of a linear system: the active set grows and shrinks by a cell at a time.

    Args:
        system: as ``_affine`` makes it.
        start: first guess [n].
        hats: functions of degree 1, sparse CSR [n, k].
        bounds: of these on top of the start [k].

    Returns:
        those functions all around which vertices are held [n].
    """
    constant, matrix = system(start, True)
    fine = hats.T.tocsr()
    right, block = fine @ constant, (fine @ (matrix @ hats)).tocsc()
    small = partial(_sum, right, block)
    _, free = constrained(small, np.zeros(len(right)), bounds, lambda part, which: factorise(part))
    inside = hats @ (~free).astype(float)
    return np.asarray(inside > 1.0 - WHOLE)


def _sum(constant: Array, matrix: Any, values: Array, wanted: bool) -> tuple[Array, Any]:
    return constant + matrix @ values, matrix if wanted else None


def _affine(system: System, start: Array) -> System:
    """Return a linear system that is assembled once."""
    constant, matrix = system(start, True)

    def known(values: Array, wanted: bool) -> tuple[Array, Any]:
        return constant + matrix @ (values - start), matrix if wanted else None

    return known


def _part(system: System, values: Array, free: Mask) -> System:
    """Return the equations of some nodes, with the others as they are."""
    numbers = np.flatnonzero(free)

    def part(own: Array, wanted: bool) -> tuple[Array, Any]:
        whole = values.copy()
        whole[numbers] = own
        residual, matrix = system(whole, wanted)
        return residual[numbers], matrix[numbers][:, numbers].tocsc() if wanted else None

    return part
