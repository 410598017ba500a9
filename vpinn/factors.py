"""Sparse LU factors, computed by SuperLU in a thread of their own, so that signals need not wait for them.

scipy keeps the memory of SuperLU per thread: it is freed only if the factors are deleted by the thread that computed them. So one
thread computes all factors and deletes them, too.
"""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
_Out = TypeVar("_Out")

ON_DIAGONAL: Final[dict[str, Any]] = {
    "permc_spec": "MMD_AT_PLUS_A", "diag_pivot_thresh": 0.0, "options": {"SymmetricMode": True}
}  # fmt: skip
"""Options for a matrix with a symmetric pattern: minimum degree ordering, and all pivots on the diagonal."""


class SparseFactors:
    """LU factors of a sparse matrix.

    Args:
        matrix: square CSC matrix [n, n], real or complex.
        **options: those of `scipy.sparse.linalg.splu`.

    Raises:
        RuntimeError: the matrix is singular.
    """

    def __init__(self, matrix: Any, **options: Any) -> None:
        from scipy.sparse.linalg import splu

        thread = _Thread.idle()
        self._held = thread.call(lambda: [splu(matrix, **options)])  # a list, which the thread empties at the end
        weakref.finalize(self, thread.post, self._held.clear).atexit = False

    def solve(self, right: Array, transposed: bool = False) -> Array:
        """Return the solution for right sides [n] or [n, k], with the matrix or the transposed one."""
        found: Array = self._held[0].solve(right, "T" if transposed else "N")
        return found

    @property
    def lower(self) -> Any:
        """Unit lower factor L, sparse [n, n]."""
        return self._held[0].L

    @property
    def pivots(self) -> Array | None:
        """Pivots, in the order of elimination [n]; None if rows were exchanged."""
        held = self._held[0]
        return held.U.diagonal() if np.array_equal(held.perm_r, held.perm_c) else None

    @property
    def order(self) -> NDArray[np.int64]:
        """Column that is eliminated k-th, for all k [n]."""
        return np.argsort(self._held[0].perm_c)


class _Thread:
    """A thread that does the work posted to it, in turn, until the process ends."""

    _last: _Thread | None = None

    def __init__(self) -> None:
        self._posted: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self.busy = False
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        atexit.register(self._end)

    @classmethod
    def idle(cls) -> _Thread:
        """Return the last thread, or a new one if a signal ended the wait for its work, or the process was forked since."""
        if cls._last is None or cls._last.busy:
            cls._last = cls()
        return cls._last

    @classmethod
    def forget(cls) -> None:
        """Begin anew in a forked process, which has no threads of its parent."""
        cls._last = None

    def call(self, work: Callable[[], _Out]) -> _Out:
        """Return what work returns, or raise what it raises; signals end the wait."""
        told: Future[_Out] = Future()

        def answer() -> None:
            try:
                told.set_result(work())
            except BaseException as error:
                told.set_exception(error)

        self.busy = True
        self.post(answer)
        told.exception()  # a signal leaves here, with the thread still busy
        self.busy = False
        return told.result()

    def post(self, work: Callable[[], object]) -> None:
        """Have work done after that posted before."""
        self._posted.put(work)

    def _serve(self) -> None:
        while (work := self._posted.get()) is not None:
            work()
            del work  # it may hold factors

    def _end(self) -> None:
        """End the thread with the process: one that waits while Python is torn down breaks the last flush of stdout."""
        if not self.busy:
            self._posted.put(None)
            self._thread.join()


os.register_at_fork(after_in_child=_Thread.forget)
