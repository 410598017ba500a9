"""A-posteriori error estimate: the distance of a solution to its correction in a space richer than training saw.

The distance is measured in the flux, ‖B(u) − B(u + w)‖ with F = a·v + B·∇v, and put in relation to ‖B(u)‖, so that
coefficients cancel: for −∇·κ∇u it estimates ‖κ∇e‖/‖κ∇u‖, for elasticity the stress.

| problem | correction |
|---|---|
| a form of first derivatives on a mesh, or equations that have one | finite elements, see ``correction`` |
| equations at points: a strong form, an energy without a mesh | random features, see ``features`` |
| cells of a mesh that are too many, so that some are drawn | random features where there are equations at points |
| neither, or a singular tangent, on a mesh | none: the dual norm of the residual, and ‖u − g‖²/h for conditions not met: up to |
|  | the constants of the form a bound from both sides (Rojas et al. 2024, arXiv 2308.16910) |
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
import ufl
from numpy.typing import NDArray
from torch import Tensor

from vpinn.analysis.correction import Correction, make_correction
from vpinn.analysis.drawn import DrawnPoints, drawn_cells, draws_of, ratio_interval
from vpinn.analysis.errors import independent_points
from vpinn.analysis.features import FeatureCorrection, make_feature_correction
from vpinn.analysis.flux import flux_gap, measured
from vpinn.analysis.residual import MAX_DEGREE, Residual, make_residual
from vpinn.analysis.tangent import Corrected, Seen
from vpinn.domain import CellPoints, Mesh, Points, PointSet, functions_per_cell
from vpinn.errors import InputError
from vpinn.finite_elements import Level
from vpinn.forms import Field
from vpinn.objective import bends
from vpinn.objective.test_functions import ENOUGH, default_test_degree
from vpinn.placement import wide
from vpinn.problem import Problem
from vpinn.trial import Evaluator, MeshField, Trial

Array = NDArray[np.float64]
ENRICHMENT = 2
"""Degrees of the estimate's space above the test space trained with."""
HIGHEST = 13
"""Degree up to which the rule of degree 30 integrates products of its functions with smooth coefficients."""
DRAWN_DEGREE = 6
"""Degree of the rule in drawn cells: of a mesh with so many, each is small."""
CHUNK = 50_000
"""Points evaluated at a time."""
LARGEST = {1: 200_000, 2: 60_000, 3: 12_000}
"""Functions of all components, by dimension, above which the space is not enriched further, to bound the factorisation."""


@dataclass(frozen=True)
class Estimate:
    """What is estimated of the error of some parameters.

    Attributes:
        absolute: ‖B(u) − B(u + w)‖, or the dual norm of the residual, in units of the flux times √volume.
        relative: over ‖B(u)‖, dimensionless; absolute where the flux vanishes.
        cells: share of every cell, whose squares add up to that of ``absolute`` [n_cells]; None without a mesh.
        l2: unknown → ‖w‖/‖u‖, dimensionless; empty without a correction.
        corrected: u + w; None without a correction.
        interval: 95 % of ``relative``, where cells were drawn.
    """

    absolute: float
    relative: float
    cells: Array | None
    l2: Mapping[str, float]
    corrected: Corrected | None
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class Levelled:
    """A known function less its mean.

    Attributes:
        field: the function.
        points: quadrature points of the mean.
    """

    field: Field
    points: PointSet

    @cached_property
    def mean(self) -> float:
        """The mean of the function, in its units."""
        parts = map(self.points.take, self.points.chunks(CHUNK))
        return sum(float(self.field.jets(part, 0)[()] @ part.w) for part in parts) / self.points.volume

    def jets(self, points: Points, order: int) -> dict[tuple[int, ...], Array]:
        """Return value and derivatives up to ``order``, [n] each."""
        jets = self.field.jets(points, order)
        return {**jets, (): jets[()] - self.mean}


