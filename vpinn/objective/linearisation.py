"""The objective's residual as rows, and its derivative with respect to the network's last layer.

J = ½‖ρ‖² with rows ρ: the whitened residual of a weak form, and √w R for every square. The last layer enters the
unknowns linearly, so its columns are the tape's own derivative times the features' jets.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg.lapack import dgeqrf
from torch import Tensor

from vpinn.domain import Inside
from vpinn.errors import InputError
from vpinn.forms import Value
from vpinn.objective.measure import Measure, Prepared
from vpinn.objective.objective import Objective, Part
from vpinn.objective.test_space import TestSpace
from vpinn.placement import HOST, host
from vpinn.trial import Enriched
from vpinn.trial.network import Derivative

Array = NDArray[np.float64]
CHUNK_BYTES = 24e6
"""Memory for the columns of one chunk of points, and for rows that wait for their factorisation."""
WHOLE = 4
"""Factor by which a chunk may be larger for the sake of whole cells, whose tests are eliminated at once."""
BLOCK = 64
"""Columns that LAPACK reflects at a time."""


@dataclass(frozen=True)
class Rows:
    """ρ and its derivative, up to a rotation of the rows: norms, products of columns and least squares are theirs.

    Attributes:
        residual: ρ [rows].
        constant: the linearised ρ where last layer and coefficients are zero [rows].
        columns: ∂ρ/∂c for the last layer's weights and bias, component by component, then for coefficients that components
            have in common, and for those of the enrich functions [rows, network.linear].
    """

    residual: Array
    constant: Array
    columns: Array


class Triangle:
    """The triangular factor of all rows so far, which is all that least squares needs of them.

    Rows are kept until there are as many as a factorisation is worth; then they are stacked under the triangle of those
    before and reduced again (TSQR: Demmel, Grigori, Hoemmen & Langou 2012), so memory depends on the columns alone.

    Attributes:
        kept: rows held.
    """

    def __init__(self, width: int) -> None:
        self._width, self._waiting, self.kept = width, list[Array](), 0
        self._most = max(2 * width, int(CHUNK_BYTES / (8 * width)))

    def add(self, rows: Array) -> None:
        """Take rows [n, width]."""
        for start in range(0, len(rows), self._most):
            part = rows[start : start + self._most]
            self._waiting.append(part)
            self.kept += len(part)
            if self.kept > self._most + self._width:
                self._reduce()

    def reduced(self) -> Array:
        """Return at most ``width`` rows with the same products of columns."""
        if self.kept > self._width:
            self._reduce()
        return np.concatenate(self._waiting)

    def _reduce(self) -> None:
        stacked = np.empty((self.kept, self._width), order="F")
        np.concatenate(self._waiting, out=stacked)
        factor: Array = dgeqrf(stacked, lwork=BLOCK * self._width, overwrite_a=True)[0]
        self._waiting = [np.triu(factor[: self._width])]
        self.kept = len(self._waiting[0])


def everything(objective: Objective, network: Enriched, stride: int = 1) -> Iterator[Part]:
    """Yield all points, those of the boundary first, in parts whose columns fit the memory.

    Args:
        objective: whose points they are.
        network: the network whose last layer varies.
        stride: of a strong form every how manyth point is taken, for them all.
    """
    for measure in sorted(objective.measures, key=lambda measure: -measure.region.codimension):
        chunk, entity = max(64, int(CHUNK_BYTES / (8 * 4 * (network.layers[-2] + 1)))), measure.points.per_entity
        chunk = max(chunk, entity) if measure.contraction is not None and entity <= WHOLE * chunk else chunk
        thin = stride > 1 and measure.contraction is None
        for points in measure.thinned(chunk, stride) if thin else measure.whole(chunk):
            yield measure, points


class TestedRows:
    """Rows of a residual that is tested with finite elements, as its points come.

    The interiors of cells are eliminated and handed on cell by cell; what waits for all points are the columns of the
    functions on vertices, edges and faces alone, and those of interior functions that boundary terms see.

    Args:
        space: the tests.
        width: columns, the residual's among them.
        triangle: what takes the rows.
    """

    def __init__(self, space: TestSpace, width: int, triangle: Triangle) -> None:
        self._space, self._triangle, self._eliminated = space, triangle, set[int]()
        self._outside = [torch.zeros(norm.whitening.skeleton, width, dtype=torch.float64, device=HOST) for norm in space.norms]
        self._inside: Tensor | None = None

    def add(self, measure: Measure, points: Prepared, coefficients: Sequence[Value]) -> None:
        """Take the coefficients [n, width] of the tests at some points; those in cells come last, and all cells in turn."""
        contraction, frame = measure.contraction, points.frame
        assert contraction is not None
        assert frame is not None
        if measure.region is not Inside or not points.aligned:
            self._add_assembled(
                contraction.assemble(measure.tests, coefficients, points.w, frame, points.aligned, len(self._outside))
            )
            return
        first = int(frame.cell[0])
        for component, local in contraction.local(measure.tests, coefficients, points.w, frame).items():
            cells = slice(first, first + len(local))
            whitening = self._space.norms[component].whitening
            self._eliminate(component, cells, local[:, whitening.inner])
            whitening.condense(cells, self._outside[component], local[:, whitening.outer])

    def finish(self) -> None:
        """Hand on the rows that waited for all points."""
        for component, (norm, columns) in enumerate(zip(self._space.norms, self._outside, strict=True)):
            if component not in self._eliminated and self._inside is not None:
                self._eliminate(component, slice(0, self._space.space.mesh.n_cells), torch.zeros((), device=HOST))
            self._triangle.add(host(norm.whitening.outside(columns)))

    def _add_assembled(self, part: Tensor) -> None:
        """Take residuals [components, space.size, width] of points that are no whole cells."""
        for columns, found in zip(self._outside, part, strict=True):
            columns += found[: len(columns)]
        inside = part[:, len(self._outside[0]) :]
        if bool(inside.any()):
            self._inside = inside.clone() if self._inside is None else self._inside.add_(inside)

    def _eliminate(self, component: int, cells: slice, local: Tensor) -> None:
        """Hand on the rows of cells' interiors, whose columns are ``local`` [m, n_i, width] and what boundary terms see."""
        whitening = self._space.norms[component].whitening
        self._eliminated.add(component)
        if self._inside is not None:
            local = local + self._inside[component].view(-1, len(whitening.inner), self._inside.shape[2])[cells]
        rows, left = whitening.interiors(cells, local)
        self._triangle.add(host(rows))
        whitening.condense(cells, self._outside[component], -left)


