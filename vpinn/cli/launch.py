"""Workers on this machine, started and watched by the elastic launcher of torch.distributed, the one behind ``torchrun``."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vpinn.errors import InputError, VpinnError

if TYPE_CHECKING:
    from vpinn.problem import Case
    from vpinn.workers import Group

LOOK = 0.1
"""Seconds between two looks at whether all workers are alive."""

Main = Callable[[list[str]], int]
"""The command line: arguments → exit code."""


def is_worker() -> bool:
    """Return whether a launcher of torch.distributed started this process."""
    return all(name in os.environ for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"))


def rank() -> int:
    """Return the number of this process among the workers, 0 where there are no others."""
    return int(os.environ["RANK"]) if is_worker() else 0


def after_restart(group: Group, directory: Path, resume: bool, overwrite: bool) -> tuple[bool, bool]:
    """Return whether to resume and whether to overwrite: as asked, unless the workers were started again after one ended."""
    if not is_worker() or os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") == "0":
        return resume, overwrite
    return group.by_first((directory / "checkpoint.npz").exists), False


def read_together(read: Callable[[], Case]) -> tuple[Case, Group]:
    """Return the problem and the group of this process, after every worker has read the problem file.

    Raises:
        InputError: a worker could not read it, or the workers cannot be connected.
    """
    if not is_worker():
        problem = read()
        from vpinn.workers import ALONE

        return problem, ALONE
    from vpinn.workers import joined

    backend: list[str | None] = []
    with contextlib.suppress(VpinnError):
        backend.append(read().settings.parallel.backend)
    group = joined(*backend)
    return group.together(read), group


def launch(workers: int, restarts: int, main: Main, arguments: Sequence[str], read: Callable[[], object]) -> int:
    """Run the command line in several processes that share the work, and return its exit code.

    A worker that is killed ends the others within seconds. All of them are then started again, and go on from the checkpoint, up
    to ``restarts`` times. Errors that the command line reports are no reason to start again.

    Args:
        workers: number of processes, ≥ 1.
        restarts: number of times that the workers are started again, ≥ 0.
        main: function that runs the command line in a worker, at the top of a module.
        arguments: its arguments.
        read: reads the problem, so that mistakes are reported before workers start.

    Raises:
        InputError: the problem is not stated well, this machine has fewer cores, or the workers cannot be started.
    """
    from vpinn.process import available_cores, safe_path

    read()
    if workers > available_cores():
        raise InputError(f"{workers} workers on a machine with {available_cores()} cores; start fewer", "--workers")
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    for name in ("torch.distributed", "torch.multiprocessing"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=workers,
        run_id=str(uuid.uuid4()),
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=restarts,
        monitor_interval=LOOK,
        start_method="spawn",
    )
    try:
        with safe_path():
            codes = elastic_launch(config, work)(main, list(arguments))
    except SignalException as error:
        return 128 + int(error.sigval)
    except ChildFailedError as error:
        code = int(error.get_first_failure()[1].exitcode)
        return code if code > 0 else 128 - code
    except (RuntimeError, OSError) as error:
        raise InputError(f"the workers cannot be started ({str(error).splitlines()[0]})", "--workers") from None
    return next((code for _, code in sorted(codes.items()) if code), 0)


def work(main: Main, arguments: list[str]) -> int:
    """Run the command line in a worker, in a session of its own: signals of a terminal reach it by the launcher alone.

    A worker that has lost another one fails, too, after the launcher has seen which of them ended first.
    """
    os.setsid()
    code = main(arguments)
    if code == 1:
        time.sleep(10 * LOOK)
        sys.exit(code)
    return code
