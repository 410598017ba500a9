"""The position of a network's parameters in the matrices of its layers, and reusable memory for `vpinn.trial.sweeps`.

A bias is the weight of an extra unit that is always 1 (homogeneous coordinates), so that one matrix Wₖ holds all parameters of a
layer. Memory is kept between evaluations, because allocating it anew for each training step costs time.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise
from typing import Any, Protocol, TypeAlias, TypeVar

import torch
from torch import Tensor

from vpinn.placement import HOST
from vpinn.trial.activation import Activation

LINE = 8
"""Widths of hidden layers are filled up to a multiple of this, because products with unaligned rows take about 10 % longer."""
SIZES = 8
"""Number of keys (numbers of points, orders, …) whose memory is kept for the next evaluation."""
LARGEST = 160e6
"""Bytes above which memory is not kept: allocating so much anew takes a small part of its use."""

Key: TypeAlias = tuple[int, int, torch.dtype, torch.device, int]
"""Number of points, highest order of derivatives, precision, device and number of partial sums that memory is made for."""


class Memory(Protocol):
    """Memory for the evaluation of a network, made for a key and used again for the same key."""

    key: Key
    bytes: int

    def __init__(self, layout: Layout, key: Key) -> None: ...


Kind = TypeVar("Kind", bound=Memory)


@dataclass(frozen=True)
class Layout:
    """The position of the parameters in the matrices Wₖ of homogeneous coordinates.

    Attributes:
        layers: widths from inputs to outputs.
        sigma: activation function.
        stretch: derivative of the normalised coordinates by the original ones [d], in 1/length.
    """

    layers: tuple[int, ...]
    sigma: Activation
    stretch: tuple[float, ...]

    @cached_property
    def shapes(self) -> list[tuple[int, int]]:
        """Rows and columns of every Wₖ; hidden layers have a constant unit and are filled up with unused units."""
        inputs, *hidden, outputs = self.layers
        widths = [inputs + 1, *(-(-(h + 1) // LINE) * LINE for h in hidden), outputs]
        return [(rows, columns) for columns, rows in pairwise(widths)]

    @cached_property
    def _maps(self) -> tuple[Tensor, Tensor]:
        """Index of the parameter at every entry of the matrices, and index of the entry of every parameter; on the host.

        Entries without a parameter have the index ``size`` where they are 0 and ``size + 1`` where they are σ⁻¹(1).
        """
        size = sum((i + 1) * o for i, o in pairwise(self.layers))
        starts = accumulate(((i + 1) * o for i, o in pairwise(self.layers)), initial=0)
        blocks = []
        for (rows, columns), (i, o), at in zip(self.shapes, pairwise(self.layers), starts, strict=False):
            block = torch.full((rows, columns), size, device=HOST)
            block[:o, :i] = torch.arange(at, at + i * o, device=HOST).view(o, i)
            block[:o, i] = torch.arange(at + i * o, at + (i + 1) * o, device=HOST)
            if rows > o:
                block[o, i] = size + 1
            blocks.append(block)
        first, *rest = blocks
        entries = torch.cat([block.reshape(-1) for block in (*rest, *(b.T for b in blocks[:-1]))])
        entries_bar = torch.cat([block.reshape(-1) for block in (first.T, *rest)])
        taken = torch.empty(size + 2, dtype=torch.int64, device=HOST)
        taken[entries_bar] = torch.arange(len(entries_bar), device=HOST)
        return entries, taken[:size]

    def _maps_on(self, device: torch.device) -> tuple[Tensor, Tensor]:
        if device not in self._placed:
            self._placed[device] = (self._maps[0].to(device), self._maps[1].to(device))
        return self._placed[device]

    @cached_property
    def _placed(self) -> dict[torch.device, tuple[Tensor, Tensor]]:
        return {}

    def matrices(self, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """Return memory for the matrices, and its views W₂, … , W_out and W₁ᵀ, … , W_Lᵀ.

        Both orders are stored because matrix products are faster if they read rows.
        """
        hidden, transposed = self.shapes[1:], [(columns, rows) for rows, columns in self.shapes[:-1]]
        flat, views = _pieces([*hidden, *transposed], dtype, device)
        return flat, views[: len(hidden)], views[len(hidden) :]

    def cotangents(self, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Return memory for the cotangents of the matrices, and its views for W₁ᵀ and for W₂, … , W_out."""
        (rows, columns), *others = self.shapes
        flat, (first_t, *views) = _pieces([(columns, rows), *others], dtype, device)
        return flat, first_t, views

    def numbers(self, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
        """Return memory for the parameters, 0 and σ⁻¹(1), from which ``gathered`` fills the matrices, and its view [size]."""
        size = len(self._maps[1])
        numbers = torch.tensor([0.0] * (size + 1) + [self.sigma.one], dtype=dtype, device=device)
        return numbers, numbers[:size]

    def gathered(self, numbers: Tensor, flat: Tensor) -> Tensor:
        """Fill all matrices from the ``numbers``: write their entries, one after the other, to ``flat`` and return it."""
        return torch.index_select(numbers, 0, self._maps_on(flat.device)[0], out=flat)

    def parameters(self, flat: Tensor) -> Tensor:
        """Return the cotangents of the parameters [size] from the flat cotangents of the matrices."""
        return flat.index_select(0, self._maps_on(flat.device)[1])

    def borrow(self, kind: type[Kind], key: Key) -> Kind:
        """Return memory of a kind and key that is not in use, newly made if there is none; see ``give_back``."""
        idle: list[Kind] = self._idle.get((kind, key), [])
        try:
            return idle.pop()
        except IndexError:
            return kind(self, key)

    def give_back(self, memory: Memory) -> None:
        """Keep memory for later use; if memory of ``SIZES`` keys is kept already, a new key discards it."""
        if memory.bytes > LARGEST:
            return
        place = type(memory), memory.key
        if place not in self._idle and len(self._idle) >= SIZES:
            self._idle.clear()
        self._idle.setdefault(place, []).append(memory)

    @cached_property
    def _idle(self) -> dict[tuple[type, Key], list[Any]]:
        return {}


def _pieces(shapes: list[tuple[int, int]], dtype: torch.dtype, device: torch.device) -> tuple[Tensor, list[Tensor]]:
    """Return memory that holds matrices one after the other, and the matrices as views of it."""
    sizes = [rows * columns for rows, columns in shapes]
    flat = torch.empty(sum(sizes), dtype=dtype, device=device)
    return flat, [part.view(shape) for part, shape in zip(torch.split(flat, sizes), shapes, strict=True)]
