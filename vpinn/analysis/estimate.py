"""Estimate the error of a solution u by its distance to a corrected solution u + w in a richer space.

The distance is that of the fluxes, ‖B(u) − B(u + w)‖, with the flux B of the form F(u; v) = ∫ a·v + B·∇v. It is given relative to
‖B(u)‖, so that units of coefficients cancel: for −∇·κ∇u it estimates ‖κ∇e‖/‖κ∇u‖, for elasticity the error of the stress.

| problem | correction w |
|---|---|
| form with first derivatives on a mesh, or equations that can be written so | finite elements, see ``correction`` |
| equations that hold at points: strong form, energy without a mesh | random features, see ``features`` |
| mesh with so many cells that some are drawn | random features, if there are equations that hold at points |
| none of these, or a singular tangent, on a mesh | none. The estimate is the dual norm of the residual, with ‖u − g‖²/h for |
|  | conditions that are not met: a bound from both sides up to constants of the form |
|  | (Rojas et al. 2024, arXiv 2308.16910) |

Start from ``make_estimator``.
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
from vpinn.problem import Case, Problem
from vpinn.trial import Across, Evaluator, MeshField, Trial

Array = NDArray[np.float64]
ENRICHMENT = 2
"""Difference between the degrees of the estimate's space and of training's test space."""
HIGHEST = 13
"""Highest degree of the estimate's space: a rule of degree 30 integrates products of its functions with smooth coefficients."""
DRAWN_DEGREE = 6
"""Degree of the quadrature in drawn cells, which are small, as there are so many."""
CHUNK = 50_000
"""Points evaluated at a time."""
LARGEST = {1: 200_000, 2: 60_000, 3: 12_000}
"""Dimension → number of basis functions above which the degree is lowered, to bound the time of a factorisation."""


@dataclass(frozen=True)
class Estimate:
    """Error estimate of a solution u.

    Attributes:
        absolute: ‖B(u) − B(u + w)‖, or the dual norm of the residual, in units of the flux times √volume.
        relative: ``absolute`` over ‖B(u)‖, dimensionless; equal to ``absolute`` if the flux vanishes.
        cells: contributions of the cells, in units of ``absolute``, whose squares add up to its square [n_cells]; None without a
            mesh, and if cells were drawn.
        l2: unknown → ‖w‖/‖u‖, dimensionless; empty without a correction.
        corrected: corrected solution u + w; None without a correction.
        interval: 95 % interval of ``relative`` if cells were drawn, else None.
    """

    absolute: float
    relative: float
    cells: Array | None
    l2: Mapping[str, float]
    corrected: Corrected | None
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class Levelled:
    """A known function minus its mean.

    Attributes:
        field: the function.
        points: quadrature points for the mean.
    """

    field: Field
    points: PointSet

    @cached_property
    def mean(self) -> float:
        """Mean of the function over the domain, in its units."""
        parts = map(self.points.take, self.points.chunks(CHUNK))
        return sum(float(self.field.jets(part, 0)[()] @ part.w) for part in parts) / self.points.volume

    def jets(self, points: Points, order: int) -> dict[tuple[int, ...], Array]:
        """Return derivative → values [n], for derivatives up to ``order``."""
        jets = self.field.jets(points, order)
        return {**jets, (): jets[()] - self.mean}


