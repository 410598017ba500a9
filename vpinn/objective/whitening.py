"""L⁻¹ for a Gram matrix G = LLᵀ of finite elements, the interiors of cells eliminated first.

Functions inside a cell meet no others than the cell's own, so that their part of the factor is one small matrix per cell;
what remains is the Schur complement of the functions on vertices, edges and faces (static condensation: Guyan 1965; Karniadakis &
Sherwin, Spectral/hp Element Methods, 2005, 4.2.3). Of degree 8 in three dimensions that is a third of the functions, a tenth
of the memory and a thirtieth of the work. Rows of a cell's interior are ready as soon as its points are summed, and need
not wait for the others.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse.linalg import splu, spsolve_triangular
from torch import Tensor

from vpinn.domain import LagrangeSpace, assemble_cells
from vpinn.interrupt import apart
from vpinn.placement import host

DENSE_FACTOR = 8_000
"""Up to this many functions outside cell interiors, their factor is dense."""
SHORT = 100_000_000
"""Products in a triangular solve up to which no signal waits for its end: a thread of its own costs more than most of them."""


class Whitening:
    """L⁻¹ on the free functions of one component, all interior ones among them.

    Args:
        space: continuous Lagrange space.
        free: functions tested with [m], ascending.
        mass: whether ∫φᵢφⱼ is part of G beside ∫∇φᵢ·∇φⱼ.
        boundary: what else is, none of it on interior functions, scipy.sparse [size, size]; None for nothing.

    Attributes:
        inner: local functions of a cell's interior [n_i].
        outer: the others [n_o].
        skeleton: number of functions outside all interiors, which are numbered first.
    """

    def __init__(self, space: LagrangeSpace, free: NDArray[np.int64], mass: bool, boundary: Any | None) -> None:
        self.space, inner = space, np.array(space.element.entity_dofs[space.mesh.dimension][0], dtype=np.int64)
        self.inner, self.outer = inner, np.setdiff1d(np.arange(space.dofs.shape[1]), inner)
        self.skeleton = space.size - space.mesh.n_cells * len(inner)
        self._free = torch.from_numpy(free[free < self.skeleton])
        assert len(free) == len(self._free) + space.size - self.skeleton
        self._outer_dofs = torch.from_numpy(space.dofs[:, self.outer])
        factors, couplings, parts = [], [], []
        for cells, matrix in space.cell_gram() if mass else space.cell_stiffness():
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
        """Eliminate the interiors of cells: return their whitened rows [m·n_i, K] and what is left to others [m, n_o, K].

        Args:
            cells: m consecutive ones.
            local: columns of their interiors [m, n_i, K].
        """
        rows = torch.linalg.solve_triangular(self._factors[cells], local, upper=False)
        return rows.flatten(0, 1), self._couplings[cells].mT @ rows

    def condense(self, cells: slice, columns: Tensor, left: Tensor) -> None:
        """Add what cells leave [m, n_o, K] to columns of the skeleton [skeleton, K]."""
        columns.index_add_(0, self._outer_dofs[cells].reshape(-1), left.flatten(0, 1))

    def outside(self, columns: Tensor) -> Tensor:
        """Return the whitened rows [free, K] of columns of the skeleton [skeleton, K], interiors eliminated."""
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
        """Return rows [m, K] whose Euclidean norm is the dual norm, for columns of all functions [size, K]."""
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
        """Unit lower factor, diagonal and order of PSPᵀ = LDLᵀ, by an LU factorisation that keeps the symmetry."""
        matrix, symmetric = self._schur, {"SymmetricMode": True}
        factor = apart(partial(splu, matrix, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options=symmetric))
        assert np.array_equal(factor.perm_r, factor.perm_c)
        return factor.L.tocsr(), factor.U.diagonal(), np.argsort(factor.perm_c)
