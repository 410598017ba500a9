"""Estimate the error of a sum of functions of few coordinates, without a mesh."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import ufl

from vpinn.dimensions.growth import SumStage
from vpinn.dimensions.subsets import Subset, count_of_terms, subset_of
from vpinn.domain import Inside
from vpinn.placement import host
from vpinn.problem import Problem
from vpinn.trial import Evaluator, Trial

POINTS, SEED = 4096, 192_837_465
"""Points at which stages are compared, and their seed."""
FALL = 0.5
"""Factor by which the residual must have fallen from one stage to another for both to tell the error of the second."""


@dataclass(frozen=True)
class SumError:
    """Estimated error of the best stage.

    Attributes:
        absolute: error of the gradients of all unknowns in L², in their units.
        relative: the same over the gradients' own norm, dimensionless.
        l2: unknown → relative error of its values in L², dimensionless.
    """

    absolute: float
    relative: float
    l2: dict[str, float]


def estimated_error(problem: Problem, trial: Trial, stages: Sequence[SumStage]) -> SumError | None:
    """Return the error of the best stage, extrapolated from an earlier one; None if there is no earlier one.

    If the error falls like the residual on fresh points, from a stage J to a stage K by the factor q, then the distance of both
    is between (1 − q) and (1 + q) times the error of J, and that of K is q times that of J. Where the residual has not fallen
    by half, the relative residual itself stands for the relative error.

    Args:
        problem: the problem.
        trial: trial space; its network is replaced by those of the stages.
        stages: stages of growth, in order.
    """
    best = min(stages, key=lambda stage: stage.left.norm)
    before = [stage for stage in stages if best.left.norm < FALL * stage.left.norm]
    gradients = [ufl.grad(unknown.function) for unknown in problem.unknowns]
    functions = [unknown.function for unknown in problem.unknowns]
    own, values = _fields(problem, trial, best, gradients), _fields(problem, trial, best, functions)
    size = float((own**2).sum(axis=0).mean()) ** 0.5
    scale = math.sqrt(Inside(problem.domain).points(0, 1).volume)
    offsets = np.cumsum([0, *(unknown.components for unknown in problem.unknowns)])
    parts = {u.name: slice(offsets[k], offsets[k + 1]) for k, u in enumerate(problem.unknowns)}
    if not before:
        relative = min(1.0, best.left.relative)
        return SumError(relative * size * scale, relative, dict.fromkeys(parts, relative))
    q = best.left.norm / before[-1].left.norm
    gap = _fields(problem, trial, before[-1], gradients) - own
    moved = _fields(problem, trial, before[-1], functions) - values
    error = q * float((gap**2).sum(axis=0).mean()) ** 0.5
    l2 = {name: q * float(np.linalg.norm(moved[p])) / (float(np.linalg.norm(values[p])) or 1.0) for name, p in parts.items()}
    return SumError(error * scale, error / (size or 1.0), l2)


def _fields(problem: Problem, trial: Trial, stage: SumStage, expressions: Sequence[ufl.core.expr.Expr]) -> np.ndarray:
    """Return the components of expressions of the unknowns at points inside [components, n]."""
    points = Inside(problem.domain).points(0, POINTS, "sobol", SEED).take(range(POINTS))
    evaluator = Evaluator.of(problem, replace(trial, network=stage.fit.network), expressions)
    return evaluator(stage.fit.theta, points)


@dataclass(frozen=True)
class Share:
    """What one subset of coordinates contributes.

    Attributes:
        subset: its coordinates; ``ALL`` for the squared distance.
        level: highest total degree of its functions.
        functions: how many there are.
        share: sum of the squares of their coefficients over that of all but the constant, dimensionless; they are orthonormal
            over a box and over space, and nearly so over a ball of many dimensions.
    """

    subset: Subset
    level: int
    functions: int
    share: float


def shares(stage: SumStage) -> list[Share]:
    """Return all subsets of a stage, those of the largest share first."""
    network, squares = stage.fit.network, dict.fromkeys(stage.levels, 0.0)
    coefficients = host(stage.fit.theta[: network.weights].view(network.outputs, -1))
    for term, column in zip(network.terms, (coefficients**2).sum(axis=0), strict=True):
        if term:
            squares[subset_of(term)] += float(column)
    total = sum(squares.values()) or 1.0
    found = [Share(s, level, count_of_terms({s: level}) - 1, squares[s] / total) for s, level in stage.levels.items()]
    return sorted(found, key=lambda one: (-one.share, one.subset))
