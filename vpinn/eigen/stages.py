"""Stages of an eigenproblem: degrees rise, or cells get smaller, until the eigenvalues are known well enough."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vpinn.analysis import concentrated, refined
from vpinn.domain import Mesh, divisible
from vpinn.eigen.discrete import Discretised, EigenErrors, check_form, compare, discretise, nearest
from vpinn.errors import InputError, VpinnError
from vpinn.finite_elements import expected_functions, lowest_degree
from vpinn.problem import Problem

Array = NDArray[np.float64]
RISE = {1: 2, 2: 2, 3: 1}
"""Dimension → degrees by which the elements that judge a stage are higher, and by which a smooth solution is refined."""
FIRST, LAST = {1: 4, 2: 2, 3: 1}, {1: 12, 2: 12, 3: 8}
"""Dimension → degrees of the first stage, and of the last elements that judge one."""
MOST = {1: 300_000, 2: 150_000, 3: 50_000}
"""Dimension → functions that the elements which judge a stage may have."""
SECONDS = {1: 2e-5, 2: 1e-4, 3: 4e-4}
"""Dimension → seconds of a stage per function of its richer elements, on one core. They are counted, not measured, so that runs
can be repeated to the last bit."""
TOLERANCE = 1e-10
"""Relative error of the eigenvalues that is small enough where nothing else is asked for."""
ENOUGH = 1e-6
"""Relative error below which no stage of more than ``SPENT`` seconds follows where nothing is asked for."""
SPENT, NEEDED = 5.0, 10.0
"""Seconds that a further stage may take below ``ENOUGH``, and above it, where nothing is asked for."""
SMALL = 1e-3
"""Size of an eigenvalue relative to the largest one wanted, below which its error is judged by the latter's size."""
ROUNDED = 2.0
"""Estimated error over that of rounding below which no further stage gains anything."""
STAGNANT = 0.5
"""Ratio of the estimated errors of two stages above which the later one gains little."""
PATIENCE = 2
"""Stages in a row that gain little, after which there is no further one."""
MOST_LEFT = 0.6
"""Largest share of an error that a rise of the degree is taken to leave."""
SMOOTH = 16.0
"""Factor by which eigenvalue errors fall per degree, above which higher degrees gain more than smaller cells."""


@dataclass(frozen=True, eq=False)
class EigenStage:
    """Eigenpairs on elements of one degree, with an estimate of their errors.

    Attributes:
        found: the eigenpairs.
        chosen: positions of the wanted ones among them [count].
        errors: what they miss that the richer elements have.
        missed: factor ≥ 1 of the error of each eigenvalue over what the richer elements have of it [count].
        seconds: since the first stage began.
    """

    found: Discretised
    chosen: NDArray[np.int64]
    errors: EigenErrors
    missed: Array
    seconds: float

    @property
    def bounds(self) -> Array:
        """Estimated error of every eigenvalue [count], in units of λ."""
        return self.errors.differences * self.missed + self.errors.rounding

    @property
    def values(self) -> NDArray[Any]:
        """Eigenvalues [count]."""
        return np.asarray(self.found.pairs.values[self.chosen])

    @property
    def relative(self) -> float:
        """Largest estimated error of an eigenvalue relative to its size, or to a thousandth of the largest one's."""
        return float((self.bounds / self._sizes).max())

    @property
    def floor(self) -> float:
        """Relative error at which rounding of the matrices is no longer small beside that of the elements."""
        return ROUNDED * float((self.errors.rounding / self._sizes).max())

    @property
    def _sizes(self) -> Array:
        sizes = np.abs(self.values)
        return np.maximum(sizes, SMALL * sizes.max()) if sizes.any() else np.ones(len(sizes))


def solve_in_stages(
    problem: Problem, asked: float | None, generator: Callable[[], np.random.Generator], note: Callable[[EigenStage], bool]
) -> tuple[EigenStage, str]:
    """Return the best stage, and why there is no further one: "tolerance" or "grown".

    Args:
        problem: an eigenproblem on a mesh.
        asked: relative error of the eigenvalues that is small enough, > 0; None for ``TOLERANCE``, or for less where a further
            stage would take long.
        generator: returns the generator of a stage; the same for all, so that stages do not depend on each other.
        note: called with every stage; if it returns False, the stages end.

    Raises:
        InputError: elements cannot state the problem, or the mesh is too coarse for so many eigenvalues, whatever the degree.
        DivergenceError: the search for eigenvalues of the first stage does not converge.
    """
    check_form(problem, lowest_degree(problem), generator())
    best = None
    slow = 0
    tolerance = asked or TOLERANCE
    for stage in _stages(problem, generator, time.perf_counter()):
        slow = 0 if best is None or stage.relative <= STAGNANT * best.relative else slow + 1
        if best is None or stage.relative < best.relative:
            best = stage
        if not note(stage) or best.relative <= max(tolerance, best.floor) or slow == PATIENCE:
            break
        if asked is None and _counted(stage) > (SPENT if best.relative <= ENOUGH else NEEDED):
            break
    assert best is not None
    return best, "tolerance" if best.relative <= max(tolerance, best.floor) else "grown"


