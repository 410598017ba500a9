"""Parts: runs of points that are evaluated at once, small enough for the processor's caches and for memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from vpinn.objective.measure import Measure, Prepared

PART_BYTES = 28e6
"""Bytes per thread for the activations of one part: large enough that the calls of torch cost little in comparison."""
SMALLEST = 1024
"""Smallest number of points of a part."""
LARGEST_BYTES = 256e6
"""Largest number of bytes of a part, whatever the dimension."""

Part = tuple[Measure, Prepared]
"""Some points of one measure."""


def part_bytes(threads: int) -> float:
    """Return the bytes for the activations of one part."""
    return PART_BYTES * threads


def bytes_per_point(measure: Measure) -> float:
    """Return approximately the bytes that activations and cotangents of one point take."""
    order = max(map(len, measure.derivatives), default=0)
    sweeps = (measure.network.dimension + len(measure.derivatives)) / 2 if order > 1 else 0.0
    return 6.0 * measure.placement.dtype.itemsize * sum(measure.network.layers) * max(1 + order, sweeps)


def fewest(measure: Measure) -> int:
    """Return the smallest number of points of a part: ``SMALLEST``, or what ``LARGEST_BYTES`` hold."""
    return min(SMALLEST, max(1, int(LARGEST_BYTES / bytes_per_point(measure))))


def filled(parts: Iterable[Part]) -> Iterator[Part]:
    """Yield the parts that have points; a worker has none of a measure with fewer points than there are workers."""
    return (part for part in parts if len(part[1].w))


def divided(measure: Measure, points: Prepared) -> Iterator[Part]:
    """Yield points in parts that ``LARGEST_BYTES`` hold, which is all of them at once unless dimensions are many."""
    most = max(1, int(LARGEST_BYTES / bytes_per_point(measure)))
    if len(points.w) <= most:
        yield measure, points
        return
    for start in range(0, len(points.w), most):
        yield measure, points.rows(slice(start, start + most), False)
