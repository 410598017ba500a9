"""The interface of forward models: coefficients of the unknowns → predicted measurements and their derivatives."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vpinn.inference.basis import Basis
from vpinn.problem.inverse import Inferred, Inverse

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Prediction:
    """The solution for given coefficients.

    Attributes:
        coefficients: coefficients of all unknown numbers and fields [P].
        values: predicted measurements [n].
        state: the solution, in the form that the model uses.
    """

    coefficients: Array
    values: Array
    state: Any


class Forward(ABC):
    """A model that predicts measurements.

    Attributes:
        inverse: unknown numbers and fields, and the measurements.
        bases: name of an unknown → its basis.
    """

    inverse: Inverse
    bases: Mapping[str, Basis]

    @abstractmethod
    def predict(self, coefficients: Array, near: Prediction | None = None) -> Prediction:
        """Return the solution for coefficients [P]; ``near`` is a solution for other ones, from which the iteration may start.

        Raises:
            VpinnError: there is no solution.
        """

    @abstractmethod
    def jacobian(self, prediction: Prediction) -> Array:
        """Return the derivatives of the predicted measurements with respect to the coefficients [n, P]."""

    @property
    def parts(self) -> dict[str, slice]:
        """Name of each unknown → positions of its coefficients."""
        found, first = dict[str, slice](), 0
        for one in self.inverse.inferred:
            found[one.name] = slice(first, first + self.bases[one.name].size)
            first = found[one.name].stop
        return found

    @property
    def size(self) -> int:
        """Number of coefficients P."""
        return sum(basis.size for basis in self.bases.values())

    @property
    def data(self) -> Array:
        """All measured values [n], section by section."""
        return np.concatenate([one.values.ravel() for one in self.inverse.data])

    @property
    def sections(self) -> Sequence[slice]:
        """Positions of each section's values among all."""
        ends = np.cumsum([0, *(one.values.size for one in self.inverse.data)])
        return [slice(int(start), int(end)) for start, end in pairwise(ends)]

    def number(self, one: Inferred, coefficients: Array) -> float:
        """Return the value of an unknown number."""
        return float(one.value(coefficients[self.parts[one.name]])[0])
