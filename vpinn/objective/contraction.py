"""Contraction of integrands with test functions: coefficients a, B at points → residuals r_j = Σ_q w_q (a φ_j + B·∇φ_j).

For whole cells this is one matrix product with the tabulated basis (Anandh et al. 2024, FastVPINNs, arXiv 2404.12063). For
drawn points, the row of the table that belongs to each point is gathered. Gradients are transformed to reference coordinates,
so that all cells share one table. Start with `Contraction.assemble`; `Contraction.at_points` is its transpose.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vpinn.domain import LagrangeSpace, MeshPoints, Points
from vpinn.forms import Jet, Value
from vpinn.placement import Placement


@dataclass(frozen=True)
class Frame:
    """Data of n points that the contraction needs: their cells and the tables of basis functions there.

    Attributes:
        cell: cells of the points [n].
        row: rows of the points in the tables of the contraction [n].
        pull: J⁻ᵀ, which turns reference gradients into physical ones [n, d, d]; [n, 0, 0] if it is constant over the mesh.
        tables: tables for every point separately [n, 1 + d, n_local], if the points differ from cell to cell; else None.
        functions: global functions of whole cells [cells, n_local], stored when they are first needed.
    """

    cell: Tensor
    row: Tensor
    pull: Tensor
    tables: Tensor | None = None
    functions: list[Tensor] = field(default_factory=list, compare=False)

    def rows(self, rows: slice | Tensor) -> Frame:
        """Return the frame of some of the points."""
        tables = None if self.tables is None else self.tables[rows]
        return Frame(self.cell[rows], self.row[rows], self.pull[rows], tables)

    def of(self, contraction: Contraction, row: int) -> Tensor:
        """Return the local functions (row 0) or their derivatives (row 1 + i) at the points [n, n_local]."""
        return contraction.tables[row][self.row] if self.tables is None else self.tables[:, row]

    @property
    def columns(self) -> tuple[Tensor, ...]:
        """The tensors with one entry per point, in the order of the attributes."""
        return self.cell, self.row, self.pull, *(() if self.tables is None else (self.tables,))

    @staticmethod
    def of_columns(columns: Sequence[Tensor]) -> Frame:
        """Return the frame that has these ``columns``."""
        cell, row, pull, *tables = columns
        return Frame(cell, row, pull, tables[0] if tables else None)


@dataclass(frozen=True)
class Contraction:
    """The test functions at the quadrature points of one measure.

    Attributes:
        space: continuous Lagrange space of every component.
        points: quadrature points of the measure.
        placement: device, precision and threads of the computation.
    """

    space: LagrangeSpace
    points: MeshPoints
    placement: Placement

    @cached_property
    def tables(self) -> Tensor:
        """Values and gradients of the local functions [1 + d, rows, n_local]; gradients are physical if J is constant."""
        placed = self.points.placed_in_cell.reshape(-1, self.space.mesh.dimension)
        return self._tabulated(placed).transpose(0, 1).contiguous()

    def _tabulated(self, placed: NDArray[np.float64]) -> Tensor:
        """Return values and gradients at reference points [rows, d]: [rows, 1 + d, n_local]."""
        values, gradients = self.space.tabulate(placed)  # [rows, n_local], [rows, d, n_local]
        if self.constant is not None:
            gradients = np.einsum("ik,rkn->rin", self.constant, gradients)
        return self.placement.put(np.concatenate([values[:, None], gradients], axis=1))

    @property
    def columns(self) -> int:
        """Number of entries that a frame stores per point."""
        d = self.space.mesh.dimension
        return d * d + 2 + (0 if self.points.tabulated else (1 + d) * self.space.dofs.shape[1])

    @cached_property
    def dofs(self) -> Tensor:
        """Global functions of every cell [n_cells, n_local]."""
        return self.placement.put(np.array(self.space.dofs))

    def frame(self, points: Points) -> Frame:
        """Return the frame of some points."""
        if self.constant is None:
            pull = self.space.mesh.frames_at(points.cell, points.reference).inverse_transpose
        else:
            pull = np.empty((len(points.w), 0, 0))
        row = points.local
        if self.points.on_facets:
            row = row + self.points.per_entity * self.points.facet_of(points)
        tables = None if self.points.tabulated else self._tabulated(points.reference)
        put = self.placement.put
        return Frame(put(points.cell), put(row), put(pull), tables)

    def assemble(
        self, tests: Sequence[Jet], coefficients: Sequence[Value], w: Tensor, frame: Frame, aligned: bool, outputs: int
    ) -> Tensor:
        """Return residuals [outputs, space.size], or [outputs, space.size, K] for K columns of coefficients.

        Args:
            tests: test function of every coefficient: component, counted through all test functions, and derivative of order
                0 or 1.
            coefficients: for every test, one value per point [n], one value for all points, or K columns of values [n, K].
            w: weights [n].
            frame: frame of the points.
            aligned: whether the points are all points of whole cells, cell after cell.
            outputs: number of components of the test functions.
        """
        parts = self._parts(tests, coefficients, w, frame)
        wide = next(iter(parts.values())).shape[1:]
        result = w.new_zeros(outputs, self.space.size, *wide)
        grouped = self._grouped(aligned, bool(wide))
        dofs = self._dofs(frame, grouped)
        if wide and not grouped:
            for (component, row), part in parts.items():
                result[component] += _scatter(dofs, frame.of(self, row), self.space.size) @ part
            return result
        for component, local in self._summed(parts, frame, aligned).items():
            result[component].index_add_(0, dofs.view(-1), local.reshape(-1, *wide))
        return result

    def local(self, tests: Sequence[Jet], coefficients: Sequence[Value], w: Tensor, frame: Frame) -> dict[int, Tensor]:
        """Return the residuals of m whole cells for K columns of coefficients, not yet summed: component → [m, n_local, K].

        Every cell multiplies its own test functions, weighted and in physical coordinates, with the coefficients, which are read
        only once.
        """
        found: dict[int, Tensor] = {}
        q, bases = self.points.per_entity, dict[tuple[int, ...], Tensor]()
        for test, value in zip(tests, coefficients, strict=True):
            assert isinstance(value, Tensor)
            if test.derivative not in bases:
                bases[test.derivative] = (self.basis([test], frame)[0][0] * w[:, None]).view(-1, q, self.dofs.shape[1]).mT
            basis, columns = bases[test.derivative], value.view(-1, q, value.shape[1])
            if test.component in found:
                found[test.component].baddbmm_(basis, columns)
            else:
                found[test.component] = basis @ columns
        return found

    def _parts(
        self, tests: Sequence[Jet], coefficients: Sequence[Value], w: Tensor, frame: Frame
    ) -> dict[tuple[int, int], Tensor]:
        """Return the factor of every table at the points, weights included: (component, table) → [n] or [n, K]."""
        parts: dict[tuple[int, int], Tensor] = {}
        for test, value in zip(tests, coefficients, strict=True):
            weighted = _times(value, w)
            for row, factor in self._rows(test, frame):
                part = weighted if factor is None else _times(weighted, factor)
                key = test.component, row
                parts[key] = parts[key] + part if key in parts else part
        return parts

    def _summed(self, parts: dict[tuple[int, int], Tensor], frame: Frame, aligned: bool) -> dict[int, Tensor]:
        """Return local integrals: component → [m, n_local] or [m, n_local, K], for every cell, facet or single point."""
        found: dict[int, Tensor] = {}
        for (component, row), part in parts.items():
            found[component] = self._spread(row, part, frame, aligned, found.get(component))
        return found

    def at_points(self, tests: Sequence[Jet], dual: Tensor, frame: Frame, aligned: bool) -> list[Tensor]:
        """Return the values or derivatives of a finite element function at n points, the transpose of ``assemble``.

        Args:
            tests: component and derivative of each result.
            dual: coefficients of the function [outputs, space.size], or of K functions [outputs, space.size, K].
            frame: frame of the points.
            aligned: whether the points are all points of whole cells, cell after cell.

        Returns:
            for every test [n], or [n, K] for K functions.
        """
        dofs = self._dofs(frame, self._by_cell(aligned))
        local: dict[int, Tensor] = {}
        found: dict[tuple[int, int], Tensor] = {}
        values = []
        for test in tests:
            total: Tensor | None = None
            if test.component not in local:
                taken = dual[test.component].index_select(0, dofs.view(-1))
                local[test.component] = taken.view(*dofs.shape, *taken.shape[1:])
            for row, factor in self._rows(test, frame):
                key = test.component, row
                if key not in found:
                    found[key] = self._gathered(row, local[test.component], frame, aligned)
                part = found[key] if factor is None else _times(found[key], factor)
                total = part if total is None else total + part
            assert total is not None
            values.append(total)
        return values

    def basis(self, tests: Sequence[Jet], frame: Frame) -> tuple[Tensor, Tensor]:
        """Return every test of all local functions at the points [tests, n, n_local], and the global functions [n, n_local]."""
        found = []
        for test in tests:
            terms = [_scaled(frame.of(self, row), factor) for row, factor in self._rows(test, frame)]
            found.append(terms[0] if len(terms) == 1 else torch.stack(terms).sum(0))
        return torch.stack(found), self._dofs(frame, False)

    def _rows(self, test: Jet, frame: Frame) -> list[tuple[int, Tensor | None]]:
        """Return the tables whose combination is a test, each with its factor at the points [n]; None stands for 1."""
        if not test.derivative:
            return [(0, None)]
        (i,) = test.derivative
        if self.constant is not None:
            return [(1 + i, None)]
        return [(1 + k, frame.pull[:, i, k]) for k in range(self.space.mesh.dimension)]

    def _dofs(self, frame: Frame, grouped: bool) -> Tensor:
        """Return the global functions of the cells, once per cell or facet [m, n_local] or once per point [n, n_local]."""
        if not grouped:
            return self.dofs.index_select(0, frame.cell)
        if not frame.functions:
            frame.functions.append(self.dofs.index_select(0, frame.cell[:: self.points.per_entity]))
        return frame.functions[0]

    def _grouped(self, aligned: bool, wide: bool) -> bool:
        """Return whether local integrals are sums over cells or (with columns) over facets; otherwise they are single points."""
        return aligned and (wide or self._by_cell(aligned))

    def _by_cell(self, aligned: bool) -> bool:
        return aligned and not self.points.on_facets and self.points.tabulated

    def _spread(self, row: int, part: Tensor, frame: Frame, aligned: bool, local: Tensor | None) -> Tensor:
        """Return the local integrals of ``part`` [n] or [n, K] against one table, added to ``local``."""
        if not self._by_cell(aligned):
            here = frame.of(self, row)  # [n, n_local]
            if self._grouped(aligned, part.ndim == 2):
                q = self.points.per_entity
                new = here.view(-1, q, here.shape[1]).mT @ part.view(-1, q, part.shape[1])
                return new if local is None else local + new
            new = here * part[:, None]
            return new if local is None else local + new
        by_cell = part.view(-1, self.points.per_entity, *part.shape[1:])
        if part.ndim == 2:
            new = self.tables[row].T @ by_cell
            return new if local is None else local + new
        return by_cell @ self.tables[row] if local is None else local.addmm(by_cell, self.tables[row])

    def _gathered(self, row: int, local: Tensor, frame: Frame, aligned: bool) -> Tensor:
        """Return one table's function with local coefficients, at the points [n]; [n, K] for K functions."""
        if local.ndim == 3:
            if self._by_cell(aligned):
                return (self.tables[row] @ local).flatten(0, 1)
            return torch.einsum("nl,nlk->nk", frame.of(self, row), local)
        if self._by_cell(aligned):
            return (local @ self.tables[row].T).view(-1)
        return (local * frame.of(self, row)).sum(1)

    @cached_property
    def constant(self) -> NDArray[np.float64] | None:
        """J⁻ᵀ [d, d] if it is the same all over the mesh, else None."""
        mesh = self.space.mesh
        corners = mesh.frames(np.arange(mesh.n_cells), mesh.reference.vertices).inverse_transpose
        corners = corners.reshape(-1, *corners.shape[-2:])
        same = np.abs(corners - corners[0]).max() <= 1e-12 * np.abs(corners[0]).max()
        return corners[0] if same else None


def _scatter(dofs: Tensor, here: Tensor, size: int) -> Tensor:
    """Return local functions at points [n, n_local] as a sparse matrix [size, n]."""
    points = torch.arange(len(dofs), device=dofs.device).repeat_interleave(dofs.shape[1])
    index = torch.stack([dofs.reshape(-1), points])
    return torch.sparse_coo_tensor(index, here.reshape(-1), (size, len(dofs)), device=dofs.device, check_invariants=True)


def _scaled(rows: Tensor, factor: Tensor | None) -> Tensor:
    return rows if factor is None else rows * factor[:, None]


def _times(value: Value, factor: Tensor | float) -> Tensor:
    """Return a product over points, where ``value`` may have columns [n, K]."""
    if isinstance(value, Tensor) and value.ndim == 2 and isinstance(factor, Tensor):
        factor = factor[:, None]
    return value * factor  # type: ignore[return-value]
