"""The network: coordinates → values and derivatives of all components, as a function of one flat parameter vector.

Value and gradient come from one reverse sweep with its adjoint written out (``jets``): per hidden layer six products
of size n·h² instead of the nine of a forward-mode jet in two dimensions, and no graph to build. Second derivatives are
forward 2-jets, higher ones nested reverse mode.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vpinn.trial.activation import ACTIVATIONS, Activation

Derivative = tuple[int, ...]
Jets = dict[tuple[int, Derivative], Tensor]


@dataclass(frozen=True)
class Network:
    """A fully connected network on the domain's bounding box, mapped to [−1, 1]^d.

    Attributes:
        layers: widths from inputs to outputs, at least one hidden layer.
        activation: name in ``ACTIVATIONS``.
        lower: smallest coordinates [d] of the domain, in units of length.
        upper: largest coordinates [d].
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
    def sigma(self) -> Activation:
        """The activation function."""
        return ACTIVATIONS[self.activation]

    def initial(self, generator: torch.Generator) -> Tensor:
        """Return random parameters [size] in float64.

        Weights follow Glorot & Bengio (2010), normal with variance 2/(in + out); first-layer biases are uniform on
        [−1, 1], which spreads the units over the domain.
        """
        parts = []
        for k, (i, o) in enumerate(zip(self.layers, self.layers[1:], strict=False)):
            weight = torch.randn(o, i, generator=generator, dtype=torch.float64) * math.sqrt(2 / (i + o))
            bias = torch.zeros(o, dtype=torch.float64)
            if k == 0:
                bias = 2 * torch.rand(o, generator=generator, dtype=torch.float64) - 1
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
        """Evaluate the last hidden layer, whose linear combinations the components are, by forward 2-jets (z, ∂z, ∂²z).

        Args:
            theta: parameters [size].
            x: normalised coordinates [n, d].
            wanted: derivatives of order 0 to 2; only the second ones asked for are carried.

        Returns:
            derivative → values [n, h] with respect to the original coordinates: all of order 0 and 1, and those asked for.
        """
        sigma, stretch, n, d = self.sigma, self.stretch(x), len(x), self.layers[0]
        pairs = [p for p in wanted if len(p) == 2]
        z = x
        first = torch.diag(stretch)[:, None, :].expand(d, n, d)
        second: Tensor | None = None
        for weight, bias in self.unpack(theta)[:-1]:
            a = torch.addmm(bias, z, weight.T)
            slopes = (first[:, :1] @ weight.T).expand(d, n, -1) if z is x else first @ weight.T
            bends = None if second is None else second @ weight.T
            kept = a.clone() if sigma.keeps_argument else a
            z = sigma.value(a)
            t = sigma.slope(kept, z)
            first = t * slopes
            if pairs:
                curved = sigma.curvature(kept, z, t) * torch.stack([slopes[i] * slopes[j] for i, j in pairs])
                second = curved if bends is None else t * bends + curved
        result: dict[Derivative, Tensor] = {(): z, **{(i,): first[i] for i in range(d)}}
        return result if second is None else result | {pair: second[k] for k, pair in enumerate(pairs)}

    def normalise(self, x: Tensor) -> Tensor:
        """Return coordinates [n, d] mapped to [−1, 1]^d, dimensionless."""
        lower, upper = x.new_tensor(self.lower), x.new_tensor(self.upper)
        return (2 * x - (lower + upper)) / (upper - lower)

    def stretch(self, like: Tensor) -> Tensor:
        """Return the derivative [d] of the normalised coordinates, in 1/length."""
        return like.new_tensor([2 / (b - a) for a, b in zip(self.lower, self.upper, strict=True)])

    def jets(self, theta: Tensor, x: Tensor, wanted: Iterable[Derivative]) -> Jets:
        """Evaluate all components and their derivatives.

        Args:
            theta: parameters [size].
            x: normalised coordinates [n, d].
            wanted: derivatives, each the sorted coordinates to differentiate by.

        Returns:
            (component, derivative) → values [n], with respect to the original coordinates.
        """
        wanted = sorted(set(wanted), key=len)
        order = len(wanted[-1]) if wanted else 0
        if order <= 1:
            values, gradients = FirstJets.apply(theta, x, self, order)  # type: ignore[no-untyped-call]
            result: Jets = {(c, ()): value for c, value in enumerate(values.unbind(0))}
            if order:
                rows = gradients.unbind(0)
                result |= {(c, (i,)): rows[i * self.outputs + c] for i in range(self.layers[0]) for c in range(self.outputs)}
            return result
        return _second_jets(self, theta, x, wanted) if order == 2 else _nested_jets(self, theta, x, wanted)