Fields = tuple[Enriched, Tensor]
"""A network with its parameters."""


def linearise(
    objective: Objective, network: Enriched, theta: Tensor, parts: Iterable[Part] | None = None, at: Fields | None = None
) -> Rows:
    """Return rows and columns, as many rows as there are columns and two.

    Args:
        objective: weak or strong; an energy has no rows.
        network: the network whose last layer varies; its coordinates are those of the objective's trial space.
        theta: parameters [network.size], float64.
        parts: points that are summed over, with weights ≥ 0; None for all. Where draws give unbiased weights, the products
            of a strong form's columns are unbiased.
        at: network and parameters of the fields at which residual and columns are taken; None for ``network`` and ``theta``.

    Raises:
        InputError: the objective is an energy.
    """
    rows = _all_rows(objective, network, theta, True, parts, at)
    return Rows(rows[:, 0], rows[:, 1], rows[:, 2:])


def residual_norm(objective: Objective, network: Enriched, theta: Tensor, parts: Iterable[Part] | None = None) -> float:
    """Return ‖ρ‖; arguments as for ``linearise``."""
    return float(np.linalg.norm(_all_rows(objective, network, theta, False, parts)))


def _all_rows(
    objective: Objective,
    network: Enriched,
    theta: Tensor,
    columns: bool,
    parts: Iterable[Part] | None,
    at: Fields | None = None,
) -> Array:
    """Return ρ, with its linearisation at zero and its derivatives beside it where they are wanted, as few rows."""
    width = 2 + network.linear if columns else 1
    varied, triangle = (network, theta), Triangle(width)
    tested = None if objective.test_space is None else TestedRows(objective.test_space, width, triangle)
    for measure, points in everything(objective, network) if parts is None else parts:
        if not measure.tests and len(measure.tape.moving.outputs) == 1:
            raise InputError("least squares needs a weak or a strong form; an energy's first variation is one")
        coefficients, roots = _derivatives(measure, points, varied, at or varied, columns)
        if tested is not None and measure.tests:
            tested.add(measure, points, coefficients)
        for root in roots:
            triangle.add(host(points.w.sqrt()[:, None] * root))
    if tested is not None:
        tested.finish()
    return triangle.reduced()


