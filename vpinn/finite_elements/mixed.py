"""Combine finite elements of different degrees for several components, and choose the degrees from the form.

A multiplier, such as the pressure of a flow, takes one degree less than the unknowns in whose equations it stands (Taylor and
Hood 1973, Computers & Fluids 1, 73–100). With equal degrees the constraint has too many equations for the velocities, and the
pressure oscillates. On the same cells the highest degree contains the lower ones. So forms are integrated with one table of basis
functions, and a solution is stored by its coefficients in the space of the highest degree.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vpinn.domain import LagrangeSpace, Mesh
from vpinn.finite_elements.form import Key
from vpinn.finite_elements.pattern import Pattern

Array = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class MixedSpace:
    """Continuous finite elements on one mesh, with a degree for every component.

    Attributes:
        spaces: space of every component; spaces of the same degree are the same object.
    """

    spaces: tuple[LagrangeSpace, ...]
    _patterns: dict[tuple[int, int], Pattern] = field(default_factory=dict)

    @classmethod
    def of(cls, mesh: Mesh, degrees: Sequence[int]) -> MixedSpace:
        """Return the elements of the given degrees, one per component, each 1 … 30."""
        made = {degree: LagrangeSpace(mesh, degree) for degree in set(degrees)}
        return cls(tuple(made[degree] for degree in degrees))

    @property
    def mesh(self) -> Mesh:
        """Mesh of all components."""
        return self.spaces[0].mesh

    @property
    def degrees(self) -> tuple[int, ...]:
        """Degree of every component."""
        return tuple(space.degree for space in self.spaces)

    @property
    def highest(self) -> LagrangeSpace:
        """Space of the highest degree, which contains the others."""
        return max(self.spaces, key=lambda space: space.degree)

    @cached_property
    def first(self) -> Integers:
        """Number of each component's first basis function among all, and at the end the number of all [components + 1]."""
        return np.cumsum([0, *(space.size for space in self.spaces)])

    @property
    def size(self) -> int:
        """Number of basis functions of all components."""
        return int(self.first[-1])

    def numbers(self, component: int) -> slice:
        """Return the positions of a component's basis functions among all."""
        return slice(int(self.first[component]), int(self.first[component + 1]))

    @cached_property
    def within(self) -> tuple[Tensor | None, ...]:
        """Local functions of each component at the local nodes of the highest degree [n_highest, n]; None: they are the same."""
        highest = self.highest
        return tuple(
            None if space is highest else torch.from_numpy(space.tabulate(highest.reference_nodes)[0]) for space in self.spaces
        )

    def pattern(self, component: int, other: int) -> Pattern:
        """Return the sparsity pattern of a matrix between test functions of one component and trial functions of another."""
        tests, trials = self.spaces[component], self.spaces[other]
        key = tests.degree, trials.degree
        if key not in self._patterns:
            self._patterns[key] = Pattern.of(tests, trials)
        return self._patterns[key]

    def hats(self, free: NDArray[np.bool_]) -> Any:
        """Return the free functions of degree 1 by their values at free nodes, sparse CSR [free functions, free vertices]."""
        from scipy.sparse import block_diag

        made = {space.degree: _hats(space, self.corners) for space in self.spaces}
        return block_diag([made[space.degree] for space in self.spaces], format="csr")[free][:, self.of_vertices(free)]

    @cached_property
    def corners(self) -> int:
        """Number of vertices, which come first in any numbering."""
        return LagrangeSpace(self.mesh, 1).size

    def of_vertices(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return what belongs to vertices, of all components [components · corners], of something of all functions [size]."""
        return np.concatenate([values[first : first + self.corners] for first in self.first[:-1]])

    def raised(self, values: NDArray[Any], richer: MixedSpace) -> NDArray[Any]:
        """Return coefficients [..., size] of functions as those of the same functions in elements of higher degrees on the mesh.

        Args:
            values: real or complex.
            richer: elements of the same mesh, of at least the degree of these in every component.

        Returns:
            coefficients [..., richer.size].
        """
        found = np.empty((*values.shape[:-1], richer.size), dtype=values.dtype)
        for component, (low, high) in enumerate(zip(self.spaces, richer.spaces, strict=True)):
            own, target = values[..., self.numbers(component)], found[..., richer.numbers(component)]
            target[..., high.dofs] = own[..., low.dofs] @ low.tabulate(high.reference_nodes)[0].T
        return found

    def embedded(self, values: Array) -> Array:
        """Return coefficients [size] as those in the space of the highest degree [components, highest.size]."""
        highest = self.highest
        result = np.empty((len(self.spaces), highest.size))
        for row, component, space in zip(result, range(len(result)), self.spaces, strict=True):
            own = values[self.numbers(component)]
            if space is highest:
                row[:] = own
            else:
                row[highest.dofs] = own[space.dofs] @ space.tabulate(highest.reference_nodes)[0].T
        return result


def _hats(space: LagrangeSpace, corners: int) -> Any:
    """Return the values of the functions of degree 1 at the nodes of a space, sparse CSR [space.size, vertices]."""
    from scipy.sparse import csr_array

    linear = LagrangeSpace(space.mesh, 1)
    number, place = np.unique(space.dofs, return_index=True)
    cell, node = np.divmod(place, space.dofs.shape[1])
    values = linear.tabulate(space.reference_nodes)[0].round(14)[node]
    rows = np.repeat(number, values.shape[1])
    found = csr_array((values.ravel(), (rows, linear.dofs[cell].ravel())), shape=(space.size, corners))
    found.eliminate_zeros()
    return found


def lower(components: int, slopes: Iterable[tuple[Key, Key]], d: int) -> tuple[bool, ...]:
    """Return for every component whether it takes one degree less than the others.

    Its own equation must hold no derivative of it, and its terms together with other components must hold one derivative in all,
    of the test function or of the unknown. There are two kinds: a multiplier, such as a pressure, which does not occur in its own
    equation; an unknown that equals a combination of first derivatives of an unknown of a second-order equation, such as a flux,
    or the pressure of a nearly incompressible material. A multiplier whose terms with another component hold derivatives of both,
    such as the deflection of a plate with its bending moment as the other unknown, is controlled by its gradient and keeps the
    degree.

    Args:
        components: number of components.
        slopes: for every derivative of the form's coefficients, the test function's value or derivative, and the unknown's.
        d: number of coordinates; terms of the far side of interfaces say nothing here.
    """
    order = np.full((components, components), -1)
    for (c, place), (other, its) in slopes:
        if max(place, its) <= d:
            order[c, other] = max(order[c, other], (place > 0) + (its > 0))
    found = []
    for c in range(components):
        others = [other for other in range(components) if other != c]
        shared = {other: max(order[c, other], order[other, c]) for other in others}
        coupled = [other for other in others if shared[other] == 1]
        constrains = bool(coupled) and max(shared.values()) == 1
        second = any(order[other, other] == 2 for other in coupled)
        found.append(bool(constrains and (order[c, c] < 0 or (order[c, c] == 0 and second))))
    return tuple(found)
