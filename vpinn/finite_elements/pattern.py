"""Find the positions of cell matrices' entries in a sparse matrix, once per pair of spaces for all components and Newton steps.

``Pattern`` adds cell matrices; ``joined`` joins the blocks of all components into one matrix.
"""

from __future__ import annotations

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
    """Sparsity pattern of a matrix between two spaces on one mesh, column by column.

    Attributes:
        rows: row of every entry, ascending within a column [entries].
        columns: column of every entry, ascending [entries].
        places: number of the entry to which each entry of a matrix is added [n_cells + 2 n_joints, n_rows, n_columns]: those of
            cells first, then of tests on the near side and trials on the far side of each facet that joins two cells, then of
            tests on the far side and trials on the near one.
    """

    rows: Short
    columns: Short
    places: Tensor

    @classmethod
    def of(cls, tests: LagrangeSpace, trials: LagrangeSpace) -> Pattern:
        """Return the pattern between the test and trial functions of a mesh."""
        near, far = tests.joints[:, 0], tests.joints[:, 2]
        rows, columns = (
            np.concatenate([space.dofs, space.dofs[one], space.dofs[other]])
            for space, one, other in ((tests, near, far), (trials, far, near))
        )
        keys = columns[:, None, :] * tests.size + rows[:, :, None]
        known, places = _unique(keys.ravel(), tests.size * trials.size)
        columns, rows = np.divmod(known, tests.size)
        return cls(rows.astype(np.int32), columns.astype(np.int32), torch.from_numpy(places.reshape(keys.shape)))

    def zeros(self) -> Tensor:
        """Return the entries of a zero matrix [entries]."""
        return torch.zeros(len(self.rows), dtype=torch.float64, device=HOST)

    def add(self, entries: Tensor, cells: Integers, block: Tensor) -> None:
        """Add matrices [m, n_rows, n_columns] to ``entries``; ``cells``: the cells, or where else in ``places`` they are [m]."""
        entries.index_add_(0, self.places[torch.from_numpy(cells)].reshape(-1), block.reshape(-1))


def _unique(keys: Integers, limit: int) -> tuple[Integers, NDArray[np.int32] | Integers]:
    """Return the distinct keys in ascending order, and the position of each key [n] among them; keys are below ``limit``.

    Each key and its number are packed into one integer if both fit; sorting these is several times as fast as ``numpy.unique``.
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
    blocks: dict[tuple[int, int], tuple[Pattern, Tensor]], rows: list[Integers], columns: list[Integers], size: int
) -> Any:
    """Return the matrix of blocks without rows and columns that have no number, as scipy.sparse CSC [size, size].

    Args:
        blocks: (component of the rows, component of the columns) → pattern and entries of the block; emptied, to save memory.
        rows: for every component the numbers of its rows in the matrix, ascending; -1: the row is left out.
        columns: for every component the numbers of its columns, likewise.
        size: number of rows of the matrix.
    """
    from scipy.sparse import csc_array

    rows, columns = [row.astype(np.int32) for row in rows], [column.astype(np.int32) for column in columns]

    def placed(c: int, other: int) -> tuple[Any, Any, Any]:
        pattern = blocks[c, other][0]
        row, column = rows[c][pattern.rows], columns[other][pattern.columns]
        used = (row >= 0) & (column >= 0)
        return (row, column, slice(None)) if used.all() else (row[used], column[used], used)

    counts = np.zeros(size, dtype=np.int64)
    ahead = {}  # within each column, entries of a block follow those of the blocks before
    for pair in sorted(blocks):
        own = np.bincount(placed(*pair)[1], minlength=size)
        ahead[pair] = counts - np.concatenate([[0], np.cumsum(own)[:-1]])
        counts = counts + own
    starts = np.concatenate([[0], np.cumsum(counts)])
    kind = np.int32 if starts[-1] < 2**31 else np.int64
    indices, data = np.empty(starts[-1], dtype=kind), np.empty(starts[-1])
    for pair in sorted(blocks):
        row, column, used = placed(*pair)
        place = (starts[:-1] + ahead[pair]).astype(kind)[column] + np.arange(len(column), dtype=kind)
        indices[place], data[place] = row, host(blocks.pop(pair)[1])[used]
    return csc_array((data, indices, starts.astype(kind)), shape=(size, size))
