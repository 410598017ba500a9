"""Compute true errors, against an exact solution or against reference values at points."""

from __future__ import annotations

from typing import Any

import numpy as np
import ufl
from numpy.typing import NDArray
from torch import Tensor

from vpinn.analysis.drawn import DrawnPoints, assessed_points, draws_of, ratio_interval
from vpinn.analysis.flux import flux_gap, measured
from vpinn.domain import Inside, PointSet
from vpinn.finite_elements import Level
from vpinn.problem import Case, Problem
from vpinn.problem.operators import gradient
from vpinn.problem.reference import ReferenceValues
from vpinn.solution import Solution
from vpinn.trial import Evaluator, Trial

Array = NDArray[np.float64]
SAMPLES = 2**14
"""Number of independent points on a domain without cells."""
SEED = 987_654_321
"""Seed of independent points, unlikely to be the seed of a user's run."""


def independent_points(problem: Case, degree: int, refine: int = 0) -> PointSet:
    """Return points that training did not use: a Gauss rule on a mesh, or a Sobol sequence of another seed on a hypercube.

    On a mesh with very many cells they are the points of drawn cells, see ``drawn``.

    Args:
        problem: the problem.
        degree: degree of the Gauss rule; it is at most 30.
        refine: number of times that cells are halved before the rule is applied, ≥ 0.
    """
    return assessed_points(problem, Inside(problem.domain).points(min(30, degree), SAMPLES, seed=SEED, refine=refine))


class TrueError:
    """Computes relative errors against the exact solution of the problem file.

    If the problem determines an unknown up to a constant only, both solutions are shifted to mean zero before they are compared.

    Args:
        problem: problem with exact expressions for some unknowns.
        trial: its trial space.
        points: quadrature points of the norms.
        flux: whether the error of the flux is computed, too; it needs exact expressions for all unknowns.
    """

    def __init__(self, problem: Problem, trial: Trial, points: PointSet, flux: bool = False) -> None:
        self.points = points
        self.names = tuple(problem.exact)
        self._trial, self._level = trial, Level.of(problem)
        densities, exact = [], self._level.exact
        for name in self.names:
            truth, found = exact[name], problem.unknown(name).function
            gap = found - truth
            densities += [ufl.inner(gap, gap), ufl.inner(truth, truth)]
            slopes = [gradient(f, problem.domain.dimension) for f in (gap, truth)]
            densities += [ufl.inner(slope, slope) for slope in slopes]
        self._first = 2 if flux else 0
        if flux:
            known = {u.function: trial.unknowns[u.name] for u in problem.unknowns}
            stated = [ufl.replace(density, known) for density in densities]
            self._evaluator = flux_gap(measured(problem), trial, trial.unknowns, exact, stated)
        else:
            self._evaluator = Evaluator.of(problem, trial, densities)

    def __call__(self, theta: Tensor) -> dict[str, dict[str, Any]]:
        """Return the errors of parameters θ [size], by unknown and name.

        "relative_l2" and "relative_h1" (full norm) are dimensionless, or absolute if the exact solution is zero; "h1_seminorm" is
        that of the error, "exact_h1_seminorm" that of the exact solution.
        """
        return self.with_flux(theta)[0]

    def with_flux(self, theta: Tensor) -> tuple[dict[str, dict[str, Any]], float | None]:
        """Return the errors, for drawn cells with 95 % intervals, and ‖B(u) − B(u_exact)‖, None if ``flux`` is not set."""
        theta = self._level(self._trial, theta)
        draws = draws_of(self._evaluator, theta, self.points) if isinstance(self.points, DrawnPoints) else None
        sums = np.maximum(self._evaluator.integrate(theta, self.points) if draws is None else draws.sum(axis=1), 0.0)
        result: dict[str, dict[str, Any]] = {}
        for name, (e0, u0, e1, u1) in zip(self.names, sums[self._first :].reshape(-1, 4), strict=True):
            result[name] = {
                "relative_l2": float(np.sqrt(e0 / (u0 or 1.0))),
                "relative_h1": float(np.sqrt((e0 + e1) / ((u0 + u1) or 1.0))),
                "h1_seminorm": float(np.sqrt(e1)),
                "exact_h1_seminorm": float(np.sqrt(u1)),
            }
        shares = np.empty((0, 4, 0)) if draws is None else draws[self._first :].reshape(-1, 4, draws.shape[1])
        for found, (e0, u0, e1, u1) in zip(result.values(), shares, strict=False):
            found["interval"] = {"relative_l2": ratio_interval(e0, u0), "relative_h1": ratio_interval(e0 + e1, u0 + u1)}
        return result, float(np.sqrt(sums[0])) if self._first else None


def reference_errors(solution: Solution, reference: ReferenceValues) -> dict[str, dict[str, float]]:
    """Return by unknown the relative ℓ² error at the reference points, their number, and how many points were left out."""
    points = reference.points
    values = solution.evaluate(points)
    result = {}
    for name, truth in reference.values.items():
        gap = np.linalg.norm(values[name].reshape(len(points), -1) - truth) / (np.linalg.norm(truth) or 1.0)
        result[name] = {"relative_l2": float(gap), "points": len(points), "outside": reference.outside}
    return result
