"""Equations and conditions at points, linearised: what a sum of functions leaves of them, and the columns of the functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import ufl
from numpy.typing import NDArray
from torch import Tensor

from vpinn.domain import BoundaryPart, Points, PointSet, scattered
from vpinn.forms import Jet, compile_tape, components
from vpinn.placement import HOST, host
from vpinn.problem import Problem
from vpinn.trial import Derivative, Evaluator, FewCoordinates, Trial, residual_slopes

Array = NDArray[np.float64]
NUMBERED = 2**40
"""Size of a set of independent points, of which as many are drawn as are needed; none is stored."""
PART = 2
"""Points inside the domain for each point of a boundary condition."""
GOLDEN = np.uint64(679_537_993_489)
"""Odd number close to 2⁴⁰(√5 − 1)/2, by which all numbers below 2⁴⁰ are visited in turn."""


@dataclass(frozen=True)
class PointEquations:
    """Residuals R inside the domain or on a boundary part, with their derivatives by the values and derivatives of the sum.

    Attributes:
        trial: trial space; its network is a sum of functions of few coordinates.
        points: numbered points, independent of each other.
        evaluator: computes every R, then every derivative.
        count: number of residuals R at a point.
        slopes: for every derivative the number of its R, and the value or derivative of the sum.
        part: points inside the domain for each point of these.
        linear: whether the derivatives do not depend on the sum.
        weight: weight of these residuals in the sum of all squares, relative to equations, > 0.
    """

    trial: Trial
    points: PointSet
    evaluator: Evaluator
    count: int
    slopes: tuple[tuple[int, Jet], ...]
    part: int
    linear: bool
    weight: float = 1.0

    def taken(self, start: int, count: int) -> Points:
        """Return points, of which a later start gives others.

        Points of a boundary are numbered facet by facet; steps of a golden section of all numbers spread them over all facets.
        """
        places = np.arange(start, start + count, dtype=np.uint64) * GOLDEN % np.uint64(NUMBERED)
        return self.points.take(places.astype(np.int64))

    def at(self, network: FewCoordinates, theta: Tensor, points: Points) -> PointRows:
        """Return residuals and derivatives at n points, for parameters [network.size]."""
        evaluator = Evaluator(replace(self.trial, network=network), self.evaluator.tape)
        step = evaluator.together
        parts = [np.arange(start, min(start + step, len(points))) for start in range(0, len(points), step)]
        values = np.concatenate([evaluator(theta, points.rows(part)) for part in parts], axis=1)
        return PointRows(network, points, values[: self.count], values[self.count :], self.slopes, self.weight)


@dataclass(frozen=True)
class PointRows:
    """Values of residuals R and of their derivatives at n points.

    Attributes:
        network: sum of functions of few coordinates.
        points: the points.
        values: residuals [count, n].
        derivatives: their derivatives [slopes, n].
        slopes: for every derivative the number of its R, and the value or derivative of the sum.
        weight: weight of the residuals.
    """

    network: FewCoordinates
    points: Points
    values: Array
    derivatives: Array
    slopes: tuple[tuple[int, Jet], ...]
    weight: float

    @property
    def x(self) -> Tensor:
        """Normalised coordinates [n, d]."""
        return self.network.normalise(torch.tensor(self.points.x, device=HOST))

    def operator(self, which: int) -> dict[int, dict[Derivative, Tensor]]:
        """Return the derivatives of residual number ``which``: component → derivative of the sum → coefficient [n]."""
        found: dict[int, dict[Derivative, Tensor]] = {}
        for (number, jet), row in zip(self.slopes, self.derivatives, strict=True):
            if number == which:
                found.setdefault(jet.component, {})[jet.derivative] = torch.from_numpy(row)
        return found

    def columns(self, network: FewCoordinates) -> tuple[Array, Array]:
        """Return weighted residuals [rows] and their change by every function of a sum [rows, weights].

        Rows are ordered by point, then by residual.
        """
        n, step = len(self.points), network.together(2)
        x, root = self.x, np.sqrt(self.weight)
        matrix = np.empty((n, len(self.values), network.weights))
        for which in range(len(self.values)):
            operator = self.operator(which)
            for start in range(0, n, step):
                part = slice(start, start + step)
                some = {c: {key: a[part] for key, a in one.items()} for c, one in operator.items()}
                matrix[part, which] = host(network.images(x[part], some).T)
        return root * self.values.T.ravel(), root * matrix.reshape(n * len(self.values), -1)


def make_equations(problem: Problem, trial: Trial, seed: int) -> tuple[PointEquations, ...]:
    """Return the equations of a problem in strong form, then its conditions that the trial space does not meet.

    Args:
        problem: problem in strong form.
        trial: its trial space.
        seed: seed of the points.
    """
    domain = problem.domain
    inside = [part for equation in problem.formulation.equations for part in components(equation)]
    found = [_compiled(problem, trial, inside, scattered(domain, NUMBERED, seed), 1)]
    for imposed in trial.imposed:
        if imposed.how != "exact":
            unknown = components(problem.unknown(str(imposed.condition.unknown)).function)[imposed.component]
            gap = unknown - imposed.value
            points = BoundaryPart.of(domain, imposed.condition.on).points(0, NUMBERED, "monte-carlo", seed)
            found.append(_compiled(problem, trial, [gap], points, PART))
    for condition in problem.boundary:
        if condition.residual is not None:
            points = BoundaryPart.of(domain, condition.on).points(0, NUMBERED, "monte-carlo", seed)
            found.append(_compiled(problem, trial, components(condition.residual), points, PART))
    return tuple(found)


def _compiled(problem: Problem, trial: Trial, parts: Sequence[ufl.core.expr.Expr], points: PointSet, part: int) -> PointEquations:
    """Compile scalar residuals, and their derivatives by the jets of the sum that are not zero."""
    graph, nodes, slopes = residual_slopes(problem, trial, parts)
    evaluator = Evaluator(trial, compile_tape(graph, [*nodes, *slopes.values()]))
    linear = all(graph.static[slope] for slope in slopes.values())
    return PointEquations(trial, points, evaluator, len(nodes), tuple(slopes), part, linear)
