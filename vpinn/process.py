"""Settings and measurements of the operating-system process of a run: threads, cores, processor time, memory."""

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

MANY = 1_000_000
"""Number of points from which on several threads are worth while."""
KEPT_BYTES = 1 << 30
"""Size [bytes] below which glibc keeps freed memory in the process, and serves allocations from it."""


def settle_process(threads: int = 1) -> None:
    """Set the number of threads of torch and of the BLAS libraries of numpy and scipy, and let glibc keep freed memory.

    By default BLAS uses one thread per core. Then results depend on the machine, and on a busy machine, where threads wait for
    each other, computations take several times as long.

    By default glibc returns freed blocks of a few hundred kB to the system at once. Every training step would allocate them again
    and spend up to half of its time on page faults.

    Args:
        threads: Number of threads, ≥ 1.
    """
    torch.set_num_threads(threads)
    importlib.import_module("scipy.linalg")  # libraries loaded after the next line would not be limited
    threadpool_limits(threads, user_api="blas")
    trim_threshold, mmap_threshold = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of malloc.h
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        for parameter in (trim_threshold, mmap_threshold):
            libc.mallopt(parameter, KEPT_BYTES)


def release_memory() -> None:
    """Return freed memory to the system, which glibc keeps otherwise; call it between large pieces of work, not in steps."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


@contextlib.contextmanager
def safe_path() -> Iterator[None]:
    """Keep Python processes that are started in this with block from importing modules in the working directory (user files)."""
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
    """Return the number of processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def usual_threads(points: int) -> int:
    """Return the threads for sums over so many points: what OMP_NUM_THREADS says, else one per core if they are many.

    With fewer points, threads wait for each other longer than they compute, above all on a busy machine.
    """
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if asked.isdecimal() and int(asked) > 0:
        return int(asked)
    return available_cores() if points >= MANY else 1


def processor_seconds(pid: int) -> float:
    """Return the processor time that a process has used so far, over all threads, in seconds; nan if it is not known.

    On Linux it is the sum of user and system time in /proc/PID/stat, fields 14 and 15; see proc(5).
    """
    with contextlib.suppress(OSError), open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as status:
        fields = status.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return math.nan


def peak_memory_mb() -> float:
    """Return the largest resident memory of this process so far, in MB (10⁶ bytes).

    On Linux it is read from /proc, because there ``getrusage`` includes the memory that the parent process had when it forked.
    """
    with contextlib.suppress(OSError), open("/proc/self/status", encoding="ascii") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / 1e6
