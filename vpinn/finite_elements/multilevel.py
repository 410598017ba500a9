"""Solve large symmetric, positive definite systems by conjugate gradients with a two-level preconditioner.

It is used where the factors of the matrix would grow too large. The preconditioner is a symmetric cycle: Chebyshev iterations of
the matrix, scaled by its diagonal, remove errors that change from node to node, and finite elements of degree 1, solved directly,
remove the others (Adams, Brezina, Hu & Tuminaro 2003, J. Comput. Phys. 188, 593–610). The number of iterations hardly depends on
the size of the cells, and the memory is about that of the matrix. Start from ``conjugate_gradients``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vpinn.errors import InputError

Array = NDArray[np.float64]
Solver = Callable[[Array], Array]
DEGREE = 3
"""Number of Chebyshev iterations before and after the coarse level."""
RANGE = 20.0
"""Ratio of the largest to the smallest eigenvalue whose errors the Chebyshev iterations remove."""
POWERS, MARGIN = 12, 1.2
"""Steps of the power method for the largest eigenvalue, and the factor by which its result is raised, as it is too small."""
MOST = 200
"""Number of conjugate gradient iterations after which the system is solved directly."""
SYMMETRIC = 1e-10
"""Difference of x·Ay and y·Ax, relative to the norms of x and Ay, up to which a matrix A counts as symmetric."""


@dataclass(frozen=True)
class Levels:
    """A matrix with its preconditioner.

    Attributes:
        matrix: symmetric, positive definite matrix, sparse CSR [n, n].
        inverse: inverse of its diagonal [n].
        largest: upper bound of the largest eigenvalue of the matrix scaled by its diagonal.
        coarse: coefficients of the coarse basis functions, sparse CSR [n, n_coarse].
        fine: transpose of ``coarse``.
        solve: solver of the coarse matrix.
    """

    matrix: Any
    inverse: Array
    largest: float
    coarse: Any
    fine: Any
    solve: Solver

    def smooth(self, right: Array) -> Array:
        """Return z [n] after Chebyshev iterations for A z = right from zero, for the upper part of the spectrum."""
        middle, half = (self.largest + self.largest / RANGE) / 2, (self.largest - self.largest / RANGE) / 2
        ratio = half / middle
        step = self.inverse * right / middle
        result = step.copy()
        for _ in range(DEGREE - 1):
            right = right - self.matrix @ step
            following = 1.0 / (2.0 * middle / half - ratio)
            step = following * ratio * step + 2.0 * following / half * (self.inverse * right)
            ratio, result = following, result + step
        return result

    def cycle(self, right: Array) -> Array:
        """Return the preconditioner times a vector [n]."""
        result = self.smooth(right)
        result += self.coarse @ self.solve(self.fine @ (right - self.matrix @ result))
        return result + self.smooth(right - self.matrix @ result)

    def iterate(self, right: Array, tolerance: float, largest: list[float]) -> Array | None:
        """Return the solution [n] by conjugate gradients; None if the iterations do not converge or the matrix is indefinite.

        Args:
            right: right side [n].
            tolerance: largest error in the energy norm, relative to the largest norm in ``largest``.
            largest: squared norms of the right sides so far, to which that of this one is appended.
        """
        found, left = np.zeros_like(right), right.copy()
        direction = preconditioned = self.cycle(left)
        size = float(left @ preconditioned)
        largest.append(size)
        for _ in range(MOST):
            if abs(size) <= tolerance**2 * max(largest):
                return found
            product = self.matrix @ direction
            curvature = float(direction @ product)
            if not (size > 0.0 and curvature > 0.0):  # indefinite, or not finite
                return None
            found += size / curvature * direction
            left -= size / curvature * product
            preconditioned = self.cycle(left)
            before, size = size, float(left @ preconditioned)
            direction = preconditioned + size / before * direction
        return None


def conjugate_gradients(matrix: Any, coarse: Any, factorise: Callable[[Any], Solver], tolerance: float) -> Solver | None:
    """Return a solver of a sparse matrix; None if iterations do not suit it.

    They do not suit a matrix that is not symmetric, whose diagonal is not positive, or whose coarse level is empty, singular, or
    as large as itself.

    Args:
        matrix: sparse matrix [n, n].
        coarse: coefficients of the functions of degree 1, sparse CSR [n, n_coarse].
        factorise: matrix → direct solver, for the coarse level, and for the whole matrix if iterations do not converge.
        tolerance: relative error in the energy norm at which iterations end.
    """
    diagonal = matrix.diagonal()
    if not (diagonal > 0.0).all() or coarse.shape[1] in (0, len(diagonal)):
        return None
    rows, inverse = matrix.tocsc().T, 1.0 / diagonal  # the transpose, an equal matrix, is stored row by row
    if not _is_symmetric(rows, diagonal):
        return None
    try:
        solve = factorise((coarse.T @ (rows @ coarse)).tocsc())
    except InputError:  # singular
        return None
    vector, largest = np.cos(np.arange(len(diagonal)) ** 2.0), 1.0
    for _ in range(POWERS):
        vector = inverse * (rows @ vector)
        largest = float(np.linalg.norm(vector))
        vector /= largest
    levels = Levels(rows, inverse, MARGIN * largest, coarse, coarse.T.tocsr(), solve)
    direct, sizes = list[Solver](), list[float]()

    def solved(right: Array) -> Array:
        found = None if direct else levels.iterate(right, tolerance, sizes)
        if found is None:
            direct[:] = direct or [factorise(matrix)]
            found = direct[0](right)
        return found

    return solved


def _is_symmetric(matrix: Any, diagonal: Array) -> bool:
    """Return whether a matrix counts as symmetric, from x·Ay and y·Ax for two vectors scaled by its diagonal."""
    scale, numbers = 1.0 / np.sqrt(diagonal), np.arange(len(diagonal))
    one, other = scale * np.cos(numbers**2.0), scale * np.sin(numbers**3.0 + 1.0)
    left, right = matrix @ other, matrix @ one
    gap = abs(one @ left - other @ right)
    return bool(gap <= SYMMETRIC * np.linalg.norm(one / scale) * np.linalg.norm(scale * left))
