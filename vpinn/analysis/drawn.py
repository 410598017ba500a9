"""The closing assessment on drawn cells, where a mesh has so many that sums over all would take longer than training.

Cells are drawn with probabilities proportional to their volumes, one in each of n equal parts of the volume: every integral is
estimated without bias by Σ I_c/(n p_c) (Horvitz & Thompson 1952), and cells that follow each other in the mesh lie in different
parts. The same cells are drawn for every rule, so that rules can be compared. The variance is that of successive differences (von
Neumann et al. 1941), which is too large rather than too small where neighbours differ.
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
from vpinn.objective import Objective
from vpinn.problem import Problem
from vpinn.trial import Evaluator

Array = NDArray[np.float64]
POINTS = 100_000
"""Points of an integral over drawn cells, at least: some tenths of a second."""
SHARE = 50
"""Training's points for one of the assessment: a gradient takes as long as three values, and some ten integrals are assessed."""
WHOLE = 10
"""Times these points up to which all points are summed over."""
CHUNK = 50_000
"""Points evaluated at a time."""
DEGREE = 10
"""Least degree of the rules that are counted."""
SEED = 192_837_465
"""Seed of the draw, other than any a user is likely to train with."""
QUANTILE = 1.96
"""Half the width of a 95 % interval in standard deviations."""


def drawn_cells(problem: Problem) -> int | None:
    """Return how many cells the assessment draws; None for all of them.

    It depends on the problem file alone, so that a run has the same assessment whatever the machine is busy with.
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
    """The points of drawn cells, with weights that make their sums unbiased.

    Args:
        base: points of all cells.
        cells: how many are drawn, ≥ 1.
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
        """Number of draws."""
        return len(self.cells)

    @property
    def per_entity(self) -> int:
        """Points per cell."""
        return self.base.per_entity

    @cached_property
    def entity_volumes(self) -> Floats:
        """Measure that each draw stands for [entities]."""
        volumes: Floats = self.base.entity_volumes[self.cells] * self.scale
        return volumes

    @property
    def rule_weights(self) -> Floats:
        """Weights of a cell's rule, relative to its sum [q]."""
        return self.base.rule_weights

    @property
    def rule_points(self) -> Floats | None:
        """Where the rule's points stand in the reference cell [q, d]; None where they differ."""
        return self.base.rule_points

    @property
    def random(self) -> bool:
        """Whether the points of a cell are drawn at random, too."""
        return self.base.random

    def take(self, index: Integers | range, fresh: int | None = None) -> Points:
        """Make the points with the given numbers [b], those of a draw one after the other."""
        drawn, local = np.divmod(self._checked(index), self.per_entity)
        taken = self.base.take(self.cells[drawn] * self.per_entity + local, fresh)
        return dataclasses.replace(taken, w=taken.w * self.scale[drawn])


def draws_of(densities: Evaluator, theta: Tensor, points: DrawnPoints) -> Array:
    """Return what every draw contributes to the integrals of densities [k, n]; their sums are the integrals."""
    draws = np.zeros((len(densities.tape.moving.outputs), points.entities))
    for part in points.chunks(CHUNK):
        taken, number = points.take(part), np.arange(part.start, part.stop) // points.per_entity
        for row, values in zip(draws, densities(theta, taken) * taken.w, strict=True):
            row += np.bincount(number, values, len(row))
    return draws


def assessed_points(problem: Problem, points: PointSet) -> PointSet:
    """Return the points that the assessment sums over: the given ones, or those of drawn cells."""
    cells = drawn_cells(problem)
    return points if cells is None or not isinstance(points, CellPoints) else DrawnPoints(points, cells)


def assessed_objective(problem: Problem, objective: Objective) -> Objective:
    """Return an objective without a residual on the points that the assessment sums over; a weak one as it is.

    The square of a residual over some of the cells is no estimate of that over all.
    """
    if objective.test_space is not None or drawn_cells(problem) is None:
        return objective
    measures = tuple(dataclasses.replace(m, points=assessed_points(problem, m.points)) for m in objective.measures)
    return dataclasses.replace(objective, measures=measures)


def ratio_interval(parts: Array, whole: Array) -> tuple[float, float]:
    """Return the 95 % interval of √(Σ parts/Σ whole), from the shares [n] of successive draws (delta method)."""
    total = float(whole.sum()) or 1.0
    ratio = float(parts.sum()) / total
    left = (parts - ratio * whole) / total
    deviation = math.sqrt(0.5 * len(left) / (len(left) - 1) * float((np.diff(left) ** 2).sum()))
    low, high = (math.sqrt(max(0.0, ratio + side * QUANTILE * deviation)) for side in (-1, 1))
    return low, high
