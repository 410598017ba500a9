"""Gradients of J due to single quadrature points, from which all statistics of mini-batches follow. See `point_gradients`.

A fully connected network maps the value and the derivatives ("streams") at every point with the same weights. The gradient that
belongs to one point is therefore a sum over streams of cotangent ⊗ input in every layer, and one reverse sweep gives the
cotangents of all points at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from vpinn.errors import InputError
from vpinn.forms import Value
from vpinn.objective import Objective
from vpinn.objective.measure import Measure, Prepared
from vpinn.trial import Network

CHUNK_BYTES = 64e6
"""Memory for the gradients of one chunk of points [bytes]."""


@dataclass(frozen=True)
class Streams:
    """Values and derivatives of n points in every layer of a network.

    Attributes:
        inputs: Input of every layer [streams, n, in].
        sums: Output of every layer before its activation [streams, n, out]; those of the last layer are the components.
        jets: (component, derivative) → values [n].
    """

    inputs: list[Tensor]
    sums: list[Tensor]
    jets: dict[tuple[int, tuple[int, ...]], Tensor]


def streams(network: Network, theta: Tensor, x: Tensor, wanted: Sequence[tuple[int, ...]]) -> Streams:
    """Evaluate the network with its derivatives at points, and keep what every layer receives and returns.

    Args:
        network: The network.
        theta: Parameters [size].
        x: Normalised coordinates [n, d].
        wanted: Derivatives needed, of order 0 to 2, each as a tuple of coordinate numbers.

    Raises:
        InputError: A derivative has an order above 2.
    """
    order = max(map(len, wanted), default=0)
    if order > 2:
        raise InputError(f"the noise report takes derivatives of the unknowns up to order 2, and this form has order {order}")
    sigma, d = network.sigma, network.dimension
    pairs = [p for p in wanted if len(p) == 2]
    values, first, second = network.inputs(x, pairs)
    z = values[None]
    if order:
        bends = values.new_zeros(len(pairs), *values.shape) if second is None else second
        z = torch.cat([z, first.expand(d, *values.shape), bends])
    inputs, sums = [], []
    layers = network.unpack(theta)
    for k, (weight, bias) in enumerate(layers):
        a = z @ weight.T
        a = torch.cat([a[:1] + bias, a[1:]])
        if not a.requires_grad:
            a.requires_grad_()
        inputs.append(z)
        sums.append(a)
        if k + 1 == len(layers):
            break
        value = sigma.value(a[0])
        parts = [value[None]]
        if order:
            slope = sigma.slope(a[0], value)
            parts.append(slope * a[1 : 1 + d])
            if pairs:
                products = torch.stack([a[1 + i] * a[1 + j] for i, j in pairs])
                parts.append(slope * a[1 + d :] + sigma.curvature(a[0], value, slope) * products)
        z = torch.cat(parts)
    names = [(), *((i,) for i in range(d if order else 0)), *pairs]
    jets = {(c, name): sums[-1][s, :, c] for s, name in enumerate(names) for c in range(network.outputs)}
    return Streams(inputs, sums, jets)


def integrands(measure: Measure, points: Prepared, found: Streams) -> tuple[Value, Sequence[Value]]:
    """Return the density and the coefficients of the test functions of a measure at points, as ``Measure.integrands`` does."""
    density, *rest = measure.tape.moving([*points.fixed, *(found.jets[key] for key in measure.keys)])
    return density, rest[: len(measure.tests)]


def separate(value: Value, found: Streams) -> Tensor:
    """Return the gradients [n, size] of n values, each of which depends on the streams of its own point only."""
    if not isinstance(value, Tensor) or not value.requires_grad:
        value = 0.0 * found.sums[-1].sum((0, 2))
    cotangents = torch.autograd.grad(value.sum(), found.sums, retain_graph=True, allow_unused=True)
    parts = []
    for z, a, bar in zip(found.inputs, found.sums, cotangents, strict=True):
        bar = torch.zeros_like(a) if bar is None else bar
        parts += [torch.einsum("sno,sni->noi", bar, z.detach()).flatten(1), bar[0]]
    return torch.cat(parts, 1)


def chunks(objective: Objective) -> Iterator[tuple[int, int, Measure, Prepared]]:
    """Yield all points in chunks whose gradients fit ``CHUNK_BYTES``: number of the measure, first point, measure, points."""
    size = objective.measures[0].network.size
    for k, measure in enumerate(objective.measures):
        entity, start = measure.points.per_entity, 0
        for points in measure.whole(max(entity, int(CHUNK_BYTES / (8 * size)))):
            yield k, start, measure, points
            start += len(points.w)


def point_gradients(objective: Objective, theta: Tensor) -> Iterator[tuple[int, int, Tensor]]:
    """Yield the influences sᵢ of all points on ∇J in chunks: number of the measure, number of the first point, sᵢ [n, size].

    The influence of a point is the derivative of ∇J by a factor of the point's weight. For a density ℓ it is sᵢ = wᵢ∇ℓᵢ, and the
    sum over points is ∇J. For a weak form with J = ½rᵀG⁻¹r and r = Σ rᵢ it is sᵢ = Jᵢᵀy + JᵀG⁻¹rᵢ with Jᵢ = ∂rᵢ/∂θ and y = G⁻¹r,
    and the sum is 2∇J.

    Raises:
        InputError: The form has derivatives of order three or higher.
    """
    space = objective.test_space
    dual = None if space is None else space.riesz(objective.residual(theta))
    weighted = None if space is None else space.riesz(residual_jacobian(objective, theta))
    for k, start, measure, points in chunks(objective):
        found = streams(measure.network, theta.detach(), points.x, measure.derivatives)
        density, coefficients = integrands(measure, points, found)
        value = points.w * density
        influence: Tensor | int = 0
        if measure.contraction is not None and points.frame is not None and dual is not None and weighted is not None:
            at = partial(measure.contraction.at_points, measure.tests, frame=points.frame, aligned=points.aligned)
            value = value + sum(points.w * jet * c for jet, c in zip(at(dual=dual), coefficients, strict=True))
            factors = [points.w * (c.detach() if isinstance(c, Tensor) else c) for c in coefficients]
            influence = sum(f[:, None] * jets for f, jets in zip(factors, at(dual=weighted), strict=True))
        own = separate(value, found).detach()
        yield k, start, own + influence


def residual_jacobian(objective: Objective, theta: Tensor) -> Tensor:
    """Return the derivative ∂r/∂θ [outputs, space.size, size] of the residual over all points of a weak form."""
    total: Tensor | None = None
    for _, _, measure, points in chunks(objective):
        if not measure.tests or measure.contraction is None or points.frame is None:
            continue
        found = streams(measure.network, theta.detach(), points.x, measure.derivatives)
        columns = [separate(c, found).detach() for c in integrands(measure, points, found)[1]]
        part = measure.contraction.assemble(measure.tests, columns, points.w, points.frame, points.aligned, objective.outputs)
        total = part if total is None else total + part
    assert total is not None
    return total
