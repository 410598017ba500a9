"""A prediction of the memory that a run needs, which ``vpinn check`` prints.

`estimate_memory` adds up the largest arrays of training and of the closing error estimate, from their sizes and the limits that
the objective's modules set for their chunks and caches.
"""

from __future__ import annotations

import math

from vpinn.objective import Measure, Objective, TestSpace, count_rows
from vpinn.objective.curvature import ROWS_BYTES
from vpinn.objective.measure import CACHE_BYTES
from vpinn.objective.objective import RECORDED_BYTES
from vpinn.objective.parts import part_bytes
from vpinn.objective.test_space import DENSE
from vpinn.objective.triangle import CHUNK_BYTES
from vpinn.objective.whitening import DENSE_FACTOR

BASE = 330e6
"""Measured memory of the interpreter with its libraries and small arrays [bytes]."""
FILL: dict[int, float] = {1: 7.0, 2: 14.0, 3: 40.0}
"""Dimension → entries of a sparse factor of n unknowns, divided by n (1D), n log₂ n (2D) or n^(4/3) (3D), dimensionless.

Measured with finite elements of degree 4 to 6.
"""


def estimate_memory(objective: Objective, estimate: Objective | None, curved: bool = False, columns: int = 0) -> float:
    """Return the expected peak resident memory of a run in bytes, accurate to a factor of about two.

    Args:
        objective: Objective that training minimises.
        estimate: Objective from which the error is estimated at the end; None if there is no estimate.
        curved: Whether training computes the curvature of the objective over all points (Gauss–Newton without mini-batches).
        columns: Number of columns of the least-squares problem on ``objective``; 0 if the network is trained by steps.
    """
    training = sum(map(_cached, objective.measures)) + (_curvature(objective) if curved else 0.0)
    training += _columns(objective, columns + 2) if columns else _activations(objective)
    closing = 0.0 if estimate is None else sum(map(_cached, estimate.measures)) + _activations(estimate)
    riesz = (estimate,) if columns else (objective, estimate)
    spaces = [o.test_space for o in riesz if o is not None and o.test_space is not None]
    return BASE + training + closing + sum(map(_factor, spaces))


def _cached(measure: Measure) -> float:
    """Return the bytes of cached quantities that depend on the points alone; 0 if they are too large to be cached."""
    d = measure.network.dimension
    columns = d + 1 + len(measure.tape.fixed.outputs) + (0 if measure.contraction is None else d * d + 2)
    size: float = measure.points.size * columns * 8.0
    return size if size <= CACHE_BYTES else 0.0


def _activations(objective: Objective) -> float:
    """Return the bytes of the activations and gradients while one chunk of points passes through the network."""
    limit = part_bytes(objective.placement.threads) if objective.test_space is None else RECORDED_BYTES
    layers = objective.measures[0].network.layers
    return min(limit, objective.size * 8.0 * 12.0 * sum(layers))


def _curvature(objective: Objective) -> float:
    """Return the bytes of the Gauss–Newton rows J, of the parts they are assembled from, and of JᵀJ or JJᵀ with its factors."""
    size, space = float(objective.measures[0].network.size), objective.test_space
    count = count_rows(objective)
    rows, side = 8.0 * size * count, min(size, count)
    whitened = 0.0 if space is None else 2.0 * 8.0 * size * len(space.free) * space.space.size
    return (2.0 * rows if rows <= ROWS_BYTES else 0.0) + whitened + 5.0 * 8.0 * side**2


def _columns(objective: Objective, width: int) -> float:
    """Return the bytes of a least-squares solve with ``width`` columns.

    They are the rows of a chunk of points, the triangular factor, and the rows of test functions that are shared between cells.
    """
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
    """Return the bytes of the Gram matrix G of the test functions: of its assembly, and of its inverse or factors."""
    d = space.space.mesh.dimension
    entries: float = min(2e7, float(space.space.dofs.size) * space.space.dofs.shape[1])
    inverses: float = sum(_inverse(float(n), d) for n in {len(free) for free in space.free})
    return inverses + 24.0 * entries


def _inverse(n: float, d: int) -> float:
    """Return the bytes of a dense inverse of n rows, or of the sparse factors if n is larger than `DENSE`."""
    if n <= DENSE:
        return 3.0 * 8.0 * n * n
    growth: float = {1: float(n), 2: n * math.log2(n), 3: n ** (4.0 / 3.0)}[d]
    return 12.0 * FILL[d] * growth
