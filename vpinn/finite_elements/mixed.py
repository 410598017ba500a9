"""Elements of several unknowns: a degree for each, chosen from the form.

A multiplier, as the pressure of a flow, takes one degree less than the unknowns whose equations it stands in (Taylor and Hood
1973, Computers & Fluids 1, 73–100): with equal degrees the constraint has as many equations as there are velocities to meet
it, and the pressure oscillates freely. Lower degrees lie within the highest on the same cells, so that forms are integrated
with one table of functions, and a solution is held by its coefficients in the space of the highest degree.
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
    """Continuous elements on one mesh, of a degree per component.

    Attributes:
        spaces: of every component, the same object for the same degree.
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
        """The mesh of all of them."""
        return self.spaces[0].mesh

    @property
    def degrees(self) -> tuple[int, ...]:
        """Degree of every component."""
        return tuple(space.degree for space in self.spaces)

    @property
    def highest(self) -> LagrangeSpace:
        """The space of the highest degree, which holds the others."""
        return max(self.spaces, key=lambda space: space.degree)

    @cached_property
    def first(self) -> Integers:
        """Number of each component's first function among all of them, and how many there are at the end."""
        return np.cumsum([0, *(space.size for space in self.spaces)])

    @property
    def size(self) -> int:
        """Number of functions of all components."""
        return int(self.first[-1])

    def numbers(self, component: int) -> slice:
        """Return where the functions of a component are among all of them."""
        return slice(int(self.first[component]), int(self.first[component + 1]))

    @cached_property
    def within(self) -> tuple[Tensor | None, ...]:
        """Local functions of each component at the nodes of the highest degree [n_highest, n]; None where they are the same."""
        highest = self.highest
        return tuple(
            None if space is highest else torch.from_numpy(space.tabulate(highest.reference_nodes)[0]) for space in self.spaces
        )

    def pattern(self, component: int, other: int) -> Pattern:
        """Return the pattern of a matrix between test functions of one component and functions of another."""
        tests, trials = self.spaces[component], self.spaces[other]
        key = tests.degree, trials.degree
        if key not in self._patterns:
            self._patterns[key] = Pattern.of(tests, trials)
        return self._patterns[key]

    def hats(self, free: NDArray[np.bool_]) -> Any:
        """Return the functions of degree 1 among those that are free [size], as sparse CSR [free, number of them]."""
        from scipy.sparse import block_diag

        made = {space.degree: _hats(space, self.corners) for space in self.spaces}
        return block_diag([made[space.degree] for space in self.spaces], format="csr")[free][:, self.of_vertices(free)]

    @cached_property
    def corners(self) -> int:
        """Number of vertices, which come first in any numbering."""
        return len(np.unique(self.mesh.vertices))

    def of_vertices(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return what belongs to vertices, of all components [components · corners], of something of all functions [size]."""
        return np.concatenate([values[first : first + self.corners] for first in self.first[:-1]])

    def embedded(self, values: Array) -> Array:
        """Return coefficients [size] as those of the highest degree, which are values at its nodes [components, highest.size]."""
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
    """Return the values of the functions of degree 1 at the nodes of a space, as sparse CSR [space.size, corners]."""
    from scipy.sparse import csr_array

    linear = LagrangeSpace(space.mesh, 1)
    number, place = np.unique(space.dofs, return_index=True)
    cell, node = np.divmod(place, space.dofs.shape[1])
    values = linear.tabulate(space.reference_nodes)[0].round(14)[node]
    rows = np.repeat(number, values.shape[1])
    found = csr_array((values.ravel(), (rows, linear.dofs[cell].ravel())), shape=(space.size, corners))
    found.eliminate_zeros()
    return found


def lower(components: int, slopes: Iterable[tuple[Key, Key]]) -> tuple[bool, ...]:
    """Return which components take one degree less than the others.

    They are those whose own equation holds no derivative of them, and which share terms with others of one derivative in all,
    on the test or on the unknown: a multiplier, whose own block vanishes, as a pressure; and what stands for a combination of
    derivatives of an unknown with second derivatives, as the pressure of a material that is hardly compressible, or a flux.
    A multiplier that shares terms with a derivative of both, as the deflection of a plate beside its bending moment, is
    controlled by its gradient and keeps the degree.

    Args:
        components: how many there are.
        slopes: (what of the test functions, what of the unknowns) each derivative of the form belongs to.
    """
    order = np.full((components, components), -1)
    for (c, place), (other, its) in slopes:
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
