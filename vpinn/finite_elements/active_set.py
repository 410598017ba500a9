"""The primal–dual active set: which nodes lie on their bounds, and the solution where the others are free."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vpinn.errors import DivergenceError, InputError
from vpinn.finite_elements.multilevel import Solver
from vpinn.finite_elements.newton import Converged, factorise, newton

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
System = Callable[[Array, bool], tuple[Array, Any]]
"""(u [n], whether J is wanted) → F(u) [n] and its derivative J, sparse CSC [n, n], or None."""
Inverse = Callable[[Any, Mask], Solver]
"""(matrix, which of the functions it is of [n]) → its solver."""
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


@dataclass(frozen=True)
class Limits:
    """Bounds of the functions of elements.

    Attributes:
        lower: least coefficients [n], −∞ where there is no bound.
        upper: largest ones [n], ∞ where there is none.
    """

    lower: Array
    upper: Array

    def of(self, which: NDArray[Any] | slice) -> Limits:
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


def constrained(
    system: System, start: Array, bounds: Limits, inverse: Inverse, held: Mask | None = None
) -> tuple[Converged, Mask]:
    """Solve F(u) = 0 where no bound is met, with forces that hold u on its bounds where they are.

    Nodes on a bound that is not needed are set free, others that lie outside are put on theirs, all at once: the active set of
    primal and dual variables (Hintermüller, Ito & Kunisch 2003, SIAM J. Optim. 13, 865–888), a semismooth Newton method. Where
    this does not lower the number of nodes that are wrong any more, one is exchanged at a time (Júdice & Pires 1994, Comput.
    Oper. Res. 21, 587–596), which ends for positive definite matrices.

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
            found = newton(_part(system, values, free), values[free], partial(_inverse, inverse, free))
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
    raise DivergenceError(f"finite elements: where bounds hold was not found after {STEPS} tries; refine, or check the form")


def _inverse(inverse: Inverse, which: Mask, matrix: Any) -> Solver:
    return inverse(matrix, which)


def _wrong(values: Array, forces: Array, matrix: Any, bounds: Limits, held: Mask) -> Mask:
    """Return which nodes are free outside their bounds, or held by a force that pulls [n]."""
    finite = [np.abs(part[np.isfinite(part)]).max(initial=0.0) for part in (values, bounds.lower, bounds.upper)]
    slack = ROUNDED * max(finite)
    outside = ~held & bounds.outside(values, slack)
    signs = np.sign(matrix.diagonal())
    terms = ROUNDED * (abs(matrix) @ np.abs(values))
    pushes_up = values - bounds.lower <= bounds.upper - values
    pulled = np.where(pushes_up, -forces, forces) * signs > terms
    return np.asarray(outside | (held & pulled))


def _last(wrong: Mask) -> Mask:
    """Return the last of some nodes alone."""
    result = np.zeros_like(wrong)
    result[np.flatnonzero(wrong)[-1]] = True
    return result


def coarse_set(system: System, start: Array, hats: Any, bounds: Limits) -> Mask:
    """Return what elements of degree 1 hold on bounds, of a linear system: the active set grows and shrinks by a cell at a time.

    Args:
        system: as ``affine`` makes it.
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


def affine(system: System, start: Array) -> System:
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
