"""Assemble the residual F(u; φ_i) of a weak form on finite elements and its derivative, a sparse matrix.

Everything is pulled back to the reference cell, so that one table T of basis functions serves all cells. Let D be the derivatives
of the form's coefficients by value and gradient of the unknowns, and P the map from value and reference gradient to value and
gradient. Then a cell's matrix is Σ_q w Tᵀ(PᵀDP)T. Where P and D are constant on a cell, its entries are combinations of integrals
over the reference cell, which are computed once. Start from ``assemble``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vpinn.domain import FacingPoints, LagrangeSpace, MeshPoints, PlacedPoints, Points
from vpinn.finite_elements.form import Integrand, Key
from vpinn.finite_elements.local import Local, Placed, block_diagonal, jets_map
from vpinn.finite_elements.mixed import MixedSpace
from vpinn.finite_elements.pattern import Pattern, joined
from vpinn.finite_elements.whole import Whole
from vpinn.forms import Background, Value
from vpinn.placement import HOST, host

Array = NDArray[np.float64]
Rule = MeshPoints | PlacedPoints | FacingPoints
"""Where a form is integrated, or taken at points."""
CHUNK_BYTES = 16e6
"""Memory for the matrices and coefficients of the cells that are processed together, in bytes."""


@dataclass(frozen=True)
class Assembler(ABC):
    """The integrals of a weak form over the cells of a mesh, or over boundary facets.

    Attributes:
        space: trial and test space of the highest degree, which contains the spaces of all components.
        components: number of components of all unknowns.
        points: whole cells, or whole boundary facets, of a Gauss rule; or single points with weights.
        tests: for every coefficient, the value or derivative of a test function that it multiplies.
        slopes: for every derivative of a coefficient, the test function's value or derivative, and the unknown's.
    """

    space: LagrangeSpace
    components: int
    points: Rule
    tests: tuple[Key, ...]
    slopes: tuple[tuple[Key, Key], ...]

    @abstractmethod
    def outputs(self, points: Points, jets: Tensor | None, matrix: bool) -> Sequence[Value]:
        """Return the coefficients of all ``tests`` at n points, then, if wanted, all derivatives of ``slopes``; [n] or numbers.

        Args:
            points: the points.
            jets: values and gradients of the finite element function [components, n, 1 + d]; None: there is no such function.
            matrix: whether derivatives are wanted.
        """

    @cached_property
    def table(self) -> Tensor:
        """Values and reference gradients of the local functions [n, q, 1 + d, n_local]: per local facet, per point, or once."""
        assert not isinstance(self.points, FacingPoints)
        values, gradients = self.space.tabulate(self.points.placed_in_cell)
        return torch.from_numpy(np.concatenate([values[:, :, None], gradients], axis=2))

    @property
    def entities_at_a_time(self) -> int:
        """Number of cells or facets that are processed together."""
        q, (n, d) = self.points.per_entity, (self.space.dofs.shape[1], self.space.mesh.dimension)
        pairs = len(self.tests) + len(self.slopes)
        return max(1, int(CHUNK_BYTES / (8 * (n * n + q * (1 + d) * (n + d) + 2 * q * pairs))))

    def local(self, index: range, values: Tensor | None, matrix: bool) -> Local:
        """Return the contributions of the points ``index``, whole entities; ``values`` as in ``assemble``."""
        placed = self.placed(index)
        jets = None if values is None else self._jets(values[:, placed.dofs], placed.table, placed.pull)
        outputs = self.outputs(placed.points, jets, matrix)
        count = len(self.tests)
        return Local(
            placed.cells,
            self._residual(outputs[:count], placed.w, placed.table, placed.pull),
            self._matrices(outputs[count:], placed.w, placed.table, placed.pull),
            placed.far,
        )

    def placed(self, index: range) -> Placed:
        """Return the points ``index`` of whole entities with what does not depend on the unknowns there."""
        mesh, q = self.space.mesh, self.points.per_entity
        points = self.points.take(index)
        cells, m = points.cell[::q], len(index) // q
        if isinstance(self.points, FacingPoints):
            return self._placed_on_interface(self.points, points)
        if self.points.on_facets:
            table = self.table[torch.from_numpy(self.points.facet_of(points)[::q])]
            frames = mesh.frames_at(points.cell, points.reference)
            pull = jets_map(frames.inverse_transpose.reshape(m, q, mesh.dimension, mesh.dimension))
        else:
            table = self.table
            pull = jets_map(mesh.frames(cells, self.points.placed_in_cell[0]).inverse_transpose)
        w = torch.tensor(points.w, device=HOST).view(m, q)
        return Placed(points, cells, torch.from_numpy(self.space.dofs[cells]), table, pull, w)

    def _placed_on_interface(self, rule: FacingPoints, points: Points) -> Placed:
        """Return some points of an interface; with both sides, values of the far one follow those of the near one."""
        q, sides = rule.per_entity, [points, *([] if points.far is None else [points.far])]
        m, d = len(points) // q, self.space.mesh.dimension
        tables, pulls = [], []
        for side in sides:
            values, gradients = self.space.tabulate(side.reference.reshape(m, q, d))
            tables.append(np.concatenate([values[:, :, None], gradients], axis=2))
            inverse = self.space.mesh.frames_at(side.cell, side.reference).inverse_transpose
            pulls.append(host(jets_map(inverse.reshape(m, q, d, d))))
        dofs = np.concatenate([self.space.dofs[side.cell[::q]] for side in sides], axis=1)
        far = None if points.far is None else (points.far.cell[::q], points.entity[::q])
        w = torch.tensor(points.w, device=HOST).view(m, q)
        table, pull = (torch.from_numpy(block_diagonal(blocks)) for blocks in (tables, pulls))
        return Placed(points, points.cell[::q], torch.from_numpy(dofs), table, pull, w, far)

    def _jets(self, local: Tensor, table: Tensor, pull: Tensor) -> Tensor:
        """Return values and gradients [components, m·q, 1 + d] from local coefficients [components, m, n_local]."""
        _, q, places, n = table.shape
        flat = table.reshape(-1, q * places, n)
        jets = torch.einsum("cmn,mkn->cmk", local, flat) if len(flat) > 1 else local @ flat[0].T
        return (pull @ jets.view(*local.shape[:2], q, places, 1)).view(len(local), -1, places)

    def _residual(self, outputs: Sequence[Value], w: Tensor, table: Tensor, pull: Tensor) -> Tensor:
        """Return the residuals [components, m, n_local] of m cells from coefficients of the test functions."""
        m, q = w.shape
        _, _, places, n = table.shape
        weighted = w.new_zeros(self.components, m, q, places)
        for (c, place), value in zip(self.tests, outputs, strict=True):
            weighted[c, :, :, place] = w * (value.view(m, q) if isinstance(value, Tensor) else value)
        pulled = (weighted[..., None, :] @ pull).view(self.components, m, q * places)
        flat = table.reshape(-1, q * places, n)
        return torch.einsum("cmk,mkn->cmn", pulled, flat) if len(flat) > 1 else pulled @ flat[0]

    def _matrices(self, outputs: Sequence[Value], w: Tensor, table: Tensor, pull: Tensor) -> dict[tuple[int, int], Tensor]:
        """Return the cell matrices of all pairs of components from derivatives of the coefficients."""
        slopes: dict[tuple[int, int], dict[tuple[int, int], Tensor]] = {}
        for ((c, place), (other, its)), slope in zip(self.slopes if outputs else (), outputs, strict=True):
            whole = slope.view(w.shape) if isinstance(slope, Tensor) else torch.full_like(w, slope)
            slopes.setdefault((c, other), {})[place, its] = whole
        return {pair: self._matrix(entries, w, table, pull) for pair, entries in slopes.items()}

    def _matrix(self, entries: dict[tuple[int, int], Tensor], w: Tensor, table: Tensor, pull: Tensor) -> Tensor:
        """Return cell matrices [m, n, n] of a pair of components, from (test place, trial place) → derivative [m, q]."""
        m, q = w.shape
        places, n = table.shape[-2:]
        rows, columns = (_places([pair[side] for pair in entries], self.space.mesh.dimension, places) for side in (0, 1))
        # if derivatives and geometry are constant on every cell, one point represents all points of the cell
        same = len(pull[0]) == 1 and len(table) == 1 and all(bool((s == s[:, :1]).all()) for s in entries.values())
        derivative = w.new_zeros(m, 1 if same else q, places, places)
        for (i, j), slope in entries.items():
            derivative[:, :, i, j] = slope[:, :1] if same else slope * w
        reference = pull.mT[..., rows, :] @ derivative @ pull[..., columns]  # [m, q or 1, rows, columns]
        left, right = table[:, :, rows], table[:, :, columns]
        if same:
            weights = w[0] / w[0].sum()  # of the rule on the reference cell, with sum 1
            shared = torch.einsum("q,qin,qjl->ijnl", weights, left[0], right[0])
            scaled = reference[:, 0] * w.sum(1)[:, None, None]
            return (scaled.reshape(m, -1) @ shared.reshape(-1, n * n)).view(m, n, n)
        half = (reference @ right).view(m, -1, n)
        return left.reshape(len(left), -1, n).mT @ half


@dataclass(frozen=True)
class Discrete(Assembler):
    """Assembles a form whose unknowns are the finite element function.

    Attributes:
        integrand: coefficients of the form and their derivatives.
        background: known functions on the mesh.
    """

    integrand: Integrand
    background: Background

    @classmethod
    def of(cls, integrand: Integrand, space: LagrangeSpace, components: int, degree: int, background: Background) -> Discrete:
        """Return the assembler of an integrand, on a rule of a degree."""
        points = integrand.points(space.mesh, degree)
        return cls(space, components, points, integrand.tests, integrand.slopes, integrand, background)

    def outputs(self, points: Points, jets: Tensor | None, matrix: bool) -> Sequence[Value]:
        """Return coefficients and derivatives at the finite element function with the values and gradients ``jets``."""
        assert jets is not None
        tape = self.integrand.linearised if matrix else self.integrand.residual
        inputs = [jets[c, :, place] for c, place in self.integrand.inputs(tape)]
        return tape.moving([*tape.fixed(self.background.values(tape.fixed_slots, points)), *inputs])


def assemble(
    assemblers: Sequence[Assembler],
    mixed: MixedSpace,
    values: Array | None,
    numbering: NDArray[np.int64],
    matrix: bool = True,
    whole: Whole | None = None,
) -> tuple[Array, Any]:
    """Return the residual F(u; φ_i) for the free basis functions, and its derivative.

    Args:
        assemblers: assemblers of all integrals, on the space of the highest degree.
        mixed: spaces of the components.
        values: coefficients of the finite element function u [mixed.size]; None: the assemblers need none.
        numbering: number of each basis function among the free ones, -1 if its coefficient is prescribed [mixed.size].
        matrix: whether the derivative is wanted.
        whole: is filled with the residual of all basis functions, and the derivative by all of them times a vector.

    Returns:
        residual [free], and derivative as scipy.sparse CSC array [free, free], None unless wanted.
    """
    free, at = int(numbering.max()) + 1, None if values is None else torch.from_numpy(mixed.embedded(values))
    residual = torch.zeros(mixed.size, dtype=torch.float64, device=HOST)
    numbers = [numbering[mixed.numbers(c)] for c in range(len(mixed.spaces))]
    blocks: dict[tuple[int, int], tuple[Pattern, Tensor]] = {}
    for assembler in assemblers:
        for index in assembler.points.chunks(assembler.entities_at_a_time * assembler.points.per_entity):
            local = assembler.local(index, at, matrix)
            n = mixed.highest.dofs.shape[1]
            of_side = [slice(side * n, (side + 1) * n) for side in (0, 1)]
            for c, (space, within) in enumerate(zip(mixed.spaces, mixed.within, strict=True)):
                for cells, side in local.sides:
                    half = local.residual[c][:, of_side[side]]
                    own = half if within is None else half @ within
                    where = torch.from_numpy((mixed.first[c] + space.dofs[cells]).ravel())
                    residual.index_add_(0, where, own.reshape(-1))
            for (c, other), block in local.blocks.items():
                if (c, other) not in blocks:
                    pattern = mixed.pattern(c, other)
                    blocks[c, other] = pattern, pattern.zeros()
                pattern, entries = blocks[c, other]
                for (tests, row), (trials, column) in product(local.sides, local.sides):
                    part = block[:, of_side[row], of_side[column]]
                    own = _restricted(part, mixed.within[c], mixed.within[other])
                    pattern.add(entries, local.entry(row, column, mixed.mesh.n_cells, len(mixed.highest.joints)), own)
                    if whole is not None:
                        whole.add(mixed, (c, other), (tests, trials), own)
    if whole is not None:
        whole.residual[:] = host(residual)
    return host(residual)[numbering >= 0], joined(blocks, numbers, numbers, free) if matrix else None


def _restricted(block: Tensor, tests: Tensor | None, trials: Tensor | None) -> Tensor:
    """Return cell matrices [m, n, n] in bases of lower degree, given as combinations of that of the highest degree [n, k]."""
    block = block if tests is None else tests.T @ block
    return block if trials is None else block @ trials


def _places(used: Sequence[int], d: int, places: int) -> slice:
    """Return the places of value (0) and gradient (1 … d) that are used; the gradient is used as a whole or not at all.

    Where there are more ``places``, those of the far side of an interface, all are used.
    """
    if places > 1 + d:
        return slice(0, places)
    return slice(0 if 0 in used else 1, 1 + d if any(used) else 1)
