"""A solution: trained parameters with the problem they solve, ready to evaluate."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import ufl
from numpy.typing import NDArray
from torch import Tensor

from vpinn.domain import Points
from vpinn.optimization import Samples, moved_along
from vpinn.placement import host
from vpinn.problem import Evaluable, Problem
from vpinn.trial import Evaluator, Trial

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Solution(Evaluable):
    """The field that a run found.

    Attributes:
        problem: the problem.
        trial: its trial space.
        theta: parameters [trial.network.size], float64.
        metrics: content of metrics.json; empty before the analysis.
        history: one row per step; columns of ``vpinn.optimization.COLUMNS``.
        cell_estimate: share of every cell in the error estimate [n_cells], in the norm of the estimate; None without one.
        samples: what a Langevin walk left, None for other methods, and where its checks fail.
    """

    problem: Problem
    trial: Trial
    theta: Tensor
    metrics: Mapping[str, Any] = field(default_factory=dict)
    history: Array = field(default_factory=lambda: np.empty((0, 0)))
    cell_estimate: Array | None = None
    samples: Samples | None = None

    @property
    def coordinates(self) -> tuple[str, ...]:
        """What a place is told by, see ``Problem``."""
        return self.problem.coordinates

    @property
    def errors(self) -> dict[str, dict[str, float]]:
        """Relative errors per unknown where the truth is known, dimensionless."""
        return dict(self.metrics.get("errors", {}))

    @property
    def error_estimate(self) -> dict[str, float]:
        """Relative error estimate and its effectivity, dimensionless; empty where there is none."""
        return dict(self.metrics.get("error_estimate") or {})

    def at(self, points: Points, order: int = 0) -> dict[str, Array]:
        """Return values (order 0) or gradients (order 1) at points that know their cells; shapes as ``evaluate``."""
        return self._by_unknown(self._evaluators[order](self.theta, points), order)

    def spread(self, points: Points) -> tuple[dict[str, Array], dict[str, Array]]:
        """Return mean and standard deviation of the values over the samples; shapes as ``evaluate``, {} without samples.

        The variance is that of the fields that the walk went through and that of the linearised field along held directions.
        """
        if self.samples is None:
            return {}, {}
        fields = np.stack([self._evaluators[0](theta, points) for theta in self.samples.weights])
        held = host(moved_along(self._evaluators[0], self.samples.center, self.samples.tangents, points))
        variance = fields.var(0, ddof=1) + (held**2).mean(0)
        return self._by_unknown(fields.mean(0)), self._by_unknown(np.sqrt(variance))

    def exact(self, points: Points) -> dict[str, Array]:
        """Return exact values at points where the problem states them; shapes as ``evaluate``."""
        if not self.problem.exact:
            return {}
        truths = [self.problem.exact[u.name] for u in self.problem.unknowns if u.name in self.problem.exact]
        return self.by_unknown(Evaluator.of(self.problem, self.trial, truths)(self.theta, points).T, self.problem.exact)

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

    def _by_unknown(self, values: Array, order: int = 0) -> dict[str, Array]:
        """Return unknown → values or gradients, for all of them in order [components·(d), n]."""
        d = (self.problem.domain.dimension,) * order
        return self.by_unknown(values.T.reshape(values.shape[1], len(values) // math.prod(d), *d))
