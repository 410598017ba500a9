"""What is known of a linear problem before it is solved: whether functions can be added to any solution."""

from __future__ import annotations

from dataclasses import replace
from enum import Enum, auto

import torch

from vpinn.analysis.definite import unique_by_signs
from vpinn.analysis.entire import RECIPE
from vpinn.analysis.uniqueness import UNDETERMINED, find_free
from vpinn.objective.variation import is_linear
from vpinn.optimization import stated_problem
from vpinn.placement import HOST
from vpinn.problem import Case
from vpinn.trial import Trial

FIRST_CELLS = 600
"""Cells up to which that takes less than about half a second, so that it is done before the work."""


class Freedom(Enum):
    """What can be added to any solution: nothing, functions other than rigid motions and constants, or what is not known yet."""

    NONE = auto()
    MANY = auto()
    UNKNOWN = auto()


def free_beforehand(problem: Case, trial: Trial) -> Freedom:
    """Return what can be added to any solution of a linear problem.

    It is told without a solution, in less time than a first stage takes. Large meshes are left to the closing look.

    Args:
        problem: the problem.
        trial: its trial space, with rows for conditions.
    """
    if unique_by_signs(problem):
        return Freedom.NONE
    if problem.domain.n_cells > FIRST_CELLS or not is_linear(stated_problem(problem, trial, "least-squares")):
        return Freedom.UNKNOWN
    # the field of zero parameters is that of any network, and a network of one layer has cheap derivatives of any order
    plain = replace(trial, network=RECIPE.features(trial.network, 1, problem.domain))
    try:
        found = find_free(problem, plain, torch.zeros(plain.network.size, dtype=torch.float64, device=HOST))
    except UNDETERMINED:
        return Freedom.UNKNOWN
    if found is None:
        return Freedom.NONE
    return Freedom.MANY if found.beyond else Freedom.UNKNOWN
