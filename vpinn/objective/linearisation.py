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

from vpinn.errors import InputError
from vpinn.forms import Value
from vpinn.objective.measure import Measure, Prepared
from vpinn.objective.objective import Objective, Part
from vpinn.trial import Enriched

Array = NDArray[np.float64]
CHUNK_BYTES = 96e6
"""Memory for the columns of one chunk of points, and for rows that wait for their factorisation."""

BLOCK = 64
"""Columns that LAPACK reflects at a time."""


@dataclass(frozen=True)
class Rows:
    """ρ and its derivative, up to a rotation of the rows: norms, products of columns and least squares are theirs.

    Attributes:
        residual: ρ [rows].
        columns: ∂ρ/∂c for the last layer's weights and bias, component by component, and then for the coefficients of the
            enrich functions [rows, outputs·(h + 1) + extra].
    """

    residual: Array
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
    """Yield all points, in parts whose columns fit the memory.

    Args:
        objective: whose points they are.
        network: the network whose last layer varies.
        stride: of a strong form every how manyth point is taken, for them all.
    """
    chunk = max(64, int(CHUNK_BYTES / (8 * 4 * (network.layers[-2] + 1))))
    for measure in objective.measures:
        thin = stride > 1 and measure.contraction is None
        for points in measure.thinned(chunk, stride) if thin else measure.whole(chunk):
            yield measure, points


def linearise(objective: Objective, network: Enriched, theta: Tensor, parts: Iterable[Part] | None = None) -> Rows:
    """Return rows and columns at the given parameters, as many rows as there are columns and one.

    Args:
        objective: weak or strong; an energy has no rows.
        network: the network whose last layer varies; its coordinates are those of the objective's trial space.
        theta: parameters [network.size], float64.
        parts: points that are summed over, with weights ≥ 0; None for all. Where draws give unbiased weights, the products
            of a strong form's columns are unbiased.

    Raises:
        InputError: the objective is an energy.
    """
    rows = _all_rows(objective, network, theta, True, parts)
    return Rows(rows[:, 0], rows[:, 1:])


def residual_norm(objective: Objective, network: Enriched, theta: Tensor, parts: Iterable[Part] | None = None) -> float:
    """Return ‖ρ‖; arguments as for ``linearise``."""
    return float(np.linalg.norm(_all_rows(objective, network, theta, False, parts)))


def _all_rows(objective: Objective, network: Enriched, theta: Tensor, columns: bool, parts: Iterable[Part] | None) -> Array:
    """Return ρ, with its derivatives beside it where they are wanted, as few rows."""
    layer = network.outputs * (network.layers[-2] + 1)
    triangle = Triangle(1 + (layer + network.extra if columns else 0))
    weak: Tensor | None = None
    for measure, points in everything(objective, network) if parts is None else parts:
        if not measure.tests and len(measure.tape.moving.outputs) == 1:
            raise InputError("least squares needs a weak or a strong form; an energy's first variation is one")
        coefficients, roots = _derivatives(measure, points, network, theta, columns)
        if measure.contraction is not None and points.frame is not None:
            part = measure.contraction.assemble(
                measure.tests, coefficients, points.w, points.frame, points.aligned, objective.outputs
            )
            weak = part if weak is None else weak.add_(part)
        for root in roots:
            triangle.add((points.w.sqrt()[:, None] * root).numpy())
    if weak is not None and objective.test_space is not None:
        triangle.add(objective.test_space.whiten(weak))
    return triangle.reduced()


def _derivatives(
    measure: Measure, points: Prepared, network: Enriched, theta: Tensor, columns: bool
) -> tuple[Sequence[Value], list[Tensor]]:
    """Return coefficients and roots [n, 1 + outputs·(h + 1) + extra]: the value, then its derivative by each column's weight.

    Without ``columns`` the value alone [n, 1].
    """
    weight, bias = network.unpack(theta)[-1]
    features = network.features(theta, points.x, measure.derivatives)
    n, h = len(points.w), network.layers[-2]
    jets = {}
    coefficients = network.coefficients(theta)
    for component, derivative in measure.keys:
        if component < 0:
            jets[component, derivative] = coefficients[-1 - component].expand(n).clone().requires_grad_()
            continue
        value = features[derivative] @ weight[component]
        jets[component, derivative] = (value if derivative else value + bias[component]).requires_grad_()
    leaves = [jets[key] for key in measure.keys]
    _, *outputs = measure.tape.moving([*points.fixed, *leaves])
    last = 1 + network.outputs * (h + 1)
    blocks = []
    for output in outputs:
        block = points.w.new_zeros(n, last + network.extra if columns else 1)
        block[:, 0] = output.detach() if isinstance(output, Tensor) else output
        if columns and isinstance(output, Tensor) and output.requires_grad:
            slopes = torch.autograd.grad(output.sum(), leaves, retain_graph=True, allow_unused=True)
            for (component, derivative), slope in zip(measure.keys, slopes, strict=True):
                if slope is not None and component < 0:
                    block[:, last - 1 - component] = slope
                elif slope is not None:
                    start = 1 + component * (h + 1)
                    block[:, start : start + h].addcmul_(slope[:, None], features[derivative])
                    if not derivative:
                        block[:, start + h] += slope
        blocks.append(block)
    count = len(measure.tests)
    return blocks[:count], blocks[count:]
