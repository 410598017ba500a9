"""Networks that see how near a place is: beside the coordinates, the logarithm of the distance to some places.

A solution varies on the scale of the distance to a corner where it is singular, or to a hole. A function of log r resolves all
scales alike: r^a = exp(a log r) is as smooth as any exponential.
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
    """A network whose first layer takes normalised coordinates, and (log √(|x − c|² + ρ²) − a)/b of places.

    Attributes:
        places: c (d coordinates), radius ρ ≥ 0, a and b > 0 of every place [count][d + 3], in units of the mesh.
    """

    places: tuple[tuple[float, ...], ...] = ()

    @classmethod
    def restored(cls, base: Enriched, places: Sequence[Sequence[float]]) -> Near:
        """Return a network like another that sees places, too."""
        layers = (base.dimension + len(places), *base.layers[1:])
        return cls(layers, base.activation, base.lower, base.upper, base.extra, tuple(map(tuple, places)))

    def inputs(self, x: Tensor, pairs: Sequence[Derivative]) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return values, first and second derivatives of all inputs."""
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
        """Where the parameters stand in the matrices of the layers, whose inputs have slopes of their own."""
        return Layout(self.layers, self.sigma, (1.0,) * self.layers[0])

    def sweep(self, theta: Tensor, x: Tensor, order: int, values: bool = True) -> tuple[Tensor | None, Tensor | None, Pull]:
        """Return values, gradients by the original coordinates, and the pullback."""
        z, first, _ = self.inputs(x, ())
        found, gradients, recording = record(self.layout, theta, z, order, values)
        if gradients is not None:
            gradients = torch.einsum("ink,kmn->imn", first, gradients)

        def pull(values_bar: Tensor | None, gradients_bar: Tensor | None) -> Tensor:
            inner = None if gradients_bar is None else torch.einsum("ink,imn->kmn", first, gradients_bar)
            return recording(values_bar, inner)

        return found, gradients, pull


def near(network: Enriched, places: NDArray[np.float64], nodes: NDArray[np.float64]) -> Enriched:
    """Return a network like another that sees how near places are, in [−1, 1] on the mesh; the network itself without any.

    Args:
        network: the other.
        places: coordinates and radius [count, d + 1], in units of the mesh.
        nodes: of the mesh [n, d].
    """
    rows = []
    for *place, core in places.tolist():
        logarithm = 0.5 * np.log(((nodes - place) ** 2).sum(1) + core**2)
        low, high = float(logarithm.min()), float(logarithm.max())
        rows.append((*place, core, (low + high) / 2, (high - low) / 2))
    return Near.restored(network, rows) if rows else network
