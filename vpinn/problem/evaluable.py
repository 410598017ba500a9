"""The interface of all solutions: values and gradients of a problem's unknowns at points given by the user."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Container, Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vpinn.domain import Domain, Points, located_points
from vpinn.errors import InputError
from vpinn.problem.problem import Problem

Array = NDArray[np.float64]


class Evaluable(ABC):
    """A solution of a problem, whether found by training, by finite elements or by marching in time.

    Attributes:
        problem: the problem.
    """

    problem: Problem

    @property
    def domain(self) -> Domain:
        """Domain in which points are located."""
        return self.problem.domain

    @abstractmethod
    def at(self, points: Points, order: int = 0) -> dict[str, Array]:
        """Return values (order 0) or gradients (order 1) at points with their cells; see ``evaluate`` and ``gradient``."""

    def evaluate(self, x: ArrayLike) -> dict[str, Array]:
        """Return values at points.

        Args:
            x: coordinates [n, d], in units of the mesh.

        Returns:
            unknown → [n] for a scalar, [n, m] for m components; nan outside the domain.

        Raises:
            InputError: ``x`` has not d columns.
        """
        return self._inside(x, self.at)

    def gradient(self, x: ArrayLike) -> dict[str, Array]:
        """Return gradients at points.

        Args:
            x: coordinates [n, d], in units of the mesh.

        Returns:
            unknown → [n, d] for a scalar, [n, m, d] for m components; nan outside the domain.

        Raises:
            InputError: ``x`` has not d columns.
        """
        return self._inside(x, lambda points: self.at(points, 1))

    def by_unknown(self, found: Array, names: Container[str] | None = None) -> dict[str, Array]:
        """Split an array of components by unknown.

        Args:
            found: components of the unknowns in order [n, components, …].
            names: unknowns that ``found`` has; None for all.

        Returns:
            unknown → its values, [n, …] for a scalar, [n, m, …] for m components.
        """
        result, start = {}, 0
        for unknown in self.problem.unknowns:
            if names is None or unknown.name in names:
                part = found[:, start : start + unknown.components]
                result[unknown.name] = part.reshape(len(found), *unknown.shape, *found.shape[2:])
                start += unknown.components
        return result

    def _inside(self, x: ArrayLike, found: Callable[[Points], Mapping[str, Array]]) -> dict[str, Array]:
        """Return what a function gives at those points [n, d] that lie inside the domain, and nan at others."""
        coordinates, d = np.atleast_2d(np.asarray(x, dtype=np.float64)), self.domain.dimension
        if coordinates.ndim != 2 or coordinates.shape[1] != d:
            raise InputError(f"points need {d} coordinates each, got an array of shape {list(np.shape(x))}")
        points, inside = located_points(self.domain, coordinates)
        rows = np.flatnonzero(inside)
        result = {}
        for name, values in found(points.rows(rows)).items():
            result[name] = np.full((len(coordinates), *values.shape[1:]), np.nan)
            result[name][rows] = values
        return result
