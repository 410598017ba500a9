"""Data-parallel work: processes that each take a share of the quadrature points, and add up what they find.

All workers run the same program with the same random numbers. They differ only in the points that they evaluate; every sum over
points is added up over all of them (`Group.sum`), so that parameters, decisions and random numbers stay the same everywhere. The
processes are started and connected by torch.distributed.

1. `group`: the group that a process belongs to, with the few operations that solvers need; `ALONE` for one process.
2. `start`: joining the group of a process that ``torchrun``, or ``vpinn solve --workers K``, started.
"""

from vpinn.workers.group import ALONE, Group, stacked_triangle
from vpinn.workers.start import is_launched, joined, leave, local_workers, restarts

__all__ = ["ALONE", "Group", "is_launched", "joined", "leave", "local_workers", "restarts", "stacked_triangle"]
