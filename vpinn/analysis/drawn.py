"""Assess a solution on randomly drawn cells of a mesh that has so many that sums over all would take longer than training.

One cell is drawn in each of n parts of equal volume, of cells in the order of the mesh, with a probability p_c proportional to
its volume. So Σ I_c/(n p_c) estimates every integral without bias (Horvitz & Thompson 1952). Every rule gets the same cells, so
that rules can be compared. Variances are those of successive differences (von Neumann et al. 1941), which tend to be too large
where neighbouring cells differ. ``drawn_cells`` decides, and ``assessed_points`` and ``assessed_objective`` apply it.
"""

from __future__ import annotations

import dataclasses
import math
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from vpinn.domain import CellPoints, Points, PointSet, gauss
from vpinn.domain.reference import Floats, Integers
from vpinn.domain.sequences import Keys
from vpinn.objective import Objective
from vpinn.problem import Case
from vpinn.trial import Evaluator

Array = NDArray[np.float64]
POINTS = 100_000
"""Least number of points for an integral over drawn cells; they take some tenths of a second."""
SHARE = 50
"""Points of training per point of the assessment: a gradient takes as long as three values, and there are some ten integrals."""
WHOLE = 10
"""Number of points up to which sums run over the whole mesh, relative to the number that would be drawn."""
CHUNK = 50_000
"""Points evaluated at a time."""
DEGREE = 10
"""Least degree of the quadrature rule with which points per cell are counted."""
SEED = 192_837_465
"""Seed of the draw, unlikely to be the seed of a user's run."""
QUANTILE = 1.96
"""Half the width of a 95 % confidence interval, in standard deviations."""


def drawn_cells(problem: Case) -> int | None:
    """Return how many cells the assessment draws; None: it sums over all cells.

    The number depends on the problem file alone, not on measured time, so that results can be reproduced.
    """
    mesh, settings = problem.domain.mesh, problem.settings
    asked, size = settings.solver.assessment, settings.batch.size
    if mesh is None or asked == "full" or (asked == "auto" and size == "full"):
        return None
    per_cell = len(gauss(mesh.cell, max(DEGREE, settings.quadrature.degree or 0)).weights)
    if isinstance(asked, int):
        points = most = asked
    else:
        trained = (settings.solver.steps or 0) * (size if isinstance(size, int) else 0)
        points = max(POINTS, trained // SHARE)
        most = WHOLE * points
    cells = max(2, points // per_cell)
    return None if mesh.n_cells * per_cell <= most or cells >= mesh.n_cells else cells


class DrawnPoints(PointSet):
    """Quadrature points of drawn cells, with weights that make their sums unbiased.

    Args:
        base: quadrature points of all cells.
        cells: number of cells to draw, ≥ 1.
    """

    def __init__(self, base: CellPoints, cells: int) -> None:
        self.base, self.degree, self.refine = base, base.degree, base.refine
        volumes = base.entity_volumes
        ends = np.cumsum(volumes)
        places = (np.arange(cells) + np.random.default_rng(SEED).random(cells)) * (ends[-1] / cells)
        self.cells = np.minimum(np.searchsorted(ends, places, side="right"), len(ends) - 1)
        self.scale: Floats = ends[-1] / (cells * volumes[self.cells])

    @property
    def entities(self) -> int:
        """Number of drawn cells; a cell may be drawn more than once."""
        return len(self.cells)

    @property
    def per_entity(self) -> int:
        """Points per cell."""
        return self.base.per_entity

    @cached_property
    def entity_volumes(self) -> Floats:
        """Volume that each drawn cell represents [entities]; they add up to the volume of the mesh."""
        volumes: Floats = self.base.entity_volumes[self.cells] * self.scale
        return volumes

    @property
    def rule_weights(self) -> Floats:
        """Weights of a cell's rule, relative to its sum [q]."""
        return self.base.rule_weights

    @property
    def rule_points(self) -> Floats | None:
        """Points of the rule in the reference cell [q, d]; None if they differ from cell to cell."""
        return self.base.rule_points

    @property
    def random(self) -> bool:
        """Whether the points inside a cell are random, too."""
        return self.base.random

    def take(self, index: Integers | range, fresh: int | Keys | None = None) -> Points:
        """Return the points with the given numbers [b]; the points of a drawn cell have consecutive numbers."""
        drawn, local = np.divmod(self._checked(index), self.per_entity)
        taken = self.base.take(self.cells[drawn] * self.per_entity + local, fresh)
        return dataclasses.replace(taken, w=taken.w * self.scale[drawn])


def draws_of(densities: Evaluator, theta: Tensor, points: DrawnPoints) -> Array:
    """Return the contribution of every drawn cell to the integrals of k densities [k, entities]; the integrals are their sums."""
    draws = np.zeros((len(densities.tape.moving.outputs), points.entities))
    for part in points.chunks(CHUNK):
        taken, number = points.take(part), np.arange(part.start, part.stop) // points.per_entity
        for row, values in zip(draws, densities(theta, taken) * taken.w, strict=True):
            row += np.bincount(number, values, len(row))
    return draws


def assessed_points(problem: Case, points: PointSet) -> PointSet:
    """Return the points over which the assessment sums: ``points``, or those of drawn cells."""
    cells = drawn_cells(problem)
    return points if cells is None or not isinstance(points, CellPoints) else DrawnPoints(points, cells)


def assessed_objective(problem: Case, objective: Objective) -> Objective:
    """Return an objective on the points over which the assessment sums; the objective of a weak form is returned unchanged.

    A weak form needs all cells, as the square of a residual over some of them does not estimate the square over all.
    """
    if objective.test_space is not None or drawn_cells(problem) is None:
        return objective
    measures = tuple(dataclasses.replace(m, points=assessed_points(problem, m.points)) for m in objective.measures)
    return dataclasses.replace(objective, measures=measures)


def ratio_interval(parts: Array, whole: Array) -> tuple[float, float]:
    """Return the 95 % interval of √(Σ parts/Σ whole), from the contributions of n drawn cells, [n] each (delta method)."""
    total = float(whole.sum()) or 1.0
    ratio = float(parts.sum()) / total
    left = (parts - ratio * whole) / total
    deviation = math.sqrt(0.5 * len(left) / (len(left) - 1) * float((np.diff(left) ** 2).sum()))
    low, high = (math.sqrt(max(0.0, ratio + side * QUANTILE * deviation)) for side in (-1, 1))
    return low, high
