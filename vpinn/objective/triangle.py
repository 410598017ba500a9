"""The triangular factor of a matrix whose rows come part by part, on one worker or on several."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg.lapack import dgeqrf

from vpinn.placement import host
from vpinn.workers import ALONE, Group, stacked_triangle

Array = NDArray[np.float64]
CHUNK_BYTES = 24e6
"""Memory in bytes for the columns of one chunk of points, and for rows that are not yet factorised."""
BLOCK = 64
"""Number of columns that LAPACK's QR factorisation treats at a time."""


class Triangle:
    """The triangular QR factor of all rows added so far, which has the same least squares solutions as these rows.

    Rows are collected until a factorisation is worth its cost; then they are put below the triangular factor and factorised
    together with it (TSQR: Demmel, Grigori, Hoemmen & Langou 2012). Memory depends on the number of columns only.

    Args:
        width: number of columns.
        group: workers that each add the rows of their points.

    Attributes:
        kept: number of rows in memory.
    """

    def __init__(self, width: int, group: Group = ALONE) -> None:
        self._width = width
        self._group = group
        self._waiting = list[Array]()
        self.kept = 0
        self._most = max(2 * width, int(CHUNK_BYTES / (8 * width)))

    def add(self, rows: Array) -> None:
        """Add rows [n, width]."""
        for start in range(0, len(rows), self._most):
            part = rows[start : start + self._most]
            self._waiting.append(part)
            self.kept += len(part)
            if self.kept > self._most + self._width:
                self._reduce()

    def reduced(self) -> Array:
        """Return at most ``width`` rows whose columns have the same inner products as those of all rows of all workers."""
        if self.kept > self._width:
            self._reduce()
        rows = np.concatenate(self._waiting or [np.zeros((0, self._width))])
        return host(stacked_triangle(self._group, torch.from_numpy(rows)))

    def _reduce(self) -> None:
        stacked = np.empty((self.kept, self._width), order="F")
        np.concatenate(self._waiting, out=stacked)
        factor: Array = dgeqrf(stacked, lwork=BLOCK * self._width, overwrite_a=True)[0]
        self._waiting = [np.triu(factor[: self._width])]
        self.kept = len(self._waiting[0])
