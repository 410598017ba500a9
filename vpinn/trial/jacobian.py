"""Jacobians: derivatives of a network's values, gradients and second derivatives with respect to all parameters, for every point.

A forward sweep computes values, first and second derivatives (z, ∂z, ∂²z) of every layer; a backward sweep computes their
cotangents for every point separately. The derivatives with respect to the weights are outer products of the two: one batched
product per layer, without autograd and vmap. Start with `jet_jacobian`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vpinn.errors import InputError
from vpinn.trial.network import Derivative, Network

Keys = Sequence[tuple[int, Derivative]]
"""Values or derivatives of the network ("jets"): component, and coordinates by which it is differentiated."""


def jet_jacobian(network: Network, theta: Tensor, x: Tensor, keys: Keys, slopes: Tensor) -> Tensor:
    """Return the derivatives of linear combinations of jets with respect to all parameters, for every point.

    With layers a = Wz + b, z ← σ(a), the jets of a layer are a, ȧᵢ = Wżᵢ, äᵢⱼ = Wz̈ᵢⱼ and σ(a), σ'ȧᵢ, σ'äᵢⱼ + σ''ȧᵢȧⱼ;
    backwards, with bars for cotangents, those of äᵢⱼ, ȧᵢ and a are σ'z̈̄ᵢⱼ, σ'ż̄ᵢ + σ''Σⱼ(z̈̄ᵢⱼ + z̈̄ⱼᵢ)ȧⱼ, and
    σ'z̄ + σ''(Σ ż̄ᵢȧᵢ + Σ z̈̄ᵢⱼäᵢⱼ) + σ'''Σ z̈̄ᵢⱼȧᵢȧⱼ, and W̄ = āzᵀ + Σ ǡᵢżᵢᵀ + Σ ǟᵢⱼz̈ᵢⱼᵀ.

    Args:
        network: the network.
        theta: parameters [size].
        x: normalised coordinates [n, d].
        keys: K jets, of order 0 to 2 and with respect to the original coordinates; component −1 − k stands for the kth parameter
            after the weights (an enrich coefficient).
        slopes: factors of the jets in r linear combinations [r, K, n].

    Returns:
        Σ_k slopes[r, k] ∂jet_k/∂θ, [r, n, size].

    Raises:
        InputError: a jet is of order three or more.
    """
    if any(len(derivative) > 2 for _, derivative in keys):
        raise InputError(
            'Jacobians exist for derivatives up to order two only; use solver.method = "lbfgs", or a form with lower derivatives'
        )
    pairs = sorted({derivative for _, derivative in keys if len(derivative) == 2})
    directions = sorted({i for _, derivative in keys for i in derivative})
    orders: list[Derivative] = [(), *((i,) for i in directions), *pairs]
    r, n = len(slopes), len(x)
    ends = [(1 + directions.index(i), 1 + directions.index(j)) for i, j in pairs]
    layers = network.unpack(theta)
    saved, z = _forward(network, theta, x, pairs, directions)
    result = x.new_empty(r, n, network.size)
    blocks = _blocks(network, result)

    top = slopes.new_zeros(r, network.outputs, len(orders), n)
    numbers = sum(part.numel() for pair in layers for part in pair)
    result[:, :, numbers:] = 0.0
    for k, (component, derivative) in enumerate(keys):
        if component < 0:
            result[:, :, numbers - 1 - component] += slopes[:, k]
        else:
            top[:, component, orders.index(derivative)] += slopes[:, k]
    weight, _ = layers[-1]
    blocks[-1][0].copy_(torch.einsum("rcqn,qnh->rnch", top, z))
    blocks[-1][1].copy_(top[:, :, 0].transpose(1, 2))
    bar = torch.einsum("rcqn,ch->rqnh", top, weight)
    for k in range(len(saved) - 1, -1, -1):
        low = _backward(network, saved[k], bar, ends)
        blocks[k][0].copy_(torch.einsum("rqno,qni->rnoi", low, saved[k].z))
        blocks[k][1].copy_(low[:, 0])
        if k:
            bar = (low.reshape(-1, low.shape[3]) @ layers[k][0]).view(r, len(orders), n, layers[k][0].shape[1])
    return result


@dataclass(frozen=True)
class _Layer:
    """Jets in a hidden layer: K of them, value first, then first and second derivatives.

    Attributes:
        z: input [K, n, width of the layer before].
        a: arguments of σ, the input times the weights, plus the bias for the value [K, n, width].
        value: σ(a[0]) [n, width].
        t: σ'(a[0]) [n, width].
        c: σ''(a[0]) [n, width].
    """

    z: Tensor
    a: Tensor
    value: Tensor
    t: Tensor
    c: Tensor


def _forward(
    network: Network, theta: Tensor, x: Tensor, pairs: Sequence[Derivative], directions: Sequence[int]
) -> tuple[list[_Layer], Tensor]:
    """Return the hidden layers, and the jets that go into the last layer [K, n, width]."""
    d, sigma = len(directions), network.sigma
    ends = [(1 + directions.index(i), 1 + directions.index(j)) for i, j in pairs]
    z = x.new_zeros(1 + d + len(pairs), len(x), network.layers[0])
    z[0], slopes, bends = network.inputs(x, pairs)
    z[1 : 1 + d] = slopes[directions]
    if bends is not None:
        z[1 + d :] = bends
    layers = []
    for weight, bias in network.unpack(theta)[:-1]:
        a = (z.view(-1, z.shape[2]) @ weight.T.contiguous()).view(*z.shape[:2], -1)
        a[0] += bias
        value = sigma.value(a[0].clone())
        t = sigma.slope(a[0], value)
        c = sigma.curvature(a[0], value, t)
        layers.append(_Layer(z, a, value, t, c))
        z = t * a
        z[0] = value
        for p, (i, j) in enumerate(ends):
            z[1 + d + p].addcmul_(c, a[i] * a[j])
    return layers, z


def _backward(network: Network, layer: _Layer, bar: Tensor, ends: Sequence[tuple[int, int]]) -> Tensor:
    """Return the cotangents of a layer's arguments a [r, K, n, width].

    Args:
        network: the network.
        layer: the layer.
        bar: cotangents of its output [r, K, n, width].
        ends: for every second derivative, the positions of its two first derivatives among the K jets.
    """
    a, first = layer.a, layer.a.shape[0] - len(ends)
    low = bar * layer.t
    low[:, 0].addcmul_(layer.c, (bar[:, 1:] * a[1:]).sum(1))
    if ends:
        third = network.sigma.third(a[0], layer.value, layer.t)
        for p, (i, j) in enumerate(ends):
            bent = bar[:, first + p] * layer.c
            low[:, i].addcmul_(bent, a[j])
            low[:, j].addcmul_(bent, a[i])
            low[:, 0].addcmul_(bar[:, first + p] * third, a[i] * a[j])
    return low


def last_layer_jacobian(network: Network, theta: Tensor, x: Tensor, keys: Keys, slopes: Tensor) -> Tensor:
    """Return the part of ``jet_jacobian`` that belongs to the last layer and the enrich coefficients; same arguments.

    The jets are linear in these parameters, so that jets of any order are allowed.

    Returns:
        derivatives [r, n, parameters of the last layer and enrich coefficients], in the order of θ.
    """
    found = network.features(theta, x, [derivative for _, derivative in keys])
    r = len(slopes)
    n = len(x)
    m = network.outputs
    h = network.layers[-2]
    numbers = m * (h + 1)
    result = x.new_zeros(r, n, numbers + network.size - sum(part.numel() for pair in network.unpack(theta) for part in pair))
    for k, (component, derivative) in enumerate(keys):
        if component < 0:
            result[:, :, numbers - 1 - component] += slopes[:, k]
            continue
        result[:, :, component * h :][:, :, :h].addcmul_(slopes[:, k, :, None], found[derivative])
        if not derivative:
            result[:, :, m * h + component] += slopes[:, k]
    return result


def _blocks(network: Network, rows: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Return the weights [r, n, out, in] and biases [r, n, out] of every layer as views of ``rows`` [r, n, size]."""
    pairs, at = [], 0
    for i, o in zip(network.layers, network.layers[1:], strict=False):
        weight = rows[:, :, at : at + i * o].view(*rows.shape[:2], o, i)
        pairs.append((weight, rows[:, :, at + i * o : at + (i + 1) * o]))
        at += (i + 1) * o
    return pairs
