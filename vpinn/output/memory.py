"""How much memory a run will need, from the sizes of its parts."""

from __future__ import annotations

import math

from vpinn.objective import Measure, Objective, TestSpace, count_rows
from vpinn.objective.curvature import ROWS_BYTES
from vpinn.objective.linearisation import CHUNK_BYTES
from vpinn.objective.measure import CACHE_BYTES
from vpinn.objective.objective import RECORDED_BYTES, part_bytes
from vpinn.objective.test_space import DENSE
from vpinn.objective.whitening import DENSE_FACTOR

BASE = 330e6
"""Bytes of the interpreter with its libraries and small arrays, measured."""
FILL: dict[int, float] = {1: 7.0, 2: 14.0, 3: 40.0}
"""Entries of a sparse factor over n, n log₂ n or n^(4/3), by dimension, of finite elements of degree 4 to 6; measured."""


def estimate_memory(objective: Objective, estimate: Objective | None, curved: bool = False, columns: int = 0) -> float:
    """Return the peak resident memory of a run in bytes, right within a factor of about two.

    Args:
        objective: what training minimises.
        estimate: objective of the error estimate; None without one.
        curved: whether training takes the objective's curvature over all points.
        columns: of least squares on ``objective``; 0 where it is trained.
    """
    training = sum(map(_cached, objective.measures)) + (_curvature(objective) if curved else 0.0)
    training += _columns(objective, columns + 2) if columns else _activations(objective)
    closing = 0.0 if estimate is None else sum(map(_cached, estimate.measures)) + _activations(estimate)
    riesz = (estimate,) if columns else (objective, estimate)
    spaces = [o.test_space for o in riesz if o is not None and o.test_space is not None]
    return BASE + training + closing + sum(map(_factor, spaces))


def _cached(measure: Measure) -> float:
    """Bytes of what the points fix, where it is kept."""
    d = measure.network.dimension
    columns = d + 1 + len(measure.tape.fixed.outputs) + (0 if measure.contraction is None else d * d + 2)
    size: float = measure.points.size * columns * 8.0
    return size if size <= CACHE_BYTES else 0.0


def _activations(objective: Objective) -> float:
    """Bytes of a chunk of points on its way through the network, forward and back."""
    limit = part_bytes(objective.placement.threads) if objective.test_space is None else RECORDED_BYTES
    layers = objective.measures[0].network.layers
    return min(limit, objective.size * 8.0 * 12.0 * sum(layers))


def _curvature(objective: Objective) -> float:
    """Bytes of the curvature's rows with what they are put together from, and of G with its factors."""
    size, space = float(objective.measures[0].network.size), objective.test_space
    count = count_rows(objective)
    rows, side = 8.0 * size * count, min(size, count)
    whitened = 0.0 if space is None else 2.0 * 8.0 * size * len(space.free) * space.space.size
    return (2.0 * rows if rows <= ROWS_BYTES else 0.0) + whitened + 5.0 * 8.0 * side**2


def _columns(objective: Objective, width: int) -> float:
    """Bytes of rows with ``width`` columns: of a chunk of points, in the triangle, and of functions that wait for all points."""
    held = max(2.0 * width, CHUNK_BYTES / (8.0 * width)) + width
    rows = 2 * 8.0 * width * held + 3 * 8.0 * width**2 + 4 * CHUNK_BYTES
    space = objective.test_space
    if space is None:
        return rows
    cells, local = space.space.dofs.shape
    skeleton: int = space.space.size - cells * len(space.space.element.entity_dofs[space.space.mesh.dimension][0])
    factors: float = 8.0 * cells * local**2 + (2 * 8.0 * skeleton**2 if skeleton <= DENSE_FACTOR else 0.0)
    return rows + factors + 2 * 8.0 * skeleton * width * len(space.free)


def _factor(space: TestSpace) -> float:
    """Bytes of G⁻¹, or of its factors, and of putting G together."""
    d = space.space.mesh.dimension
    entries: float = min(2e7, float(space.space.dofs.size) * space.space.dofs.shape[1])
    inverses: float = sum(_inverse(float(n), d) for n in {len(free) for free in space.free})
    return inverses + 24.0 * entries


def _inverse(n: float, d: int) -> float:
    if n <= DENSE:
        return 3.0 * 8.0 * n * n
    growth: float = {1: float(n), 2: n * math.log2(n), 3: n ** (4.0 / 3.0)}[d]
    return 12.0 * FILL[d] * growth
