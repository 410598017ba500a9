"""Conjugate gradients with two levels, where the factors of a symmetric, positive definite matrix would grow too large.

The preconditioner is a symmetric cycle: Chebyshev iterations of the matrix scaled by its diagonal take out what changes from node
to node, and elements of degree 1, factorised, what is left (Adams, Brezina, Hu & Tuminaro 2003, J. Comput. Phys. 188, 593–610).
The number of iterations hardly depends on the size of the cells; memory is that of the matrix.
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
"""Chebyshev iterations before and after the coarse level."""
RANGE = 20.0
"""Ratio of the largest to the smallest eigenvalue that they take out."""
POWERS, MARGIN = 12, 1.2
"""Steps of the power method that finds the largest eigenvalue, and what it may lack of it."""
MOST = 200
"""Iterations after which conjugate gradients count as stuck."""
SYMMETRIC = 1e-10
"""Difference of x·Ay and y·Ax, relative to the sizes of its factors, up to which a matrix counts as symmetric."""


@dataclass(frozen=True)
class Levels:
    """A matrix with its preconditioner.

    Attributes:
        matrix: symmetric, positive definite, sparse CSR [n, n].
        inverse: of the diagonal [n].
        largest: eigenvalue of the matrix scaled by its diagonal, or a little more.
        coarse: coefficients of the coarse functions, sparse CSR [n, n_coarse].
        fine: the transpose of these.
        solve: with the coarse matrix.
    """

    matrix: Any
    inverse: Array
    largest: float
    coarse: Any
    fine: Any
    solve: Solver

    def smooth(self, right: Array) -> Array:
        """Return Chebyshev iterations of A z = right from zero, on the upper part of the spectrum."""
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
        """Return the solution for a right side [n]; None where iterations get stuck.

        Args:
            right: the right side.
            tolerance: of the energy norm, relative to that of the largest right side so far.
            largest: squares of these norms, to which that of this side is added.
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
    """Return the solver of a sparse matrix; None where it is neither symmetric nor positive on its diagonal, or without use.

    Args:
        matrix: sparse [n, n].
        coarse: coefficients of functions of degree 1, sparse CSR [n, n_coarse].
        factorise: matrix → its direct solver, for the coarse level, and for the whole where iterations get stuck.
        tolerance: relative error in the energy norm at which they end.
    """
    diagonal = matrix.diagonal()
    if not (diagonal > 0.0).all() or coarse.shape[1] in (0, len(diagonal)):
        return None
    rows, inverse = matrix.tocsc().T, 1.0 / diagonal  # the transpose, which is the same, is stored row by row
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
    """Return whether a matrix counts as symmetric, by two vectors in the units of its diagonal."""
    scale, numbers = 1.0 / np.sqrt(diagonal), np.arange(len(diagonal))
    one, other = scale * np.cos(numbers**2.0), scale * np.sin(numbers**3.0 + 1.0)
    left, right = matrix @ other, matrix @ one
    gap = abs(one @ left - other @ right)
    return bool(gap <= SYMMETRIC * np.linalg.norm(one / scale) * np.linalg.norm(scale * left))
