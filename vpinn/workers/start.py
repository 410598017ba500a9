"""Joining the group of a process that a launcher of torch.distributed started, such as ``torchrun``."""

from __future__ import annotations

import datetime
import os

import torch
import torch.distributed as dist

from vpinn.errors import InputError
from vpinn.workers.group import ALONE, Group

MEETING = datetime.timedelta(minutes=5)
"""Time in which all workers must have started."""
WAITING = datetime.timedelta(days=1)
"""Longest time that workers wait for each other; a worker that ends is noticed at once, since its connections close."""
BACKENDS = {"gloo": "is_gloo_available", "nccl": "is_nccl_available", "mpi": "is_mpi_available"}
"""Backends of torch.distributed → the function of it that returns whether this torch has them."""
MET = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""Environment variables by which workers find each other, see the documentation of torch.distributed."""


def is_launched() -> bool:
    """Return whether a launcher started this process as one of several workers."""
    return all(name in os.environ for name in MET)


def local_workers() -> int:
    """Return the number of workers on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if is_launched() else 1


def joined(backend: str | None = None) -> Group:
    """Return the group of this process; ``ALONE`` where no launcher started it.

    Args:
        backend: one of ``BACKENDS``; None: gloo between processors, nccl between GPUs of CUDA.

    Raises:
        InputError: the backend is not there, or the workers cannot be connected.
    """
    if dist.is_available() and dist.is_initialized():
        return Group(dist.get_rank(), dist.get_world_size())
    if not is_launched():
        return ALONE
    names = ("gloo", "nccl") if backend is None and torch.cuda.is_available() else (backend or "gloo",)
    for name in names:
        _check(name)
    place = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
    try:
        store, rank, size = next(dist.rendezvous("env://", timeout=MEETING))
        how = "cpu:gloo,cuda:nccl" if len(names) == 2 else names[0]
        dist.init_process_group(how, store=dist.PrefixStore("vpinn", store), rank=rank, world_size=size, timeout=WAITING)
    except (RuntimeError, ValueError, OSError) as error:
        told = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"the workers cannot be connected at {place} ({told}); is the port in use?", "MASTER_PORT") from None
    return Group(rank, size)


def _check(name: str) -> None:
    """Check that a backend can be used.

    Raises:
        InputError: it cannot.
    """
    there = [known for known, has in BACKENDS.items() if dist.is_available() and getattr(dist, has)()]
    if name not in there or (name == "nccl" and not torch.cuda.is_available()):
        usable = [known for known in there if known != "nccl" or torch.cuda.is_available()]
        raise InputError(
            f'the backend "{name}" of torch.distributed is not there; this machine has {", ".join(usable) or "none"}',
            "parallel.backend",
        )
