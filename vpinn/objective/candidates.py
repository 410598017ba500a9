"""Values of J at many parameter vectors, without gradients, for methods that compare candidates.

With small batches and small networks the calls of torch cost more than the arithmetic, so that several parameter vectors are
evaluated at once, as many as fit the caches. With many points they are evaluated one by one, as in training.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from vpinn.forms import Value
from vpinn.objective.objective import Batch, Objective
from vpinn.objective.parts import PART_BYTES, Part, bytes_per_point, filled
from vpinn.placement import HOST, wide

ORDERS = 2
"""Highest order of derivatives for which several parameter vectors are evaluated at once."""

_Job = tuple[Part, slice]
"""Points to evaluate at, and the range of parameter vectors."""


def candidate_values(objective: Objective, thetas: Tensor, first: Batch | None = None, second: Batch | None = None) -> Tensor:
    """Return J, or unbiased estimates of it from the same points, for k parameter vectors [k].

    Args:
        objective: the objective.
        thetas: parameters [k, size].
        first: drawn points of every measure; None for all points.
        second: another batch, if squares are estimated by the product of two batches; else None.
    """
    if first is not None and objective.test_space is not None and objective.estimator == "u-statistic":
        return torch.tensor([objective.sampled(theta, first)[0] for theta in thetas], dtype=torch.float64, device=HOST)
    groups = [objective.parts() if first is None else first, *([] if second is None else [second])]
    found = [_sums(objective, thetas, parts) for parts in groups]
    values = torch.stack([value for value, _ in found]).mean(0)
    one, other = found[0][1], found[-1][1]
    if objective.test_space is None or one is None or other is None:
        return values
    return values + 0.5 * wide((one * objective.test_space.riesz(other)).sum((0, 1)))


def _sums(objective: Objective, thetas: Tensor, parts: Iterable[Part]) -> tuple[Tensor, Tensor | None]:
    """Return the integrals of the density [k] and the residuals [outputs, space.size, k] (None without) over some points."""

    def jobs() -> Iterator[_Job]:
        for measure, points in filled(parts):
            order = max(map(len, measure.derivatives), default=0)
            room = int(PART_BYTES / (bytes_per_point(measure) * max(1, len(points.w))))
            together = max(1, min(room, len(thetas))) if order <= ORDERS and measure.keys else 1
            for start in range(0, len(thetas), together):
                yield (measure, points), slice(start, start + together)

    def work(job: _Job) -> tuple[slice, Tensor, Tensor | None]:
        part, rows = job
        return rows, *_several(objective, part, thetas[rows])

    values = torch.zeros(len(thetas), dtype=torch.float64, device=HOST)
    space, placement = objective.test_space, objective.placement
    shape = (0, 0) if space is None else (objective.outputs, space.space.size)
    residual = torch.zeros(*shape, len(thetas), dtype=placement.dtype, device=placement.device)
    for rows, density, tested in objective.over_parts(work, jobs()):
        values[rows] += density
        if tested is not None:
            residual[..., rows] += tested
    return placement.group.sum(values)[0], placement.group.sum(residual)[0] if residual.numel() else None


def _several(objective: Objective, part: Part, thetas: Tensor) -> tuple[Tensor, Tensor | None]:
    """Return the same as ``_sums`` for points and parameter vectors that are evaluated at once."""
    measure, points = part
    several = len(thetas) > 1
    with torch.no_grad():
        if several:
            density, coefficients = measure.evaluate(points, measure.network.jets_of(thetas, points.x, measure.derivatives))
        else:
            density, coefficients = measure.integrands(thetas[0], points)

        def spread(value: Value) -> Tensor:
            return torch.as_tensor(value, dtype=points.w.dtype, device=points.w.device).expand(len(thetas), len(points.w))

        values = wide(spread(density) @ points.w)
        if measure.contraction is None or points.frame is None:
            return values, None
        columns = [spread(c).T for c in coefficients]
        w, frame, aligned = points.w, points.frame, points.aligned
        return values, measure.contraction.assemble(measure.tests, columns, w, frame, aligned, objective.outputs)
