"""Data-parallel work: processes that each take a share of the quadrature points and add up their sums.

All workers run the same program with the same random numbers. They differ only in the points that they evaluate; every sum over
points is added up over all of them (`Group.sum`), so that parameters, decisions and random numbers stay the same everywhere. The
processes are started and connected by torch.distributed.

1. `group`: the group that a process belongs to, with the few operations that solvers need; `ALONE` for one process.
2. `compression`: shorter messages instead of gradients, with the variance that they add.
3. `start`: joining the group of a process that ``torchrun``, or ``vpinn solve --workers K``, started.
"""

from vpinn.workers.compression import Block, Compressor, Kept, compensating_batch, compressor_of
from vpinn.workers.group import ALONE, Group, stacked_triangle
from vpinn.workers.start import joined, local_workers

__all__ = [
    "ALONE",
    "Block",
    "Compressor",
    "Group",
    "Kept",
    "compensating_batch",
    "compressor_of",
    "joined",
    "local_workers",
    "stacked_triangle",
]
