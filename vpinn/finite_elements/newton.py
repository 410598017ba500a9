"""Newton's method with backtracking for sparse systems.

A share α of a step is taken when the simplified correction J⁻¹F(u + αδ) is shorter than δ by the share α/4: the natural
monotonicity test of Deuflhard (2004, "Newton methods for nonlinear problems", §3.3), which does not depend on the units of
the equations. That correction comes at the price of one solution with the factors at hand, and is applied in the end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import splu

from vpinn.errors import DivergenceError, InputError
from vpinn.finite_elements.mixed import MixedSpace
from vpinn.finite_elements.multilevel import Solver, conjugate_gradients
from vpinn.interrupt import apart

Array = NDArray[np.float64]
STEPS = 50
"""Most Newton steps."""
SHORTEST = 2.0**-12
"""Smallest share of a step that is tried."""
TOLERANCE = 1e-14
"""Expected error of the solution, relative to its size, at which it is returned."""
ROUNDING = 1e-9
"""Length of a step, relative to the solution, below which it is rounding if no share of it helps."""
SINGULAR = 1e13
"""Growth of the inverse, after scaling by the diagonal, beyond which a matrix counts as singular."""
EMPTY = 1e-8
"""Size of an entry of the diagonal, relative to its column's largest, up to which it is no pivot."""
SHARE, REFINEMENTS = 1e-8, 4
"""Share of the Schur complement's diagonal that is put in zeros, and steps, at most, that take it out again."""
ENERGY = 1e-11
"""Error of iterations in the energy norm, relative."""
DIRECT = 4_000
"""Functions in three dimensions up to which factors take less time than iterations."""
PIVOT = 0.1
"""Size of a pivot, relative to its column's largest, from which an entry on the diagonal is preferred."""


@dataclass(frozen=True)
class Converged:
    """What Newton's method ended with.

    Attributes:
        values: the solution [n].
        steps: factorisations; one for a linear system, none for an empty one.
        matrix: the last derivative; None for an empty system.
    """

    values: Array
    steps: int
    matrix: Any = None


def newton(
    system: Callable[[Array, bool], tuple[Array, Any]], start: Array, inverse: Callable[[Any], Solver] | None = None
) -> Converged:
    """Solve F(u) = 0.

    Args:
        system: (u [n], whether J is wanted) → F(u) [n] and its derivative J, a sparse CSC array, or None.
        start: first guess [n].
        inverse: matrix → its solver; default ``factorise``.

    Raises:
        InputError: the derivative is singular.
        DivergenceError: no share of a step comes closer, or there were too many steps.
    """
    values = start
    if not len(start):
        return Converged(start, 0)
    for step in range(1, STEPS + 1):
        residual, matrix = system(values, True)
        solve = (inverse or factorise)(matrix)
        correction = -solve(residual)
        length, share = float(np.linalg.norm(correction)), 1.0
        while True:
            moved = values + share * correction
            size, ahead = float(np.linalg.norm(moved)), system(moved, False)[0]
            simplified = -solve(ahead) if np.isfinite(ahead).all() else np.full_like(ahead, np.inf)
            remaining = float(np.linalg.norm(simplified))
            if remaining <= (1.0 - share / 4.0) * length:
                break
            if length <= ROUNDING * size:
                return Converged(values + correction, step, matrix)
            share /= 2.0
            if share < SHORTEST:
                raise DivergenceError(f"finite elements: Newton's method stalls in step {step}; refine, or check the form")
        # with the contraction Θ = remaining/length, the error after one more correction is about Θ·remaining
        if share == 1.0 and remaining * remaining <= TOLERANCE * length * size:
            return Converged(moved + simplified, step, matrix)
        values = moved
    raise DivergenceError(f"finite elements: Newton's method has not converged after {STEPS} steps; refine, or check the form")


