"""Solve with finite elements in stages: raise the degree or bisect cells until the error estimate is small or falls too slowly.

Whether a further stage is affordable is decided by counting functions, not by measuring time, so that runs are reproducible.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from vpinn.analysis import UNRESOLVED, Estimate, Estimator, concentrated, make_estimator, refined, resolved_data
from vpinn.domain import CellPoints, divisible, rounded
from vpinn.errors import InputError, VpinnError
from vpinn.features import DEGREES, Direct
from vpinn.finite_elements import FiniteElementSolution, expected_functions, lowest_degree, rule_degree, solve_fem
from vpinn.placement import HOST
from vpinn.problem import Case, Evaluable, Problem
from vpinn.trial import Trial, elements_trial

CHEAP = 2.0
"""Counted seconds that all stages after the tolerance was reached may take together."""
STAGNANT = 0.5
"""Ratio of the error estimate to the best one so far above which a stage counts as no gain."""
SECONDS = {1: 1e-5, 2: 2e-5, 3: 2.5e-5}
"""Dimension → counted seconds per function, for the solution and its error estimate on one core; in space per function and
component, as iterations go through all entries of the matrix."""
HEAVY = {1: math.inf, 2: 6, 3: 4}
"""Dimension → degree above which a function costs more, as the degree in the plane and its square in space: so many overlap."""
MOST = {1: 100_000, 2: 80_000, 3: 40_000}
"""Dimension → largest number of functions of a stage after the first."""
SMOOTH = 4.0
"""A solution counts as smooth if the error estimate falls by at least this factor when the degree rises by one: then higher
degrees gain more than smaller cells, and random features may be better still."""
ENOUGH = 1e-4
"""Relative error estimate below which only cheap stages follow, unless the problem file sets a tolerance."""
PATIENCE = 2
"""Number of consecutive stages without gain after which the stages end."""
SPENT = 6.0
"""Counted seconds that all stages may take together."""
NEEDED = 20.0
"""The same as long as the error estimate is so large that a check fails."""
TRIES = 4.0
"""Approximate number of active sets that a stage tries in problems with obstacles."""
HALF = 0.5
"""Relative error estimate above which the estimate is too coarse to measure how fast it falls."""
TINY = 1e-300
"""Smallest error estimate in divisions."""
ROUNDINGS = 3
"""Number of times that facets along smooth curves are halved at most; each divides their distance from the curve by about 16."""
ENRICHED = {1: 2, 2: 2, 3: 1}
"""Dimension → how much higher the degree of the elements of the error estimate is, at least."""


@dataclass(frozen=True)
class ElementStage:
    """A solution by finite elements of one degree on one mesh.

    Attributes:
        problem: The problem, on the mesh of the elements.
        found: The solution.
        trial: Trial space that contains the solution.
        estimator: Estimator of its error; None if there is none for this form.
        estimate: Estimate of its error; None if there is none.
        first: The last stage on the mesh of the problem file; None if this stage is on that mesh.
        gain: Factor per degree by which the error estimate fell when the degree last rose; 1 before.
        cut: Whether its cells are smaller than those of the stage before.
        seconds: Seconds since the first stage began.
    """

    problem: Case
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
        """Number of quadrature points in the domain."""
        space = self.found.space
        return CellPoints(space.mesh, rule_degree(space.degree, space.mesh)).size

    @property
    def theta(self) -> torch.Tensor:
        """Parameters of the network beside the elements: zeros [trial.network.size]."""
        return torch.zeros(self.trial.network.size, dtype=torch.float64, device=HOST)

    @property
    def relative(self) -> float:
        """Relative error estimate, dimensionless; infinite if there is none."""
        return math.inf if self.estimate is None else self.estimate.relative


def solve_by_elements(
    problem: Case,
    method: Direct,
    note: Callable[[ElementStage], bool] = lambda stage: True,
    ahead: Callable[[float], None] = lambda seconds: None,
    start: Evaluable | None = None,
) -> tuple[ElementStage, str]:
    """Return the best stage, and why there is no further one: "tolerance", "grown" or "time limit".

    First, cells in which the quadrature rule does not resolve the data are bisected. Then each stage either raises the degree or,
    if few cells have most of the error and the solution is not smooth, bisects these cells.

    Args:
        problem: A problem on a mesh, whose form has derivatives of first order.
        method: Tolerance and time limit.
        note: Called with every stage; if it returns False, the stage is the last.
        ahead: Called before a further stage, with the seconds that it is expected to take.
        start: Fields from which Newton's method starts; None: from the boundary values.

    Raises:
        InputError: Finite elements cannot solve the problem.
        DivergenceError: Newton's method does not converge in the first stage.
    """
    began = time.perf_counter()
    spent = 0.0
    spare = 0.0
    first = degrees(problem)[0]
    problem = resolved_data(problem, lambda mesh: CellPoints(mesh, rule_degree(first, mesh)))
    problem = _rounded(problem)
    best = stage = element_stage(problem, first, began, start=start)
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
            stage, before = element_stage(changed, degree, began, stage, start), stage
            pace = (stage.seconds - before.seconds) / cost
        except VpinnError:
            break
        slow = slow + (not stage.halfway) if stage.relative > STAGNANT * best.relative else 0
        if stage.relative <= best.relative:
            best = stage
    return best, "tolerance" if best.relative <= method.tolerance else "grown"


def _rounded(problem: Case) -> Case:
    """Return the problem on a mesh whose facets follow smooth curves more closely.

    Given fields may end where the mesh does, and loads at points or along edges may lie on its boundary: it stays as it is then.
    """
    if problem.settings.fields or any(load.carriers is not None for load in problem.loads):
        return problem
    return replace(problem, domain=rounded(problem.domain.with_cells(), ROUNDINGS))


def element_stage(
    problem: Case, degree: int, began: float, before: ElementStage | None = None, start: Evaluable | None = None
) -> ElementStage:
    """Return the solution of a problem by finite elements of one degree on its mesh, with its error estimate.

    Args:
        problem: The problem, on the mesh of the stage.
        degree: Polynomial degree of the elements, ≥ 1.
        began: When the first stage began, by ``time.perf_counter``.
        before: The stage before; None for the first.
        start: Field at which Newton's method of the first stage starts; None for zero.

    Raises:
        VpinnError: Finite elements cannot solve the problem.
    """
    found = solve_fem(problem, degree, near=None if before is None else before.found, start=start)
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
    return ElementStage(problem, found, trial, estimator, estimate, first, gain, cut, time.perf_counter() - began)


def _next(stage: ElementStage) -> tuple[Case, int] | None:
    """Return the problem on the mesh of the next stage, and its degree; None if there is no next stage."""
    problem, degree = stage.problem, stage.found.space.degree
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
    """Return the degrees of the stages in rising order; multipliers such as a pressure have a degree ≥ 1 in each of them.

    Raises:
        InputError: Finite elements cannot state the problem.
    """
    d = problem.domain.dimension
    if d not in DEGREES:
        raise InputError(f"finite elements have at most {max(DEGREES)} dimensions, got {d}")
    lowest = lowest_degree(problem)
    return tuple(degree for degree in DEGREES[d] if degree >= lowest)


def _affordable(problem: Problem, degree: int, seconds: float) -> bool:
    """Return whether a stage has at most ``MOST`` functions and takes at most the given counted seconds."""
    return expected_functions(problem, degree) <= MOST[problem.domain.dimension] and counted(problem, degree) <= seconds


def counted(problem: Problem, degree: int) -> float:
    """Return the counted seconds of a stage and its error estimate."""
    d, outputs = problem.domain.dimension, sum(unknown.components for unknown in problem.unknowns)
    tries, coupled = TRIES if problem.bounds else 1.0, outputs if d == 3 else 1
    weights = {p: max(1.0, p / HEAVY[d]) ** (d - 1) for p in (degree, degree + ENRICHED[d])}
    return tries * SECONDS[d] * coupled * sum(weight * expected_functions(problem, p) for p, weight in weights.items())
