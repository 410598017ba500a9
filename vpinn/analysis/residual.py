"""Compute the dual norm of the residual on a test space richer than training's."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from vpinn.domain import FacetPoints, gauss
from vpinn.forms import components
from vpinn.objective import Objective, Resolution, TestSpace, make_objective
from vpinn.placement import host, wide
from vpinn.problem import Case, Weak
from vpinn.trial import Evaluator, Trial

Array = NDArray[np.float64]
MAX_DEGREE = 30
"""Highest degree of a quadrature rule."""


@dataclass(frozen=True)
class Residual:
    """The residual on a rich test space; made by ``make_residual``.

    Attributes:
        objective: weak form of the problem on that space; only its residual is used.
        gaps: for every condition u = g that the trial space does not meet exactly, (u − g)²/h and the quadrature points on its
            boundary part.
    """

    objective: Objective
    gaps: tuple[tuple[Evaluator, FacetPoints], ...]

    def dual_norm(self, theta: Tensor, residual: Tensor | None = None) -> tuple[float, Tensor]:
        """Return the dual norm of the residual, and its Riesz representative [components, size].

        Args:
            theta: parameters of u.
            residual: F(u; φᵢ) [components, size]; None: it is computed.
        """
        residual = self.objective.residual(wide(theta)) if residual is None else residual
        riesz = self._space.riesz(residual)
        return math.sqrt(max(0.0, float((residual * riesz).sum()))), riesz

    def missed(self, theta: Tensor) -> float:
        """Return (Σ ‖u − g‖²/h)^½ over the conditions that the trial space does not meet exactly."""
        return math.sqrt(sum(float(gap.integrate(theta, points)[0]) for gap, points in self.gaps))

    @property
    def _space(self) -> TestSpace:
        assert self.objective.test_space is not None
        return self.objective.test_space

    def shares(self, riesz: Tensor) -> Array:
        """Return ‖∇y‖ on every cell [n_cells], for the Riesz representative y [components, size]."""
        space = self._space.space
        mesh, rule = space.mesh, gauss(space.mesh.cell, 2 * space.degree)
        _, gradients = space.tabulate(rule.points)
        result = np.zeros(mesh.n_cells)
        step = max(1, 2_000_000 // (len(rule.weights) * space.dofs.shape[1]))
        for start in range(0, mesh.n_cells, step):
            cells = np.arange(start, min(start + step, mesh.n_cells))
            geometry = mesh.frames(cells, rule.points)
            weights = rule.weights * geometry.determinant
            for row in host(riesz):
                local = np.einsum("qdn,mn->mqd", gradients, row[space.dofs[cells]])
                slopes = np.einsum(
                    "mqij,mqj->mqi", np.broadcast_to(geometry.inverse_transpose, (*local.shape, local.shape[-1])), local
                )
                result[cells] += (weights * (slopes**2).sum(-1)).sum(-1)
        return np.sqrt(result)


def make_residual(problem: Case, trial: Trial, degree: int) -> Residual | None:
    """Return the residual of a problem on a mesh, tested with conforming elements.

    Args:
        problem: problem on a mesh, in any formulation.
        trial: its trial space.
        degree: degree of the test functions.

    Returns:
        None if the form contains no test function once it is differentiated, as a constant energy.
    """
    mesh = problem.domain.with_cells()
    weak = dataclasses.replace(problem, formulation=Weak(problem.variation), boundary=())
    met = dataclasses.replace(trial, imposed=tuple(dataclasses.replace(i, how="exact") for i in trial.imposed))
    tests = problem.settings.test_space.model_copy(update={"kind": "conforming"})  # whatever training tests with
    settings = problem.settings.model_copy(update={"test_space": tests})
    resolution = Resolution(min(MAX_DEGREE, 2 * degree + 4), tests=degree)
    objective = make_objective(weak, met, resolution=resolution, settings=settings)
    if not any(measure.tests for measure in objective.measures):
        return None
    gaps = []
    for imposed in trial.imposed:
        if imposed.how != "exact":
            u = components(problem.unknown(str(imposed.condition.unknown)).function)[imposed.component]
            density = (u - imposed.value) ** 2 / problem.symbols.h
            facets = mesh.facets(imposed.condition.on)
            gaps.append((Evaluator.of(problem, trial, [density]), FacetPoints(mesh, facets, min(MAX_DEGREE, 2 * degree))))
    return Residual(objective, tuple(gaps))
