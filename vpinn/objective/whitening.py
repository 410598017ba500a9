"""Whitening of residuals: L⁻¹ for a Gram matrix G = LLᵀ of finite elements, with interior functions of cells eliminated first.

Functions inside a cell are coupled only to functions of the same cell, so that their part of L is one small matrix per cell.
What remains is the Schur complement of the functions on vertices, edges and faces (static condensation: Guyan 1965; Karniadakis
& Sherwin, Spectral/hp Element Methods, 2005, 4.2.3). For degree 8 in three dimensions it has a third of the functions and takes
about a tenth of the memory and a thirtieth of the work. Rows of interior functions are complete as soon as all points of their
cell are added.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse.linalg import spsolve_triangular
from torch import Tensor

from vpinn.domain import LagrangeSpace, assemble_cells
from vpinn.factors import ON_DIAGONAL, SparseFactors
from vpinn.interrupt import apart
from vpinn.placement import host

DENSE_FACTOR = 8_000
"""Largest number of functions outside cell interiors for which their factor is a dense matrix."""
SHORT = 100_000_000
"""Number of multiplications up to which a triangular solve runs directly. Longer ones run in a thread of their own, so that
signals need not wait for their end; for shorter ones the thread would cost more than the solve."""


class Whitening:
    """L⁻¹ on the test functions of one component, which include all interior functions of cells.

    Args:
        space: continuous Lagrange space.
        free: test functions [m], ascending.
        mass: whether G contains ∫φᵢφⱼ besides ∫∇φᵢ·∇φⱼ.
        boundary: further part of G, zero for interior functions, scipy.sparse [size, size]; None if there is none.

    Attributes:
        inner: local numbers of the functions in the interior of a cell [n_i].
        outer: local numbers of all other functions [n_o].
        skeleton: number of functions outside all interiors; these come first in the numbering.
    """

    def __init__(self, space: LagrangeSpace, free: NDArray[np.int64], mass: bool, boundary: Any | None) -> None:
        self.space, inner = space, np.array(space.element.entity_dofs[space.mesh.dimension][0], dtype=np.int64)
        self.inner, self.outer = inner, np.setdiff1d(np.arange(space.dofs.shape[1]), inner)
        self.skeleton = space.size - space.mesh.n_cells * len(inner)
        self._free = torch.from_numpy(free[free < self.skeleton])
        assert len(free) == len(self._free) + space.size - self.skeleton
        self._outer_dofs = torch.from_numpy(space.dofs[:, self.outer])
        factors, couplings, parts = [], [], []
        for cells, matrix in space.cell_gram(mass):
            local = torch.from_numpy(matrix)
            factor = torch.linalg.cholesky(local[:, inner[:, None], inner])
            coupling = torch.linalg.solve_triangular(factor, local[:, inner[:, None], self.outer], upper=False)
            factors.append(factor)
            couplings.append(coupling)
            condensed = local[:, self.outer[:, None], self.outer] - coupling.mT @ coupling
            parts.append((space.dofs[cells][:, self.outer], host(condensed)))
        self._factors, self._couplings = torch.cat(factors), torch.cat(couplings)
        schur = assemble_cells(parts, self.skeleton)
        if boundary is not None:
            schur = schur + boundary[: self.skeleton, : self.skeleton]
        self._schur = schur.tocsc()[free[: len(self._free)]][:, free[: len(self._free)]]

    def interiors(self, cells: slice, local: Tensor) -> tuple[Tensor, Tensor]:
        """Eliminate the interior functions of cells.

        Args:
            cells: m consecutive cells.
            local: residuals of their interior functions [m, n_i, K].

        Returns:
            whitened rows [m·n_i, K], and what must be subtracted from the residuals of the other functions [m, n_o, K].
        """
        rows = torch.linalg.solve_triangular(self._factors[cells], local, upper=False)
        return rows.flatten(0, 1), self._couplings[cells].mT @ rows

    def condense(self, cells: slice, columns: Tensor, left: Tensor) -> None:
        """Add residuals of the outer functions of cells [m, n_o, K] to those of the skeleton [skeleton, K], in place."""
        columns.index_add_(0, self._outer_dofs[cells].reshape(-1), left.flatten(0, 1))

    def outside(self, columns: Tensor) -> Tensor:
        """Return the whitened rows of the skeleton, for its residuals after elimination of the interiors [skeleton, K]."""
        right = columns[self._free]
        if len(right) <= DENSE_FACTOR:
            if not len(right):
                return right
            solve: Callable[[], Tensor] = partial(torch.linalg.solve_triangular, self._cholesky, right, upper=False)
            return solve() if len(right) * right.numel() <= SHORT else apart(solve)
        lower, diagonal, order = self._sparse_cholesky
        solved = spsolve_triangular(lower, host(right)[order], lower=True, unit_diagonal=True)
        return torch.from_numpy(solved / np.sqrt(diagonal)[:, None])

    def __call__(self, columns: Tensor) -> Tensor:
        """Return rows [m, K] whose Euclidean norm is the dual norm, for residuals of all functions [size, K]."""
        inside, every = columns[self.skeleton :].view(self.space.mesh.n_cells, len(self.inner), columns.shape[1]), slice(None)
        rows, left = self.interiors(every, inside)
        outside = columns[: self.skeleton].clone()
        self.condense(every, outside, -left)
        return torch.cat([rows, self.outside(outside)])

    @cached_property
    def _cholesky(self) -> Tensor:
        matrix = torch.from_numpy(self._schur.toarray())
        factor: Tensor = apart(lambda: torch.linalg.cholesky(matrix))
        return factor

    @cached_property
    def _sparse_cholesky(self) -> tuple[Any, NDArray[np.float64], NDArray[np.int64]]:
        """Unit lower factor L, diagonal D and order P of PSPᵀ = LDLᵀ, from an LU factorisation that preserves symmetry."""
        factors = SparseFactors(self._schur, **ON_DIAGONAL)
        pivots = factors.pivots
        assert pivots is not None
        return factors.lower.tocsr(), pivots, factors.order
