"""Eigenpairs of sparse matrices nearest to a number: K x = λ M x by Lanczos' or Arnoldi's method on (K − σM)⁻¹M.

The inverse turns the eigenvalues nearest to the shift σ into the largest, which the methods find in a few steps from one
factorisation (spectral transformation, Ericsson & Ruhe, Math. Comp. 35 (1980), 1251–1268; ARPACK).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vpinn.errors import DivergenceError, InputError

Array = NDArray[np.float64]
Solver = Callable[[Array], Array]
SYMMETRIC = 1e-10
"""Largest entry of a matrix minus its transpose, relative to its largest entry, up to which it counts as symmetric."""
MOVED = 1e-3
"""Distance by which the shift is moved away from an eigenvalue that it meets, in units of the smallest K_ii/M_ii > 0."""
DEFINITE = -1e-10
"""Smallest eigenvalue of the mass matrix, scaled to a unit diagonal, from which it counts as not negative."""

NEGATIVE = "a mass form is positive, m(u, u) ≥ 0 and not zero, and this one is not; change its sign, or that of a coefficient"


@dataclass(frozen=True, eq=False)
class Pairs:
    """Eigenpairs, sorted by the real part of λ, then by the imaginary part.

    Attributes:
        values: λ [k], real or complex.
        vectors: modes [n, k] with xᴴMx = 1, the largest entry of each real and positive.
        rounding: error of each eigenvalue that rounding of the matrices' entries causes, if independent (Higham & Mary 2019,
            SIAM J. Sci. Comput. 41, A2815): ε (Σ |x_i K_ij x_j|² + |λ x_i M_ij x_j|²)^½ [k], in units of λ.
    """

    values: NDArray[Any]
    vectors: NDArray[Any]
    rounding: Array


def eigenpairs(
    stiffness: Any,
    mass: Any,
    count: int,
    near: float,
    factorise: Callable[[Any], Solver],
    generator: np.random.Generator,
) -> Pairs:
    """Return the eigenpairs nearest to a number.

    Args:
        stiffness: K, sparse [n, n].
        mass: M, sparse [n, n], symmetric and positive semidefinite; see ``check_mass``.
        count: number of pairs, 1 ≤ count ≤ n − 2.
        near: real number.
        factorise: sparse matrix → its solver; raises InputError where the matrix is singular.
        generator: random numbers of the vector from which the method starts.

    Raises:
        InputError: K − σM is singular for σ near the number.
        DivergenceError: the method does not converge.
    """
    from scipy.sparse.linalg import ArpackError, LinearOperator, eigs, eigsh

    start = generator.standard_normal(stiffness.shape[0])
    symmetric = _is_symmetric(stiffness)
    shift, solve = _inverse(stiffness, mass, near, factorise)
    inverse = LinearOperator(stiffness.shape, matvec=solve, dtype=np.float64)
    search = eigsh if symmetric else eigs
    try:
        # the start lies in the range of the inverse, without which a singular M leaves a part that no step removes
        begun = solve(mass @ start)
        values, vectors = search(stiffness, count, mass, sigma=shift, OPinv=inverse, v0=begun)
    except ArpackError as error:
        raise DivergenceError(f"eigenvalues: {error}; ask for fewer, or refine the mesh") from None
    return _ordered(stiffness, mass, values, vectors)


def _ordered(stiffness: Any, mass: Any, values: NDArray[Any], vectors: NDArray[Any]) -> Pairs:
    """Return sorted pairs with modes of norm one; eigenvalues are the Rayleigh quotients of the modes where these are real."""
    if np.isrealobj(vectors):
        values = np.einsum("nk,nk->k", vectors, stiffness @ vectors) / np.einsum("nk,nk->k", vectors, mass @ vectors)
    order = np.lexsort((values.imag, values.real))
    values, vectors = values[order], vectors[:, order]
    norms = np.sqrt(np.einsum("nk,nk->k", vectors.conj(), mass @ vectors).real)
    largest = vectors[np.abs(vectors).argmax(axis=0), np.arange(len(values))]
    vectors = vectors * (np.abs(largest) / (largest * norms))
    squares = np.abs(vectors) ** 2
    terms = [np.einsum("nk,nk->k", squares, matrix.power(2) @ squares) for matrix in (stiffness, mass)]
    rounding = np.finfo(np.float64).eps * np.sqrt(terms[0] + np.abs(values) ** 2 * terms[1])
    return Pairs(values, vectors, rounding)


def _inverse(stiffness: Any, mass: Any, near: float, factorise: Callable[[Any], Solver]) -> tuple[float, Solver]:
    """Return a shift next to a number, and the solver of K − shift·M."""
    try:
        return near, factorise((stiffness - near * mass).tocsc())
    except InputError:  # the number is an eigenvalue, as 0 is where a constant is left open
        ratios = np.abs(stiffness.diagonal())[mass.diagonal() > 0.0] / mass.diagonal()[mass.diagonal() > 0.0]
        shift = near - MOVED * float(ratios[ratios > 0.0].min(initial=np.inf))
        if not np.isfinite(shift):
            raise
        return shift, factorise((stiffness - shift * mass).tocsc())


def check_mass(mass: Any, generator: np.random.Generator) -> None:
    """Refuse a mass matrix that is not symmetric, has a negative eigenvalue, or no positive one.

    Args:
        mass: sparse [n, n].
        generator: random numbers of the vector from which the search for its smallest eigenvalue starts.

    Raises:
        InputError: says which.
    """
    from scipy.sparse import diags_array
    from scipy.sparse.linalg import eigsh

    if not _is_symmetric(mass):
        raise InputError("a mass form is symmetric, m(u, v) = m(v, u), and this one is not; move its other part to the weak form")
    diagonal = mass.diagonal()
    seen = diagonal != 0.0
    if diagonal.min(initial=0.0) < 0.0 or not seen.any() or abs(mass.tocsr()[~seen]).sum() > 0.0:
        raise InputError(NEGATIVE)
    kept = mass.tocsr()[seen][:, seen]
    scale = diags_array(1.0 / np.sqrt(diagonal[seen]))
    lowest = eigsh(
        scale @ kept @ scale, 1, which="SA", v0=generator.standard_normal(kept.shape[0]), tol=1e-2, return_eigenvectors=False
    )
    if lowest[0] < DEFINITE:
        raise InputError(NEGATIVE)


def _is_symmetric(matrix: Any) -> bool:
    return bool(abs(matrix - matrix.T).max() <= SYMMETRIC * abs(matrix).max())
