"""Solve sparse nonlinear systems by Newton's method with backtracking, and sparse linear systems by factorisation.

A Newton step δ is shortened to αδ until the simplified correction J⁻¹F(u + αδ), with the derivative J at u, is at most (1 − α/4)
times as long as δ. This is the natural monotonicity test of Deuflhard (2004, "Newton methods for nonlinear problems", §3.3),
which does not depend on the units of the equations. The correction needs one solve with known factors, and is added at the end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vpinn.errors import DivergenceError, InputError
from vpinn.factors import ON_DIAGONAL, SparseFactors
from vpinn.finite_elements.mixed import MixedSpace
from vpinn.finite_elements.multilevel import Solver, conjugate_gradients

Array = NDArray[np.float64]
STEPS = 50
"""Largest number of Newton steps."""
SHORTEST = 2.0**-12
"""Smallest share α of a step that is tried."""
TOLERANCE = 1e-14
"""Expected error of the solution, relative to its norm, at which it is returned."""
ROUNDING = 1e-9
"""Norm of a step, relative to that of the solution, up to which a step that does not pass the test counts as rounding."""
SINGULAR = 1e13
"""Norm of the inverse, times a test vector and after scaling by the diagonal, above which a matrix counts as singular."""
EMPTY = 1e-8
"""Size of a diagonal entry, relative to its column's largest, up to which it counts as zero."""
SHARE, REFINEMENTS = 1e-8, 4
"""Share of the Schur complement's diagonal that fills zeros, and largest number of refinement steps that undo its effect."""
ENERGY = 1e-11
"""Relative error in the energy norm at which iterations end."""
DIRECT = 4_000
"""Number of basis functions in three dimensions up to which a factorisation takes less time than iterations."""
PIVOT = 0.1
"""Size of a diagonal entry, relative to its column's largest, from which it is preferred as pivot."""


@dataclass(frozen=True)
class Converged:
    """Result of Newton's method.

    Attributes:
        values: solution [n].
        steps: number of factorisations; one for a linear system, none for an empty one.
        matrix: last derivative J [n, n]; None for an empty system.
    """

    values: Array
    steps: int
    matrix: Any = None


@np.errstate(over="ignore", invalid="ignore")  # a step may lead beyond all numbers; it is shortened then
def newton(
    system: Callable[[Array, bool], tuple[Array, Any]], start: Array, inverse: Callable[[Any], Solver] | None = None
) -> Converged:
    """Solve F(u) = 0.

    Args:
        system: (u [n], whether J is wanted) → F(u) [n], and its derivative J as sparse CSC array [n, n] or None.
        start: first guess [n].
        inverse: matrix → solver; None: ``factorise``.

    Raises:
        InputError: the derivative is singular.
        DivergenceError: even the shortest step does not pass the test, or there were too many steps.
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
        del solve, matrix  # as large as those of the next step
    raise DivergenceError(f"finite elements: Newton's method has not converged after {STEPS} steps; refine, or check the form")


def solver(
    matrix: Any,
    mixed: MixedSpace,
    free: NDArray[np.bool_],
    tolerance: float = ENERGY,
    combined: Callable[[Any], Any] | None = None,
) -> Solver:
    """Return a solver of a sparse CSC matrix on finite elements, by factorisation, or by iterations if factors would grow large.

    In one and two dimensions the factors grow little faster than the matrix; in three their memory grows as n^(4/3).

    Args:
        matrix: matrix of the free basis functions [n, n].
        mixed: the finite elements.
        free: whether each basis function is free [mixed.size].
        tolerance: relative error in the energy norm at which iterations end.
        combined: coarse functions of the free ones → of combinations that the matrix is of; None: it is of the free ones.

    Raises:
        InputError: the matrix is singular, to rounding.
    """
    found = None
    if mixed.mesh.dimension == 3 and len(free) > DIRECT:
        hats = mixed.hats(free)
        found = conjugate_gradients(matrix, hats if combined is None else combined(hats), factorise, tolerance)
    return found or factorise(matrix)


def factorise(matrix: Any) -> Solver:
    """Return the solver of a sparse CSC matrix, real or complex, with a symmetric pattern.

    Unknowns are ordered by minimum degree, and pivots stay on the diagonal unless they are tiny: for finite elements the factors
    then have fewer entries than with partial pivoting. In a saddle point problem, zeros on the diagonal are filled with a small
    share of the entries that elimination would put there. That makes the matrix quasi-definite, as it is where the diagonal has
    both signs, as with a pressure of a nearly incompressible body: any order has pivots then (Vanderbei 1995, SIAM J. Optim. 5,
    100–113), and iterative refinement undoes the change and the rounding of small pivots. If the result is not accurate, the
    matrix is factorised again with partial pivoting.

    Raises:
        InputError: the matrix is singular, to rounding.
    """
    from scipy.sparse import diags_array

    scale, complement = _sizes(matrix)
    probe = np.cos(np.arange(len(scale)) ** 2)
    diagonal, zeros = matrix.diagonal().real, bool(complement.any())
    saddle = zeros or bool((diagonal > 0.0).any() and (diagonal < 0.0).any())
    symmetric = {**ON_DIAGONAL, "diag_pivot_thresh": 0.0 if saddle else 1e-3}
    columns = {"permc_spec": "COLAMD", "diag_pivot_thresh": PIVOT}
    filled = (matrix + diags_array(SHARE * complement)).tocsc() if zeros else matrix
    for taken, way in ((filled, symmetric), (matrix, columns)):
        try:
            factors = SparseFactors(taken, **way)
        except RuntimeError:
            continue
        solve: Solver = partial(_refined, matrix, factors.solve, scale) if saddle and way is symmetric else factors.solve
        found = solve(scale * probe)
        missed = np.linalg.norm((matrix @ found) / scale - probe) / np.linalg.norm(probe)
        if missed <= 1e-6 and np.linalg.norm(scale * found) <= SINGULAR * np.linalg.norm(probe):
            return solve
    raise InputError(
        "finite elements: the system is singular; the form and the [[boundary]] values leave the solution open, or the "
        "unknowns need elements of different degrees"
    )


def _refined(matrix: Any, solve: Solver, scale: Array, right: Array) -> Array:
    """Return the solution for a right side [n], by refinement with the solver of a nearby matrix; ``scale``: ``_sizes`` [n]."""
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
    """Return scales of equations and unknowns [n], and the diagonal of the Schur complement where the matrix has zeros [n].

    The scales are square roots of the diagonal. If an entry i of the diagonal is zero, that of the Schur complement takes its
    place, −Σ_j a_ij a_ji / a_jj; the second array holds these numbers, and zeros elsewhere.
    """
    diagonal = matrix.diagonal()
    largest = np.asarray(abs(matrix).max(axis=0).todense()).ravel()
    carries = np.abs(diagonal) > EMPTY * largest
    empty = np.flatnonzero(~carries)
    complement, sizes = np.zeros_like(diagonal), np.abs(diagonal)
    if len(empty):
        inverse = np.divide(1.0, diagonal, out=np.zeros_like(diagonal), where=carries)
        products = matrix[:, empty].multiply(matrix[empty].T)
        complement[empty] = -(inverse @ products)
        sizes[empty] = np.maximum(sizes[empty], np.abs(inverse) @ abs(products))
    scale = np.sqrt(sizes)
    scale[~(scale > 0.0)] = 1.0
    return scale, complement
