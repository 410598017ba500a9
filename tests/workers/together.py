"""Run a function in several processes that are the workers of one group."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def together(workers: int, folder: Path, function: Callable[..., Any], *arguments: Any, seconds: float = 600.0) -> list[Any]:
    """Return what a function of a module, called with the group and the arguments, finds in each of several workers."""
    context = multiprocessing.get_context("spawn")
    processes = [
        context.Process(target=_work, args=(rank, workers, folder, function, arguments), daemon=True) for rank in range(workers)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(seconds)
    assert [process.exitcode for process in processes] == [0] * workers
    return [pickle.loads((folder / f"found.{rank}").read_bytes()) for rank in range(workers)]


def _work(rank: int, workers: int, folder: Path, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    import torch.distributed as dist

    from vpinn.process import settle_process
    from vpinn.workers import Group

    settle_process()
    dist.init_process_group("gloo", init_method=f"file://{folder / 'meeting'}", rank=rank, world_size=workers)
    (folder / f"found.{rank}").write_bytes(pickle.dumps(function(Group(rank, workers), *arguments)))
    dist.destroy_process_group()
    sys.stdout.flush()
