"""Cotangents through graphs of autograd."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

Key = tuple[int, tuple[int, ...]]
"""Component of the outputs, and axes of a partial derivative of it."""


def through_graph(leaf: Tensor, recorded: Mapping[Key, Tensor], cotangents: Mapping[Key, Tensor]) -> Tensor:
    """Return the cotangent of a leaf, from those of what was recorded from it; what has none counts as zero."""
    keys = [key for key in cotangents if recorded[key].requires_grad]
    if not keys:
        return torch.zeros_like(leaf)
    root = _Root.apply([cotangents[key] for key in keys], *(recorded[key] for key in keys))  # type: ignore[no-untyped-call]
    return torch.autograd.grad(root, leaf)[0]


class _Root(torch.autograd.Function):
    """A number whose cotangents at the outputs are given: ``autograd.grad`` loads sympy, for seconds, where it gets them."""

    @staticmethod
    def forward(ctx: Any, bars: list[Tensor], *outputs: Tensor) -> Tensor:
        """Return zero."""
        ctx.bars = bars
        return outputs[0].new_zeros(())

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, bar: Tensor) -> tuple[Any, ...]:
        """Return the cotangents."""
        return (None, *ctx.bars)
