"""Decide whether a network is trained alone or added to finite elements, by the error estimates of both before training."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from vpinn.analysis import concentrated, make_estimator, refined
from vpinn.domain import divisible
from vpinn.errors import InputError, VpinnError
from vpinn.finite_elements import solve_fem
from vpinn.objective import Objective
from vpinn.optimization import Start, balanced_start, make_start
from vpinn.placement import Placement
from vpinn.problem import Case
from vpinn.solving.element_stages import STAGNANT, ElementStage, element_stage
from vpinn.solving.origin import Origin
from vpinn.trial import Trial, beside_elements, has_parts, make_trial

RISING = (2, 3)
"""Degrees of finite elements to which a network is added; with higher degrees there is little left for the network to add."""
SMALL = 1e-3
"""Relative error estimate at which the degree of these elements is no longer raised."""
LARGE = 1e-2
"""Relative error estimate down to which cells are bisected where few of them have most of the error, as around corners."""
GROWTH = 5.0
"""Largest ratio of the numbers of cells after and before: the more there are, the dearer is a step on all points."""
MOST = 100_000
"""Number of quadrature points above which a network is not added to finite elements automatically, since with so many points the
noise of mini-batches is larger than the error of the elements."""


def begin(
    problem: Case,
    trial: Trial,
    made: Callable[[Case, Trial, Placement, float], Objective],
    placement: Placement,
    origin: Origin | None = None,
) -> tuple[Case, Start]:
    """Return the problem and the start of training: of the network alone, or of the network added to finite elements.

    ``network.elements`` in the problem file decides this if it is a number. If it is "auto", the network is added to finite
    elements on meshes whose form differs between parts (where the solution has kinks) and on meshes from files, provided that
    the error estimate of the elements is smaller than that of random features. Cells may be bisected for them; the problem that
    is returned is on the mesh of these elements.

    Args:
        problem: The problem to solve.
        trial: Trial space of the network alone.
        made: Function that builds an objective from a problem, a trial space, a placement and the unit of the functional.
        placement: Device, precision and threads of the steps.
        origin: Another run, whose weights and scales the network takes, alone or beside elements as there; None for random ones.

    Raises:
        InputError: The problem file asks for elements, but they cannot solve the problem; or the other run has no such weights.
    """
    asked = problem.settings.network.elements
    problem, alone = balanced_start(problem, trial, made, placement)
    if origin is not None:
        given = origin.trial.scales, origin.weights
        return problem, make_start(problem, origin.begun(problem, trial), partial(made, problem), placement, given)
    if asked == 0:
        return problem, alone
    if asked != "auto":
        try:
            found = solve_fem(problem, asked)
        except InputError as error:
            raise InputError(f"network.elements = {asked}: {error.message}", problem.where("network", "elements")) from None
        both = beside_elements(problem, trial, found.space, found.values, "as the problem file asks")
        return problem, make_start(problem, both, partial(made, problem), placement)
    mesh, parts = problem.domain.mesh, has_parts(problem)
    if mesh is None or (mesh.shape is not None and not parts) or alone.objective.size > MOST:
        return problem, alone
    try:
        stage = coarse_elements(problem, min(GROWTH, MOST / alone.objective.size))
    except VpinnError:
        return problem, alone
    features, theta = alone.look
    estimator = make_estimator(problem, features)
    estimate = None if estimator is None else estimator(theta)
    if stage.relative >= (math.inf if estimate is None else estimate.relative):
        return problem, alone
    found = stage.found
    if stage.first is not None:
        problem = replace(problem, domain=found.mesh)
        trial = make_trial(problem, layers=trial.network.layers[1:-1])
    why = "the form differs between parts of the domain" if parts else "their error estimate is below that of random features"
    both = beside_elements(problem, trial, found.space, found.values, why)
    return problem, make_start(problem, both, partial(made, problem), placement)


def coarse_elements(problem: Case, growth: float = GROWTH) -> ElementStage:
    """Return finite elements to which a network is added, with their error estimate.

    Their degree rises while that halves the estimate and it is not small. If it is still large then, cells are bisected as long
    as few of them have most of the error: around singular corners a higher degree gains little.

    Args:
        problem: The problem to solve.
        growth: Largest ratio of the number of cells to that of the problem's mesh.

    Raises:
        VpinnError: Finite elements cannot solve the problem.
    """
    began = time.perf_counter()
    best = element_stage(problem, RISING[0], began)
    for degree in RISING[1:]:
        if best.relative <= SMALL:
            break
        stage = element_stage(problem, degree, began, best)
        slow = stage.relative > STAGNANT * best.relative
        best = min(best, stage, key=lambda one: one.relative)
        if slow:
            break
    while best.relative > LARGE:
        mesh, shares = best.found.mesh, None if best.estimate is None else best.estimate.cells
        if shares is None or not divisible(mesh) or not concentrated(mesh, shares):
            break
        finer = refined(mesh, shares)
        if finer.n_cells > growth * problem.domain.n_cells:
            break
        stage = element_stage(replace(problem, domain=finer), best.found.space.degree, began, best)
        if stage.relative >= best.relative:
            break
        best = stage
    return best
