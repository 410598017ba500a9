"""A solution: trained parameters with the problem they solve, ready to evaluate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import ufl
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from vpinn.domain import Points, located_points
from vpinn.errors import InputError
from vpinn.problem import Problem
from vpinn.trial import Evaluator, Trial

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Solution:
    """The field that a run found.

    Attributes:
        problem: the problem.
        trial: its trial space.
        theta: parameters [trial.network.size], float64.
        metrics: content of metrics.json; empty before the analysis.
        history: one row per step; columns of ``vpinn.optimization.COLUMNS``.
        cell_estimate: share of every cell in the error estimate [n_cells], in the norm of the estimate; None without one.
        samples: parameters that Langevin steps went through [n, size], None for other methods.
    """

    problem: Problem
    trial: Trial
    theta: Tensor
    metrics: Mapping[str, Any] = field(default_factory=dict)
    history: Array = field(default_factory=lambda: np.empty((0, 0)))
    cell_estimate: Array | None = None
    samples: Tensor | None = None

    @property
    def errors(self) -> dict[str, dict[str, float]]:
        """Relative errors per unknown where the truth is known, dimensionless."""
        return dict(self.metrics.get("errors", {}))

    @property
    def error_estimate(self) -> dict[str, float]:
        """Relative error estimate and its effectivity, dimensionless; empty where there is none."""
        return dict(self.metrics.get("error_estimate") or {})

    def evaluate(self, x: ArrayLike) -> dict[str, Array]:
        """Return values at points.

        Args:
            x: coordinates [n, d], in units of the mesh.

        Returns:
            unknown → [n] for a scalar, [n, m] for m components; nan outside the domain.

        Raises:
            InputError: ``x`` has not d columns.
        """
        return self._inside(x, 0)

    def gradient(self, x: ArrayLike) -> dict[str, Array]:
        """Return gradients at points [n, d]: unknown → [n, d] for a scalar, [n, m, d] for m components; nan outside."""
        return self._inside(x, 1)

    def at(self, points: Points, order: int = 0) -> dict[str, Array]:
        """Return values (order 0) or gradients (order 1) at points that know their cells; shapes as ``evaluate``."""
        return self._unpack(self._evaluators[order](self.theta, points), order)

    def spread(self, points: Points) -> tuple[dict[str, Array], dict[str, Array]]:
        """Return mean and standard deviation of the values over the samples; shapes as ``evaluate``, {} without samples."""
        if self.samples is None:
            return {}, {}
        fields = np.stack([self._evaluators[0](theta, points) for theta in self.samples.double()])
        return self._unpack(fields.mean(0), 0), self._unpack(fields.std(0, ddof=1), 0)

    def exact(self, points: Points) -> dict[str, Array]:
        """Return exact values at points where the problem states them; shapes as ``evaluate``."""
        if not self.problem.exact:
            return {}
        names = list(self.problem.exact)
        values = Evaluator.of(self.problem, self.trial, list(self.problem.exact.values()))(self.theta, points)
        return self._unpack(values, 0, names)

    def export(self, path: str | Path, refine: int = 0) -> None:
        """Write the field; the suffix chooses the format: .vtu, .pvd, .xdmf, .csv or .npz.

        Args:
            path: target file.
            refine: refinements of the output mesh beyond the default, 0 to 4.
        """
        from vpinn.output import export  # the output stage follows this one; only this convenience reaches ahead

        export(self, Path(path), refine)

    @cached_property
    def _evaluators(self) -> tuple[Evaluator, Evaluator]:
        functions = [u.function for u in self.problem.unknowns]
        values = Evaluator.of(self.problem, self.trial, functions)
        return values, Evaluator.of(self.problem, self.trial, [ufl.grad(f) for f in functions])

    def _inside(self, x: ArrayLike, order: int) -> dict[str, Array]:
        coordinates = np.atleast_2d(np.asarray(x, dtype=np.float64))
        d = self.problem.domain.dimension
        if coordinates.ndim != 2 or coordinates.shape[1] != d:
            raise InputError(f"points need {d} coordinates each, got an array of shape {list(np.shape(x))}")
        points, inside = located_points(self.problem.domain, coordinates)
        rows = np.flatnonzero(inside)
        taken = points.rows(rows)
        found = self.at(taken, order)
        result = {}
        for name, values in found.items():
            result[name] = np.full((len(coordinates), *values.shape[1:]), np.nan)
            result[name][rows] = values
        return result

    def _unpack(self, values: Array, order: int, names: list[str] | None = None) -> dict[str, Array]:
        result, start, d = {}, 0, self.problem.domain.dimension
        for unknown in self.problem.unknowns:
            if names is not None and unknown.name not in names:
                continue
            shape = (*unknown.shape, *((d,) if order else ()))
            stop = start + int(np.prod(shape))
            result[unknown.name] = values[start:stop].T.reshape(-1, *shape)
            start = stop
        return result
