"""Unknown numbers and fields by coefficients: a number by one, a field by those of cosines on a box around the domain.

The box is wider than the domain, so that the zero slope of cosines at its sides does not matter inside. A stationary Gaussian
process on it has nearly independent coefficients, whose variances are its spectral density (Solin & Särkkä 2020, Statistics and
Computing 30, 419–446).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vpinn.domain import Mesh

Array = NDArray[np.float64]
COUNT = {1: 64, 2: 256, 3: 512}
"""Dimension → number of cosines of a field."""
MARGINS = (0.5, 1.0, 2.0)
"""Distances of the box from the domain on each side that are tried, relative to the domain's extent. The cosines resolve most
with the narrowest; a field that changes over longer distances needs a wider one."""


@dataclass(frozen=True, eq=False)
class Basis:
    """Functions of which an unknown is a sum.

    Attributes:
        lower: corner of the box [d], in units of length.
        length: its sides [d].
        waves: half waves of each function along each axis [count, d]; zeros of the first, which is constant.
        extent: largest extent of the domain, in units of length.
        margin: distance of the box from the domain, relative to its extent.
    """

    lower: Array
    length: Array
    waves: NDArray[np.int64]
    extent: float
    margin: float

    @classmethod
    def of(cls, mesh: Mesh, field: bool, margin: float) -> Basis:
        """Return the basis of a field on a mesh, the cosines of lowest frequency on a box; or that of a number, a constant."""
        d, (low, high) = mesh.dimension, mesh.bounds
        count, extent = COUNT[d] if field else 1, high - low
        length = (1.0 + 2.0 * margin) * extent
        # along each axis no more than a box of the same frequencies in all directions needs
        highest = 2.0 * (count / np.prod(length)) ** (1.0 / d) * length + 2.0
        waves = np.array(list(itertools.product(*(range(int(min(most, count)) + 1) for most in highest))), dtype=np.int64)
        order = np.argsort(((waves / length) ** 2).sum(axis=1), kind="stable")
        return cls(low - margin * extent, length, waves[order[:count]], float(extent.max()), margin)

    @property
    def size(self) -> int:
        """Number of functions."""
        return len(self.waves)

    @property
    def frequencies(self) -> Array:
        """Angular frequency of each function [count], in 1/length."""
        return np.asarray(np.linalg.norm(np.pi * self.waves / self.length, axis=1))

    def values(self, x: Array) -> Array:
        """Return the functions at points [n, d]: [n, count]; the mean of their squares over the box is 1."""
        return self._product(x, None)

    def slopes(self, x: Array, axis: int) -> Array:
        """Return the derivatives of the functions along an axis at points [n, d]: [n, count]."""
        return self._product(x, axis)

    def _product(self, x: Array, differentiated: int | None) -> Array:
        found = np.ones((len(x), self.size))
        for axis, (start, side) in enumerate(zip(self.lower, self.length, strict=True)):
            waves = np.arange(self.waves[:, axis].max() + 1) * np.pi / side
            phases = waves * (x[:, axis] - start)[:, None]
            table = -waves * np.sin(phases) if axis == differentiated else np.cos(phases)
            found *= (table * np.where(waves, np.sqrt(2.0), 1.0))[:, self.waves[:, axis]]
        return found
