"""Functions of elements on periodic sides: which are one, and with which sign."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vpinn.errors import InputError
from vpinn.finite_elements import MixedSpace
from vpinn.problem import Problem, matched

TOLERANCE = 1e-6
"""Distance up to which nodes match, over the width of the domain."""


@dataclass(frozen=True)
class Ties:
    """Every function is sign times the one at its root.

    Attributes:
        root: function that stands for it, itself where it is tied to none [mixed.size].
        sign: 1 or −1 [mixed.size].
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
        while (root[root] != root).any():  # a corner is tied to one that is tied to a third
            sign, root = sign * sign[root], root[root]
        return cls(root, sign)
