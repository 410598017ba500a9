"""A-posteriori error estimate: the distance of a solution to its correction in a space richer than training saw.

The distance is measured in the flux, ‖B(u) − B(u + w)‖ with F = a·v + B·∇v, and put in relation to ‖B(u)‖, so that
coefficients cancel: for −∇·κ∇u it estimates ‖κ∇e‖/‖κ∇u‖, for elasticity the stress. Where a form has second derivatives,
which finite elements lack, the dual norm of the residual on the rich space stands for it, and the gap of conditions that are
not met as ‖u − g‖²/h: up to the constants of the form a bound from both sides (Rojas et al. 2024, arXiv 2308.16910).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
import ufl
from numpy.typing import NDArray
from torch import Tensor

from vpinn.analysis.correction import Correction, make_correction
from vpinn.analysis.flux import flux_gap
from vpinn.analysis.tangent import Shift
from vpinn.domain import CellPoints, FacetPoints, Mesh, gauss
from vpinn.errors import InputError
from vpinn.forms import components
from vpinn.objective import Objective, TestSpace, make_objective, variation
from vpinn.objective.test_functions import ENOUGH, default_test_degree, functions_per_cell
from vpinn.problem import Problem
from vpinn.trial import Evaluator, Trial

Array = NDArray[np.float64]
ENRICHMENT = 2
"""Degrees of the estimate's space above the test space trained with."""
HIGHEST = 13
"""Degree up to which the rule of degree 30 integrates products of its functions with smooth coefficients."""
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
        cells: share of every cell, whose squares add up to that of ``absolute`` [n_cells].
        l2: unknown → ‖w‖/‖u‖, dimensionless; empty without a correction.
        corrected: trial space of u + w; None without a correction.
    """

    absolute: float
    relative: float
    cells: Array
    l2: Mapping[str, float]
    corrected: Trial | None


@dataclass(frozen=True)
class Estimator:
    """Estimates the error of parameters.

    Attributes:
        problem: the problem.
        objective: weak form of the problem on the rich space; only its residual is used.
        correction: by finite elements of that space; None where the form has second derivatives.
        flux: |B(u) − B(u + w)|² and |B(u)|².
        sizes: w² and u² of every unknown.
        points: quadrature points of these.
        gaps: for every condition not met exactly, (u − g)²/h and the boundary points to integrate it over.
    """

    problem: Problem
    objective: Objective
    correction: Correction | None
    flux: Evaluator
    sizes: Evaluator | None
    points: CellPoints
    gaps: tuple[tuple[Evaluator, FacetPoints], ...]

    def __call__(self, theta: Tensor) -> Estimate:
        """Return the estimate of parameters [size]."""
        theta = theta.double()
        corrected = None if self.correction is None else self.correction(theta)
        if corrected is None or self.sizes is None:
            return self._by_dual_norm(theta)
        (gap, scale), cells = _by_cell(dataclasses.replace(self.flux, trial=corrected), theta, self.points)
        sums, _ = _by_cell(dataclasses.replace(self.sizes, trial=corrected), theta, self.points)
        names = [u.name for u in self.problem.unknowns]
        pairs = zip(names, np.maximum(sums, 0.0).reshape(-1, 2), strict=True)
        l2 = {name: math.sqrt(w / (u or 1.0)) for name, (w, u) in pairs}
        return Estimate(math.sqrt(gap), math.sqrt(gap / (scale or 1.0)), np.sqrt(cells[0]), l2, corrected)

    def dual_norm(self, theta: Tensor) -> tuple[float, Tensor]:
        """Return the dual norm of the residual on the rich space, and its Riesz representative [components, size]."""
        residual = self.objective.residual(theta.double())
        riesz = self._space.riesz(residual)
        return math.sqrt(max(0.0, float((residual * riesz).sum()))), riesz

    def _by_dual_norm(self, theta: Tensor) -> Estimate:
        norm, riesz = self.dual_norm(theta)
        missed = sum(float(gap.integrate(theta, points)[0]) for gap, points in self.gaps)
        absolute = math.hypot(norm, math.sqrt(missed))
        scale = math.sqrt(self.flux.integrate(theta, self.points)[-1])
        return Estimate(absolute, absolute / (scale or 1.0), self._shares(riesz), {}, None)

    @property
    def _space(self) -> TestSpace:
        assert self.objective.test_space is not None
        return self.objective.test_space

    def _shares(self, riesz: Tensor) -> Array:
        """Return ‖∇y‖ of the Riesz representative y on every cell."""
        space = self._space.space
        mesh, rule = space.mesh, gauss(space.mesh.cell, 2 * space.degree)
        _, gradients = space.tabulate(rule.points)
        result = np.zeros(mesh.n_cells)
        step = max(1, 2_000_000 // (len(rule.weights) * space.dofs.shape[1]))
        for start in range(0, mesh.n_cells, step):
            cells = np.arange(start, min(start + step, mesh.n_cells))
            geometry = mesh.frames(cells, rule.points)
            weights = rule.weights * geometry.determinant
            for row in riesz.numpy():
                local = np.einsum("qdn,mn->mqd", gradients, row[space.dofs[cells]])
                slopes = np.einsum(
                    "mqij,mqj->mqi", np.broadcast_to(geometry.inverse_transpose, (*local.shape, local.shape[-1])), local
                )
                result[cells] += (weights * (slopes**2).sum(-1)).sum(-1)
        return np.sqrt(result)


def make_estimator(problem: Problem, trial: Trial, trained: int | None = None) -> Estimator | None:
    """Return the estimator of a problem; None on a domain without a mesh.

    Args:
        problem: the problem.
        trial: its trial space.
        trained: degree of the test space that training saw, None where it saw none.
    """
    mesh = problem.domain
    if not isinstance(mesh, Mesh):
        return None
    degree = _degree(mesh, trained or problem.settings.test_space.degree or default_test_degree(mesh), trial.network.outputs)
    weak = dataclasses.replace(_conforming(problem), formulation="weak", form=variation(problem), boundary=())
    met = dataclasses.replace(trial, imposed=tuple(dataclasses.replace(i, how="exact") for i in trial.imposed))
    objective = make_objective(weak, met, torch.float64, min(30, 2 * degree + 4), degree)
    gaps = []
    for imposed in trial.imposed:
        if imposed.how != "exact":
            u = components(problem.unknown(str(imposed.condition.unknown)).function)[imposed.component]
            density = (u - imposed.value) ** 2 / problem.symbols.h
            facets = mesh.facets(imposed.condition.on)
            gaps.append((Evaluator.of(problem, trial, [density]), FacetPoints(mesh, facets, min(30, 2 * degree))))
    points = CellPoints(mesh, min(30, 2 * degree + 2))
    try:
        correction = make_correction(problem, trial, degree)
    except InputError:  # second derivatives
        flux = flux_gap(problem, trial, trial.unknowns, trial.unknowns)
        return Estimator(problem, objective, None, flux, None, points, tuple(gaps))
    shift = correction.shift
    flux = flux_gap(problem, trial, trial.unknowns, shift.unknowns)
    sizes = Evaluator.of(problem, trial, [density for pair in _squares(problem, shift) for density in pair])
    return Estimator(problem, objective, correction, flux, sizes, points, tuple(gaps))


def _degree(mesh: Mesh, trained: int, outputs: int) -> int:
    """Return the degree of the rich space: ``ENRICHMENT`` more than trained, higher on few cells, lower on very many."""
    degree = trained + ENRICHMENT
    while degree < HIGHEST and mesh.n_cells * functions_per_cell(mesh, degree) < ENOUGH:
        degree += 1
    while degree > 1 and mesh.n_cells * functions_per_cell(mesh, degree) * outputs > LARGEST[mesh.dimension]:
        degree -= 1
    return degree


def _conforming(problem: Problem) -> Problem:
    """Return the problem tested with conforming elements, whatever training tests with."""
    tests = problem.settings.test_space.model_copy(update={"kind": "conforming"})
    return dataclasses.replace(problem, settings=problem.settings.model_copy(update={"test_space": tests}))


def _squares(problem: Problem, shift: Shift) -> Iterator[tuple[ufl.core.expr.Expr, ufl.core.expr.Expr]]:
    """Yield w² and u² of every unknown."""
    first = 0
    for unknown in problem.unknowns:
        parts = shift.functions[first : first + unknown.components]
        first += unknown.components
        yield sum(w**2 for w in parts), ufl.inner(unknown.function, unknown.function)


def _by_cell(densities: Evaluator, theta: Tensor, points: CellPoints) -> tuple[Array, Array]:
    """Return the integrals of densities [k], and by cell [k, n_cells]."""
    count = len(densities.tape.moving.outputs)
    cells = np.zeros((count, points.mesh.n_cells))
    for part in points.chunks(CHUNK):
        taken = points.take(part)
        for row, values in zip(cells, densities(theta, taken) * taken.w, strict=True):
            row += np.bincount(taken.cell, values, len(row))
    return cells.sum(axis=1), cells
