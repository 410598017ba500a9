"""The coefficients of Radau IIA methods of any odd number of stages (Hairer & Wanner 1996, ch. IV.5 and IV.8)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from vpinn.march.trajectory import lagrange

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Tableau:
    """A Radau IIA method.

    Attributes:
        c: abscissae of the stages in (0, 1], rising [s].
        inverse: A⁻¹ [s, s].
        values: eigenvalues of A⁻¹: the real one, and of every complex pair the one above the real axis.
        left: rows of the inverse of the eigenvector matrix that belong to ``values`` [values, s].
        right: their eigenvectors as columns [s, values]; those of complex pairs are doubled, so that the real part is the sum.
        error: weights of Z in the difference to an embedded method of order s, which also uses the slope at the start [s].
    """

    c: Array
    inverse: Array
    values: NDArray[np.complex128]
    left: NDArray[np.complex128]
    right: NDArray[np.complex128]
    error: Array

    @classmethod
    @lru_cache
    def of(cls, stages: int) -> Tableau:
        """Return the method with a number of stages, odd, ≥ 1."""
        legendre = np.polynomial.legendre
        roots = np.sort(np.real(legendre.legroots([*[0.0] * (stages - 1), -1.0, 1.0])))
        c = (1.0 + roots) / 2.0
        c[-1] = 1.0
        powers = np.arange(stages)
        matrix = (c[:, None] ** (powers + 1) / (powers + 1)) @ np.linalg.inv(c[:, None] ** powers)
        inverse = np.linalg.inv(matrix)
        values, vectors = np.linalg.eig(inverse)
        dual = np.linalg.inv(vectors)
        kept = np.flatnonzero(values.imag >= -1e-9)
        kept = kept[np.argsort(np.abs(values[kept].imag))]
        twice = np.where(np.abs(values[kept].imag) > 1e-9, 2.0, 1.0)
        real = float(values[kept[0]].real)
        moments = 1.0 / (powers + 1) - (powers == 0) / real
        weights = np.linalg.solve((c[:, None] ** powers).T, moments) - matrix[-1]
        return cls(c, inverse, values[kept], dual[kept], vectors[:, kept] * twice, weights @ inverse)

    def interpolation(self, s: Array) -> Array:
        """Return the values at s [m], in lengths of the step, of the polynomials for the start and every stage [m, s + 1]."""
        return lagrange(np.concatenate([[0.0], self.c]), s)
