"""Element functions on periodic sides: which of them share a coefficient, and with which sign."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vpinn.errors import InputError
from vpinn.finite_elements import MixedSpace
from vpinn.problem import Problem, matched

TOLERANCE = 1e-6
"""Largest distance of matching nodes, relative to the width of the domain."""


@dataclass(frozen=True)
class Ties:
    """Periodicity of element functions: the coefficient of each is a sign times the coefficient of its root.

    Attributes:
        root: number of the function whose coefficient is used; its own number away from periodic sides [mixed.size].
        sign: factor 1 or −1 on that coefficient [mixed.size].
    """

    root: NDArray[np.int64]
    sign: NDArray[np.float64]

    @classmethod
    def of(cls, problem: Problem, mixed: MixedSpace) -> Ties:
        """Return the ties of a problem's periodic sides.

        Raises:
            InputError: nodes on two sides do not match.
        """
        root, sign = np.arange(mixed.size), np.ones(mixed.size)
        names = [unknown.name for unknown in problem.unknowns for _ in range(unknown.components)]
        for periodic in problem.periodic:
            facets = [mixed.mesh.facets(tag) for tag in (periodic.start, periodic.to)]
            for component, space in enumerate(mixed.spaces):
                if names[component] not in periodic.unknowns:
                    continue
                one, other = (space.boundary_dofs(part) for part in facets)
                places, size = space.locations(), float(np.ptp(mixed.mesh.nodes, axis=0).max())
                pairs = matched(places[one] + periodic.shift, places[other], TOLERANCE * size)
                if len(pairs) != len(other):
                    raise InputError(f"nodes on '{periodic.start}' and '{periodic.to}' do not match; mesh both sides alike")
                first = int(mixed.first[component])
                root[first + other[pairs]] = first + one
                sign[first + other[pairs]] = periodic.factor
        while (root[root] != root).any():  # at corners, a root can have a root itself
            sign, root = sign * sign[root], root[root]
        return cls(root, sign)
