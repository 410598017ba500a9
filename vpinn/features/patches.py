"""Windows: place some features in the small part of the domain where the residual is concentrated.

Features of the whole box resolve details of one width everywhere, so that their number grows with the ratio of box to detail.
For an isolated peak, windows need far fewer. Their centres are drawn where most of the squared residual of a stage is, with
probability proportional to it, like points in residual-based refinement (Wu et al. 2023, doi 10.1016/j.cma.2022.115671). A window
covers a share of the other centres, and several test functions, because narrower ones could vary between the test functions.
"""

from __future__ import annotations

from math import gamma, pi

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vpinn.domain import Inside
from vpinn.objective import Objective
from vpinn.placement import host
from vpinn.trial import Features

Array = NDArray[np.float64]
BULK = 0.9
"""Share of the squared residual from whose places centres are drawn."""
CONCENTRATED = 0.05
"""Largest share of all places that may hold half of the squared residual for it to count as concentrated."""
AROUND = 20
"""Number of neighbours from whose distance the spacing of places is computed."""
WIDTH = 4.0
"""Smallest radius of a window, in units of the spacing of places; tests see no finer detail."""
REACH = 0.03
"""Share of the centres that lie within the radius of a window."""


def windows(
    objective: Objective, network: Features, theta: Tensor, count: int, generator: np.random.Generator
) -> tuple[tuple[float, ...], ...]:
    """Return ``count`` windows, each a centre and a radius, in units of the mesh; () where the residual is spread out.

    Forms with derivatives beyond the second get none, because windowed features do not have these derivatives.

    Args:
        objective: objective of a weak or strong form, with more rows than ``count``.
        network: features of the last fit.
        theta: their parameters [network.size].
        count: number of windows, ≥ 2.
        generator: random numbers of the centres.
    """
    from scipy.spatial import KDTree

    if max(len(derivative) for measure in objective.measures for derivative in measure.derivatives) > 2:
        return ()
    places, squares = _contributions(objective, network, theta)
    d = places.shape[1]
    ball = gamma(d / 2 + 1) / pi ** (d / 2)
    order = np.argsort(-squares)
    sums = squares[order].cumsum()
    half, most = (1 + int(np.searchsorted(sums, share * sums[-1])) for share in (0.5, BULK))
    if half > CONCENTRATED * len(places) or len(places) < AROUND:
        return ()
    hot = order[:most]
    around = KDTree(places).query(places[hot], [AROUND])[0]
    spacing = float(np.median(around)) * (AROUND * ball) ** (-1 / d)
    drawn = places[generator.choice(hot, count, p=squares[hot] / squares[hot].sum())]
    centres = drawn + spacing * generator.uniform(-0.5, 0.5, drawn.shape)
    radius = KDTree(centres).query(centres, [max(2, round(REACH * count))])[0]
    return tuple(map(tuple, np.hstack([centres, np.maximum(radius, WIDTH * spacing)]).tolist()))


def _contributions(objective: Objective, network: Features, theta: Tensor) -> tuple[Array, Array]:
    """Return places [n, d] and the parts of the squared residual [n] there.

    In a weak form the places are those of the test functions φⱼ, with the products rⱼyⱼ of residual and Riesz representative,
    which sum to the squared dual norm. In a strong form they are the points in the domain, with w R².
    """
    if objective.test_space is not None:
        residual = objective.residual(theta)
        parts = (residual * objective.test_space.riesz(residual)).sum(0).clamp_min(0.0)
        return objective.test_space.space.locations(), host(parts)
    places, squares = [], []
    for measure in objective.measures:
        if measure.region is not Inside:
            continue
        with torch.no_grad():
            for points in measure.whole(10_000):
                density, _ = measure.integrands(theta, points)
                places.append(host(measure.placement.group.joined(network.restore(points.x))))
                squares.append(host(measure.placement.group.joined(points.w * density)))
    return np.concatenate(places), np.concatenate(squares)
