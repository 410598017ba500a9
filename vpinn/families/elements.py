"""A family on continuous elements of one degree: matrices of every F_k, from which any member is a sum and one factorisation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vpinn.domain import Mesh
from vpinn.errors import InputError
from vpinn.families.interpolation import Interpolated
from vpinn.families.terms import Factors, Terms
from vpinn.finite_elements import Kernel, Level, MixedSpace, assemble, degrees_of, discretised, factorise, integrands, prescribed
from vpinn.finite_elements.essential import extended
from vpinn.forms import Background
from vpinn.problem import Case, member

Array = NDArray[np.float64]
EXACT = 1e-9
"""Error of prescribed values as a sum of products, relative to their size, above which the sum is a mistake."""


@dataclass(frozen=True, eq=False)
class Discretisation:
    """The elements of a family, without its form.

    Attributes:
        problem: the family, on the mesh of the elements.
        mixed: the elements of every component.
        free: whether a function has no prescribed coefficient [mixed.size].
        given: whether a function has a prescribed coefficient [mixed.size].
        lifts: functions with the values that conditions hold, Σ_l c_l(μ) g_l [L, mixed.size].
        kernel: motions that the form leaves undetermined.
    """

    problem: Case
    mixed: MixedSpace
    free: NDArray[np.bool_]
    given: NDArray[np.bool_]
    lifts: Array
    kernel: Kernel

    @classmethod
    def of(cls, problem: Case, degree: int, boundary: Factors, generator: np.random.Generator) -> Discretisation:
        """Return the elements of a degree.

        Args:
            problem: the family.
            degree: degree of the elements; multipliers have one less.
            boundary: factors c_l of the values that conditions hold.
            generator: random numbers of the members from whose values the functions g_l are found.

        Raises:
            InputError: elements cannot state the problem.
        """
        mesh, middle = problem.domain.with_cells(), member(problem, problem.ranges.center)
        mixed = MixedSpace.of(mesh, degrees_of(problem, integrands(middle), degree))
        background = Background(mesh)
        given = prescribed(middle, mixed, background)[1]
        count = len(boundary.tape.moving.outputs)
        lifts = np.empty((0, mixed.size))
        if count:
            values = problem.ranges.at(generator.random((2 * count + 1, len(problem.ranges.names))))
            seen = np.stack([prescribed(member(problem, one), mixed, background)[0] for one in values])
            shares = boundary(values)
            found = np.linalg.lstsq(shares, seen)[0]
            if np.abs(shares @ found - seen).max() > EXACT * max(np.abs(seen).max(), 1e-300):
                raise InputError(
                    "values with parameters are no sums of products of parameters and places; write them as sums",
                    problem.where("boundary"),
                )
            found[:, ~given] = 0.0
            lifts = np.stack([extended(mixed, row, given) for row in found])
        kernel = Kernel.of(mixed, Level.of(middle).motions)
        free = ~given
        free[kernel.pins] = False
        return cls(problem, mixed, free, given, lifts, kernel)

    @property
    def mesh(self) -> Mesh:
        """Mesh of the elements."""
        return self.mixed.mesh


@dataclass(frozen=True, eq=False)
class Assembled:
    """The form of a family on elements: F(u; φ_i; μ) = Σ_k θ_k(μ) (f_k + A_k u)_i.

    Attributes:
        elements: the elements.
        matrices: A_k, sparse CSC [mixed.size, mixed.size], K of them.
        sources: f_k [K, mixed.size].
    """

    elements: Discretisation
    matrices: tuple[Any, ...]
    sources: Array

    @classmethod
    def of(cls, elements: Discretisation, terms: Terms, interpolated: Sequence[Interpolated]) -> Assembled:
        """Assemble the forms of all terms, those of interpolated rests at the end."""
        mixed, background = elements.mixed, Background(elements.mesh)
        zero, every = np.zeros(mixed.size), np.arange(mixed.size)
        made = [assemble(discretised(part, mixed, background), mixed, zero, every) for part in terms.parts]
        for rest in interpolated:
            made += [assemble([one], mixed, zero, every) for one in rest.assemblers(mixed)]
        return cls(elements, _alike(tuple(matrix for _, matrix in made)), np.stack([source for source, _ in made]))

    @cached_property
    def held(self) -> tuple[Any, ...]:
        """A_k of the free functions, sparse CSC [free, free]."""
        free = self.elements.free
        return _alike(tuple(matrix[free][:, free] for matrix in self.matrices))

    @cached_property
    def acting(self) -> NDArray[np.int64]:
        """Terms whose A_k is not zero [A]; others are sources alone."""
        return np.flatnonzero([bool(matrix.nnz) and bool(abs(matrix).max() > 0.0) for matrix in self.matrices])

    @property
    def _same(self) -> bool:
        """Whether all A_k of ``acting`` have entries at the same places."""
        first, *others = (self.held[k] for k in self.acting)
        return all(first.indices is one.indices for one in others)

    def matrix(self, theta: Array) -> Any:
        """Return Σ θ_k A_k of the free functions for θ [K], sparse CSC [free, free]."""
        if self._same:
            first, *others = self.acting
            total = self.held[first] * theta[first]
            for k in others:
                total.data += theta[k] * self.held[k].data
            return total
        return sum(theta[k] * self.held[k] for k in self.acting).tocsc()

    def applied(self, theta: Array, function: Array) -> Array:
        """Return Σ θ_k A_k u for a function u [mixed.size], tested with all functions [mixed.size]."""
        return np.asarray(sum(theta[k] * (self.matrices[k] @ function) for k in self.acting))

    def solve(self, theta: Array, lift: Array) -> tuple[Array, Any]:
        """Return a member's solution minus its lift [mixed.size], and the solver of its matrix.

        Args:
            theta: factors θ of the member [K].
            lift: a function with the values that conditions hold [mixed.size].

        Raises:
            InputError: its system is singular.
        """
        free = self.elements.free
        right = -(theta @ self.sources)[free]
        if lift.any():
            right -= self.applied(theta, lift)[free]
        solve = factorise(self.matrix(theta))
        found = np.zeros(len(free))
        found[free] = solve(right)
        return found, solve


def _alike(matrices: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return sparse matrices [n, n], of which those with entries at the same places share the arrays of these places."""
    for k, matrix in enumerate(matrices):
        for other in matrices[:k]:
            if np.array_equal(other.indptr, matrix.indptr) and np.array_equal(other.indices, matrix.indices):
                matrix.indptr, matrix.indices = other.indptr, other.indices
                break
    return matrices
