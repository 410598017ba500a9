"""Contributions of single points to gradient or residual, from which adaptive samplers learn where to draw more points.

The gradient of a point with respect to the last layer costs about as much as the value at the point, and varies over the domain
like the gradient by all parameters (Katharopoulos & Fleuret 2018, arXiv 1803.00942). Start with `signals`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vpinn.errors import InputError
from vpinn.objective.measure import Measure, Prepared
from vpinn.placement import host, wide
from vpinn.trial import Enriched


def signals(measure: Measure, theta: Tensor, points: Prepared, kind: str) -> NDArray[np.float64]:
    """Return m quantities of every point times its weight [n, m]; samplers choose points so that their sums vary little.

    Args:
        measure: measure with the integrands.
        theta: parameters [size].
        points: n points of the measure.
        kind: "residual" for the coefficients of test functions and the roots of squares; "gradient" for the coefficients and the
            gradient of the density with respect to the last layer.

    Raises:
        InputError: "residual" is asked for an energy, which has none.
    """
    values, coefficients, roots = _values(measure, theta, points)
    columns = [*coefficients]
    if kind == "residual":
        columns += roots
        if not columns:
            raise InputError('batch.strata = "residual" needs a weak or a strong form; use "gradient" with an energy')
    elif values.numel():
        columns += values.unbind(1)
    if not columns:
        return np.zeros((len(points.w), 1))
    return host(wide(points.w[:, None] * torch.stack(columns, 1)))


def has_residual(measures: Sequence[Measure]) -> bool:
    """Return whether the measures have residuals (coefficients of test functions, or roots), as for weak and strong forms."""
    return all(len(measure.tape.moving.outputs) > 1 for measure in measures)


def _values(measure: Measure, theta: Tensor, points: Prepared) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """Return the gradient of the density by the last layer [n, k], the coefficients of test functions, and the roots [n] each."""
    network, n = measure.network, len(points.w)
    empty = points.w.new_empty(n, 0)
    if not measure.keys:
        density, *rest = measure.tape.moving([*points.fixed])
    elif max(map(len, measure.derivatives)) > 2:
        with torch.no_grad():
            jets = network.jets(theta, points.x, measure.derivatives)
            density, *rest = measure.tape.moving([*points.fixed, *(jets[key] for key in measure.keys)])
    else:
        features = network.features(theta, points.x, measure.derivatives)
        weight, bias = network.unpack(theta)[-1]
        leaves = []
        for component, derivative in measure.keys:
            if component < 0:
                assert isinstance(network, Enriched)
                leaves.append(network.coefficients(theta)[-1 - component].expand(n).detach())
                continue
            value = features[derivative] @ weight[component]
            leaves.append((value if derivative else value + bias[component]).detach().requires_grad_())
        density, *rest = measure.tape.moving([*points.fixed, *leaves])
        if isinstance(density, Tensor) and density.requires_grad:
            keys = [key for key in measure.keys if key[0] >= 0]
            slopes = torch.autograd.grad(density.sum(), [leaf for leaf in leaves if leaf.requires_grad], allow_unused=True)
            h = network.layers[-2]
            empty = points.w.new_zeros(n, network.outputs * (h + 1))
            for (component, derivative), slope in zip(keys, slopes, strict=True):
                if slope is not None:
                    at = component * (h + 1)
                    empty[:, at : at + h].addcmul_(slope[:, None], features[derivative])
                    if not derivative:
                        empty[:, at + h] += slope
    outputs = [v.detach() if isinstance(v, Tensor) else points.w.new_full((n,), v) for v in rest]
    count = len(measure.tests)
    return empty, outputs[:count], outputs[count:]
