"""The group of workers that a process belongs to: its number in the group, its share of the work, and sums over all workers.

Every operation is collective: all workers of a group call it in the same order, with tensors of the same shape and type. Results
are equal to the last bit on all workers. In a group of one, all of them return their argument.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from vpinn.errors import InputError, VpinnError, WorkerError

_Out = TypeVar("_Out")


@dataclass(frozen=True)
class Group:
    """Workers that share the points of one problem.

    Attributes:
        rank: number of this worker, 0 to size − 1; worker 0 alone writes files and prints.
        size: number of workers K ≥ 1.
    """

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this is worker 0."""
        return self.rank == 0

    @property
    def backend(self) -> str | None:
        """Backend of torch.distributed that adds up tensors on the host; None in a group of one."""
        return None if self.size == 1 else str(dist.get_backend()).removeprefix("cpu:").split(",")[0]

    def share(self, count: int, unit: int = 1) -> slice:
        """Return this worker's run of ``count`` numbered things; the runs of all workers follow each other and cover all.

        Args:
            count: number of things ≥ 0.
            unit: number of successive things that must not be divided, ≥ 1, such as the points of a cell.
        """
        units = -(-count // unit)
        start, stop = (min(count, unit * (units * rank // self.size)) for rank in (self.rank, self.rank + 1))
        return slice(start, stop)

    def sum(self, *values: Tensor) -> tuple[Tensor, ...]:
        """Return the sums of tensors over all workers, in one message.

        Args:
            values: tensors of one type on one device, whose shapes are the same on all workers.
        """
        if self.size == 1:
            return values
        flat = torch.cat([value.reshape(-1) for value in values])
        with _collective():
            dist.all_reduce(flat)
        parts = torch.split(flat, [value.numel() for value in values])
        return tuple(part.view(value.shape) for part, value in zip(parts, values, strict=True))

    def largest(self, values: Sequence[float]) -> list[float]:
        """Return the largest of each number over all workers."""
        if self.size == 1:
            return list(values)
        found = np.array(values, dtype=np.float64)
        with _collective():
            dist.all_reduce(torch.from_numpy(found), dist.ReduceOp.MAX)
        return found.tolist()  # type: ignore[no-any-return]

    def joined(self, rows: Tensor) -> Tensor:
        """Return the rows [n_k, …] of all workers, one worker after the other [Σ n_k, …]."""
        if self.size == 1:
            return rows
        counts = self.counts(len(rows))
        padded = rows.new_zeros(max(counts), *rows.shape[1:])
        padded[: len(rows)] = rows
        found = [torch.empty_like(padded) for _ in counts]
        with _collective():
            dist.all_gather(found, padded)
        return torch.cat([part[:n] for part, n in zip(found, counts, strict=True)])

    def counts(self, own: int) -> list[int]:
        """Return one number of every worker, of which each gives its own."""
        found = np.zeros(self.size, dtype=np.int64)
        found[self.rank] = own
        return self.sum(torch.from_numpy(found))[0].tolist()

    def reduced(self, own: Tensor, join: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """Return the tensors of all workers, joined by pairs along a binomial tree, in ⌈log₂ K⌉ rounds and a broadcast.

        Args:
            own: tensor of this worker on the host.
            join: associative operation on two tensors, those of the lower numbers first, with a result of the same shape.
        """
        step = 1
        while step < self.size:
            if self.rank % (2 * step):
                with _collective():
                    dist.send(own, self.rank - step)
                break
            if self.rank + step < self.size:
                other = torch.empty_like(own)
                with _collective():
                    dist.recv(other, self.rank + step)
                own = join(own, other)
            step *= 2
        if self.size > 1:
            own = own.contiguous()
            with _collective():
                dist.broadcast(own, 0)
        return own

    def by_first(self, work: Callable[[], _Out]) -> _Out:
        """Do work on worker 0 alone, and return its result on all workers.

        Raises:
            VpinnError: the error of worker 0, on all workers.
        """
        if self.size == 1:
            return work()
        box: list[Any] = [None, None]
        if self.first:
            try:
                box[0] = work()
            except VpinnError as error:
                box[1] = error
        with _collective():
            dist.broadcast_object_list(box, 0)
        if box[1] is not None:
            raise box[1]
        found: _Out = box[0]
        return found

    def together(self, work: Callable[[], _Out]) -> _Out:
        """Do work on every worker; if it fails on some of them, raise the error on all.

        Raises:
            VpinnError: the error of the first worker that failed.
        """
        if self.size == 1:
            return work()
        found, error = None, None
        try:
            found = work()
        except VpinnError as failed:
            error = failed
        errors: list[VpinnError | None] = [None] * self.size
        with _collective():
            dist.all_gather_object(errors, error)
        for rank, told in enumerate(errors):
            if told is not None:
                raise told if rank == 0 else _of_worker(told, rank)
        return found  # type: ignore[return-value]

    @contextlib.contextmanager
    def held_by_first(self, resource: contextlib.AbstractContextManager[object]) -> Iterator[None]:
        """Hold a resource, such as a lock, on worker 0 alone, while the with block runs on all.

        Raises:
            VpinnError: worker 0 could not get it.
        """
        with contextlib.ExitStack() as stack:
            self.by_first(lambda: stack.enter_context(resource) and None)
            yield

    def check_equal(self, value: object, told: str) -> None:
        """Check that a value is the same on all workers.

        Args:
            value: a value with a complete ``repr``.
            told: error text: what differs, and what to do.

        Raises:
            InputError: it differs.
        """
        if self.size == 1:
            return
        values: list[str | None] = [None] * self.size
        with _collective():
            dist.all_gather_object(values, repr(value))
        odd = [rank for rank, other in enumerate(values) if other != values[0]]
        if odd:
            raise InputError(f"worker {odd[0]} of {self.size} has {told}")


def stacked_triangle(group: Group, own: Tensor) -> Tensor:
    """Return the triangular factor R of the rows of all workers, stacked on top of each other, from those of each.

    Two factors are joined by the QR factorisation of both, one on top of the other (TSQR: Demmel, Grigori, Hoemmen & Langou 2012,
    Communication-optimal parallel and sequential QR and LU factorizations).

    Args:
        group: the workers.
        own: triangular factor of this worker's rows, or these rows themselves, at most ``width`` [rows, width].

    Returns:
        The factor [width, width]; ``own`` itself in a group of one.
    """
    if group.size == 1:
        return own
    rows, width = own.shape
    square = own.new_zeros(width, width)
    square[:rows] = own

    def joined(upper: Tensor, lower: Tensor) -> Tensor:
        found: Tensor = torch.linalg.qr(torch.cat([upper, lower]), mode="r")[1]
        return found

    return group.reduced(square, joined)


ALONE = Group()
"""The group of a process that works alone."""


@contextlib.contextmanager
def _collective() -> Iterator[None]:
    """Run a collective operation in a with block.

    Raises:
        WorkerError: another worker has ended.
    """
    try:
        yield
    except RuntimeError as error:
        raise WorkerError("the connection to another worker is lost, which has probably ended") from error


def _of_worker(error: VpinnError, rank: int) -> VpinnError:
    """Return an error of another worker, with its number in the message."""
    found = WorkerError(f"worker {rank}: {error}")
    found.exit_code = error.exit_code
    return found