@dataclass(frozen=True)
class Estimator:
    """Estimates the error of parameters.

    Attributes:
        problem: the problem.
        correction: None where there is none.
        densities: |B(u) − B(u + w)|² and |B(u)|², then w² and u² of every unknown; without a correction only the first two.
        points: quadrature points of these, where the correction has not seen others.
        residual: what the dual norm is taken of; None without a mesh.
        opened: UFL counts of the parts of w that the problem leaves open up to a constant.
    """

    problem: Problem
    correction: Correction | FeatureCorrection | None
    densities: Evaluator
    points: PointSet
    residual: Residual | None
    opened: tuple[int, ...] = ()
    _last: list[tuple[Tensor, Estimate | None]] = field(default_factory=list)

    def __call__(self, theta: Tensor) -> Estimate | None:
        """Return the estimate of parameters [size]; None where nothing can be said. The last one is kept."""
        if not self._last or not torch.equal(self._last[0][0], theta):
            self._last[:] = [(theta.clone(), self._estimate(wide(theta)))]
        return self._last[0][1]

    def _estimate(self, theta: Tensor) -> Estimate | None:
        found = None if self.correction is None else self.correction(theta)
        if found is None:
            return None if self.residual is None else self._by_dual_norm(self.residual, theta)
        found = self._levelled(found)
        sums, cells = _by_cell(dataclasses.replace(self.densities, trial=found.trial), theta, self.points, found.seen)
        (gap, scale), sizes = sums[:2], np.maximum(sums[2:], 0.0).reshape(-1, 2)
        pairs = zip(self.problem.unknowns, sizes, strict=True)
        l2 = {unknown.name: math.sqrt(w / (u or 1.0)) for unknown, (w, u) in pairs}
        drawn = isinstance(self.points, DrawnPoints)
        shares = None if cells is None or drawn else np.sqrt(cells[0])
        interval = ratio_interval(cells[0], cells[1]) if cells is not None and drawn else None
        found = dataclasses.replace(found, seen=())
        return Estimate(math.sqrt(gap), math.sqrt(gap / (scale or 1.0)), shares, l2, found, interval)

    def _levelled(self, found: Corrected) -> Corrected:
        """Return u + w with open components of w of mean zero, as those of u are."""
        background = found.trial.background
        known = {count: Levelled(background.known[count], self.points) for count in self.opened}
        background = dataclasses.replace(background, known={**background.known, **known})
        return dataclasses.replace(found, trial=dataclasses.replace(found.trial, background=background))

    def _by_dual_norm(self, residual: Residual, theta: Tensor) -> Estimate:
        norm, riesz = residual.dual_norm(theta)
        absolute = math.hypot(norm, residual.missed(theta))
        trial = self.densities.trial  # ``densities`` may hold a correction, which there is none of here
        size = flux_gap(self.problem, trial, trial.unknowns, trial.unknowns)
        scale = math.sqrt(size.integrate(theta, self.points)[-1])
        return Estimate(absolute, absolute / (scale or 1.0), residual.shares(riesz), {}, None)


def make_estimator(problem: Problem, trial: Trial, trained: int | None = None) -> Estimator | None:
    """Return the estimator of a problem; None where there is neither a mesh nor an equation that holds at points.

    Plates with free edges have none, either.

    Args:
        problem: the problem.
        trial: its trial space.
        trained: degree of the test space that training saw, None where it saw none.
    """
    stated, problem = problem, measured(problem)
    if bends(problem):
        return None
    mesh, points, residual = problem.domain, independent_points(problem, 0), None
    correction: Correction | FeatureCorrection | None = None
    if isinstance(mesh, Mesh) and drawn_cells(problem) is not None:
        points = independent_points(problem, DRAWN_DEGREE)
    elif isinstance(mesh, Mesh):
        degree = _degree(mesh, trained or problem.settings.test_space.degree or default_test_degree(mesh), trial)
        points = CellPoints(mesh, min(MAX_DEGREE, 2 * degree + 2))
        residual = None if problem.nodal[0] else make_residual(problem, trial, degree)  # which forces at nodes are part of
        with contextlib.suppress(InputError):  # second derivatives
            correction = make_correction(problem, trial, degree)
    if correction is None:
        with contextlib.suppress(InputError):  # no equations at points
            correction = make_feature_correction(problem, trial)
    if correction is None:
        flux = flux_gap(problem, trial, trial.unknowns, trial.unknowns)
        return None if residual is None else Estimator(problem, None, flux, points, residual)
    shift = correction.shift
    pairs = [(shift.differences[u.name], trial.unknowns[u.name]) for u in problem.unknowns]
    squares = [ufl.inner(f, f) for pair in pairs for f in pair]
    gap = flux_gap(problem, trial, trial.unknowns, shift.unknowns, squares)
    return Estimator(problem, correction, gap, points, residual, tuple(shift.counts[at] for at in Level.of(stated).opened))


def _degree(mesh: Mesh, trained: int, trial: Trial) -> int:
    """Return the degree of the rich space: ``ENRICHMENT`` more than trained, higher on few cells, lower on very many.

    Mesh functions in the trial space solved equations of their own in their space, which is blind to what is wrong with them:
    on a gear, elements of the distance's degree saw a sixth of the error. So it is above theirs while twice ``LARGEST`` allows.
    """
    fields = [known.space.degree for known in trial.background.known.values() if isinstance(known, MeshField)]
    own = trial.space or trial.beside  # elements that solved the problem itself: tests of their degree see nothing
    floor, lowest, outputs = 1 if own is None else 1 + own.degree, 1 + max(fields, default=0), trial.network.outputs
    degree, most = max(trained + ENRICHMENT, floor), LARGEST[mesh.dimension]
    while degree < HIGHEST and mesh.n_cells * functions_per_cell(mesh, degree) < ENOUGH:
        degree += 1
    while degree > floor and mesh.n_cells * functions_per_cell(mesh, degree) * outputs > (2 * most if degree == lowest else most):
        degree -= 1
    return degree


def _by_cell(densities: Evaluator, theta: Tensor, points: PointSet, seen: Sequence[Seen] = ()) -> tuple[Array, Array | None]:
    """Return the integrals of densities [k], and on a mesh by cell, or by draw, [k, n]; over points seen where there are any."""
    if isinstance(points, DrawnPoints):
        draws = draws_of(densities, theta, points)
        return draws.sum(axis=1), draws
    if not isinstance(points, CellPoints):
        return densities.integrate(theta, points), None
    cells = np.zeros((len(densities.tape.moving.outputs), points.mesh.n_cells))
    for taken, jets in seen or ((points.take(part), None) for part in points.chunks(CHUNK)):
        for row, values in zip(cells, densities(theta, taken, jets) * taken.w, strict=True):
            row += np.bincount(taken.cell, values, len(row))
    return cells.sum(axis=1), cells
