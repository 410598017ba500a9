"""Give the equations of a system equal weight before training, whatever units each of them is written in.

An objective that is a sum of squares, Σₑ ‖Rₑ‖², has one unit only if all equations Rₑ have the same. Heat flow in W/m³ beside
stresses in Pa/m have not, and the larger numbers would decide alone. Every equation is therefore divided by its size: that of its
residual at the random weights from which training starts, where the unknowns have the sizes that the data give them. Since these
sizes are found by a fit that depends on the weights, both are repeated until the sizes are similar. An energy is left as it is:
all its terms have the same unit, and weights would move its minimum. Start with `balanced_start`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vpinn.objective import Objective
from vpinn.optimization.dimensionless import SHOWN, Start, flat_parameters, make_start
from vpinn.optimization.projection import few_points
from vpinn.placement import Placement, host
from vpinn.problem import Case
from vpinn.trial import Evaluator, Trial

Make = Callable[[Case, Trial, Placement, float], Objective]
"""Makes an objective from a problem, a trial space, a placement and the unit of the functional."""
SIMILAR = 10.0
"""Ratio of the largest to the smallest size up to which equations count as balanced."""
ROUNDS = 3
"""Most times that the weights are chosen anew."""
NOTHING = 1e-10
"""Residual without a network, relative to that of random weights, up to which an equation has no data."""


def balanced_start(problem: Case, trial: Trial, made: Make, placement: Placement) -> tuple[Case, Start]:
    """Return the problem with equations of similar size, and its dimensionless start; see ``make_start``.

    Args:
        problem: the problem, in the formulation of the problem file; returned unchanged if it has a single equation.
        trial: its trial space.
        made: makes the objective.
        placement: where the steps work.
    """
    single = problem.formulation.count(problem.unknowns) < 2
    if not single:
        plain = trial.network.initial(torch.Generator().manual_seed(problem.settings.solver.seed))
        objective = made(problem, trial, placement.home, 1.0)
        data, random = (_sizes(problem, trial, objective, at) for at in (flat_parameters(trial.network, plain), plain))
        problem = _divided(problem, np.where(data > NOTHING * random, data, random))
    start = make_start(problem, trial, partial(made, problem), placement)
    for _ in range(0 if single else ROUNDS):
        sizes = _sizes(problem, start.trial, start.objective, start.plain)
        if sizes.max() <= SIMILAR * sizes.min():
            break
        problem = _divided(problem, sizes)
        start = make_start(problem, trial, partial(made, problem), placement)
    return problem, start


def _divided(problem: Case, sizes: NDArray[np.float64]) -> Case:
    """Return the problem with every equation divided by its size [equations]; those of size zero keep theirs."""
    factors = 1.0 / np.where(sizes > 0.0, sizes, 1.0)
    return replace(problem, formulation=problem.formulation.weighed(factors.tolist(), problem.unknowns))


def _sizes(problem: Case, trial: Trial, objective: Objective, theta: Tensor) -> NDArray[np.float64]:
    """Return the size of the residual of every equation [equations]: a root mean square, or the dual norm of a weak form."""
    if objective.test_space is None:
        points = objective.measures[0].points
        index = np.unique(np.linspace(0, points.size - 1, min(SHOWN, points.size)).astype(np.int64))
        equations = problem.formulation.equations
        squares = (Evaluator.of(problem, trial, equations)(theta, points.take(index)) ** 2).mean(axis=1)
        lengths = [int(np.prod(equation.ufl_shape)) for equation in equations]
    else:
        theta = objective.placement.put(theta)
        residual = objective.residual(theta, few_points(objective, np.random.default_rng(problem.settings.solver.seed)))
        squares = host((residual * objective.test_space.riesz(residual)).sum(dim=1))
        lengths = [unknown.components for unknown in problem.unknowns]
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int64)
    found = np.sqrt(np.add.reduceat(np.maximum(squares, 0.0), starts))
    return np.asarray(np.where(np.isfinite(found), found, 0.0), dtype=np.float64)
