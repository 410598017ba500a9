"""Parts of the boundary that move as one, whose common value or rigid motion is found with the solution.

Functions of the elements on such a part are combined into one function per component, or per rigid motion. Equations of the
other functions stay as they are, and those of the part add up: the load on it is what acts on it as a whole.
Start from `TiedFunctions`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import null_space

from vpinn.errors import InputError
from vpinn.factors import SparseFactors
from vpinn.finite_elements.form import offsets
from vpinn.finite_elements.mixed import MixedSpace
from vpinn.finite_elements.motions import Motion, motions
from vpinn.finite_elements.newton import Converged, newton, solver
from vpinn.problem import Problem, Tie

Array = NDArray[np.float64]
Integers = NDArray[np.int64]
Mask = NDArray[np.bool_]
System = Callable[[Array, bool], tuple[Array, Any]]
MET = 1e-9
"""Largest difference between values that are given on a tied part and any of its motions, relative to these values."""


@dataclass(frozen=True)
class TiedFunctions:
    """The free functions of elements as combinations u = T y + u₀ of fewer coefficients y.

    Attributes:
        matrix: T, sparse CSC [free functions, n]: the identity on functions that are not tied, followed by motions of parts.
        fixed: u₀, the part of the motions that given values determine [free functions].
        alone: positions of the functions that are not tied [k], k ≤ n.
        mixed: the elements.
    """

    matrix: Any
    fixed: Array
    alone: Integers
    mixed: MixedSpace

    @classmethod
    def of(cls, problem: Problem, mixed: MixedSpace, values: Array, free: Mask, exact: bool = True) -> TiedFunctions | None:
        """Return the ties of a problem on elements; None where it has none.

        Args:
            problem: the problem.
            mixed: the elements.
            values: coefficients, of which those that are not free are given [mixed.size].
            free: whether each function is free [mixed.size].
            exact: whether given values on a tied part must agree with one of its motions; if not, with the closest one.

        Raises:
            InputError: two ties share a node, or given values do not agree with any motion.
        """
        from scipy.sparse import csc_array, hstack

        if not problem.ties:
            return None
        taken, fixed = np.zeros(mixed.size, dtype=bool), np.zeros(mixed.size)
        columns = []
        for tie in problem.ties:
            numbers, moved = _motions(tie, problem, mixed)
            if taken[numbers].any():
                raise InputError("two ties share a node; name all parts that move as one in one section, or part them", tie.where)
            taken[numbers] = True
            own = ~free[numbers]
            start = np.linalg.lstsq(moved[own], values[numbers][own])[0]
            gap = np.abs(moved[own] @ start - values[numbers][own]).max(initial=0.0)
            if exact and gap > MET * np.abs(values[numbers][own]).max(initial=0.0):
                raise InputError("the values given where this part meets others are those of no common motion", tie.where)
            fixed[numbers] = moved @ start
            left = null_space(moved[own]) if own.any() else np.eye(moved.shape[1])
            count = left.shape[1]
            at = np.repeat(numbers, count), np.tile(np.arange(count), len(numbers))
            columns.append(csc_array(((moved @ left).ravel(), at), shape=(mixed.size, count))[free])
        alone = np.flatnonzero(~taken[free])
        ones = csc_array((np.ones(len(alone)), (alone, np.arange(len(alone)))), shape=(int(free.sum()), len(alone)))
        return cls(hstack([ones, *columns], format="csc"), fixed[free], alone, mixed)

    def solve(
        self, system: System, start: Array, free: Mask, linear: bool = False, near: Array | None = None
    ) -> tuple[Converged, Mask]:
        """Return the solution of TᵀF(T y + u₀) = 0 as coefficients of the free functions, and these functions.

        Args:
            system: F(u) and its derivative, of the free functions.
            start: first guess, of these; the closest that is tied is taken.
            free: which have no value that is given [mixed.size].
            linear: unused; ties need no special care then.
            near: unused, too.

        Raises:
            InputError: the system is singular.
            DivergenceError: Newton's method does not converge.
        """

        def reduced(y: Array, wanted: bool) -> tuple[Array, Any]:
            residual, matrix = system(self.matrix @ y + self.fixed, wanted)
            return self.matrix.T @ residual, self._reduced(matrix) if wanted else None

        products = (self.matrix.T @ self.matrix).tocsc()
        first = SparseFactors(products).solve(self.matrix.T @ (start - self.fixed))
        inverse = partial(solver, mixed=self.mixed, free=free, combined=self.coarse)
        found = newton(reduced, first, inverse)
        return replace(found, values=self.matrix @ found.values + self.fixed), free

    def solve_linear(self, matrix: Any, right: Array, free: Mask, tolerance: float) -> Array:
        """Return the solution of Tᵀ(A(T y + u₀) − b) = 0 as coefficients of the free functions.

        Args:
            matrix: A, sparse, of the free functions.
            right: b, of these.
            free: which they are [mixed.size].
            tolerance: relative error in the energy norm at which iterations end.

        Raises:
            InputError: the system is singular.
        """
        solve = solver(self._reduced(matrix), self.mixed, free, tolerance, self.coarse)
        return np.asarray(self.matrix @ solve(self.matrix.T @ (right - matrix @ self.fixed)) + self.fixed)

    def _reduced(self, matrix: Any) -> Any:
        return (self.matrix.T @ matrix @ self.matrix).tocsc()

    def coarse(self, hats: Any) -> Any:
        """Return coarse functions [n, k] of y from those of all free functions: those that are not tied, and every motion."""
        from scipy.sparse import block_diag, eye_array

        tied = np.ones(hats.shape[0], dtype=bool)
        tied[self.alone] = False
        kept = np.asarray(abs(hats[tied]).sum(axis=0)).ravel() == 0.0
        return block_diag([hats[self.alone][:, kept], eye_array(self.matrix.shape[1] - len(self.alone))], format="csr")


def tied_functions(problem: Problem, mixed: MixedSpace) -> Mask:
    """Return which functions are on tied parts [mixed.size]."""
    found = np.zeros(mixed.size, dtype=bool)
    for tie in problem.ties:
        found[_motions(tie, problem, mixed)[0]] = True
    return found


def allowed(problem: Problem, moving: Iterable[Motion]) -> list[Motion]:
    """Return the motions that ties do not forbid: a part whose values are equal does not turn."""
    held = {at for tie in problem.ties if not tie.rigid for at in _components(tie, problem)}
    return [motion for motion in moving if not motion.axes or held.isdisjoint(motion.components)]


def _motions(tie: Tie, problem: Problem, mixed: MixedSpace) -> tuple[Integers, Array]:
    """Return the functions on a tied part [m], and its motions there [m, k]: of size one, rotations about its middle."""
    components = _components(tie, problem)
    facets = mixed.mesh.facets(tie.on)
    dofs = [mixed.spaces[component].boundary_dofs(facets) for component in components]
    places = [mixed.spaces[component].locations()[own] for component, own in zip(components, dofs, strict=True)]
    moving = [motion for motion in motions(problem) if set(motion.components) <= {*components} and (tie.rigid or not motion.axes)]
    middle = places[0].mean(axis=0)
    rows = [
        np.stack([motion.at(x - middle, component) for motion in moving], axis=1)
        for component, x in zip(components, places, strict=True)
    ]
    numbers = np.concatenate([mixed.first[component] + own for component, own in zip(components, dofs, strict=True)])
    moved = np.concatenate(rows)
    return numbers, moved / np.abs(moved).max(axis=0)


def _components(tie: Tie, problem: Problem) -> Sequence[int]:
    """Return the components of a tie, counted through all unknowns."""
    names = [unknown.name for unknown in problem.unknowns]
    first = offsets(problem)[names.index(tie.unknown)]
    return range(first, first + problem.unknown(tie.unknown).components) if tie.component is None else [first + tie.component]
