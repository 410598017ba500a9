"""The residual of the objective as rows, with its derivatives by the network's last layer, for least squares.

The objective is J = ½‖ρ‖² with rows ρ: the whitened residual of a weak form, and √w R for every square R². The unknowns are
linear in the last layer, so that the derivatives are those of the integrands, multiplied by the values and derivatives of the
features. Start with `linearise`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vpinn.domain import Inside
from vpinn.errors import InputError
from vpinn.forms import Value
from vpinn.objective.measure import Measure, Prepared
from vpinn.objective.objective import Objective
from vpinn.objective.parts import Part, filled
from vpinn.objective.test_space import TestSpace
from vpinn.objective.triangle import CHUNK_BYTES, Triangle
from vpinn.placement import HOST, host
from vpinn.trial import Enriched
from vpinn.trial.network import Derivative
from vpinn.workers import ALONE, Group

Array = NDArray[np.float64]
WHOLE = 4
"""Factor by which a chunk may be larger so that it has whole cells, whose interior test functions can be eliminated."""


@dataclass(frozen=True)
class Rows:
    """The residual ρ and its derivatives, multiplied by an orthogonal matrix, which preserves norms and least squares solutions.

    Attributes:
        residual: ρ [rows].
        constant: linearised ρ for zero last layer and zero coefficients [rows].
        columns: ∂ρ/∂c for the weights and the bias of the last layer, component by component, then for the coefficients that
            all components share, and for the enrich coefficients [rows, network.linear].
    """

    residual: Array
    constant: Array
    columns: Array


def everything(objective: Objective, network: Enriched, stride: int = 1) -> Iterator[Part]:
    """Yield all points of an objective, those of the boundary first, in parts whose columns fit ``CHUNK_BYTES``.

    Args:
        objective: the objective.
        network: network whose last layer varies; gives the number of columns.
        stride: with a strong form only every ``stride``-th point is taken, with a weight for all of them.
    """
    for measure in sorted(objective.measures, key=lambda measure: -measure.region.codimension):
        chunk, entity = max(64, int(CHUNK_BYTES / (8 * 4 * (network.layers[-2] + 1)))), measure.points.per_entity
        chunk = max(chunk, entity) if measure.contraction is not None and entity <= WHOLE * chunk else chunk
        thin = stride > 1 and measure.contraction is None
        for points in measure.thinned(chunk, stride) if thin else measure.whole(chunk):
            yield measure, points


class TestedRows:
    """The rows of a residual tested with finite elements, computed while the points are added part by part.

    Rows of test functions inside a cell are complete as soon as the points of the cell are added, and go to the triangle at
    once. Only rows of functions on vertices, edges and faces, and of interior functions with boundary terms, wait for all points.

    Args:
        space: test space.
        width: number of columns, that of the residual included.
        triangle: triangle to which the rows are added.
        group: workers that each add some of the points.
    """

    def __init__(self, space: TestSpace, width: int, triangle: Triangle, group: Group = ALONE) -> None:
        self._space = space
        self._triangle = triangle
        self._eliminated = set[int]()
        self._group, self._width = group, width
        self._settled = False
        self._outside = [torch.zeros(norm.whitening.skeleton, width, dtype=torch.float64, device=HOST) for norm in space.norms]
        self._inside: Tensor | None = None

    def add(self, measure: Measure, points: Prepared, coefficients: Sequence[Value]) -> None:
        """Add some points; those of the boundary must come first, then all cells in order.

        Args:
            measure: measure of the points.
            points: n points.
            coefficients: coefficients of the test functions there, [n, width] each.
        """
        contraction, frame = measure.contraction, points.frame
        assert contraction is not None
        assert frame is not None
        if measure.region is not Inside or not points.aligned:
            self._add_assembled(
                contraction.assemble(measure.tests, coefficients, points.w, frame, points.aligned, len(self._outside))
            )
            return
        self._settle()
        first = int(frame.cell[0])
        for component, local in contraction.local(measure.tests, coefficients, points.w, frame).items():
            cells = slice(first, first + len(local))
            whitening = self._space.norms[component].whitening
            self._eliminate(component, cells, local[:, whitening.inner])
            whitening.condense(cells, self._outside[component], local[:, whitening.outer])

    def finish(self) -> None:
        """Add the rows that had to wait for all points to the triangle; workers divide what each of them adds."""
        self._settle()
        group = self._group
        for component, (norm, columns) in enumerate(zip(self._space.norms, self._outside, strict=True)):
            eliminated = max(group.largest([component in self._eliminated]))
            if not eliminated and self._inside is not None:
                self._eliminate(component, group.share(self._space.space.mesh.n_cells), torch.zeros((), device=HOST))
            whole = group.sum(columns)[0]
            rows = norm.whitening.outside(whole[:, group.share(self._width)].contiguous() if group.size > 1 else whole)
            if group.size > 1:
                rows = group.joined(rows.T.contiguous()).T[group.share(len(rows))]
            self._triangle.add(host(rows))

    def _settle(self) -> None:
        """Add up the boundary terms of interior functions over all workers, once, before the first of them is eliminated."""
        if self._settled:
            return
        self._settled, group = True, self._group
        if group.size > 1 and any(group.largest([self._inside is not None])):
            if self._inside is None:
                space, skeleton = self._space.space, self._space.norms[0].whitening.skeleton
                shape = len(self._outside), space.size - skeleton, self._width
                self._inside = torch.zeros(shape, dtype=torch.float64, device=HOST)
            self._inside = group.sum(self._inside)[0]

    def _add_assembled(self, part: Tensor) -> None:
        """Add residuals [components, space.size, width] of points that are not those of whole cells."""
        for columns, found in zip(self._outside, part, strict=True):
            columns += found[: len(columns)]
        inside = part[:, len(self._outside[0]) :]
        if bool(inside.any()):
            self._inside = inside.clone() if self._inside is None else self._inside.add_(inside)

    def _eliminate(self, component: int, cells: slice, local: Tensor) -> None:
        """Add the rows of the interior functions of m cells to the triangle, from their residuals ``local`` [m, n_i, width]."""
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
    """Return the residual and its derivatives, reduced to at most network.linear + 2 rows.

    Args:
        objective: objective of a weak or strong form; an energy has no rows.
        network: network whose last layer varies; it takes the same coordinates as that of the objective's trial space.
        theta: parameters [network.size], float64.
        parts: points to sum over, with weights ≥ 0; None for all points. For drawn points of a strong form, the inner products
            of the columns are unbiased.
        at: network and parameters of the fields at which the form is linearised; None for ``network`` and ``theta``.

    Raises:
        InputError: the objective is an energy.
    """
    rows = _all_rows(objective, network, theta, True, parts, at)
    return Rows(rows[:, 0], rows[:, 1], rows[:, 2:])


def residual_norm(objective: Objective, network: Enriched, theta: Tensor, parts: Iterable[Part] | None = None) -> float:
    """Return ‖ρ‖; arguments as for ``linearise``."""
    return float(np.linalg.norm(_all_rows(objective, network, theta, False, parts)))


def apart(objective: Objective, network: Enriched, theta: Tensor, parts: Iterable[Part]) -> Array:
    """Return rows whose columns have the inner products of those of ``linearise``, of equations in different unknowns each.

    Equations with the same unknowns are reduced together, in their own columns alone, which is much faster.

    Args:
        objective: objective of a linear strong form.
        network: network whose last layer varies.
        theta: its parameters [network.size], float64.
        parts: points to sum over, with weights ≥ 0.
    """
    own: dict[bytes, tuple[NDArray[np.bool_], Triangle]] = {}
    for measure, points in filled(parts):
        for root in _derivatives(measure, points, (network, theta), (network, theta), True)[1]:
            rows = host(points.w.sqrt()[:, None] * root)[:, 2:]
            used = np.asarray(rows.any(axis=0))
            _, triangle = own.setdefault(used.tobytes(), (used, Triangle(int(used.sum()), objective.placement.group)))
            triangle.add(rows[:, used])
    whole = list[Array]()
    for used, triangle in own.values():
        reduced = triangle.reduced()
        whole.append(np.zeros((len(reduced), network.linear)))
        whole[-1][:, used] = reduced
    return np.concatenate(whole)


def _all_rows(
    objective: Objective,
    network: Enriched,
    theta: Tensor,
    columns: bool,
    parts: Iterable[Part] | None,
    at: Fields | None = None,
) -> Array:
    """Return ρ (with ``columns`` also its linearisation at zero and its derivatives) as the columns of a few rows."""
    width, group = 2 + network.linear if columns else 1, objective.placement.group
    varied, triangle = (network, theta), Triangle(width, group)
    tested = None if objective.test_space is None else TestedRows(objective.test_space, width, triangle, group)
    for measure, points in filled(everything(objective, network) if parts is None else parts):
        if not measure.tests and len(measure.tape.moving.outputs) == 1:
            raise InputError("least squares needs a weak or a strong form, got an energy; use its first variation")
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
    """Return coefficients of test functions and roots, each with its derivatives [n, 2 + network.linear].

    The first column is the value at the fields ``at``, the second the value of the linearisation for a zero last layer, and the
    others are the derivatives. Without ``columns`` there is only the first [n, 1].
    """
    (network, theta), (known, parameters) = varied, at
    weight, bias = known.unpack(parameters)[-1]
    there = known.features(parameters, points.x, measure.derivatives)
    features = there if at is varied or not columns else network.features(theta, points.x, measure.derivatives)
    n = len(points.w)
    h = network.shared
    tied = network.tied
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
    """Add the derivatives by one jet, ``slope`` [n], times the features, to the columns of a block [n, 2 + network.linear]."""
    component, derivative = key
    h = network.shared
    tied = network.tied
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
