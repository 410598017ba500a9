"""Represent a finite element solution, which can be evaluated at points and compared with other fields."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from ufl.core.expr import Expr

from vpinn.domain import CellPoints, LagrangeSpace, Mesh, Points, PointSet, parents
from vpinn.finite_elements.form import offsets
from vpinn.finite_elements.level import Level
from vpinn.finite_elements.mixed import MixedSpace
from vpinn.forms import Background, evaluate
from vpinn.problem import Evaluable, Problem, Unknown
from vpinn.problem.operators import gradient

Array = NDArray[np.float64]
Fields: TypeAlias = Callable[[Points, int], Mapping[str, Array]]
"""(points, order 0 or 1) → values or gradients of every unknown there, [n, …]."""


@dataclass(frozen=True, eq=False)
class FiniteElementSolution(Evaluable):
    """The solution of a problem in continuous Lagrange elements.

    Attributes:
        problem: the problem.
        meshes: the problem's mesh and its refinements; the elements are on the last one.
        mixed: elements of every component, on the last mesh.
        values: coefficients of all components in order, in the space of the highest degree [components, space.size].
        steps: number of Newton steps; one for a linear problem.
        seconds: wall-clock time of "setup" (refinement, the form) and "solve" (numbering, assembly, factorisation), in s.
    """

    problem: Problem
    meshes: tuple[Mesh, ...]
    mixed: MixedSpace
    values: Array
    steps: int
    seconds: Mapping[str, float]

    @property
    def space(self) -> LagrangeSpace:
        """Space of the highest degree, which contains all components."""
        return self.mixed.highest

    @property
    def degrees(self) -> dict[str, int]:
        """Unknown → degree of its elements, the highest of its components."""
        first = offsets(self.problem)
        return {
            unknown.name: max(self.mixed.degrees[start : start + unknown.components])
            for unknown, start in zip(self.problem.unknowns, first, strict=False)
        }

    @property
    def mesh(self) -> Mesh:
        """The refined mesh."""
        return self.mixed.mesh

    @property
    def domain(self) -> Mesh:
        """Mesh in which points are located: the refined mesh."""
        return self.mesh

    @property
    def dofs(self) -> int:
        """Number of degrees of freedom of all components, prescribed ones included."""
        return self.mixed.size

    @cached_property
    def errors(self) -> dict[str, dict[str, float]]:
        """Unknown → relative_l2 and relative_h1 against the exact solution; empty if the problem file has none."""
        return relative_errors(self.at, self._exact, self.points) if self.problem.exact else {}

    @property
    def points(self) -> PointSet:
        """Quadrature points for norms, exact for squares of degree p + 2."""
        return CellPoints(self.mesh, min(30, 2 * self.space.degree + 4))

    def at(self, points: Points, order: int = 0) -> dict[str, Array]:
        """Return values (order 0) or gradients (order 1) at points in cells of the refined mesh; shapes as ``evaluate``."""
        jets = np.moveaxis(self.space.jets(self.values, points.cell, points.reference, order), 0, 1)
        return self.by_unknown(jets[..., 1:] if order else jets[..., 0])

    def interpolated(self, mixed: MixedSpace) -> Array:
        """Return the coefficients of the solution in other elements [mixed.size], nan at nodes outside the mesh."""
        return interpolated(self, self.problem.unknowns, mixed)

    def unrefined(self, points: Points) -> Points:
        """Return points in cells of the refined mesh as points in cells of the problem's."""
        cell, reference = points.cell, points.reference
        for mesh in self.meshes[-2::-1]:
            cell, reference = parents(mesh, cell, reference)
        return replace(points, cell=cell, entity=cell, reference=reference)

    @cached_property
    def _truths(self) -> dict[str, Expr]:
        return Level.of(self.problem).exact

    def _exact(self, points: Points, order: int) -> dict[str, Array]:
        truths, d = self._truths, self.mesh.dimension
        expressions = [truths[u.name] for u in self.problem.unknowns if u.name in truths]
        values = evaluate([gradient(e, d) if order else e for e in expressions], points, Background(self.mesh))
        return self.by_unknown(values.T.reshape(len(points), -1, *(d,) * order), truths)


def interpolated(fields: Evaluable, unknowns: Sequence[Unknown], mixed: MixedSpace) -> Array:
    """Return the coefficients of fields in elements [mixed.size], nan at nodes outside the domain of the fields.

    Args:
        fields: values of the unknowns at any points.
        unknowns: the unknowns, in the order of the elements' components.
        mixed: the elements.
    """
    result, first = np.empty(mixed.size), 0
    for unknown in unknowns:
        for component in range(first, first + unknown.components):
            values = fields.evaluate(mixed.spaces[component].locations())[unknown.name]
            result[mixed.numbers(component)] = values.reshape(len(values), -1)[:, component - first]
        first += unknown.components
    return result


def relative_errors(found: Fields, truth: Fields, points: PointSet) -> dict[str, dict[str, float]]:
    """Return unknown → relative_l2 and relative_h1 (full norm) of one set of fields against another, dimensionless.

    Unknowns without a reference are left out; if the reference is zero the errors are absolute.

    Args:
        found: fields whose errors are computed.
        truth: reference fields.
        points: quadrature points of the norms.
    """
    sums: dict[str, Array] = {}
    for index in points.chunks(50_000):
        taken = points.take(index)
        for order in (0, 1):
            exact, other = truth(taken, order), found(taken, order)
            for name, values in exact.items():
                squares = ((other[name] - values) ** 2, values**2)
                sums.setdefault(name, np.zeros((2, 2)))[order] += [taken.w @ s.reshape(len(taken), -1).sum(1) for s in squares]
    result = {}
    for name, ((e0, u0), (e1, u1)) in sums.items():
        result[name] = {
            "relative_l2": float(np.sqrt(e0 / (u0 or 1.0))),
            "relative_h1": float(np.sqrt((e0 + e1) / ((u0 + u1) or 1.0))),
        }
    return result
