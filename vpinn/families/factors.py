"""The numbers of the parameters that a query needs: θ_k(μ) of the form's terms, and shares of prescribed values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vpinn.families.interpolation import Interpolated
from vpinn.families.terms import Factors

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class FormFactors:
    """Factors of a form and of prescribed values.

    Attributes:
        exact: θ_k of sums of products.
        interpolated: rests, whose θ_k follow.
        boundary: shares of functions with prescribed values.
    """

    exact: Factors
    interpolated: tuple[Interpolated, ...]
    boundary: Factors

    def __call__(self, values: Array) -> tuple[Array, Array]:
        """Return θ [S, K] and shares [S, L] for S values of the parameters [S, P]."""
        theta = [self.exact(values), *(rest(values) for rest in self.interpolated)]
        return np.concatenate(theta, axis=1), self.boundary(values)
