"""Last-layer least squares: random features, whose linear combination makes the residual smallest.

Features σ(w·x + b) with w ~ N(0, R²) and b = −w·x₀, x₀ uniform in the domain's box (normalised to [−1, 1]^d); the scale R
and the kind of feature are those with the smallest residual, never the smallest error. Nonlinear problems take Newton steps
on top. Sources: Dong & Li 2021 (local extreme learning machines, arXiv 2012.02895); ``methods`` of vpinn's theory.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import lstsq
from torch import Tensor

from vpinn.objective import Objective
from vpinn.objective.linearisation import linearise
from vpinn.trial import Enriched

Array = NDArray[np.float64]
RCOND = 1e-14
"""Singular values below this share of the largest are left out."""
KINDS = ("sin", "tanh")
"""Feature functions that are tried."""
SCALES = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Coarse grid of R, in units of one over half the domain's width."""
PILOT = 120
"""Features per component with which kind and scale are chosen."""
NEWTON = 20
"""Most Newton steps."""


@dataclass(frozen=True)
class Fit:
    """Features with their best combination.

    Attributes:
        network: one hidden layer of features.
        theta: its parameters [network.size].
        residual: ‖ρ‖, the square root of twice the objective.
        initial: the same with no features.
        steps: Newton steps taken; one for a linear problem.
    """

    network: Enriched
    theta: Tensor
    residual: float
    initial: float
    steps: int


def draw_features(network: Enriched, scale: float, generator: torch.Generator) -> Tensor:
    """Return parameters [size] with random features and a last layer of zeros.

    Args:
        network: one hidden layer.
        scale: R > 0.
        generator: of the draws.
    """
    d, h, _ = network.layers
    weight = scale * torch.randn(h, d, generator=generator, dtype=torch.float64)
    center = 2 * torch.rand(h, d, generator=generator, dtype=torch.float64) - 1
    theta = torch.zeros(network.size, dtype=torch.float64)
    (first, bias), _ = network.unpack(theta)
    first.copy_(weight)
    bias.copy_(-(weight * center).sum(1))
    return theta


def fit(objective: Objective, network: Enriched, theta: Tensor) -> Fit:
    """Minimise the residual over the last layer: Gauss–Newton with step halving, one step for a linear problem.

    Every step solves for the whole last layer, not for its change: changes would pile up what the columns cannot see.
    """
    rows = linearise(objective, network, theta)
    norm, steps = float(np.linalg.norm(rows.residual)), 0
    initial = norm
    while steps < NEWTON:
        old = last_layer(network, theta)
        change = solve_columns(rows.columns, rows.columns @ old - rows.residual) - old
        predicted = float(np.linalg.norm(rows.residual + rows.columns @ change))
        for halving in range(10):
            moved = add_to_last_layer(network, theta, change / 2**halving)
            trial_rows = linearise(objective, network, moved)
            reached = float(np.linalg.norm(trial_rows.residual))
            if reached < norm:
                break
        else:
            break
        gain = norm - reached
        theta, rows, norm, steps = moved, trial_rows, reached, steps + 1
        if reached <= predicted * (1 + 1e-3) + 1e-13 or gain <= 1e-3 * norm:
            break
    return Fit(network, theta, norm, initial, steps)


def solve_columns(columns: Array, right: Array) -> Array:
    """Return the least-squares solution [k] by a rank-revealing factorisation of the scaled columns [rows, k]."""
    size = np.linalg.norm(columns, axis=0)
    size[size == 0] = 1.0
    scaled: Array = lstsq(columns / size, right, cond=RCOND, lapack_driver="gelsy", check_finite=False)[0]
    found: Array = scaled / size
    return found


def last_layer(network: Enriched, theta: Tensor) -> Array:
    """Return the last layer, component by component, each bias after its weights; then the enrich functions' coefficients."""
    weight, bias = network.unpack(theta)[-1]
    flat: Array = torch.cat([torch.cat([weight, bias[:, None]], 1).reshape(-1), network.coefficients(theta)]).numpy()
    return flat


def add_to_last_layer(network: Enriched, theta: Tensor, change: Array) -> Tensor:
    """Return parameters whose last layer has moved by ``change`` [outputs·(h + 1) + extra]."""
    moved = theta.clone()
    weight, bias = network.unpack(moved)[-1]
    layer = network.outputs * (network.layers[-2] + 1)
    block = torch.from_numpy(change[:layer]).view(network.outputs, -1)
    weight += block[:, :-1]
    bias += block[:, -1]
    network.coefficients(moved).add_(torch.from_numpy(change[layer:]))
    return moved


def choose_features(objective: Objective, base: Enriched, width: int, seed: int) -> tuple[str, float, float]:
    """Return the kind of feature and the scale R with the smallest residual, and that residual.

    Args:
        objective: weak or strong.
        base: network of the trial space.
        width: features per component to choose with.
        seed: of the features.
    """

    def residual(kind: str, scale: float) -> float:
        network = replace(base, layers=(base.layers[0], width, base.outputs), activation=kind)
        rows = linearise(objective, network, draw_features(network, scale, torch.Generator().manual_seed(seed)))
        change = solve_columns(rows.columns, -rows.residual)
        return float(np.linalg.norm(rows.residual + rows.columns @ change))

    scores = {(kind, scale): residual(kind, scale) for kind in KINDS for scale in SCALES}
    kind, scale = min(scores, key=lambda key: scores[key])
    for factor in (math.sqrt(2), 1 / math.sqrt(2)):
        scores[kind, scale * factor] = residual(kind, scale * factor)
    best = min(scores, key=lambda key: scores[key])
    return *best, scores[best]