@dataclass(frozen=True)
class Estimator:
    """Estimates the error of a solution from its parameters; made by ``make_estimator``.

    Attributes:
        problem: the problem.
        correction: makes u + w; None: the estimate is the dual norm of the residual.
        densities: |B(u) − B(u + w)|² and |B(u)|², then w² and u² of every unknown; without a correction only the first two.
        points: quadrature points of the densities, unless the correction keeps points of its own with the network's jets there.
        residual: residual on the rich test space, for its dual norm; None without a mesh or on drawn cells.
        opened: UFL counts of the components of w that the problem determines up to a constant only.
    """

    problem: Problem
    correction: Correction | FeatureCorrection | None
    densities: Evaluator
    points: PointSet
    residual: Residual | None
    opened: tuple[int, ...] = ()
    _last: list[tuple[Tensor, Estimate | None]] = field(default_factory=list)

    def __call__(self, theta: Tensor) -> Estimate | None:
        """Return the error estimate of parameters [size]; None if there is none. The last one is kept for a second call."""
        if not self._last or not torch.equal(self._last[0][0], theta):
            self._last[:] = [(theta.clone(), self._estimate(wide(theta)))]
        return self._last[0][1]

    def _estimate(self, theta: Tensor) -> Estimate | None:
        """Return the estimate by the corrected solution, or by the dual norm if there is none."""
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
        """Return u + w with mean zero in those components of w that are determined up to a constant only, as in u."""
        background = found.trial.background
        known = {count: Levelled(background.known[count], self.points) for count in self.opened}
        plain = {id(background.known[count]): count for count in self.opened}
        across = {count: field for count, field in background.known.items() if isinstance(field, Across)}
        far = {count: Across(known[plain[id(one.field)]]) for count, one in across.items() if id(one.field) in plain}
        background = dataclasses.replace(background, known={**background.known, **known, **far})
        return dataclasses.replace(found, trial=dataclasses.replace(found.trial, background=background))

    def _by_dual_norm(self, residual: Residual, theta: Tensor) -> Estimate:
        """Return the estimate by the dual norm of the residual and the gaps of boundary conditions."""
        norm, riesz = residual.dual_norm(theta)
        absolute = math.hypot(norm, residual.missed(theta))
        trial = self.densities.trial  # ``densities`` may be those of a correction, which is missing here
        size = flux_gap(self.problem, trial, trial.unknowns, trial.unknowns)
        scale = math.sqrt(size.integrate(theta, self.points)[-1])
        return Estimate(absolute, absolute / (scale or 1.0), residual.shares(riesz), {}, None)


def make_estimator(problem: Case, trial: Trial, trained: int | None = None) -> Estimator | None:
    """Return the error estimator of a problem; None if there is neither a mesh nor an equation that holds at points.

    There is none for forms with second derivatives of the test functions that cannot be written as equations, such as plates with
    free edges.

    Args:
        problem: the problem.
        trial: its trial space.
        trained: degree of training's test space; None: training had none.
    """
    stated, problem = problem, measured(problem)
    if bends(problem):
        return None
    mesh, points = problem.domain.mesh, independent_points(problem, 0)
    residual = None
    correction: Correction | FeatureCorrection | None = None
    if drawn_cells(problem) is not None:
        points = independent_points(problem, DRAWN_DEGREE)
    elif mesh is not None:
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
    """Return the degree of the rich space: ``trained`` + ``ENRICHMENT``, higher on few cells, lower on very many.

    Finite element functions in the trial space, such as distances and lifts, solve equations of their own. Elements of their
    degree do not see the errors of these, so the degree is above theirs as long as there are at most twice ``LARGEST`` functions.
    """
    fields = [known.space.degree for known in trial.background.known.values() if isinstance(known, MeshField)]
    own = trial.space or trial.beside  # elements that solved the problem itself: on tests of their degree the residual is zero
    floor = 1 if own is None else 1 + own.degree
    lowest, outputs = 1 + max(fields, default=0), trial.network.outputs
    degree, most = max(trained + ENRICHMENT, floor), LARGEST[mesh.dimension]
    while degree < HIGHEST and mesh.n_cells * functions_per_cell(mesh, degree) < ENOUGH:
        degree += 1
    while degree > floor and mesh.n_cells * functions_per_cell(mesh, degree) * outputs > (2 * most if degree == lowest else most):
        degree -= 1
    return degree


def _by_cell(densities: Evaluator, theta: Tensor, points: PointSet, seen: Sequence[Seen] = ()) -> tuple[Array, Array | None]:
    """Return the integrals of k densities [k], and their parts by cell or by drawn cell [k, n], None on a hypercube."""
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
