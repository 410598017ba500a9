"""The test space of a weak form, and the dual norm of residuals.

The loss of a weak form is ½ rᵀG⁻¹r with the Gram matrix G of the test functions. It is half the squared dual norm of the
residual, which bounds the error from above and below (Rojas et al. 2024, robust VPINNs, arXiv 2308.16910). The norm of a test
function v is ‖∇v‖, if v vanishes on some part of the boundary; on parts with Nitsche's terms, (γ/h)‖v‖² is added, in which
these terms are bounded independently of h (Nitsche 1971). If a connected body of the mesh has neither, ‖∇v‖ is zero for
constants, and the norm of H¹ is used. Start with `TestSpace`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from vpinn.domain import INITIAL, FacetPoints, LagrangeSpace
from vpinn.errors import InputError
from vpinn.factors import ON_DIAGONAL, SparseFactors
from vpinn.objective.whitening import Whitening
from vpinn.placement import Placement, host, wide

DENSE = 1_500
"""Largest number of test functions of a component for which G⁻¹ is stored as a dense matrix, which is faster to apply."""


@dataclass(frozen=True)
class Stabilised:
    """A condition imposed by Nitsche's terms on one component.

    Attributes:
        facets: rows of the mesh's boundary [m].
        weight: γ of the stabilisation γ/h, dimensionless, > 0.
    """

    facets: NDArray[np.int64]
    weight: float

    def gram(self, space: LagrangeSpace) -> Any:
        """Return ∫ (γ/h) φᵢφⱼ ds over the facets, as scipy.sparse CSC [size, size]."""
        rule = FacetPoints(space.mesh, self.facets, min(30, 2 * space.degree))
        points = rule.take(range(rule.size))
        traces = space.values_at(points.cell, points.reference)
        return traces.T.tocsc() @ (traces * (self.weight * points.w / points.h)[:, None]).tocsc()


class DualNorm:
    """The dual norm of residuals of one component: G⁻¹ on its test functions.

    Args:
        space: continuous Lagrange space.
        free: test functions [m], ascending.
        held: whether every connected body of the mesh has a condition, so that ∫∇φᵢ·∇φⱼ with ``stabilised`` is a norm.
        placement: device, precision and threads of the computation.
        stabilised: conditions imposed by Nitsche's terms, which add (γ/h)‖v‖² to the norm.

    Raises:
        InputError: no test function is left.
    """

    def __init__(
        self,
        space: LagrangeSpace,
        free: NDArray[np.int64],
        held: bool,
        placement: Placement,
        stabilised: Sequence[Stabilised] = (),
    ) -> None:
        if not len(free):
            raise InputError(
                f"the test space of degree {space.degree} has no function left inside the essential boundary; "
                "raise test_space.degree or refine the mesh"
            )
        self._space = space
        self._free = free
        self._placement = placement
        self._mass = not held
        parts = [part.gram(space) for part in stabilised]
        self._boundary = sum(parts[1:], parts[0]) if parts else None

    @cached_property
    def whitening(self) -> Whitening:
        """Operator that turns residuals into rows whose Euclidean norm is the dual norm."""
        return Whitening(self._space, self._free, self._mass, self._boundary)

    @cached_property
    def _block(self) -> Any:
        gram = self._space.gram(self._mass)
        gram = gram if self._boundary is None else gram + self._boundary
        return gram.tocsc()[self._free][:, self._free]

    @cached_property
    def dense(self) -> Tensor | None:
        """G⁻¹ [m, m]; None for more than ``DENSE`` test functions."""
        return self._placement.put(np.linalg.inv(self._block.toarray())) if len(self._free) <= DENSE else None

    @cached_property
    def _factor(self) -> SparseFactors:
        return SparseFactors(self._block, **ON_DIAGONAL)

    def riesz(self, residual: Tensor) -> Tensor:
        """Return y = G⁻¹r, the coefficients [m] of the Riesz representative of a residual [m]."""
        if self.dense is not None:
            return self.dense @ residual
        return self._placement.put(self._factor.solve(host(residual).astype(np.float64, copy=False)))


@dataclass(frozen=True)
class TestSpace:
    """Conforming test functions for every component.

    Attributes:
        space: continuous Lagrange space of every component.
        essential: for every component, the basis functions left out, because the unknown is prescribed there or only bubbles
            are used.
        placement: device, precision and threads of the computation.
        stabilised: for every component, the conditions imposed by Nitsche's terms; () if there are none.
    """

    __test__ = False

    space: LagrangeSpace
    essential: tuple[NDArray[np.int64], ...]
    placement: Placement
    stabilised: tuple[tuple[Stabilised, ...], ...] = ()

    @cached_property
    def free(self) -> tuple[NDArray[np.int64], ...]:
        """Per component, the functions tested with."""
        kept = np.ones((len(self.essential), self.space.size), dtype=bool)
        for row, fixed in zip(kept, self.essential, strict=True):
            row[fixed] = False
        return tuple(map(np.flatnonzero, kept))

    @property
    def size(self) -> int:
        """Number of test functions of all components."""
        return sum(map(len, self.free))

    @cached_property
    def _bodies(self) -> NDArray[np.int64]:
        """Which connected part of the mesh every function belongs to [space.size]."""
        first, others = self.space.dofs[:, :1], self.space.dofs
        links = (np.ones(others.size), (np.broadcast_to(first, others.shape).ravel(), others.ravel()))
        body: NDArray[np.int64] = connected_components(coo_array(links, shape=(self.space.size,) * 2), directed=False)[1]
        return body

    def _held(self, fixed: NDArray[np.int64], weak: Sequence[Stabilised]) -> bool:
        """Return whether every body of the mesh has functions left out, or facets with Nitsche's terms, at all times."""
        if self.space.mesh.timed:  # a value at the first instant alone holds no later one
            fixed = np.setdiff1d(fixed, self.space.boundary_dofs(self.space.mesh.facets(INITIAL)))
        places = np.concatenate([fixed, *(self.space.boundary_dofs(part.facets) for part in weak)])
        return bool(np.isin(self._bodies, self._bodies[places]).all())

    @cached_property
    def norms(self) -> tuple[DualNorm, ...]:
        """Dual norm of every component."""
        made: dict[tuple[Any, ...], DualNorm] = {}
        norms = []
        for free, fixed, weak in zip(self.free, self.essential, self.stabilised or [()] * len(self.essential), strict=True):
            key = (free.tobytes(), *((part.facets.tobytes(), part.weight) for part in weak))
            if key not in made:
                made[key] = DualNorm(self.space, free, self._held(fixed, weak), self.placement, weak)
            norms.append(made[key])
        return tuple(norms)

    @cached_property
    def _rows(self) -> tuple[Tensor, ...]:
        return tuple(map(self.placement.put, self.free))

    def whiten(self, columns: Tensor) -> NDArray[np.float64]:
        """Return rows [size, k] whose Euclidean norm is the dual norm of the residuals [components, space.size, k]."""
        parts = zip(wide(columns), self.norms, strict=True)
        return host(torch.cat([norm.whitening(column) for column, norm in parts]))

    @cached_property
    def _inverses(self) -> dict[int, Tensor]:
        return {}

    def inverse(self, component: int) -> Tensor | None:
        """Return G⁻¹ of one component [space.size, space.size], zero for functions left out; None if it is not stored."""
        if component not in self._inverses and (small := self.norms[component].dense) is not None:
            rows = self._rows[component]
            large = small.new_zeros(self.space.size, self.space.size)
            large[rows[:, None], rows] = small
            self._inverses[component] = large
        return self._inverses.get(component)

    def riesz(self, residual: Tensor) -> Tensor:
        """Return y = G⁻¹r of the shape of the residuals r [components, space.size]; zero for functions left out."""
        result = torch.zeros_like(residual)
        for component, (rows, norm) in enumerate(zip(self._rows, self.norms, strict=True)):
            inverse = self.inverse(component)
            if inverse is not None:
                torch.matmul(inverse, residual[component], out=result[component])
            else:
                result[component, rows] = norm.riesz(residual[component, rows])
        return result
