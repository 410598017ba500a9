"""Activation functions σ with the derivatives that first and second derivatives of a network and their pullbacks need.

Where a formula allows it, several operations are fused into one, because small operations cost their overhead. Start with
`Activation`, the interface, and ``ACTIVATIONS``, the choices of a problem file.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

import torch
from torch import Tensor

from vpinn.registry import Extended


class Activation(ABC):
    """A smooth function σ, applied to every entry of a tensor; a is its argument, z = σ(a) and t = σ'(a), all of one shape."""

    #: the argument at which σ is 1: a unit of a layer with this argument is constant and carries the biases
    one: float
    #: whether ``slope`` and ``curvature`` read a; otherwise z and t are enough and a need not be kept
    keeps_argument = True
    #: whether ``adjoint`` expects its q multiplied by σ'(a) already; possible where σ'' is a bounded multiple of σ'
    takes_product = False

    @abstractmethod
    def value(self, a: Tensor) -> Tensor:
        """Return z = σ(a)."""

    def overwrite(self, a: Tensor) -> Tensor:
        """Overwrite ``a`` with z = σ(a) and return it."""
        return a.copy_(self.value(a))

    @abstractmethod
    def slope(self, a: Tensor, z: Tensor, out: Tensor | None = None) -> Tensor:
        """Return t = σ'(a) from a and z = σ(a), written to ``out`` if given."""

    @abstractmethod
    def curvature(self, a: Tensor, z: Tensor, t: Tensor) -> Tensor:
        """Return σ''(a) from a, z = σ(a) and t = σ'(a)."""

    @abstractmethod
    def third(self, a: Tensor, z: Tensor, t: Tensor) -> Tensor:
        """Return σ'''(a) from a, z = σ(a) and t = σ'(a)."""

    @abstractmethod
    def fourth(self, a: Tensor, z: Tensor, t: Tensor) -> Tensor:
        """Return the fourth derivative of σ at a, from a, z = σ(a) and t = σ'(a)."""

    def through(self, s: Tensor, a: Tensor, z: Tensor, t: Tensor, out: Tensor) -> Tensor:
        """Write s σ'(a) to ``out``, which may be ``s``, and return it; if σ'(a) is computed on the way, it is left in ``t``."""
        return torch.mul(s, self.slope(a, z, t), out=out)

    def adjoint(self, s: Tensor, q: Tensor, a: Tensor, z: Tensor, t: Tensor, empty: bool = False) -> Tensor:
        """Overwrite ``s`` with the cotangent of a, s σ'(a) + q σ''(a), and return it.

        Args:
            s: cotangent of z = σ(a).
            q: cotangent of σ'(a), multiplied by σ'(a) if ``takes_product``.
            a: argument.
            z: σ(a).
            t: memory as ``through`` left it.
            empty: whether the entries of ``s`` count as zero.
        """
        curvature = self.curvature(a, z, t)
        return torch.mul(q, curvature, out=s) if empty else s.mul_(t).addcmul_(q, curvature)


class Tanh(Activation):
    """σ = tanh, σ' = 1 − z², σ'' = −2 z σ'."""

    keeps_argument = False
    takes_product = True
    one = 20.0

    def value(self, a: Tensor) -> Tensor:
        """Return σ(a)."""
        return torch.tanh(a)

    def overwrite(self, a: Tensor) -> Tensor:
        """Overwrite ``a`` with σ(a) and return it."""
        return a.tanh_()

    def slope(self, a: Tensor, z: Tensor, out: Tensor | None = None) -> Tensor:
        """Return σ'(a)."""
        return torch.addcmul(_number(1.0, z.dtype, z.device), z, z, value=-1, out=out)

    def curvature(self, a: Tensor, z: Tensor, t: Tensor) -> Tensor:
        """Return σ''(a)."""
        return -2 * z * t

    def third(self, a: Tensor, z: Tensor, t: Tensor) -> Tensor:
        """Return σ'''(a) = 4z²σ' − 2σ'²."""
        return t * (4 * z * z - 2 * t)

    def fourth(self, a: Tensor, z: Tensor, t: Tensor) -> Tensor:
        """Return the fourth derivative, 16 z σ'² − 8 z³σ'."""
        return 8 * z * t * (2 * t - z * z)

    def through(self, s: Tensor, a: Tensor, z: Tensor, t: Tensor, out: Tensor) -> Tensor:
        """Return s (1 − z²) in one operation."""
        _tanh_backward(s, z, grad_input=out)
        return out

    def adjoint(self, s: Tensor, q: Tensor, a: Tensor, z: Tensor, t: Tensor, empty: bool = False) -> Tensor:
        """Return s σ'(a) − 2 z q σ'(a)."""
        if empty:
            return torch.addcmul(_number(0.0, z.dtype, z.device), q, z, value=-2, out=s)
        return self.through(s, a, z, t, s).addcmul_(q, z, value=-2)


