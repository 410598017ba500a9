"""Pullback of cotangents through a recorded graph of autograd."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

Key = tuple[int, tuple[int, ...]]
"""Component of the network's outputs, and the coordinates by which it is differentiated."""


def through_graph(leaf: Tensor, recorded: Mapping[Key, Tensor], cotangents: Mapping[Key, Tensor]) -> Tensor:
    """Return the cotangent of a leaf [size].

    Args:
        leaf: tensor that the graph depends on [size].
        recorded: tensors that autograd recorded from it.
        cotangents: cotangents of these tensors; a tensor without one has the cotangent zero.
    """
    keys = [key for key in cotangents if recorded[key].requires_grad]
    if not keys:
        return torch.zeros_like(leaf)
    root = _Root.apply([cotangents[key] for key in keys], *(recorded[key] for key in keys))  # type: ignore[no-untyped-call]
    return torch.autograd.grad(root, leaf)[0]


class _Root(torch.autograd.Function):
    """A number that passes given cotangents on to its inputs when it is differentiated.

    The cotangents could be given to ``autograd.grad`` itself, but then torch loads sympy, which takes seconds.
    """

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
