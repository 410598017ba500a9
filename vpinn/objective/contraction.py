"""Coefficients of test functions at points → residuals r_j = Σ_q w_q (a φ_j + B·∇φ_j).

For whole cells this is one matrix product with the tabulated basis (Anandh et al. 2024, FastVPINNs,
arXiv 2404.12063); for drawn points the basis rows of each point are gathered. Gradients are pulled back to reference
coordinates first, so that one table serves every cell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from vpinn.domain import CellPoints, FacetPoints, LagrangeSpace, Points, facet_gauss, gauss
from vpinn.forms import Jet, Value


@dataclass(frozen=True)
class Frame:
    """Where n points stand in their cells.

    Attributes:
        cell: cells [n].
        row: row of the contraction's table [n].
        pull: J⁻ᵀ, which turns reference gradients into physical ones [n, d, d]; [n, 0, 0] where it is one constant.
    """

    cell: Tensor
    row: Tensor
    pull: Tensor

    def rows(self, rows: slice | Tensor) -> Frame:
        """Return some of the points."""
        return Frame(self.cell[rows], self.row[rows], self.pull[rows])

    @staticmethod
    def join(parts: Sequence[Frame]) -> Frame:
        """Return consecutive parts as one."""
        cells, rows, pulls = ([getattr(p, name) for p in parts] for name in ("cell", "row", "pull"))
        return Frame(torch.cat(cells), torch.cat(rows), torch.cat(pulls))


@dataclass(frozen=True)
class Contraction:
    """Test functions of one space at the points of one measure.

    Attributes:
        space: continuous Lagrange space, the same for every component.
        points: the measure's points, from a Gauss rule: the same in every cell.
        dtype: precision of training.
    """

    space: LagrangeSpace
    points: CellPoints | FacetPoints
    dtype: torch.dtype

    @cached_property
    def table(self) -> Tensor:
        """Values and reference gradients of the local functions [rows, 1 + d, n_local]."""
        mesh, degree = self.space.mesh, self.points.degree
        if isinstance(self.points, FacetPoints):
            placed = mesh.reference.facet_points(facet_gauss(mesh.cell, degree).points).reshape(-1, mesh.dimension)
        else:
            placed = gauss(mesh.cell, degree).points
        values, gradients = self.space.tabulate(placed)
        return torch.from_numpy(np.concatenate([values[:, None], gradients], axis=1)).to(self.dtype)

    @cached_property
    def dofs(self) -> Tensor:
        """Global functions of every cell [n_cells, n_local]."""
        return torch.from_numpy(np.array(self.space.dofs))

    def frame(self, points: Points, dtype: torch.dtype) -> Frame:
        """Return where points stand; constant J⁻ᵀ over the mesh is stored once."""
        if self.constant is None:
            pull = self.space.mesh.frames_at(points.cell, points.reference).inverse_transpose
        else:
            pull = np.empty((len(points.w), 0, 0))
        row = points.local
        if isinstance(self.points, FacetPoints):
            row = row + self.points.per_entity * self.space.mesh.boundary[points.entity, 1]
        return Frame(torch.from_numpy(points.cell), torch.from_numpy(row), torch.from_numpy(pull).to(dtype))

    def assemble(
        self, tests: Sequence[Jet], coefficients: Sequence[Value], w: Tensor, frame: Frame, aligned: bool, outputs: int
    ) -> Tensor:
        """Return residuals [outputs, space.size], or [outputs, space.size, K] for K columns of coefficients.

        Args:
            tests: (component, derivative) that each coefficient belongs to, derivative of order 0 or 1; the component
                counts through all test functions.
            coefficients: one value per point [n], or one for all, or K columns of values [n, K].
            w: weights [n].
            frame: where the points stand.
            aligned: whether the points are whole cells in the rule's order.
            outputs: number of test components.
        """
        d, n = self.space.mesh.dimension, len(w)
        columns: dict[int, list[Tensor | None]] = {}
        for test, value in zip(tests, coefficients, strict=True):
            weighted = _times(value, w)
            column = columns.setdefault(test.component, [None] * (1 + d))
            if not test.derivative:
                column[0] = _plus(column[0], weighted)
                continue
            for k in range(d):
                factor = self.pull_factor(frame, test.derivative[0], k)
                if factor is not None:
                    column[1 + k] = _plus(column[1 + k], _times(weighted, factor))
        found = {}
        for component, parts in columns.items():
            used = [k for k, part in enumerate(parts) if part is not None]
            stacked = [part for part in parts if part is not None]
            table, wide = self.table[:, used], stacked[0].shape[1:]
            if aligned and isinstance(self.points, CellPoints):
                q = self.points.per_entity
                left = torch.stack([part.view(-1, q, *wide) for part in stacked], 1).view(n // q, len(used) * q, *wide)
                flat = table.transpose(0, 1).reshape(len(used) * q, -1)
                local = flat.T @ left if wide else left @ flat
                dofs = self.dofs[frame.cell[::q]]
            else:
                local = torch.einsum("nk...,nkl->nl...", torch.stack(stacked, 1), table[frame.row])
                dofs = self.dofs[frame.cell]
            empty = w.new_zeros(self.space.size, *wide)
            found[component] = empty.index_add(0, dofs.reshape(-1), local.reshape(-1, *wide))
        zero = torch.zeros_like(next(iter(found.values())))
        return torch.stack([found.get(component, zero) for component in range(outputs)])

    @cached_property
    def constant(self) -> list[list[float]] | None:
        """J⁻ᵀ where it is the same all over the mesh, else None."""
        mesh = self.space.mesh
        corners = mesh.frames(np.arange(mesh.n_cells), mesh.reference.vertices).inverse_transpose
        corners = corners.reshape(-1, *corners.shape[-2:])
        same = np.abs(corners - corners[0]).max() <= 1e-12 * np.abs(corners[0]).max()
        clean = np.where(np.abs(corners[0]) > 1e-13 * np.abs(corners[0]).max(), corners[0], 0.0)
        return clean.tolist() if same else None

    def pull_factor(self, frame: Frame, i: int, k: int) -> Tensor | float | None:
        """Return (J⁻ᵀ)_ik at the points; a number where it is constant, None where it is zero."""
        if self.constant is not None:
            return self.constant[i][k] or None
        return frame.pull[:, i, k]


def _times(value: Value, factor: Tensor | float) -> Tensor:
    """Return a product over points, where either may have columns."""
    if isinstance(value, Tensor) and value.ndim == 2 and isinstance(factor, Tensor):
        factor = factor[:, None]
    return value * factor  # type: ignore[return-value]


def _plus(a: Tensor | None, b: Tensor) -> Tensor:
    return b if a is None else a + b
