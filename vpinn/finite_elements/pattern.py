"""Where entries of cell matrices stand in a sparse matrix: found once per pair of spaces, for all components and steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vpinn.domain import LagrangeSpace
from vpinn.placement import HOST, host

Integers = NDArray[np.int64]
Short = NDArray[np.int32]


@dataclass(frozen=True)
class Pattern:
    """Entries of a matrix between two spaces on one mesh, column by column.

    Attributes:
        rows: row of every entry, rising within a column [entries].
        columns: column of every entry, rising [entries].
        places: entry that each entry of a cell's matrix adds to [n_cells, n_rows, n_columns].
    """

    rows: Short
    columns: Short
    places: Tensor

    @classmethod
    def of(cls, tests: LagrangeSpace, trials: LagrangeSpace) -> Pattern:
        """Return the pattern between the test and trial functions of a mesh."""
        keys = trials.dofs[:, None, :] * tests.size + tests.dofs[:, :, None]
        known, places = _unique(keys.ravel(), tests.size * trials.size)
        columns, rows = np.divmod(known, tests.size)
        return cls(rows.astype(np.int32), columns.astype(np.int32), torch.from_numpy(places.reshape(keys.shape)))

    def zeros(self) -> Tensor:
        """Return the entries of a zero matrix [entries]."""
        return torch.zeros(len(self.rows), dtype=torch.float64, device=HOST)

    def add(self, entries: Tensor, cells: Integers, block: Tensor) -> None:
        """Add matrices [m, n_rows, n_columns] of cells [m]."""
        entries.index_add_(0, self.places[torch.from_numpy(cells)].reshape(-1), block.reshape(-1))


def _unique(keys: Integers, limit: int) -> tuple[Integers, NDArray[np.int32] | Integers]:
    """Return the distinct keys, which are below a limit, rising, and where each key [n] is among them.

    Keys and their numbers are sorted as one integer where that holds both, several times as fast as ``numpy.unique``.
    """
    bits = max(1, (len(keys) - 1).bit_length())
    if limit.bit_length() + bits > 63:
        known, places = np.unique(keys, return_inverse=True)
        return known, places
    packed = np.sort(keys << bits | np.arange(len(keys)))
    numbers, ordered = packed & ((1 << bits) - 1), packed >> bits
    first = np.diff(ordered, prepend=-1) != 0
    places = np.empty(len(keys), dtype=np.int32 if len(keys) < 2**31 else np.int64)
    places[numbers] = np.cumsum(first) - 1
    return ordered[first], places


def joined(
    blocks: Mapping[tuple[int, int], tuple[Pattern, Tensor]], rows: list[Integers], columns: list[Integers], size: int
) -> Any:
    """Return a matrix of blocks, without the rows and columns that have no number, as scipy.sparse CSC [size, size].

    Args:
        blocks: (row of blocks, column of blocks) → pattern and entries.
        rows: number of every row of a row of blocks, rising; -1 without one.
        columns: those of the columns.
        size: how many are numbered.
    """
    from scipy.sparse import csc_array

    rows, columns = [row.astype(np.int32) for row in rows], [column.astype(np.int32) for column in columns]
    kept = []
    counts = np.zeros(size, dtype=np.int64)
    for (c, other), (pattern, entries) in sorted(blocks.items()):
        row, column, values = rows[c][pattern.rows], columns[other][pattern.columns], host(entries)
        if not (used := (row >= 0) & (column >= 0)).all():
            row, column, values = row[used], column[used], values[used]
        own = np.bincount(column, minlength=size)
        # behind those of the rows of blocks before, within each column
        ahead = counts - np.concatenate([[0], np.cumsum(own)[:-1]])
        counts = counts + own
        kept.append((row, column, values, ahead))
    starts = np.concatenate([[0], np.cumsum(counts)])
    kind = np.int32 if starts[-1] < 2**31 else np.int64
    indices, data = np.empty(starts[-1], dtype=kind), np.empty(starts[-1])
    for row, column, values, ahead in kept:
        place = (starts[:-1] + ahead).astype(kind)[column] + np.arange(len(column), dtype=kind)
        indices[place], data[place] = row, values
    return csc_array((data, indices, starts.astype(kind)), shape=(size, size))
