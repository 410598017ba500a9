"""Values on the boundary at the nodes of elements, and their time derivatives, at any instant."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vpinn.errors import InputError
from vpinn.features.orthonormal import AtPoints
from vpinn.finite_elements import MixedSpace, condition_points
from vpinn.forms import Background
from vpinn.problem import Problem

Array = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class _Source:
    """The values of one boundary condition.

    Attributes:
        values: evaluator of the values and their first and second time derivatives at the nodes of all facets.
        functions: numbers of the functions that the condition prescribes [components, n].
        place: position of the function of every node in ``functions``.
        count: number of nodes, in different facets, of every function [n].
        where: place of the condition in the problem file, for messages.
    """

    values: AtPoints
    functions: Integers
    place: Integers
    count: Integers
    where: str

    def __call__(self, t: float) -> Array:
        """Return for every function the mean over its nodes of the value and its two time derivatives [3, components, n]."""
        rows = self.values(t)
        sums = np.stack([np.bincount(self.place, row, len(self.count)) for row in rows]) / self.count
        return sums.reshape(3, len(self.functions), -1)


class Prescribed:
    """Coefficients of the functions on the boundary. Where two conditions meet, the later one in the file holds.

    Args:
        problem: the problem in time.
        mixed: elements of every component.

    Attributes:
        given: which functions are prescribed [mixed.size].
        constant: whether all values are independent of time.
    """

    def __init__(self, problem: Problem, mixed: MixedSpace) -> None:
        clock = problem.time
        first = dict[str, int]()
        at = 0
        for unknown in problem.unknowns:
            first[unknown.name] = at
            at += unknown.components
        self._size, self._sources = mixed.size, list[_Source]()
        self.given = np.zeros(mixed.size, dtype=bool)
        for condition in problem.boundary:
            if condition.value is None or condition.unknown is None:
                continue
            start = first[condition.unknown] + (condition.component or 0)
            components = 1 if condition.component is not None else problem.unknown(condition.unknown).components
            points, every = condition_points(condition, mixed.spaces[start])
            rate = clock.derivative(condition.value)
            values = AtPoints([condition.value, rate, clock.derivative(rate)], points, Background(mixed.mesh), clock)
            own, place, count = np.unique(every, return_inverse=True, return_counts=True)
            functions = own + mixed.first[start : start + components, None]
            self.given[functions] = True
            self._sources.append(_Source(values, functions, place.ravel(), count, condition.where))
        self.constant = all(source.values.constant for source in self._sources)
        self._known: tuple[float, Array] | None = None

    def __call__(self, t: float) -> Array:
        """Return the values and their first and second time derivatives; zero for functions that are free [3, mixed.size].

        Raises:
            InputError: a value is not finite.
        """
        if self._known is not None and (self.constant or self._known[0] == t):
            return self._known[1]
        found = np.zeros((3, self._size))
        for source in self._sources:
            values = source(t)
            if not np.isfinite(values[0]).all():
                raise InputError("a boundary value is not finite at a node of the boundary", source.where)
            found[:, source.functions] = values
        self._known = t, found
        return found
