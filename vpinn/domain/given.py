"""Points at given coordinates, for evaluation and data, and the names of these."""

from __future__ import annotations

import numpy as np

from vpinn.domain.hypercube import Hypercube
from vpinn.domain.locate import locate
from vpinn.domain.mesh import Mesh
from vpinn.domain.point_set import Points
from vpinn.domain.reference import Floats

Domain = Mesh | Hypercube
"""The domain of a problem."""


def axis_names(dimension: int) -> tuple[str, ...]:
    """Return the names of the axes of space: x, y, z, or x0, x1, … in more than three dimensions."""
    return ("x", "y", "z")[:dimension] if dimension <= 3 else tuple(f"x{i}" for i in range(dimension))


def bare_points(x: Floats) -> Points:
    """Return points at coordinates [n, d] without cells and with weight zero, sufficient for expressions of the coordinates."""
    n = len(x)
    none = np.full(n, -1, dtype=np.int64)
    return Points(np.ascontiguousarray(x), np.zeros(n), none, none, np.full_like(x, np.nan), None, np.full(n, np.nan), none)


def located_points(domain: Domain, x: Floats) -> tuple[Points, np.ndarray]:
    """Return points at coordinates [n, d] with their cells, and a mask [n] of the points inside the domain.

    On a mesh, points that lie outside by less than a small tolerance count as inside; see `locate`.
    """
    x = np.ascontiguousarray(x, dtype=np.float64)
    if isinstance(domain, Hypercube):
        lower, upper = domain.bounds
        slack = 1e-12 * (upper - lower)
        return bare_points(x), np.asarray(((x >= lower - slack) & (x <= upper + slack)).all(axis=1))
    cell, reference = locate(domain, x)
    inside = cell >= 0
    h = np.where(inside, domain.h[np.maximum(cell, 0)], np.nan)
    return Points(x, np.zeros(len(x)), cell, cell, reference, None, h, np.full(len(x), -1, dtype=np.int64)), inside
