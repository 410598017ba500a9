"""Sparse derivatives of the equations by u, u′ and u″, which have one pattern of entries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vpinn.finite_elements import MixedSpace
from vpinn.finite_elements.newton import factorise
from vpinn.march.radau import Solve

Array = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Sparse:
    """Derivatives of the equations by u, u′ and u″, in one pattern of entries.

    Attributes:
        entries: values of the three matrices [3, entries].
        rows: row of every entry [entries].
        starts: position of the first entry of every column [size + 1].
    """

    entries: Array
    rows: NDArray[np.int32]
    starts: NDArray[np.int32]

    def combined(self, weights: Sequence[complex]) -> Any:
        """Return Σ weight · derivative as scipy.sparse CSC."""
        from scipy.sparse import csc_array

        n = len(self.starts) - 1
        return csc_array((np.asarray(weights) @ self.entries, self.rows, self.starts), shape=(n, n))

    def solver(self, shift: complex) -> Solve:
        """Return a solver with A₀ + σA₁ + σ²A₂; see `Derivatives`."""
        return factorise(self.combined((1.0, shift, shift * shift)))

    def times(self, first: float, second: float, vector: Array) -> Array:
        """Return (first · A₁ + second · A₂) times a vector."""
        return np.asarray(self.combined((0.0, first, second)) @ vector)


@dataclass(frozen=True)
class Places:
    """Positions of the entries of cell matrices in the common sparsity pattern of all derivatives.

    Attributes:
        rows: row of every entry, column by column [entries].
        starts: position of the first entry of every column [size + 1].
        blocks: pair of components → position of every entry of the cell matrices; ``entries`` for an entry that is left out.
    """

    rows: NDArray[np.int32]
    starts: NDArray[np.int32]
    blocks: dict[tuple[int, int], Tensor]

    @classmethod
    def of(cls, mixed: MixedSpace, numbering: Integers, pairs: set[tuple[int, int]]) -> Places:
        """Return the places for some pairs of components."""
        size, keys = int(numbering.max(initial=-1)) + 1, {}
        for c, other in sorted(pairs):
            pattern = mixed.pattern(c, other)
            rows = numbering[mixed.numbers(c)][pattern.rows]
            columns = numbering[mixed.numbers(other)][pattern.columns]
            keys[c, other] = np.where((rows >= 0) & (columns >= 0), columns * size + rows, -1)
        known = np.sort(np.concatenate([*keys.values(), np.arange(size) * (size + 1)]))
        known = known[(np.diff(known, prepend=-1) != 0) & (known >= 0)]
        columns, rows = np.divmod(known, size)
        starts = np.searchsorted(columns, np.arange(size + 1))
        blocks = {}
        for pair, own in keys.items():
            place = np.where(own >= 0, np.searchsorted(known, own), len(known))
            blocks[pair] = torch.from_numpy(place)[mixed.pattern(*pair).places.long()]
        return cls(rows.astype(np.int32), starts.astype(np.int32), blocks)
