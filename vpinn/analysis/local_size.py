"""Local sizes of the equations' coefficients, in which the norm of functions that may be free is measured.

In a part with a conductivity of 1e-6 beside one of 1, every function leaves a small residual, although none can be added. A norm
weighted by the size of the principal part compares the residual with that of a function of the same part.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import ufl
from numpy.typing import NDArray

from vpinn.analysis.free import some_points
from vpinn.domain import Points
from vpinn.forms import Background
from vpinn.problem import Problem
from vpinn.trial.principal import principal_part

SECOND = 2
"""Order of pointwise equations whose principal part is looked at."""
LEAST = 1e-8
"""Smallest weight: what no coefficient acts on is still counted."""
ALIKE = 0.1
"""Ratio of the smallest to the largest size above which the weights are one."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class LocalSize:
    """The size of the coefficients of one component's highest derivatives, as a known field.

    Attributes:
        problem: the problem in the stated form.
        component: number of the component among those of all unknowns.
        largest: largest size in the domain, in the unit of the coefficients.
    """

    problem: Problem
    component: int
    largest: float

    def jets(self, points: Points, order: int) -> dict[tuple[int, ...], Array]:
        """Return the sizes at n points relative to the largest, at least ``LEAST`` and at most 1 [n], under ()."""
        sizes = _sizes(self.problem, points)
        assert order == 0
        assert sizes is not None
        return {(): np.clip(sizes[:, self.component] / self.largest, LEAST, 1.0)}


def _sizes(problem: Problem, points: Points) -> Array | None:
    """Return the largest |A[i, a, k, b]| over i, a, b at points, for every component k [n, components]; None if not known."""
    found = principal_part(problem, points)
    return None if found is None else np.abs(found).max(axis=(1, 2, 4))


def local_sizes(problem: Problem, background: Background, orders: list[int]) -> tuple[list[ufl.core.expr.Expr], Background]:
    """Return an expression of the local size for every component, one where it hardly varies, and the background that has it.

    Args:
        problem: the problem in the stated form.
        background: known functions of its trial space.
        orders: order of the highest derivative of every unknown.
    """
    sizes = _sizes(problem, some_points(problem)) if not problem.formulation.pointwise or max(orders) == SECOND else None
    count = sum(unknown.components for unknown in problem.unknowns)
    weights: list[ufl.core.expr.Expr] = [ufl.as_ufl(1.0)] * count
    known = dict(background.known)
    for component in range(0 if sizes is None else count):
        least, largest = sizes[:, component].min(), sizes[:, component].max()  # type: ignore[index]
        if least < ALIKE * largest:
            weights[component] = symbol = problem.symbols.coefficient()
            known[symbol.count()] = LocalSize(problem, component, float(largest))
    return weights, replace(background, known=known)
