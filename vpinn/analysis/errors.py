"""True errors, where the truth is known: an exact solution, or reference values at points."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import ufl
from numpy.typing import NDArray
from torch import Tensor

from vpinn.analysis.drawn import DrawnPoints, assessed_points, draws_of, ratio_interval
from vpinn.analysis.flux import flux_gap, measured
from vpinn.domain import Mesh, PointSet, cell_points
from vpinn.errors import InputError
from vpinn.finite_elements import Level
from vpinn.problem import Problem
from vpinn.problem.operators import gradient
from vpinn.solution import Solution
from vpinn.trial import Evaluator, Trial

Array = NDArray[np.float64]
SAMPLES = 2**14
"""Independent points on a domain without cells."""
SEED = 987_654_321
"""Seed of independent points, other than any a user is likely to train with."""


def independent_points(problem: Problem, degree: int, refine: int = 0) -> PointSet:
    """Return points that training did not see: a finer Gauss rule, or other random points on a hypercube.

    Of a mesh with very many cells they are those of drawn ones, see ``drawn``.
    """
    if isinstance(problem.domain, Mesh):
        return assessed_points(problem, cell_points(problem.domain, "gauss", min(30, degree), 0, 0, refine))
    return cell_points(problem.domain, "sobol", 0, SAMPLES, SEED)


class TrueError:
    """Relative errors against the exact solution of the problem file, both of mean zero where constants are open.

    Args:
        problem: with ``exact`` expressions for some unknowns.
        trial: its trial space.
        points: quadrature points of the norms.
        flux: whether the error of the flux is wanted, too, for which all unknowns must be known.
    """

    def __init__(self, problem: Problem, trial: Trial, points: PointSet, flux: bool = False) -> None:
        self.points = points
        self.names, self._trial, self._level = tuple(problem.exact), trial, Level.of(problem)
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
        """Return unknown → relative_l2, relative_h1 (full norm), and the h1_seminorm of the error and of the truth.

        Where the exact solution is zero the errors are absolute.
        """
        return self.with_flux(theta)[0]

    def with_flux(self, theta: Tensor) -> tuple[dict[str, dict[str, Any]], float | None]:
        """Return the errors, of drawn cells with 95 % intervals, and ‖B(u) − B(u_exact)‖ where it is wanted."""
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


def reference_errors(solution: Solution, path: Path) -> dict[str, dict[str, float]]:
    """Return unknown → relative_l2 over the points of a CSV file with columns x, y, …, and unknowns by name.

    Raises:
        InputError: a column is missing or holds something else than numbers.
    """
    problem = solution.problem
    columns = _read_columns(path)
    coordinates = ("x", "y", "z")[: problem.domain.dimension]
    missing = [name for name in coordinates if name not in columns]
    if missing:
        raise InputError(f"the reference has no column {', '.join(missing)}; its columns are {', '.join(columns)}", str(path))
    points = np.stack([columns[name] for name in coordinates], axis=1)
    values = solution.evaluate(points)
    result = {}
    for unknown in problem.unknowns:
        columns_of = [unknown.name] if not unknown.shape else [f"{unknown.name}{i}" for i in range(unknown.components)]
        if not all(name in columns for name in columns_of):
            continue
        truth = np.stack([columns[name] for name in columns_of], axis=1)
        found = values[unknown.name].reshape(len(points), -1)
        inside = np.isfinite(found).all(axis=1)
        if not inside.any():
            raise InputError("no point of the reference lies inside the domain; check its coordinates", str(path))
        gap = np.linalg.norm(found[inside] - truth[inside]) / (np.linalg.norm(truth[inside]) or 1.0)
        result[unknown.name] = {"relative_l2": float(gap), "points": int(inside.sum()), "outside": int((~inside).sum())}
    if not result:
        names = ", ".join(u.name for u in problem.unknowns)
        raise InputError(f"the reference has no column of an unknown ({names}); its columns are {', '.join(columns)}", str(path))
    return result


def _read_columns(path: Path) -> dict[str, Array]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.reader(file)
            header: Sequence[str] = [name.strip() for name in next(reader, [])]
            rows = [[float(cell) for cell in row] for row in reader if row]
        table = np.array(rows, dtype=np.float64).reshape(-1, len(header) or 1)
    except (OSError, ValueError) as error:
        raise InputError(f"the reference cannot be read as numbers under a header line: {error}", str(path)) from None
    if not len(table) or not np.isfinite(table).all():
        raise InputError("the reference holds no rows of finite numbers", str(path))
    return dict(zip(header, table.T, strict=True))
