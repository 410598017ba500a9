"""Where the parameters of a network stand in matrices of homogeneous coordinates, and the memory that sweeps borrow."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import accumulate, pairwise
from typing import Any, Protocol, TypeAlias, TypeVar

import torch
from torch import Tensor

from vpinn.trial.activation import Activation

LINE = 8
"""Widths of hidden layers are filled up to a multiple of this: rows that start at odd addresses cost a tenth."""
SIZES = 8
"""Numbers of points whose memory is kept for the next evaluation."""
LARGEST = 10_000
"""Points above which no memory is kept: it would outweigh what making it costs."""

Key: TypeAlias = tuple[int, int, torch.dtype, int]
"""Points, order, precision and number of partial sums that memory is made for."""


class Memory(Protocol):
    """What sweeps write to, made for a key."""

    key: Key

    def __init__(self, layout: Layout, n: int, order: int, dtype: torch.dtype, sums: int) -> None: ...


Kind = TypeVar("Kind", bound=Memory)


@dataclass(frozen=True)
class Layout:
    """Where the parameters stand in the matrices of homogeneous coordinates.

    Attributes:
        layers: widths from inputs to outputs.
        sigma: the activation.
    """

    layers: tuple[int, ...]
    sigma: Activation

    @cached_property
    def shapes(self) -> list[tuple[int, int]]:
        """Rows and columns of every Wₖ; hidden layers have a constant unit, and units that do nothing up to a full line."""
        inputs, *hidden, outputs = self.layers
        widths = [inputs + 1, *(-(-(h + 1) // LINE) * LINE for h in hidden), outputs]
        return [(rows, columns) for columns, rows in pairwise(widths)]

    @cached_property
    def _maps(self) -> tuple[Tensor, Tensor]:
        """Parameter of every entry, ``size`` for 0 and ``size + 1`` for σ⁻¹(1); and the entry of every parameter."""
        size = sum((i + 1) * o for i, o in pairwise(self.layers))
        starts = accumulate(((i + 1) * o for i, o in pairwise(self.layers)), initial=0)
        blocks = []
        for (rows, columns), (i, o), at in zip(self.shapes, pairwise(self.layers), starts, strict=False):
            block = torch.full((rows, columns), size)
            block[:o, :i] = torch.arange(at, at + i * o).view(o, i)
            block[:o, i] = torch.arange(at + i * o, at + (i + 1) * o)
            if rows > o:
                block[o, i] = size + 1
            blocks.append(block.reshape(-1))
        entries = torch.cat(blocks)
        taken = torch.empty(size + 2, dtype=torch.int64)
        taken[entries] = torch.arange(len(entries))
        return entries, taken[:size]

    def fill(self, flat: Tensor, theta: Tensor) -> None:
        """Write the entries of all matrices, one after the other, for the parameters [size]."""
        torch.index_select(torch.cat([theta, _constants(self.sigma.one, theta.dtype)]), 0, self._maps[0], out=flat)

    def parameters(self, flat: Tensor) -> Tensor:
        """Return the entries of flat matrices that are parameters [size]."""
        return flat.index_select(0, self._maps[1])

    def split(self, flat: Tensor) -> list[Tensor]:
        """Return flat entries as matrices."""
        parts = torch.split(flat, [rows * columns for rows, columns in self.shapes])
        return [part.view(shape) for part, shape in zip(parts, self.shapes, strict=True)]

    def borrow(self, kind: type[Kind], key: Key) -> Kind:
        """Return memory that nobody uses, made if there is none."""
        idle: list[Kind] = self._idle.get((kind, key), [])
        try:
            return idle.pop()
        except IndexError:
            return kind(self, *key)

    def give_back(self, memory: Memory) -> None:
        """Keep memory for later use; another number of points beyond ``SIZES`` forgets those before."""
        if memory.key[0] > LARGEST:
            return
        place = type(memory), memory.key
        if place not in self._idle and len(self._idle) >= SIZES:
            self._idle.clear()
        self._idle.setdefault(place, []).append(memory)

    @cached_property
    def _idle(self) -> dict[tuple[type, Key], list[Any]]:
        return {}


@lru_cache
def _constants(one: float, dtype: torch.dtype) -> Tensor:
    return torch.tensor([0.0, one], dtype=dtype)