class FirstJets(torch.autograd.Function):
    """Values [m, n] and gradients [d·m, n] of a network, with the adjoint written out.

    Forward: aₗ = zₗ₋₁Wₗᵀ + bₗ, zₗ = σ(aₗ); backward sweep δₗ = σ'(aₗ)·rₗ, rₗ₋₁ = δₗWₗ, ∇u = δ₁W₁.
    Adjoint: the same two sweeps with cotangents, in the opposite order.
    """

    @staticmethod
    def forward(ctx: Any, theta: Tensor, x: Tensor, network: Network, order: int) -> tuple[Tensor, Tensor]:
        """Evaluate; see the class. Products and bias sums are separate: torch's addmm is the slower for thin matrices."""
        sigma, layers = network.sigma, network.unpack(theta)
        z, saved = x, []
        for weight, bias in layers[:-1]:
            a = (z @ weight.T.contiguous()).add_(bias)
            kept = a.clone() if sigma.keeps_argument else a
            z = sigma.value(a)
            saved.append((kept, z, sigma.slope(kept, z)))
        weight, bias = layers[-1]
        values = (weight @ z.T).add_(bias[:, None])  # [m, n]
        stretch = network.stretch(x)
        if order == 0:
            ctx.state = (layers, x, network, stretch, saved, None, None)
            return values, values.new_empty(0)
        m, n = values.shape
        r = weight[:, None, :]  # [m, 1, h], grows to [m, n, h]
        deltas, reached = [], []
        for k in range(len(saved) - 1, -1, -1):
            reached.append(r)
            delta = saved[k][2] * r
            deltas.append(delta)
            if k:
                r = (delta.view(m * n, -1) @ layers[k][0]).view(m, n, -1)
        gradients = (layers[0][0] * stretch).T.contiguous() @ deltas[-1].view(m * n, -1).T  # [d, m·n]
        ctx.state = (layers, x, network, stretch, saved, deltas[::-1], reached[::-1])
        return values, gradients.view(-1, n)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, values_bar: Tensor, gradients_bar: Tensor) -> tuple[Tensor | None, ...]:
        """Return the cotangent of the parameters; see the class."""
        layers, x, network, stretch, saved, deltas, reached = ctx.state
        sigma = network.sigma
        result = x.new_zeros(network.size)
        grads = network.unpack(result)
        m, n = values_bar.shape
        bends: list[Tensor | None] = [None] * len(saved)
        weight, last = layers[-1][0], saved[-1][1]
        grads[-1][0].copy_(values_bar @ last)
        torch.sum(values_bar, 1, out=grads[-1][1])
        if deltas is not None:
            g = gradients_bar.view(-1, m * n)  # [d, m·n]
            torch.mul((g @ deltas[0].view(m * n, -1)).T, stretch, out=grads[0][0])
            d_bar = g.T @ (layers[0][0] * stretch).T.contiguous()  # [m·n, h]
            for k, (_, _, slope) in enumerate(saved):
                d_bar = d_bar.view(m, n, -1)
                r_bar = d_bar * slope
                bend = d_bar.mul_(reached[k])
                bends[k] = bend[0] if m == 1 else bend.sum(0)
                if k + 1 < len(saved):
                    flat = r_bar.view(m * n, -1)
                    grads[k + 1][0].copy_(deltas[k + 1].view(m * n, -1).T @ flat)
                    d_bar = flat @ layers[k + 1][0].T.contiguous()
                else:
                    grads[-1][0].add_(r_bar.sum(1))
        s = values_bar[0][:, None] * weight if m == 1 else values_bar.T @ weight  # [n, h]
        for k in range(len(saved) - 1, -1, -1):
            a, z, slope = saved[k]
            bent = bends[k]
            s = s.mul_(slope) if bent is None else sigma.adjoint(s, bent, a, z, slope)
            grads[k][0].add_(s.T @ (saved[k - 1][1] if k else x))
            torch.sum(s, 0, out=grads[k][1])
            if k:
                s = s @ layers[k][0]
        return result, None, None, None


def _second_jets(network: Network, theta: Tensor, x: Tensor, wanted: list[Derivative]) -> Jets:
    """Jets up to order two: those of the last hidden layer, and its linear combinations."""
    weight, bias = network.unpack(theta)[-1]
    result: Jets = {}
    for derivative, values in network.features(theta, x, wanted).items():
        rows = values @ weight.T if derivative else torch.addmm(bias, values, weight.T)
        result |= {(c, derivative): rows[:, c] for c in range(network.outputs)}
    return result


def _nested_jets(network: Network, theta: Tensor, x: Tensor, wanted: list[Derivative]) -> Jets:
    """Derivatives of any order by reverse mode over reverse mode."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        z = x
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
