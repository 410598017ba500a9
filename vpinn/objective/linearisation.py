"""The objective's residual as rows, and its derivative with respect to the network's last layer.

J = ½‖ρ‖² with rows ρ: the whitened residual of a weak form, and √w R for every square. The last layer enters the
unknowns linearly, so its columns are the tape's own derivative times the features' jets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vpinn.errors import InputError
from vpinn.forms import Value
from vpinn.objective.measure import Measure, Prepared
from vpinn.objective.objective import Objective
from vpinn.trial import Enriched

Array = NDArray[np.float64]
CHUNK_BYTES = 96e6
"""Memory for the columns of one chunk of points."""


@dataclass(frozen=True)
class Rows:
    """ρ and its derivative.

    Attributes:
        residual: ρ [rows].
        columns: ∂ρ/∂c for the last layer's weights and bias, component by component, and then for the coefficients of the
            enrich functions [rows, outputs·(h + 1) + extra].
    """

    residual: Array
    columns: Array


def linearise(objective: Objective, network: Enriched, theta: Tensor) -> Rows:
    """Return rows and columns at the given parameters.

    Args:
        objective: weak or strong; an energy has no rows.
        network: the network whose last layer varies; its coordinates are those of the objective's trial space.
        theta: parameters [network.size], float64.

    Raises:
        InputError: the objective is an energy.
    """
    width = network.layers[-2] + 1
    chunk = max(64, int(CHUNK_BYTES / (8 * 4 * width)))
    weak: list[Tensor] = []
    strong: list[Tensor] = []
    for measure in objective.measures:
        if not measure.tests and len(measure.tape.moving.outputs) == 1:
            raise InputError("least squares needs a weak or a strong form; an energy's first variation is one")
        for points in measure.whole(chunk):
            coefficients, roots = _derivatives(measure, points, network, theta)
            if measure.contraction is not None and points.frame is not None:
                part = measure.contraction.assemble(
                    measure.tests, coefficients, points.w, points.frame, points.aligned, objective.outputs
                )
                weak = [part] if not weak else [weak[0] + part]
            strong += [points.w.sqrt()[:, None] * root for root in roots]
    blocks = [root.numpy() for root in strong]
    if weak and objective.test_space is not None:
        blocks.append(objective.test_space.whiten(weak[0]))
    rows = np.concatenate(blocks)
    return Rows(rows[:, 0], rows[:, 1:])


def _derivatives(measure: Measure, points: Prepared, network: Enriched, theta: Tensor) -> tuple[Sequence[Value], list[Tensor]]:
    """Return coefficients and roots [n, 1 + outputs·(h + 1) + extra]: the value, then its derivative by each column's weight."""
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
        block = points.w.new_zeros(n, last + network.extra)
        block[:, 0] = output.detach() if isinstance(output, Tensor) else output
        if isinstance(output, Tensor) and output.requires_grad:
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
