"""Least-squares solutions of rank-deficient systems by LAPACK's dgelsy: QR with column pivoting and an orthogonal factorisation.

``scipy.linalg.lstsq`` with the same routine gives the same bits, but keeps Python's lock, for minutes with thousands of columns.
Here the routine is called by its address, which releases the lock, so that signals are handled meanwhile.
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cython_lapack

from vpinn.interrupt import apart

Array = NDArray[np.float64]


def rank_revealing_solution(matrix: Array, right: Array, rcond: float) -> Array:
    """Return the x [n] of smallest norm among all that minimise ‖Ax − b‖.

    Args:
        matrix: A [m, n], m and n ≥ 1, finite.
        right: b [m].
        rcond: reciprocal condition number of the leading triangle that is kept, in (0, 1).
    """
    m, n = matrix.shape
    a = np.array(matrix, dtype=np.float64, order="F")
    b = np.zeros(max(m, n))
    b[:m] = right
    pivots = np.zeros(n, dtype=np.int32)
    rank = ctypes.c_int()
    info = ctypes.c_int()

    def call(work: Array, length: int) -> None:
        whole = [ctypes.byref(ctypes.c_int(k)) for k in (m, n, 1, m, len(b), length)]
        rows, columns, count, leading, longest, size = whole
        condition = ctypes.byref(ctypes.c_double(rcond))
        outputs = ctypes.byref(rank), work.ctypes, size, ctypes.byref(info)
        _dgelsy()(rows, columns, count, a.ctypes, leading, b.ctypes, longest, pivots.ctypes, condition, *outputs)

    wanted = np.zeros(1)
    call(wanted, -1)
    work = np.zeros(int(wanted[0]))
    apart(lambda: call(work, len(work)))
    return b[:n]


@cache
def _dgelsy() -> Any:
    """Return the routine: (m, n, nrhs, A, lda, B, ldb, jpvt, rcond, rank, work, lwork, info), all arguments as addresses."""
    capsule = cython_lapack.__pyx_capi__["dgelsy"]
    python = ctypes.pythonapi
    name, address = python.PyCapsule_GetName, python.PyCapsule_GetPointer
    name.restype, name.argtypes = ctypes.c_char_p, [ctypes.py_object]
    address.restype, address.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    found = address(capsule, name(capsule))
    return ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 13)(found)
