"""Decide whether a network is trained alone or added to finite elements, by the error estimates of both before training."""

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
from vpinn.problem import Case
from vpinn.solving.element_stages import STAGNANT
from vpinn.solving.origin import Origin
from vpinn.trial import Trial, beside_elements, elements_trial, has_parts

RISING = (2, 3)
"""Degrees of finite elements to which a network is added; with higher degrees there is little left for the network to add."""
SMALL = 1e-3
"""Relative error estimate at which the degree of these elements is no longer raised."""
MOST = 100_000
"""Number of quadrature points above which a network is not added to finite elements automatically, since with so many points the
noise of mini-batches is larger than the error of the elements."""


def begin(
    problem: Case,
    trial: Trial,
    made: Callable[[Trial, Placement, float], Objective],
    placement: Placement,
    origin: Origin | None = None,
) -> Start:
    """Return the start of training: of the network alone, or of the network added to finite elements.

    ``network.elements`` in the problem file decides this if it is a number. If it is "auto", the network is added to finite
    elements on meshes whose form differs between parts (where the solution has kinks) and on meshes from files, provided that
    the error estimate of the elements is smaller than that of random features.

    Args:
        problem: The problem to solve.
        trial: Trial space of the network alone.
        made: Function that builds an objective from a trial space, a placement and the unit of the functional.
        placement: Device, precision and threads of the steps.
        origin: Another run, whose weights and scales the network takes, alone or beside elements as there; None for random ones.

    Raises:
        InputError: The problem file asks for elements, but they cannot solve the problem; or the other run has no such weights.
    """
    if origin is not None:
        return make_start(problem, origin.begun(problem, trial), made, placement, (origin.trial.scales, origin.weights))
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


def _estimate(problem: Case, trial: Trial, theta: torch.Tensor, tested: int | None = None) -> float:
    """Return the relative error estimate of parameters; infinite if there is none for this form."""
    estimator = make_estimator(problem, trial, tested)
    estimate = None if estimator is None else estimator(theta)
    return math.inf if estimate is None else estimate.relative


def coarse_elements(problem: Case) -> tuple[FiniteElementSolution, float]:
    """Return finite elements and their relative error estimate; the degree rises while that halves it and it is not yet small.

    Raises:
        VpinnError: Finite elements cannot solve the problem.
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
