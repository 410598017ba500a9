"""Checks before several workers share a problem: cores of their own, the same problem, and points for each in every step."""

from __future__ import annotations

from collections.abc import Sequence

from vpinn.errors import InputError
from vpinn.objective import Objective
from vpinn.placement import Placement
from vpinn.problem import Case
from vpinn.process import available_cores
from vpinn.run_folder import fingerprints
from vpinn.sampling import Sampler, Stratified
from vpinn.workers import Compressor, local_workers


def check_workers(problem: Case, placement: Placement) -> None:
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


def check_shares(objective: Objective, samplers: Sequence[Sampler], compressor: Compressor | None = None) -> None:
    """Check that every worker of an objective's placement has points in every step.

    Args:
        objective: what is minimised.
        samplers: one per measure, () for all points.
        compressor: how gradients are sent; None: as they are.

    Raises:
        InputError: there are more workers than strata, or than points, or their backend cannot send what the compressor makes.
    """
    backend = None if compressor is None else objective.placement.group.backend
    if compressor is not None and backend not in (None, *compressor.backends):
        raise InputError(
            f'the backend "{backend}" cannot send what parallel.compress = "{compressor.name}" makes; it can be sent by '
            f"{' and '.join(compressor.backends)}"
        )
    workers, domain = objective.placement.group.size, samplers[0] if samplers else None
    if isinstance(domain, Stratified) and workers > len(domain.edges) - 1:
        raise InputError(f"{workers} workers for {len(domain.edges) - 1} strata of a batch; start fewer workers", "--workers")
    points = domain.size if domain is not None else objective.batched[0].points.size
    if workers > points:
        raise InputError(f"{workers} workers for {points} points of a step; start fewer workers", "--workers")
