"""Activation functions with the derivatives that jets and their adjoints need, fused where a formula allows it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor


class Activation(ABC):
    """A smooth function σ applied to every entry."""

    @abstractmethod
    def value(self, a: Tensor) -> Tensor:
        """Return z = σ(a); may overwrite ``a``."""

    @abstractmethod
    def slope(self, a: Tensor, z: Tensor) -> Tensor:
        """Return t = σ'(a) from a and z = σ(a)."""

    @abstractmethod
    def curvature(self, a: Tensor, z: Tensor, t: Tensor) -> Tensor:
        """Return σ''(a) from a, z = σ(a) and t = σ'(a)."""

    #: whether ``slope`` and ``curvature`` need a itself, and not only z and t
    keeps_argument = True

    def adjoint(self, s: Tensor, q: Tensor, a: Tensor, z: Tensor, t: Tensor) -> Tensor:
        """Return s σ'(a) + q σ''(a), the cotangent of a; may overwrite ``s``."""
        return s.mul_(t).addcmul_(q, self.curvature(a, z, t))


class Tanh(Activation):
    """σ = tanh, σ' = 1 − z², σ'' = −2 z σ'."""

    keeps_argument = False

    def value(self, a: Tensor) -> Tensor:
        """Return σ(a)."""
        return torch.tanh_(a) if not a.requires_grad else torch.tanh(a)

    def slope(self, a: Tensor, z: Tensor) -> Tensor:
        """Return σ'(a)."""
        return torch.addcmul(z.new_ones(()), z, z, value=-1)

    def curvature(self, a: Tensor, z: Tensor, t: Tensor) -> Tensor:
        """Return σ''(a)."""
        return -2 * z * t

    def adjoint(self, s: Tensor, q: Tensor, a: Tensor, z: Tensor, t: Tensor) -> Tensor:
        """Return (s − 2qz) σ'(a)."""
        return s.addcmul_(q, z, value=-2).mul_(t)


class Sine(Activation):
    """σ = sin, σ' = cos, σ'' = −σ."""

    def value(self, a: Tensor) -> Tensor:
        """Return σ(a)."""
        return torch.sin(a)

    def slope(self, a: Tensor, z: Tensor) -> Tensor:
        """Return σ'(a)."""
        return torch.cos(a)

    def curvature(self, a: Tensor, z: Tensor, t: Tensor) -> Tensor:
        """Return σ''(a)."""
        return -z


class Swish(Activation):
    """σ = a S with the logistic function S; σ' = S + a S (1 − S)."""

    def value(self, a: Tensor) -> Tensor:
        """Return σ(a)."""
        return a * torch.sigmoid(a)

    def slope(self, a: Tensor, z: Tensor) -> Tensor:
        """Return σ'(a)."""
        s = torch.sigmoid(a)
        return s + z * (1 - s)

    def curvature(self, a: Tensor, z: Tensor, t: Tensor) -> Tensor:
        """Return σ''(a)."""
        s = torch.sigmoid(a)
        return s * (1 - s) * (2 + a * (1 - 2 * s))


class Softplus(Activation):
    """σ = ln(1 + eᵃ), σ' the logistic function S, σ'' = S (1 − S)."""

    def value(self, a: Tensor) -> Tensor:
        """Return σ(a)."""
        return torch.nn.functional.softplus(a)

    def slope(self, a: Tensor, z: Tensor) -> Tensor:
        """Return σ'(a)."""
        return torch.sigmoid(a)

    def curvature(self, a: Tensor, z: Tensor, t: Tensor) -> Tensor:
        """Return σ''(a)."""
        return t * (1 - t)


ACTIVATIONS: Final[Mapping[str, Activation]] = {
    "tanh": Tanh(),
    "sin": Sine(),
    "swish": Swish(),
    "softplus": Softplus(),
}
"""Names of a problem file → activations."""
