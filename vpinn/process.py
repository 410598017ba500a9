"""The process that a run lives in: its threads, its cores, its memory."""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import math
import os
import resource
import sys
from collections.abc import Iterator

import torch
from threadpoolctl import threadpool_limits

KEPT_BYTES = 1 << 30
"""Freed memory that stays with the process, and the size from which a block is asked from the system by itself."""


def settle_process(threads: int = 1) -> None:
    """Give torch, and the BLAS libraries of numpy and scipy, their threads, and keep freed memory in the process.

    BLAS would take as many threads as there are cores: results would depend on the machine, and where other programs run
    threads that wait for each other take several times as long.

    glibc gives blocks of a few hundred kB back to the system as soon as they are free; every step would ask for them again
    and pay for the page faults, up to half its time.
    """
    torch.set_num_threads(threads)
    importlib.import_module("scipy.linalg")  # what is loaded later has no limit
    threadpool_limits(threads, user_api="blas")
    trim_threshold, mmap_threshold = -1, -3  # numbers of malloc.h
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        for parameter in (trim_threshold, mmap_threshold):
            libc.mallopt(parameter, KEPT_BYTES)


@contextlib.contextmanager
def safe_path() -> Iterator[None]:
    """Let Python processes that start in this block import nothing from the working directory, which holds somebody's files."""
    before = os.environ.get("PYTHONSAFEPATH")
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONSAFEPATH"]
        else:
            os.environ["PYTHONSAFEPATH"] = before


def available_cores() -> int:
    """Return the number of cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor_seconds(pid: int) -> float:
    """Return the processor time of another process so far, all threads, in seconds; nan where the system does not tell.

    Linux: proc(5), fields 14 and 15 of stat.
    """
    with contextlib.suppress(OSError), open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as status:
        fields = status.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return math.nan


def peak_memory_mb() -> float:
    """Return the largest resident memory of this process so far, in MB (10⁶ bytes).

    Linux has it per program; ``getrusage`` there counts what a parent held before it started this one.
    """
    with contextlib.suppress(OSError), open("/proc/self/status", encoding="ascii") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / 1e6
