"""The network: coordinates → values and derivatives of all components, as a function of one flat parameter vector θ.

Values, gradients and their pullback are written out without autograd (`vpinn.trial.sweeps`). Second derivatives come from a
forward sweep of (z, ∂z, ∂²z), higher ones from repeated reverse mode. Start with `Network.jets` and `Network.record`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache, partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from vpinn.placement import HOST
from vpinn.trial.activation import ACTIVATIONS, Activation, derivatives
from vpinn.trial.graph import through_graph
from vpinn.trial.layout import Layout
from vpinn.trial.nested import nested_jets
from vpinn.trial.sweeps import record

TOGETHER, FEW = 8_192, 12
"""Points evaluated at a time if no gradient is asked for, which bounds the memory; in proportion fewer for more derivatives."""

Derivative = tuple[int, ...]
Jets = dict[tuple[int, Derivative], Tensor]
Pullback = Callable[[Mapping[tuple[int, Derivative], Tensor]], Tensor]
"""Cotangents of jets [n] each → cotangent of the parameters [size]; the cotangent of a missing jet is zero."""
Pull = Callable[[Tensor | None, Tensor | None], Tensor]
"""Cotangents of values [m, n] and gradients [d, m, n], None for zero → cotangent of the weights."""


@dataclass(frozen=True)
class Network:
    """A fully connected network on the domain's bounding box, mapped to [−1, 1]^d.

    Attributes:
        layers: widths from inputs to outputs, with at least one hidden layer.
        activation: name in ``ACTIVATIONS``.
        lower: smallest coordinates of the domain [d], in units of length.
        upper: largest coordinates of the domain [d], in units of length.
    """

    layers: tuple[int, ...]
    activation: str
    lower: tuple[float, ...]
    upper: tuple[float, ...]

    @property
    def size(self) -> int:
        """Number of parameters."""
        return sum((i + 1) * o for i, o in zip(self.layers, self.layers[1:], strict=False))

    @property
    def outputs(self) -> int:
        """Number of components."""
        return self.layers[-1]

    @property
    def dimension(self) -> int:
        """Number of coordinates."""
        return len(self.lower)

    @property
    def sigma(self) -> Activation:
        """The activation function."""
        return ACTIVATIONS[self.activation]

    def initial(self, generator: torch.Generator) -> Tensor:
        """Return random parameters [size] in float64 on the host.

        Weights follow Glorot & Bengio (2010), normal with variance 2/(in + out); first-layer biases are uniform on
        [−1, 1], which spreads the units over the domain.
        """
        parts = []
        for k, (i, o) in enumerate(zip(self.layers, self.layers[1:], strict=False)):
            weight = torch.randn(o, i, generator=generator, dtype=torch.float64, device=HOST) * math.sqrt(2 / (i + o))
            bias = torch.zeros(o, dtype=torch.float64, device=HOST)
            if k == 0:
                bias = 2 * torch.rand(o, generator=generator, dtype=torch.float64, device=HOST) - 1
            parts += [weight.reshape(-1), bias]
        return torch.cat(parts)

    def unpack(self, theta: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return weight [out, in] and bias [out] of every layer as views of the parameters [size]."""
        pairs, at = [], 0
        for i, o in zip(self.layers, self.layers[1:], strict=False):
            pairs.append((theta[at : at + i * o].view(o, i), theta[at + i * o : at + (i + 1) * o]))
            at += (i + 1) * o
        return pairs

    def features(self, theta: Tensor, x: Tensor, wanted: Iterable[Derivative]) -> dict[Derivative, Tensor]:
        """Return the h units of the last hidden layer, of which the components are linear combinations, with derivatives.

        Args:
            theta: parameters [size].
            x: normalised coordinates [n, d].
            wanted: derivatives, each the sorted coordinates to differentiate by.

        Returns:
            derivative → values [n, h] with respect to the original coordinates: all of order 0 and 1, and those asked for.
        """
        wanted = list(wanted)
        if max(map(len, wanted), default=0) > 2:
            return self._nested_features(theta, x, [(), *((i,) for i in range(x.shape[1])), *wanted])
        sigma = self.sigma
        n = len(x)
        d = self.dimension
        pairs = [p for p in wanted if len(p) == 2]
        z, first, second = self.inputs(x, pairs)
        for weight, bias in self.unpack(theta)[:-1]:
            a = torch.addmm(bias, z, weight.T)
            slopes = (first @ weight.T).expand(d, n, -1)
            bends = None if second is None else second @ weight.T
            z = sigma.value(a)
            t = sigma.slope(a, z)
            first = t * slopes
            if pairs:
                curved = sigma.curvature(a, z, t) * torch.stack([slopes[i] * slopes[j] for i, j in pairs])
                second = curved if bends is None else t * bends + curved
        result: dict[Derivative, Tensor] = {(): z, **{(i,): first[i] for i in range(d)}}
        return result if second is None else result | {pair: second[k] for k, pair in enumerate(pairs)}

    def _nested_features(self, theta: Tensor, x: Tensor, wanted: list[Derivative]) -> dict[Derivative, Tensor]:
        """Return derivatives of any order of the last hidden layer: σ⁽ᵏ⁾(a) Πwᵢ if it is the only one, else by reverse mode."""
        *layers, h, _ = self.layers
        if layers == [x.shape[1]]:
            weight, bias = self.unpack(theta)[0]
            slopes = (weight * self.stretch(x)).T
            orders = derivatives(self.sigma, torch.addmm(bias, x, weight.T), max(map(len, wanted)))
            return {key: math.prod((slopes[i] for i in key), start=orders[len(key)]) for key in wanted}
        wide, hidden = replace(self, layers=(*layers, h, h)), sum((i + 1) * o for i, o in pairwise((*layers, h)))
        unit = torch.eye(h, dtype=theta.dtype, device=theta.device)
        identity = torch.cat([theta[:hidden], unit.reshape(-1), theta.new_zeros(h)])
        jets = nested_jets(wide, identity, x, wanted)
        return {derivative: torch.stack([jets[c, derivative].detach() for c in range(h)], 1) for derivative in wanted}

    def inputs(self, x: Tensor, pairs: Sequence[Derivative]) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return the inputs of the first layer, with derivatives by the original coordinates.

        Args:
            x: normalised coordinates [n, d].
            pairs: second derivatives wanted.

        Returns:
            values [n, inputs]; first derivatives [d, n or 1, inputs]; second derivatives [pairs, n, inputs], None if all vanish.
        """
        return x, torch.diag(self.stretch(x))[:, None, :], None

    def sweep(self, theta: Tensor, x: Tensor, order: int, values: bool = True) -> tuple[Tensor | None, Tensor | None, Pull]:
        """Return values [m, n] (None unless asked for), gradients [d, m, n] (None at order 0), and the pullback of both."""
        return record(self.layout, theta, x, order, values)

    def normalise(self, x: Tensor) -> Tensor:
        """Return coordinates [n, d] mapped to [−1, 1]^d, dimensionless."""
        lower, upper = x.new_tensor(self.lower), x.new_tensor(self.upper)
        return (2 * x - (lower + upper)) / (upper - lower)

    def stretch(self, like: Tensor) -> Tensor:
        """Return the derivative [d] of the normalised coordinates, in 1/length."""
        return _stretch(self.lower, self.upper, like.dtype, like.device)

    @cached_property
    def layout(self) -> Layout:
        """Position of the parameters in the matrices of the layers."""
        return Layout(self.layers, self.sigma, _stretches(self.lower, self.upper))

    def record(self, theta: Tensor, x: Tensor, wanted: Iterable[Derivative]) -> tuple[Jets, Pullback]:
        """Return the same as ``jets``, and the pullback: cotangents of the jets → cotangent of θ [size].

        Args:
            theta: parameters [size].
            x: normalised coordinates [n, d].
            wanted: derivatives, each the sorted coordinates to differentiate by.
        """
        wanted = list(wanted)
        order = max(map(len, wanted), default=0)
        if order > 1:
            leaf = theta.detach().requires_grad_()
            with torch.enable_grad():
                recorded = self.jets(leaf, x, wanted)
            return {key: value.detach() for key, value in recorded.items()}, partial(through_graph, leaf, recorded)
        values, gradients, pull = self.sweep(theta, x, order, () in wanted)
        return _first_jets(values, gradients), partial(_through_sweeps, pull, self.layers, x)

    def jets(self, theta: Tensor, x: Tensor, wanted: Iterable[Derivative]) -> Jets:
        """Return all components and their derivatives.

        Args:
            theta: parameters [size].
            x: normalised coordinates [n, d].
            wanted: derivatives, each the sorted coordinates to differentiate by.

        Returns:
            (component, derivative) → values [n], with respect to the original coordinates.
        """
        wanted = sorted(set(wanted), key=len)
        together = max(1, TOGETHER * FEW // max(FEW, len(wanted)))
        if len(x) > together and not torch.is_grad_enabled():
            parts = [Network.jets(self, theta, part, wanted) for part in torch.split(x, together)]  # subclasses add to these
            return {key: torch.cat([part[key] for part in parts]) for key in parts[0]}
        order = len(wanted[-1]) if wanted else 0
        if order <= 1:
            values, gradients = _FirstJets.apply(theta, x, self, order)  # type: ignore[no-untyped-call]
            return _first_jets(values, gradients.view(x.shape[1], *values.shape) if order else None)
        return _second_jets(self, theta, x, wanted) if order == 2 else nested_jets(self, theta, x, wanted)

    def jets_of(self, thetas: Tensor, x: Tensor, wanted: Iterable[Derivative]) -> Jets:
        """Return the jets for k parameter vectors at once, without gradients.

        Args:
            thetas: parameters [k, size].
            x: normalised coordinates [n, d].
            wanted: derivatives of order 0 to 2.

        Returns:
            (component, derivative) → values [k, n].
        """
        wanted = list(wanted)
        found: Jets = torch.func.vmap(lambda theta: _second_jets(self, theta, x, wanted))(thetas)
        return found


def _first_jets(values: Tensor | None, gradients: Tensor | None) -> Jets:
    """Return values [m, n] and gradients [d, m, n] as a dictionary by component and derivative."""
    result: Jets = {} if values is None else {(c, ()): value for c, value in enumerate(values.unbind(0))}
    if gradients is not None:
        m = gradients.shape[1]
        result |= {(k % m, (k // m,)): row for k, row in enumerate(gradients.flatten(0, 1).unbind(0))}
    return result


def _through_sweeps(
    pull: Pull, layers: tuple[int, ...], x: Tensor, cotangents: Mapping[tuple[int, Derivative], Tensor]
) -> Tensor:
    """Return the cotangent of the parameters from those of values and gradients at n points; missing ones are zero."""
    d = x.shape[1]
    m = layers[-1]
    n = len(x)

    def rows(keys: list[tuple[int, Derivative]]) -> Tensor | None:
        given = [cotangents.get(key) for key in keys]
        if all(row is None for row in given):
            return None
        return torch.stack([x.new_zeros(n) if row is None else row for row in given])

    values = rows([(c, ()) for c in range(m)])
    gradients = rows([(c, (i,)) for i in range(d) for c in range(m)])
    if values is None and gradients is None:
        return x.new_zeros(sum((i + 1) * o for i, o in pairwise(layers)))
    return pull(values, None if gradients is None else gradients.view(d, m, n))


class _FirstJets(torch.autograd.Function):
    """Values [m, n] and gradients [d, m, n] of a network as an operation that autograd can differentiate."""

    @staticmethod
    def forward(ctx: Any, theta: Tensor, x: Tensor, network: Network, order: int) -> tuple[Tensor, Tensor]:
        """Return values and, at order 1, gradients."""
        values, gradients, ctx.pull = network.sweep(theta, x, order)
        assert values is not None
        return values, values.new_empty(0) if gradients is None else gradients

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, values_bar: Tensor, gradients_bar: Tensor) -> tuple[Tensor | None, ...]:
        """Return the cotangent of the parameters."""
        return (
            ctx.pull(values_bar.contiguous(), gradients_bar.contiguous() if gradients_bar.numel() else None),
            None,
            None,
            None,
        )


def _second_jets(network: Network, theta: Tensor, x: Tensor, wanted: list[Derivative]) -> Jets:
    """Return jets up to order two as linear combinations of those of the last hidden layer."""
    weight, bias = network.unpack(theta)[-1]
    result: Jets = {}
    for derivative, values in network.features(theta, x, wanted).items():
        rows = values @ weight.T if derivative else torch.addmm(bias, values, weight.T)
        result |= {(c, derivative): rows[:, c] for c in range(network.outputs)}
    return result


def _stretches(lower: tuple[float, ...], upper: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(2 / (b - a) for a, b in zip(lower, upper, strict=True))


@lru_cache
def _stretch(lower: tuple[float, ...], upper: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.tensor(_stretches(lower, upper), dtype=dtype, device=device)
