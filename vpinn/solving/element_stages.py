"""Stages of finite elements: degrees rise, or cells get smaller, until the error estimate is small enough or falls too slowly."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from vpinn.analysis import UNRESOLVED, Estimate, Estimator, concentrated, make_estimator, refined, resolved_data
from vpinn.domain import CellPoints, divisible
from vpinn.errors import VpinnError
from vpinn.features import DEGREES, Direct
from vpinn.finite_elements import FiniteElementSolution, expected_functions, lowest_degree, rule_degree, solve_fem
from vpinn.placement import HOST
from vpinn.problem import Problem
from vpinn.trial import Trial, elements_trial

CHEAP = 2.0
"""Seconds that further stages may take together beyond the tolerance."""
STAGNANT = 0.5
"""Ratio of the error estimates of two stages above which no further one is worth its seconds."""
SECONDS = {1: 1e-5, 2: 2e-5, 3: 2.5e-5}
"""Dimension → seconds of solution and estimate per function of both and component, on one core. They are counted, not measured,
so that runs can be repeated to the last bit."""
MOST = {1: 100_000, 2: 80_000, 3: 40_000}
"""Dimension → functions that a stage after the first may have."""
SMOOTH = 4.0
"""Factor by which the estimate falls per degree above which a solution counts as smooth: higher degrees gain more than smaller
cells, and features may do better."""
ENOUGH = 1e-4
"""Relative error estimate below which stages that are cheap together follow, and no others unless a tolerance was asked for."""
PATIENCE = 2
"""Stages in a row that gain little, after which there is no further one."""
SPENT = 6.0
"""Seconds of all stages together, as they are counted."""
NEEDED = 20.0
"""The same as long as so much is unresolved that a check fails."""
TRIES = 4.0
"""Active sets that a stage tries where there are obstacles, about."""
HALF = 0.5
"""Relative error estimate above which it is no measure of how fast it falls."""
TINY = 1e-300
"""Estimate that stands for zero where one divides by it."""
ENRICHED = {1: 2, 2: 2, 3: 1}
"""Dimension → degrees by which the elements of the estimate are higher, at least."""


@dataclass(frozen=True)
class ElementStage:
    """Elements of one degree.

    Attributes:
        found: their solution.
        trial: trial space around it.
        estimator: of its error.
        estimate: of its error; None where nothing can be said.
        first: the last stage on the mesh of the problem file; None for one there.
        gain: factor by which the estimate fell per degree when this last rose; 1 before.
        cut: whether it has smaller cells than the stage before.
        seconds: since the first stage began.
    """

    found: FiniteElementSolution
    trial: Trial
    estimator: Estimator | None
    estimate: Estimate | None
    first: ElementStage | None
    gain: float
    cut: bool
    seconds: float

    @property
    def halfway(self) -> bool:
        """Whether a higher degree must follow: in space, smaller cells are dear, and pay together with it only."""
        return self.cut and self.found.mesh.dimension == 3

    @property
    def points(self) -> int:
        """Number of quadrature points inside."""
        space = self.found.space
        return CellPoints(space.mesh, rule_degree(space.degree, space.mesh)).size

    @property
    def theta(self) -> torch.Tensor:
        """Parameters of the network beside the elements: zeros [trial.network.size]."""
        return torch.zeros(self.trial.network.size, dtype=torch.float64, device=HOST)

    @property
    def relative(self) -> float:
        """Relative error estimate, dimensionless; infinite without one."""
        return math.inf if self.estimate is None else self.estimate.relative


def solve_by_elements(
    problem: Problem,
    method: Direct,
    note: Callable[[ElementStage], bool] = lambda stage: True,
    ahead: Callable[[float], None] = lambda seconds: None,
) -> tuple[ElementStage, str]:
    """Return the best stage, and why there is no further one: "tolerance", "grown" or "time limit".

    Cells are bisected first where the rule does not see the data. Then the degree rises where the error is all over the mesh;
    where few cells have most of it, these are bisected.

    Args:
        problem: on a mesh, with a form of first derivatives.
        method: how good is good enough.
        note: told every stage; False ends them.
        ahead: told the seconds that a further stage is expected to take, before it begins.

    Raises:
        InputError: elements cannot solve the problem.
        DivergenceError: Newton's method does not converge for the first of them.
    """
    began = time.perf_counter()
    spent = 0.0
    spare = 0.0
    first = degrees(problem)[0]
    problem = resolved_data(problem, lambda mesh: CellPoints(mesh, rule_degree(first, mesh)))
    best = stage = _stage(problem, first, began)
    slow, pace = 0, best.seconds / counted(problem, first)
    while note(stage) and best.relative > method.aim and slow < PATIENCE:
        if method.time_limit is not None and stage.seconds > method.time_limit:
            return best, "time limit"
        following = _next(stage)
        if following is None:
            break
        changed, degree = following
        left = (SPENT if best.relative <= UNRESOLVED else NEEDED) - spent
        if degree > stage.found.space.degree + 1 and not _affordable(changed, degree, left):
            degree = stage.found.space.degree + 1
        if not _affordable(changed, degree, left):
            break
        cost = counted(changed, degree)
        spent += cost
        if best.relative <= max(method.tolerance, 0.0 if method.asked else ENOUGH):
            spare += cost
            if spare > CHEAP:
                break
        ahead(cost * pace)
        try:
            stage, before = _stage(changed, degree, began, stage), stage
            pace = (stage.seconds - before.seconds) / cost
        except VpinnError:
            break
        slow = slow + (not stage.halfway) if stage.relative > STAGNANT * best.relative else 0
        if stage.relative <= best.relative:
            best = stage
    return best, "tolerance" if best.relative <= method.tolerance else "grown"


def _stage(problem: Problem, degree: int, began: float, before: ElementStage | None = None) -> ElementStage:
    found = solve_fem(problem, degree, near=None if before is None else before.found)
    trial = elements_trial(problem, found.space, found.values)
    estimator = make_estimator(problem, trial, degree)
    estimate = None if estimator is None else estimator(torch.zeros(trial.network.size, dtype=torch.float64, device=HOST))
    gain = 1.0 if before is None else before.gain
    rise = 0 if before is None else degree - before.found.space.degree
    if before is not None and estimate is not None and rise and before.relative <= HALF:
        gain = (before.relative / max(estimate.relative, TINY)) ** (1 / rise)
    first = None
    if before is not None and problem.domain is not before.found.mesh:
        first = before.first or before
    elif before is not None:
        first = before.first
    cut = before is not None and problem.domain is not before.found.mesh
    return ElementStage(found, trial, estimator, estimate, first, gain, cut, time.perf_counter() - began)


def _next(stage: ElementStage) -> tuple[Problem, int] | None:
    """Return the problem on the mesh of the next stage, and its degree; None where there is none."""
    problem, degree = stage.found.problem, stage.found.space.degree
    mesh, rising = stage.found.mesh, degrees(problem)
    shares = None if stage.estimate is None else stage.estimate.cells
    higher = [p for p in rising if p > degree]
    local = divisible(mesh) and degree > rising[0]
    if stage.halfway and higher:
        return problem, higher[0]
    if shares is not None and local and ((stage.gain < SMOOTH and concentrated(mesh, shares)) or not higher):
        return replace(problem, domain=refined(mesh, shares)), degree
    return (problem, higher[0]) if higher else None


def degrees(problem: Problem) -> tuple[int, ...]:
    """Return the degrees of the stages, none for which a multiplier would have degree 0.

    Raises:
        InputError: elements cannot state the problem.
    """
    lowest = lowest_degree(problem)
    return tuple(degree for degree in DEGREES[problem.domain.dimension] if degree >= lowest)


def _affordable(problem: Problem, degree: int, seconds: float) -> bool:
    """Return whether elements of a degree take no more functions than there may be, and no more seconds than are left."""
    return expected_functions(problem, degree) <= MOST[problem.domain.dimension] and counted(problem, degree) <= seconds


def counted(problem: Problem, degree: int) -> float:
    """Return the seconds of a stage with its estimate, as they are counted."""
    d, outputs = problem.domain.dimension, sum(unknown.components for unknown in problem.unknowns)
    tries = TRIES if problem.bounds else 1.0
    return tries * SECONDS[d] * outputs * sum(expected_functions(problem, p) for p in (degree, degree + ENRICHED[d]))