def _derivatives(
    measure: Measure, points: Prepared, varied: Fields, at: Fields, columns: bool
) -> tuple[Sequence[Value], list[Tensor]]:
    """Return coefficients and roots [n, 2 + network.linear], derivatives by each column's weight last.

    First comes the value at the fields ``at``, then the value of the linearisation where all varied weights are zero.
    Without ``columns`` there is the first value alone [n, 1].
    """
    (network, theta), (known, parameters) = varied, at
    weight, bias = known.unpack(parameters)[-1]
    there = known.features(parameters, points.x, measure.derivatives)
    features = there if at is varied or not columns else network.features(theta, points.x, measure.derivatives)
    n, h, tied = len(points.w), network.shared, network.tied
    jets = {}
    coefficients = known.coefficients(parameters)
    for component, derivative in measure.keys:
        if component < 0:
            jets[component, derivative] = coefficients[-1 - component].expand(n).clone().requires_grad_()
            continue
        value = there[derivative] @ weight[component]
        jets[component, derivative] = (value if derivative else value + bias[component]).requires_grad_()
    leaves = [jets[key] for key in measure.keys]
    _, *outputs = measure.tape.moving([*points.fixed, *leaves])
    last = 2 + network.outputs * (h + 1) + tied
    blocks = []
    for output in outputs:
        block = points.w.new_zeros(n, last + network.extra if columns else 1)
        block[:, 0] = output.detach() if isinstance(output, Tensor) else output
        if columns:
            block[:, 1] = block[:, 0]
        if columns and isinstance(output, Tensor) and output.requires_grad:
            slopes = torch.autograd.grad(output.sum(), leaves, retain_graph=True, allow_unused=True)
            for key, slope in zip(measure.keys, slopes, strict=True):
                if slope is not None:
                    block[:, 1] -= slope * jets[key].detach()
                    _add_columns(block, network, key, slope, features)
        blocks.append(block)
    count = len(measure.tests)
    return blocks[:count], blocks[count:]


def _add_columns(
    block: Tensor, network: Enriched, key: tuple[int, Derivative], slope: Tensor, features: dict[Derivative, Tensor]
) -> None:
    """Add what a jet with some slope [n] contributes to the columns of a block [n, 2 + network.linear]."""
    (component, derivative), h, tied = key, network.shared, network.tied
    common = 2 + network.outputs * (h + 1)
    if component < 0:
        block[:, common + tied - 1 - component] = slope
        return
    start = 2 + component * (h + 1)
    block[:, start : start + h].addcmul_(slope[:, None], features[derivative][:, :h])
    if tied:
        own = features[derivative][:, h + component * tied :][:, :tied]
        block[:, common : common + tied].addcmul_(slope[:, None], own)
    if not derivative:
        block[:, start + h] += slope