class Sine(Activation):
    """σ = sin, σ' = cos, σ'' = −σ."""

    one = math.pi / 2

    def value(self, a: Tensor) -> Tensor:
        """Return σ(a)."""
        return torch.sin(a)

    def slope(self, a: Tensor, z: Tensor, out: Tensor | None = None) -> Tensor:
        """Return σ'(a)."""
        return torch.cos(a, out=out)

    def curvature(self, a: Tensor, z: Tensor, t: Tensor) -> Tensor:
        """Return σ''(a)."""
        return -z

    def third(self, a: Tensor, z: Tensor, t: Tensor) -> Tensor:
        """Return σ'''(a)."""
        return -t

    def fourth(self, a: Tensor, z: Tensor, t: Tensor) -> Tensor:
        """Return the fourth derivative, σ again."""
        return z


class Swish(Activation):
    """σ = a S with the logistic function S; σ' = S + a S (1 − S)."""

    one = 1.278464542761074

    def value(self, a: Tensor) -> Tensor:
        """Return σ(a)."""
        return a * torch.sigmoid(a)

    def slope(self, a: Tensor, z: Tensor, out: Tensor | None = None) -> Tensor:
        """Return σ'(a)."""
        s = torch.sigmoid(a)
        return torch.addcmul(s, z, 1 - s, out=out)

    def curvature(self, a: Tensor, z: Tensor, t: Tensor) -> Tensor:
        """Return σ''(a)."""
        s = torch.sigmoid(a)
        return s * (1 - s) * (2 + a * (1 - 2 * s))

    def third(self, a: Tensor, z: Tensor, t: Tensor) -> Tensor:
        """Return σ'''(a)."""
        s = torch.sigmoid(a)
        p, q = s * (1 - s), 1 - 2 * s
        return p * (q * (3 + a * q) - 2 * a * p)

    def fourth(self, a: Tensor, z: Tensor, t: Tensor) -> Tensor:
        """Return the fourth derivative."""
        s = torch.sigmoid(a)
        p, q = s * (1 - s), 1 - 2 * s
        return p * (4 * (q * q - 2 * p) + a * q * (q * q - 8 * p))


class Softplus(Activation):
    """σ = ln(1 + eᵃ), σ' the logistic function S, σ'' = S (1 − S)."""

    one = math.log(math.e - 1)

    def value(self, a: Tensor) -> Tensor:
        """Return σ(a)."""
        return torch.nn.functional.softplus(a)

    def slope(self, a: Tensor, z: Tensor, out: Tensor | None = None) -> Tensor:
        """Return σ'(a)."""
        return torch.sigmoid(a, out=out)

    def curvature(self, a: Tensor, z: Tensor, t: Tensor) -> Tensor:
        """Return σ''(a)."""
        return t * (1 - t)

    def third(self, a: Tensor, z: Tensor, t: Tensor) -> Tensor:
        """Return σ'''(a)."""
        return t * (1 - t) * (1 - 2 * t)

    def fourth(self, a: Tensor, z: Tensor, t: Tensor) -> Tensor:
        """Return the fourth derivative."""
        p = t * (1 - t)
        return p * ((1 - 2 * t) ** 2 - 2 * p)


ACTIVATIONS: Final[Mapping[str, Activation]] = Extended(
    "activations",
    {
        "tanh": Tanh(),
        "sin": Sine(),
        "swish": Swish(),
        "softplus": Softplus(),
    },
)
"""Name in a problem file → activation."""


def derivatives(sigma: Activation, a: Tensor, order: int) -> list[Tensor]:
    """Return σ(a) and its derivatives of orders 1 to ``order``, each of the shape of ``a`` and detached from the autograd graph.

    Derivatives of an order above four come from reverse-mode differentiation.
    """
    with torch.enable_grad():
        a = a.detach().requires_grad_(order > 4)
        z = sigma.value(a)
        t = sigma.slope(a, z)
        found = [z, t, *(of(a, z, t) for of in (sigma.curvature, sigma.third, sigma.fourth))]
        while len(found) <= order:
            found += torch.autograd.grad(found[-1].sum(), a, create_graph=True)
    return [value.detach() for value in found[: order + 1]]


_tanh_backward = torch.ops.aten.tanh_backward.grad_input
"""s, z → s (1 − z²)."""


@lru_cache
def _number(value: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.tensor(value, dtype=dtype, device=device)