def _counted(stage: EigenStage) -> float:
    """Return the seconds that a further stage takes, as they are counted."""
    mixed = stage.found.mixed
    d = mixed.mesh.dimension
    return SECONDS[d] * expected_functions(stage.found.problem, mixed.highest.degree + 2 * RISE[d])


def _stages(problem: Problem, generator: Callable[[], np.random.Generator], began: float) -> Iterator[EigenStage]:
    """Yield stages, each on richer elements than the one before, while they can be afforded."""
    coarse: Discretised | None = _first(problem, generator)
    before: EigenStage | None = None
    while coarse is not None:
        problem = coarse.problem
        mesh = coarse.mixed.mesh
        degree = coarse.mixed.highest.degree
        eigen, d = problem.eigen, mesh.dimension
        assert eigen is not None
        fine = _tried(problem, degree + RISE[d], generator, before)
        if fine is None:
            return
        errors = compare(coarse, fine, eigen.count)
        missed = _missed(errors, before, mesh)
        stage = EigenStage(coarse, nearest(coarse, eigen.count), errors, missed, time.perf_counter() - began)
        yield stage
        higher = degree + 2 * RISE[d] <= LAST[d] and expected_functions(problem, degree + 2 * RISE[d]) <= MOST[d]
        if _cuts(stage, before) or not higher:
            if not divisible(mesh):
                return
            problem = replace(problem, domain=refined(mesh, errors.cells))
            if expected_functions(problem, degree + RISE[d]) > MOST[d]:
                return
            coarse = _tried(problem, degree, generator, stage)
        else:
            coarse = fine
        before = stage


def _tried(
    problem: Problem, degree: int, generator: Callable[[], np.random.Generator], before: EigenStage | None
) -> Discretised | None:
    """Return the eigenpairs on elements of a degree; None where they cannot be found but a stage before them could.

    Raises:
        VpinnError: they cannot be found, and there is no stage before.
    """
    try:
        return discretise(problem, degree, generator())
    except VpinnError:
        if before is None:
            raise
        return None


def _missed(errors: EigenErrors, before: EigenStage | None, mesh: Mesh) -> Array:
    """Return the factor of errors over the differences from richer elements [count].

    If every rise of the degree leaves the share q of an error, a difference is 1 − q of it. q is small where a mode is smooth,
    and not at a corner; it is seen when the degree rises on a mesh, and taken from there where cells become smaller.
    """
    if before is None:
        return np.ones(len(errors.differences))
    if before.found.mixed.mesh is not mesh:
        return before.missed
    shares = errors.differences / np.maximum(before.errors.differences, np.finfo(np.float64).tiny)
    return np.asarray(1.0 / (1.0 - np.minimum(shares, MOST_LEFT)))


def _cuts(stage: EigenStage, before: EigenStage | None) -> bool:
    """Return whether smaller cells follow a stage, and not a higher degree.

    They do where the last rise of the degree gained little and few cells have most of the error, as at a corner. A rise of
    the degree follows them: together both converge exponentially there (hp method).
    """
    if before is None or before.found.mixed.mesh is not stage.found.mixed.mesh or not divisible(stage.found.mixed.mesh):
        return False
    rise = stage.found.mixed.highest.degree - before.found.mixed.highest.degree
    gain = (before.relative / stage.relative) ** (1.0 / rise)
    return gain < SMOOTH and concentrated(stage.found.mixed.mesh, stage.errors.cells)


def _first(problem: Problem, generator: Callable[[], np.random.Generator]) -> Discretised:
    """Return the eigenpairs on elements of the lowest degree that has enough functions."""
    mesh = problem.domain.with_cells()
    d = mesh.dimension
    for degree in range(max(FIRST[d], lowest_degree(problem)), LAST[d] - RISE[d], RISE[d]):
        try:
            return discretise(problem, degree, generator())
        except InputError:
            continue
    return discretise(problem, LAST[d] - RISE[d], generator())
