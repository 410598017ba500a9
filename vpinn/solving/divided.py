"""What must hold before several workers share a problem."""

from __future__ import annotations

from vpinn.errors import InputError
from vpinn.placement import Placement
from vpinn.problem import Problem
from vpinn.process import available_cores
from vpinn.run_folder import fingerprints
from vpinn.workers import local_workers


def check_workers(problem: Problem, placement: Placement) -> None:
    """Check that the workers of a placement have cores of their own, and the same problem.

    Args:
        problem: the problem that this worker has read.
        placement: threads and workers.

    Raises:
        InputError: they do not.
    """
    group = placement.group
    if group.size == 1:
        return
    if placement.device.type == "mps":
        raise InputError('workers exchange sums between "cpu" or "cuda" devices, not between those of "mps"', "--device")
    here, cores = local_workers(), available_cores()

    def check() -> None:
        if here * placement.threads > cores:
            raise InputError(
                f"{here} workers with {placement.threads} threads each on a machine with {cores} cores; start fewer workers, or "
                "give --threads 1",
                "--workers",
            )

    group.together(check)
    data = problem.source.data if problem.source.text is not None else problem.settings.model_dump(mode="json")
    group.check_equal(data, "another problem than worker 0: give all workers the same problem file and options")
    group.check_equal(fingerprints(problem), "other files than worker 0: copy the mesh and the reference to all machines")
