"""Networks with extra inputs: the logarithm of the distance to small holes, gaps and inclusions.

Near a small hole a solution varies on the scale of the distance r to it. As a function of log r it is smooth on all scales:
r^a = exp(a log r). `vpinn.trial.places` finds the places, and `near` makes the network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vpinn.trial.enrichment import Enriched
from vpinn.trial.layout import Layout
from vpinn.trial.network import Derivative, Pull
from vpinn.trial.sweeps import record


@dataclass(frozen=True)
class Near(Enriched):
    """A network whose inputs are the normalised coordinates, and (log √(|x − c|² + ρ²) − a)/b for every place.

    Attributes:
        places: centre c (d coordinates) and radius ρ ≥ 0 in units of the mesh, and a and b > 0, dimensionless, of every place
            [count][d + 3].
    """

    places: tuple[tuple[float, ...], ...] = ()

    @classmethod
    def restored(cls, base: Enriched, places: Sequence[Sequence[float]]) -> Near:
        """Return a network like ``base`` with inputs for places.

        Args:
            base: network without places.
            places: as the attribute ``places``.
        """
        layers = (base.dimension + len(places), *base.layers[1:])
        return cls(layers, base.activation, base.lower, base.upper, base.extra, tuple(map(tuple, places)))

    def inputs(self, x: Tensor, pairs: Sequence[Derivative]) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return values, first and second derivatives of all inputs; see ``Network.inputs``."""
        d, n = x.shape[1], len(x)
        lower, upper, places = x.new_tensor(self.lower), x.new_tensor(self.upper), x.new_tensor(self.places)
        here = (x * (upper - lower) + (lower + upper)) / 2
        away = [here[:, i, None] - places[:, i] for i in range(d)]
        square = sum((y * y for y in away), places[:, d] ** 2)
        b = places[:, d + 2]
        values = torch.cat([x, (0.5 * torch.log(square) - places[:, d + 1]) / b], 1)
        slopes = [y / (square * b) for y in away]
        straight = torch.diag(self.stretch(x))[:, None, :].expand(d, n, d)
        first = torch.cat([straight, torch.stack(slopes)], 2)
        if not pairs:
            return values, first, None
        bends = [float(i == j) / (square * b) - 2 * b * slopes[i] * slopes[j] for i, j in pairs]
        return values, first, torch.cat([x.new_zeros(len(pairs), n, d), torch.stack(bends)], 2)

    @cached_property
    def layout(self) -> Layout:
        """Position of the parameters in the matrices; derivatives of the inputs are applied outside, in ``sweep``."""
        return Layout(self.layers, self.sigma, (1.0,) * self.layers[0])

    def sweep(self, theta: Tensor, x: Tensor, order: int, values: bool = True) -> tuple[Tensor | None, Tensor | None, Pull]:
        """Return values, gradients by the original coordinates, and the pullback; see ``Network.sweep``."""
        z, first, _ = self.inputs(x, ())
        found, gradients, recording = record(self.layout, theta, z, order, values)
        if gradients is not None:
            gradients = torch.einsum("ink,kmn->imn", first, gradients)

        def pull(values_bar: Tensor | None, gradients_bar: Tensor | None) -> Tensor:
            inner = None if gradients_bar is None else torch.einsum("ink,imn->kmn", first, gradients_bar)
            return recording(values_bar, inner)

        return found, gradients, pull


def near(network: Enriched, places: NDArray[np.float64], nodes: NDArray[np.float64]) -> Enriched:
    """Return a network like ``network`` with an input for every place, scaled to [−1, 1] on the mesh.

    Args:
        network: network without places; returned as it is if there are no places.
        places: centre and radius of every place [count, d + 1], in units of the mesh.
        nodes: nodes of the mesh [n, d].
    """
    rows = []
    for *place, core in places.tolist():
        logarithm = 0.5 * np.log(((nodes - place) ** 2).sum(1) + core**2)
        low, high = float(logarithm.min()), float(logarithm.max())
        rows.append((*place, core, (low + high) / 2, (high - low) / 2))
    return Near.restored(network, rows) if rows else network
