"""Draw random features of many scales at once, for an orthonormal space, which keeps their numerically independent combinations.

Slopes are log-uniform between that of the whole domain and the steepest that so many features can resolve, a share of
width^(1/d), which is the number of features per direction in d dimensions. Centres are points of the domain, so that every
feature varies inside it. Start from ``Mixture.draw``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vpinn.domain import Mesh, Points
from vpinn.placement import HOST
from vpinn.trial import Features, Trial

LEAST = 0.5
"""Smallest slope, in units of one over half the domain's width."""
STEEP = 0.35
"""Steepest slope over width^(1/d), in the same units; times π for sin and 2 for tanh."""
SHARPER = 4.0
"""Steepest slope of a feature, relative to the gradient of the solution at its centre over the range of its values."""


@dataclass(frozen=True)
class Mixture:
    """How the features of a space are drawn.

    Attributes:
        kind: activation, "sin" or "tanh".
        width: number of features.
        seed: seed of the draw, together with the width.
    """

    kind: str
    width: int
    seed: int

    def draw(self, trial: Trial, mesh: Mesh, points: Points, slope: NDArray[np.float64] | None = None) -> tuple[Trial, Tensor]:
        """Return a trial space with these features, and parameters whose last layer is zero.

        Args:
            trial: trial space; its conditions are kept.
            mesh: the domain.
            points: n quadrature points, from which centres are drawn with probabilities proportional to their weights.
            slope: largest gradient of a similar solution, over the range of its values, in 1/length [n]; where it is large there
                are more features, and steeper ones. None: no such solution is known.
        """
        base, d = trial.network, trial.network.dimension
        network = Features.restored(base, (d, self.width, base.outputs), self.kind, ())
        generator = np.random.default_rng([self.seed, self.width])
        theta = torch.zeros(network.size, dtype=torch.float64, device=HOST)
        (weight, bias), _ = network.unpack(theta)
        shares, steepest = points.w / points.w.sum(), np.full(len(points), self.steepest(d))
        if slope is not None and self.kind == "tanh":
            followed = shares * slope
            shares = (shares + followed / followed.sum()) / 2
            half = (np.asarray(base.upper) - np.asarray(base.lower)).min() / 2
            steepest = np.maximum(steepest, SHARPER * slope * half)
        chosen = generator.choice(len(points), self.width, p=shares)
        slopes = np.exp(generator.uniform(np.log(LEAST), np.log(steepest[chosen])))
        directions = generator.standard_normal((self.width, d))
        directions *= mesh.aspect / np.linalg.norm(directions, axis=1, keepdims=True)
        weight.copy_(torch.from_numpy(slopes[:, None] * directions))
        bias.copy_(-(weight * network.normalise(torch.from_numpy(points.x[chosen]))).sum(1))
        return replace(trial, network=network), theta

    def steepest(self, dimension: int) -> float:
        """Return the steepest slope if no similar solution is known, in units of one over half the domain's width."""
        return float(max(2 * LEAST, STEEP * self.width ** (1 / dimension) * (np.pi if self.kind == "sin" else 2.0)))
