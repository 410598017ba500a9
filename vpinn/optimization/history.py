"""The record of a run: rows of numbers in one array, with earlier steps thinned out so that its memory is bounded.

A row as a tuple of numbers takes four times the memory, and a run of millions of steps would fill it. `History.thin` keeps the
last steps complete, and of the earlier ones some at about equal distances.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import overload

import numpy as np
from numpy.typing import NDArray

MOST = 20_000
"""Rows from which earlier ones are thinned out."""

Array = NDArray[np.float64]
Row = tuple[float, ...]


class History(Sequence[Row]):
    """Rows of equal length, of which the last can be taken back; their first number, the step, rises.

    Args:
        columns: numbers in a row.
        rows: first rows.
        kept: columns that are known of few rows and nan in the others; thinning prefers rows that have one of them.

    Raises:
        ValueError: the rows are not of that length.
    """

    def __init__(self, columns: int, rows: Iterable[Row] | Array = (), kept: Sequence[int] = ()) -> None:
        table = np.array(rows if isinstance(rows, np.ndarray) else list(rows), dtype=np.float64)
        self._table = table if len(table) else np.empty((0, columns))
        if self._table.shape[1:] != (columns,):
            raise ValueError(f"a history has {columns} columns, got an array of shape {table.shape}")
        self._size = len(self._table)
        self._kept = list(kept)

    @property
    def table(self) -> Array:
        """All rows [rows, columns], as a copy."""
        return self._table[: self._size].copy()

    def append(self, row: Row) -> None:
        """Add a row."""
        if self._size == len(self._table):
            self._table = np.concatenate([self._table, np.empty((max(16, self._size), self._table.shape[1]))])
        self._table[self._size] = row
        self._size += 1

    def shorten(self, size: int) -> None:
        """Take back all rows but the first ``size``."""
        self._size = min(size, self._size)

    def thin(self) -> None:
        """If there are too many rows, keep the last quarter of ``MOST``, and of the steps before one row in as many equal spans.

        Of a span the last row is kept, or the last with what is rarely known.
        """
        if self._size < MOST:
            return
        share = MOST // 4
        old, new = np.split(self._table[: self._size], [self._size - share])
        span = old[:, 0] * share // (old[-1, 0] + 1.0)
        order = np.lexsort((np.isfinite(old[:, self._kept]).any(axis=1), span))
        last = order[np.flatnonzero(np.diff(span[order], append=np.inf))]
        self._table = np.concatenate([old[np.sort(last)], new])
        self._size = len(self._table)

    def __len__(self) -> int:
        return self._size

    @overload
    def __getitem__(self, at: int) -> Row: ...
    @overload
    def __getitem__(self, at: slice) -> list[Row]: ...
    def __getitem__(self, at: int | slice) -> Row | list[Row]:
        """Return a row, or rows."""
        if isinstance(at, slice):
            return [tuple(row) for row in self._table[: self._size][at].tolist()]
        return tuple(self._table[: self._size][at].tolist())

    def __setitem__(self, at: int, row: Row) -> None:
        self._table[: self._size][at] = row

    def __iter__(self) -> Iterator[Row]:
        return iter(self[:])
