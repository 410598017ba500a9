"""Represent rigid motions, constants of components and rotations of vectors: the functions that a form may leave undetermined.

``motions`` lists those of a problem; ``Kernel`` represents them on finite elements, and removes them from solutions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import qr
from ufl.core.expr import Expr

from vpinn.finite_elements.form import offsets
from vpinn.finite_elements.mixed import MixedSpace
from vpinn.problem import Problem

Array = NDArray[np.float64]
NAMES = "xyzstuvw"
"""Names of the coordinates, in order."""
KERNEL = 1e-12
"""Size of A·z, relative to its terms, up to which a motion z counts as mapped to zero by the form's derivative A."""
NOISE = 1e-15
"""Size of A·z, relative to the largest entry of A times that of z, up to which it is rounding in any case."""


@dataclass(frozen=True)
class Motion:
    """A constant, one in a component and zero in the others, or a rotation, −x_b in one component and x_a in another.

    Attributes:
        unknown: name of the unknown that moves.
        text: description of the motion, such as "move along x" or "turn about z".
        components: components that are not zero, counted through all unknowns: one for a constant, two for a rotation.
        axes: axes a, b of a rotation; empty for a constant.
    """

    unknown: str
    text: str
    components: tuple[int, ...]
    axes: tuple[int, ...] = ()

    def at(self, x: Array, component: int) -> Array:
        """Return the values [n] of a component at points [n, d]."""
        if component not in self.components:
            return np.zeros(len(x))
        if not self.axes:
            return np.ones(len(x))
        a, b = self.axes
        return -x[:, b] if component == self.components[0] else x[:, a]

    def values(self, x: Array, components: int) -> Array:
        """Return the values of all components at points [n, d], for a rotation about their mean: [components, n]."""
        middle = x - x.mean(axis=0)
        return np.stack([self.at(middle, component) for component in range(components)])

    def expression(self, x: Expr, component: int) -> Expr | float:
        """Return a component as an expression of the coordinates."""
        if component not in self.components:
            return 0.0
        if not self.axes:
            return 1.0
        a, b = self.axes
        turned: Expr = -x[b] if component == self.components[0] else x[a]
        return turned


def motions(problem: Problem) -> list[Motion]:
    """Return the constants of all components, and the rotations of all vectors with as many components as coordinates."""
    d, found = problem.domain.dimension, list[Motion]()
    for unknown, first in zip(problem.unknowns, offsets(problem), strict=False):
        for k in range(unknown.components):
            found.append(Motion(unknown.name, f"move along {NAMES[k % len(NAMES)]}", (first + k,)))
        if unknown.shape and unknown.components == d:
            for i in range(d):
                for j in range(i + 1, d):
                    text = f"turn about {NAMES[3 - i - j]}" if d == 3 else "turn"
                    found.append(Motion(unknown.name, text, (first + i, first + j), (i, j)))
    return found


@dataclass(frozen=True)
class Kernel:
    """Motions on finite elements that the equations leave undetermined.

    Attributes:
        mixed: finite elements of the components.
        functions: coefficients of the k motions [k, mixed.size].
    """

    mixed: MixedSpace
    functions: Array

    @classmethod
    def of(cls, mixed: MixedSpace, opened: Sequence[Motion]) -> Kernel:
        """Return motions on finite elements; rotations need a degree of at least the order of the mesh's geometry."""
        rows = np.zeros((len(opened), mixed.size))
        for row, motion in zip(rows, opened, strict=True):
            for component in motion.components:
                x = mixed.spaces[component].locations()
                row[mixed.numbers(component)] = motion.at(x - mixed.mesh.nodes.mean(axis=0), component)
        return cls(mixed, rows)

    def unseen(self, matrix: Any, tested: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return for each motion whether a matrix [size, size] maps it to zero up to rounding in the rows ``tested`` [size]."""
        sizes = abs(matrix)
        seen, terms = np.abs(matrix @ self.functions.T), sizes @ np.abs(self.functions.T)
        noise = NOISE * sizes.max() * np.abs(self.functions).max(axis=1, initial=0.0)
        result = np.ones(len(self.functions), dtype=bool)
        for numbers in map(self.mixed.numbers, range(len(self.mixed.spaces))):
            rows = np.flatnonzero(tested[numbers]) + numbers.start
            largest = [part[rows].max(axis=0, initial=0.0) for part in (seen, terms)]
            result &= largest[0] <= KERNEL * largest[1] + noise
        return result

    @property
    def pins(self) -> NDArray[np.int64]:
        """Basis functions of vertices, one per motion [k], whose values determine the motions as well as possible."""
        return self.pins_without(np.zeros(self.mixed.size, dtype=bool))

    def pins_without(self, apart: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Return such functions of vertices.

        Args:
            apart: functions that are not to be taken [mixed.size].
        """
        if not len(self.functions):
            return np.empty(0, dtype=np.int64)
        sizes = np.linalg.norm(self.functions, axis=1, keepdims=True)
        corners = len(np.unique(self.mixed.mesh.vertices))
        numbers = (self.mixed.first[:-1, None] + np.arange(corners)).ravel()
        numbers = numbers[~apart[numbers]]
        pivots = qr((self.functions / sizes)[:, numbers], mode="r", pivoting=True)[1]
        return np.sort(numbers[pivots[: len(self.functions)]])

    def without(self, values: Array) -> Array:
        """Return a function's coefficients [mixed.size] minus its L² projection on the motions."""
        if not len(self.functions):
            return values
        masses = {space.degree: space.mass() for space in self.mixed.spaces}
        weighted = np.zeros_like(self.functions)
        for component, space in enumerate(self.mixed.spaces):
            numbers = self.mixed.numbers(component)
            weighted[:, numbers] = (masses[space.degree] @ self.functions[:, numbers].T).T
        shares = np.linalg.solve(weighted @ self.functions.T, weighted @ values)
        return np.asarray(values - shares @ self.functions)
