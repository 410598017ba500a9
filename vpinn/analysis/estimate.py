"""A-posteriori error estimate: the dual norm of the residual on a test space richer than the one trained with.

For −Δu = f it is the energy norm of the error projected on that space; for other coercive problems it bounds the error
from both sides up to the constants of the form (Rojas et al. 2024, arXiv 2308.16910). The gap of conditions not met
exactly is added as ‖u − g‖²/h on their boundary. The estimate is put in relation to the flux, ‖B(u)‖ with
F = a·v + B·∇v, so that coefficients cancel: for −∇·κ∇u it estimates ‖κ∇e‖/‖κ∇u‖.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
import torch
import ufl
from numpy.typing import NDArray
from torch import Tensor

from vpinn.domain import FacetPoints, Mesh, gauss
from vpinn.forms import components
from vpinn.objective import Objective, TestSpace, integral, make_objective, variation
from vpinn.objective.statement import default_test_degree
from vpinn.problem import Problem
from vpinn.trial import Evaluator, Trial

Array = NDArray[np.float64]
ENRICHMENT = 2
"""Degrees of the estimate's test space above the one trained with."""
CHUNK = 50_000
"""Points evaluated at a time."""
LARGEST = {1: 200_000, 2: 60_000, 3: 12_000}
"""Test functions per component, by dimension, above which the space is not enriched further, to bound the factorisation."""


@dataclass(frozen=True)
class Estimator:
    """Estimates the error of parameters.

    Attributes:
        objective: weak form of the problem on the enriched space; only its residual is used.
        gradient: ∫|∇u|² over all unknowns, for forms without a flux.
        gaps: for every condition not met exactly, (u − g)²/h and the boundary points to integrate it over.
    """

    objective: Objective
    gradient: Evaluator
    gaps: tuple[tuple[Evaluator, FacetPoints], ...]

    def __call__(self, theta: Tensor) -> tuple[float, float, Array]:
        """Return the dual norm of the residual, that norm relative to the flux, and its share per cell [n_cells]."""
        theta = theta.double()
        residual = self.objective.residual(theta)
        riesz = self._space.riesz(residual)
        missed = sum(float(gap.integrate(theta, points)[0]) for gap, points in self.gaps)
        norm = math.sqrt(max(0.0, float((residual * riesz).sum())) + missed)
        return norm, norm / (self._scale(theta) or 1.0), self._shares(riesz)

    def _scale(self, theta: Tensor) -> float:
        """Return ‖B(u)‖, or ‖∇u‖ where the form has no flux."""
        cells = self.objective.measures[0]
        rows = [k for k, test in enumerate(cells.tests) if test.derivative]
        if not rows:
            return float(np.sqrt(self.gradient.integrate(theta, cells.points).sum()))
        total = 0.0
        with torch.no_grad():
            for points in cells.whole(CHUNK):
                _, coefficients = cells.integrands(theta, points)
                total += sum(float(integral(points.w, coefficients[k] ** 2)) for k in rows)
        return math.sqrt(total)

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
    degree = (trained or problem.settings.test_space.degree or default_test_degree(mesh, trial.network.outputs)) + ENRICHMENT
    while degree > 1 and mesh.n_cells * _per_cell(mesh, degree) > LARGEST[mesh.dimension]:
        degree -= 1
    weak = dataclasses.replace(problem, formulation="weak", form=variation(problem), boundary=())
    met = dataclasses.replace(trial, imposed=tuple(dataclasses.replace(i, how="exact") for i in trial.imposed))
    objective = make_objective(weak, met, torch.float64, min(30, 2 * degree + 4), degree)
    slopes = [ufl.inner(ufl.grad(u.function), ufl.grad(u.function)) for u in problem.unknowns]
    gaps = []
    for imposed in trial.imposed:
        if imposed.how != "exact":
            u = components(problem.unknown(str(imposed.condition.unknown)).function)[imposed.component]
            density = (u - imposed.value) ** 2 / problem.symbols.h
            points = FacetPoints(mesh, mesh.facets(imposed.condition.on), min(30, 2 * degree))
            gaps.append((Evaluator.of(problem, trial, [density]), points))
    return Estimator(objective, Evaluator.of(problem, trial, slopes), tuple(gaps))


def _per_cell(mesh: Mesh, degree: int) -> float:
    """Return roughly how many functions of a Lagrange space there are per cell."""
    return float(degree**mesh.dimension) / (math.factorial(mesh.dimension) if mesh.reference.simplex else 1)
