"""Second derivatives of a network by some coordinates of each point, by one forward sweep for each of them."""

from __future__ import annotations

import torch
from torch import Tensor

from vpinn.trial.network import Network


def bends(network: Network, theta: Tensor, x: Tensor, chosen: Tensor) -> Tensor:
    """Return ∂²/∂xᵢ² of all m components by k coordinates of each point [m, n, k], recorded by autograd.

    Each coordinate is one forward sweep of (∂z, ∂²z) beside that of z: a Taylor expansion to second order along the coordinate
    (Bettencourt, Johnson & Duvenaud 2019).

    Args:
        network: network whose inputs are the coordinates themselves.
        theta: parameters [size].
        x: normalised coordinates [n, d].
        chosen: numbers of the coordinates [n, k].
    """
    sigma, bent = network.sigma, None
    (weight, bias), *rest = network.unpack(theta)
    z = x
    sloped = (weight.T * network.stretch(x)[:, None])[chosen]  # [n, k, width]
    for following, shift in rest:
        a = torch.addmm(bias, z, weight.T)
        z = sigma.value(a)
        t = sigma.slope(a, z)
        curved = sigma.curvature(a, z, t)[:, None] * sloped * sloped
        bent = curved if bent is None else curved + t[:, None] * bent
        sloped, bent = (t[:, None] * sloped) @ following.T, bent @ following.T
        weight, bias = following, shift
    assert bent is not None
    return bent.movedim(2, 0)
