"""Whether a network is trained by itself or added to elements, and of which degree: by what each leaves before training."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from vpinn.analysis import make_estimator
from vpinn.errors import InputError, VpinnError
from vpinn.finite_elements import FiniteElementSolution, solve_fem
from vpinn.objective import Objective
from vpinn.optimization import Start, make_start
from vpinn.placement import HOST, Placement
from vpinn.problem import Problem
from vpinn.solving.element_stages import STAGNANT
from vpinn.trial import Trial, beside_elements, elements_trial, has_parts

RISING = (2, 3)
"""Degrees of elements beside a network: a higher one leaves it nothing to find."""
SMALL = 1e-3
"""Relative error estimate of them that is small enough."""
MOST = 100_000
"""Points up to which a network is added to elements by itself: the noise of drawn points hides what these leave."""


def begin(
    problem: Problem,
    trial: Trial,
    made: Callable[[Trial, Placement, float], Objective],
    placement: Placement,
) -> Start:
    """Return where a network starts: by itself, or beside elements where these are asked for or take it farther.

    By itself it stands beside them where the form differs between parts of a mesh, since the solution kinks there, and on
    meshes whose outline is not that of a simple shape, if elements leave less of the flux than random features.

    Args:
        problem: what is solved.
        trial: trial space of the network alone.
        made: trial space, placement and unit → objective.
        placement: where steps work.

    Raises:
        InputError: elements are asked for and cannot solve the problem.
    """
    asked = problem.settings.network.elements
    if asked == 0:
        return make_start(problem, trial, made, placement)
    if asked != "auto":
        try:
            found = solve_fem(problem, asked)
        except InputError as error:
            raise InputError(f"network.elements = {asked}: {error.message}", problem.where("network", "elements")) from None
        both = beside_elements(problem, trial, found.space, found.values, "as the problem file asks")
        return make_start(problem, both, made, placement)
    alone = make_start(problem, trial, made, placement)
    mesh, parts = problem.domain.mesh, has_parts(problem)
    if mesh is None or (mesh.shape is not None and not parts) or alone.objective.size > MOST:
        return alone
    try:
        found, relative = coarse_elements(problem)
    except VpinnError:
        return alone
    if relative >= _estimate(problem, *alone.look):
        return alone
    why = "the form differs between parts of the domain" if parts else "they leave less than random features"
    return make_start(problem, beside_elements(problem, trial, found.space, found.values, why), made, placement)


def _estimate(problem: Problem, trial: Trial, theta: torch.Tensor, tested: int | None = None) -> float:
    """Return the relative error estimate of parameters; infinite where nothing can be said."""
    estimator = make_estimator(problem, trial, tested)
    estimate = None if estimator is None else estimator(theta)
    return math.inf if estimate is None else estimate.relative


def coarse_elements(problem: Problem) -> tuple[FiniteElementSolution, float]:
    """Return elements of rising degree, while the error estimate falls by half and is not small, and that estimate.

    Raises:
        VpinnError: elements cannot solve the problem.
    """
    best, least = None, math.inf
    for degree in RISING:
        found = solve_fem(problem, degree)
        trial = elements_trial(problem, found.space, found.values)
        zero = torch.zeros(trial.network.size, dtype=torch.float64, device=HOST)
        relative = _estimate(problem, trial, zero, degree)
        slow = relative > STAGNANT * least
        if best is None or relative < least:
            best, least = found, relative
        if slow or relative <= SMALL:
            break
    assert best is not None
    return best, least
