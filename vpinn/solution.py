"""The class `Solution`: trained parameters with their problem and trial space, to be evaluated, exported and judged."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import ufl
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from ufl.core.expr import Expr

from vpinn.domain import Points
from vpinn.errors import InputError
from vpinn.optimization import COLUMNS, Samples, moved_along
from vpinn.placement import host
from vpinn.problem import Case, Evaluable
from vpinn.trial import Evaluator, Trial

Array = NDArray[np.float64]


class Outlet(Protocol):
    """What writes and draws a solution."""

    def export(self, solution: Solution, path: Path, refine: int) -> None:
        """Write its fields to a file."""

    def plot(self, solution: Solution) -> Any:
        """Return a figure of its unknowns."""

    def page(self, solution: Solution) -> str:
        """Return it as HTML for notebooks."""


@dataclass(frozen=True, eq=False)
class Solution(Evaluable):
    """The solution of a problem that a run computed.

    ``evaluate`` and ``gradient`` (inherited) return its values and gradients at given coordinates.

    Attributes:
        problem: The problem that is solved.
        trial: Trial space, which turns parameters into fields.
        theta: Parameters [trial.network.size], float64.
        metrics: Content of metrics.json (`vpinn.metrics.Metrics`, or as it was read); empty before anything is known.
        history: Record of training, one row per step, of long runs one for several of the earlier steps; columns as in
            ``vpinn.optimization.COLUMNS``.
        cell_estimate: Error estimate of every cell [n_cells], in the norm of the estimate; None if there is no estimate.
        samples: Samples of a Langevin chain; None for other methods, and if a check of the chain failed.
        outlet: Writes and draws the solution; None of solutions that no run found.
        members: For a family of problems, what returns the solution at other values of its parameters, by name; else None.
    """

    problem: Case
    trial: Trial
    theta: Tensor
    metrics: Mapping[str, Any] = field(default_factory=dict)
    history: Array = field(default_factory=lambda: np.empty((0, 0)))
    cell_estimate: Array | None = None
    samples: Samples | None = None
    outlet: Outlet | None = None
    members: Callable[[Mapping[str, float]], Solution] | None = None

    @property
    def coordinates(self) -> tuple[str, ...]:
        """What a place is told by, see ``Problem``."""
        return self.problem.coordinates

    @property
    def errors(self) -> dict[str, dict[str, float]]:
        """Relative errors: unknown → name of a norm → error, dimensionless; empty if no reference solution is known."""
        return dict(self.metrics.get("errors", {}))

    @property
    def error_estimate(self) -> dict[str, float]:
        """Relative error estimate, and its effectivity if the true error is known, dimensionless; empty without an estimate."""
        return dict(self.metrics.get("error_estimate") or {})

    def at(self, points: Points, order: int = 0) -> dict[str, Array]:
        """Return values (order 0) or gradients (order 1) at points with known cells; keys and shapes as of ``evaluate``."""
        return self._by_unknown(self._evaluators[order](self.theta, points), order)

    def derived(self, points: Points) -> dict[str, Array]:
        """Return values of the further fields that the problem file asks for: name → [n] of a scalar, [n, …] of others."""
        return self._shaped(self.problem.answers.fields, points)

    def evaluate(self, x: ArrayLike) -> dict[str, Array]:
        """Return values of the unknowns, and of the further fields of the problem file, at points; see ``Evaluable``."""
        return self._inside(x, lambda points: {**self.at(points), **self.derived(points)})

    def spread(self, points: Points) -> tuple[dict[str, Array], dict[str, Array]]:
        """Return mean and standard deviation of the values over the Langevin samples; shapes as of ``evaluate``.

        The variance is the sum of that over the samples and that of the linearised field along the directions not sampled.
        Without samples, both dictionaries are empty.
        """
        if self.samples is None:
            return {}, {}
        fields = np.stack([self._evaluators[0](theta, points) for theta in self.samples.weights])
        held = host(moved_along(self._evaluators[0], self.samples.center, self.samples.tangents, points))
        variance = fields.var(0, ddof=1) + (held**2).mean(0)
        return self._by_unknown(fields.mean(0)), self._by_unknown(np.sqrt(variance))

    def member(self, values: Mapping[str, float]) -> Solution:
        """Return the solution of a family at other values of its parameters, with a bound of its error.

        Args:
            values: Parameter → its value, in the range of the problem file.

        Raises:
            InputError: The solution is not that of a family, or a value is missing, unknown or outside its range.
        """
        if self.members is None:
            raise InputError("this run is of a single problem, without [parameters]; leave the values out")
        return replace(self.members(values), outlet=self.outlet)

    def exact(self, points: Points) -> dict[str, Array]:
        """Return exact values of the unknowns whose exact solution the problem states, and of further fields made of these.

        Shapes are those of ``evaluate``.
        """
        return self._shaped({**self.problem.exact, **self.problem.exact_fields}, points)

    def export(self, path: str | Path, refine: int = 0) -> None:
        """Write the fields to a file; its suffix chooses the format: .vtu, .pvd, .xdmf, .csv or .npz.

        Args:
            path: File to write.
            refine: Number of refinements of the output mesh beyond the automatic ones, 0 to 4.

        Raises:
            InputError: the solution is not that of a run, or the format is none of these.
        """
        self._outlet.export(self, Path(path), refine)

    def plot(self) -> Any:
        """Return a matplotlib figure of all unknowns; notebooks show it.

        Raises:
            InputError: the solution is not that of a run.
        """
        return self._outlet.plot(self)

    @property
    def table(self) -> dict[str, Array]:
        """Record of training as columns: ``pandas.DataFrame(solution.table)`` is a table of one row per step or stage."""
        return dict(zip(COLUMNS, self.history.T, strict=True)) if len(self.history) else {name: np.empty(0) for name in COLUMNS}

    def __repr__(self) -> str:
        metrics = self.metrics
        parts = [f"<Solution of {self.problem.title or 'a problem'!r}", f"by {metrics.get('method', '?')}"]
        parts += [f"{name}: error {e['relative_l2']:.1e}" for name, e in self.errors.items() if "relative_l2" in e]
        if "relative_energy" in self.error_estimate:
            parts.append(f"estimate {self.error_estimate['relative_energy']:.1e}")
        failed = len(metrics.get("checks", ()))
        return ", ".join([*parts, f"{failed} check{'s' * (failed > 1)} failed" if failed else "all checks passed"]) + ">"

    def _repr_html_(self) -> str:
        return escape(repr(self)) if self.outlet is None else self.outlet.page(self)

    @property
    def _outlet(self) -> Outlet:
        if self.outlet is None:
            raise InputError("only the solution of a run can be written and drawn so; use vpinn.output")
        return self.outlet

    @cached_property
    def _evaluators(self) -> tuple[Evaluator, Evaluator]:
        functions = [u.function for u in self.problem.unknowns]
        values = Evaluator.of(self.problem, self.trial, functions)
        return values, Evaluator.of(self.problem, self.trial, [ufl.grad(f) for f in functions])

    def _shaped(self, expressions: Mapping[str, Expr], points: Points) -> dict[str, Array]:
        """Return the values of expressions of any shape at n points: name → [n, *shape]."""
        if not expressions:
            return {}
        values = Evaluator.of(self.problem, self.trial, list(expressions.values()))(self.theta, points)
        found, first = {}, 0
        for name, expression in expressions.items():
            count = math.prod(expression.ufl_shape)
            found[name] = np.ascontiguousarray(values[first : first + count].T).reshape(-1, *expression.ufl_shape)
            first += count
        return found

    def _by_unknown(self, values: Array, order: int = 0) -> dict[str, Array]:
        """Return unknown → values or gradients, from the rows of all components in the order of the unknowns [k·d^order, n]."""
        d = (self.problem.domain.dimension,) * order
        return self.by_unknown(values.T.reshape(values.shape[1], len(values) // math.prod(d), *d))