def solver(matrix: Any, mixed: MixedSpace, free: NDArray[np.bool_], tolerance: float = ENERGY) -> Solver:
    """Return the solver of a sparse CSC matrix on elements: by its factors, or by iterations where these would grow large.

    In one and two dimensions factors grow little faster than the matrix; in three their memory grows as n^(4/3).

    Args:
        matrix: on the free functions [n, n].
        mixed: the elements.
        free: which of their functions are free [mixed.size].
        tolerance: of iterations, in the energy norm.

    Raises:
        InputError: the matrix is singular, to rounding.
    """
    found = None
    if mixed.mesh.dimension == 3 and len(free) > DIRECT:
        found = conjugate_gradients(matrix, mixed.hats(free), factorise, tolerance)
    return found or factorise(matrix)


def factorise(matrix: Any) -> Solver:
    """Return the solver of a sparse CSC matrix, real or complex, with a symmetric pattern.

    The order is minimum degree of the pattern, and pivots stay on the diagonal unless they are tiny, which for finite elements
    fills in less than partial pivoting. The zeros on the diagonal of a saddle point are filled with a small share of what
    elimination puts there, which makes it quasi-definite: any order has pivots then (Vanderbei 1995, SIAM J. Optim. 5, 100–113);
    refinement takes the share out again. Where either falls short, columns are ordered for any pivots.

    Raises:
        InputError: the matrix is singular, to rounding.
    """
    from scipy.sparse import diags_array

    scale, complement = _sizes(matrix)
    probe = np.cos(np.arange(len(scale)) ** 2)
    saddle = bool(complement.any())
    symmetric = {"permc_spec": "MMD_AT_PLUS_A", "diag_pivot_thresh": 0.0 if saddle else 1e-3, "options": {"SymmetricMode": True}}
    columns = {"permc_spec": "COLAMD", "diag_pivot_thresh": PIVOT}
    filled = (matrix + diags_array(SHARE * complement)).tocsc() if saddle else matrix
    for taken, way in ((filled, symmetric), (matrix, columns)):
        try:
            factors = apart(partial(splu, taken, **way))
        except RuntimeError:
            continue
        solve: Solver = factors.solve if taken is matrix else partial(_refined, matrix, factors.solve, scale)
        found = solve(scale * probe)
        missed = np.linalg.norm((matrix @ found) / scale - probe) / np.linalg.norm(probe)
        if missed <= 1e-6 and np.linalg.norm(scale * found) <= SINGULAR * np.linalg.norm(probe):
            return solve
    raise InputError(
        "finite elements: the system is singular; the form and the [[boundary]] values leave the solution open, or the "
        "unknowns need elements of different degrees"
    )


def _refined(matrix: Any, solve: Solver, scale: Array, right: Array) -> Array:
    """Return the solution for a right side [n], with the solver of a matrix nearby; ``scale`` has the sizes of equations [n]."""
    found = solve(right)
    left = right - matrix @ found
    for _ in range(REFINEMENTS):
        closer = found + solve(left)
        rest = right - matrix @ closer
        if not np.linalg.norm(rest / scale) < np.linalg.norm(left / scale):
            break
        found, left = closer, rest
    return found


def _sizes(matrix: Any) -> tuple[Array, Array]:
    """Return the sizes of equations and unknowns [n], in roots of their units, and what elimination puts in zeros [n].

    The sizes are roots of the diagonal. Where it has a zero, the diagonal of the Schur complement of the others stands for it,
    −Σ_j a_ij a_ji / a_jj, to be put there; elsewhere nothing is.
    """
    diagonal = matrix.diagonal()
    largest = np.asarray(abs(matrix).max(axis=0).todense()).ravel()
    carries = np.abs(diagonal) > EMPTY * largest
    empty, complement, sizes = np.flatnonzero(~carries), np.zeros_like(diagonal), np.abs(diagonal)
    if len(empty):
        inverse = np.divide(1.0, diagonal, out=np.zeros_like(diagonal), where=carries)
        products = matrix[:, empty].multiply(matrix[empty].T)
        complement[empty] = -(inverse @ products)
        sizes[empty] = np.maximum(sizes[empty], np.abs(inverse) @ abs(products))
    scale = np.sqrt(sizes)
    scale[~(scale > 0.0)] = 1.0
    return scale, complement
