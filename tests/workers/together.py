"""Run a function in several processes that are the workers of one group."""

from __future__ import annotations

import multiprocessing
import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch.distributed as dist

from vpinn.workers import Group


def together(workers: int, folder: Path, function: Callable[..., Any], *arguments: Any, seconds: float = 600.0) -> list[Any]:
    """Return what a function, called with the group and the arguments, finds in each of several workers.

    The processes are forked, since importing what they need takes seconds; they compute with one thread each, as this one does.
    """
    context = multiprocessing.get_context("fork")
    processes = [
        context.Process(target=_work, args=(rank, workers, folder, function, arguments), daemon=True) for rank in range(workers)
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking a process with threads
        for process in processes:
            process.start()
    for process in processes:
        process.join(seconds)
    assert [process.exitcode for process in processes] == [0] * workers
    return [pickle.loads((folder / f"found.{rank}").read_bytes()) for rank in range(workers)]


def _work(rank: int, workers: int, folder: Path, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder / 'meeting'}", rank=rank, world_size=workers)
    (folder / f"found.{rank}").write_bytes(pickle.dumps(function(Group(rank, workers), *arguments)))
    dist.destroy_process_group()
