"""Derivatives of a network with respect to the coordinates, of any order, by repeated reverse-mode differentiation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from vpinn.trial.network import Derivative, Jets, Network


def nested_jets(network: Network, theta: Tensor, x: Tensor, wanted: Sequence[Derivative]) -> Jets:
    """Return values and derivatives of all components, differentiable by the parameters.

    Args:
        network: the network.
        theta: parameters [size].
        x: normalised coordinates [n, d].
        wanted: derivatives, each the sorted coordinates to differentiate by.

    Returns:
        (component, derivative) → values [n], with respect to the original coordinates; derivatives of lower order are included.
    """
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        z = network.inputs(x, ())[0]
        *hidden, (weight, bias) = network.unpack(theta)
        for w, b in hidden:
            z = network.sigma.value(torch.addmm(b, z, w.T))
        z = torch.addmm(bias, z, weight.T)
        stretch = network.stretch(x)
        result: Jets = {(c, ()): z[:, c] for c in range(network.outputs)}
        for derivative in wanted:
            for c in range(network.outputs):
                for k in range(1, len(derivative) + 1):
                    if (c, derivative[:k]) not in result:
                        parent = result[c, derivative[: k - 1]]
                        (slope,) = torch.autograd.grad(parent.sum(), x, create_graph=True)
                        result |= {
                            (c, tuple(sorted((*derivative[: k - 1], i)))): slope[:, i] * stretch[i] for i in range(x.shape[1])
                        }
        return result
