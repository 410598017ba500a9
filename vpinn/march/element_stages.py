"""Marches on elements: every stage is judged by one whose elements are two degrees higher, on the same mesh and in smaller steps.

Where few cells have most of the error these are bisected for the next stage; elsewhere the yardstick becomes the next stage.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from vpinn.analysis import concentrated, refined
from vpinn.domain import CellPoints, divisible
from vpinn.errors import InputError
from vpinn.features.orthonormal.form import integrals_in_time
from vpinn.finite_elements import LARGEST, expected_functions, rule_degree
from vpinn.march.element_march import ElementMarch, gap_of
from vpinn.march.element_steps import Stepping, march_elements
from vpinn.march.elements import ElementEquations
from vpinn.march.integrate import Collapse, Marched
from vpinn.march.journal import MarchJournal
from vpinn.objective import weakened
from vpinn.problem import Case, Problem, output_times

Array = NDArray[np.float64]
DEGREES = {1: (3, 5, 7, 9, 11), 2: (2, 4, 6, 8, 10), 3: (2, 3, 4, 5)}
"""Dimension → degrees of the stages, the last of which is a yardstick alone."""
TOLERANCE = 1e-6
"""Relative error estimate that is good enough by default."""
LOOSE, TIGHT, FIRST = 0.02, 1e-11, 1e-5
"""Tolerance of the steps over that of the whole, the smallest there is, and that of the first stage."""
BELOW = 1e-3
"""Tolerance of the steps over the last estimate."""
TIGHTER = 0.3
"""The same of every second march over the first, so that their difference tells of errors in time."""
STAGNANT = 0.7
"""Ratio of the estimates of two stages above which the later gains little."""
PATIENCE = 2
"""Such stages in a row after which there is no further one."""
SMOOTH = 3.0
"""Factor by which the estimate falls per degree from which on higher degrees gain more than smaller cells."""
SECONDS = {1: 5e-6, 2: 1e-5, 3: 4e-5}
"""Dimension → seconds of a step per function where the equations are linear, as they are counted."""
NONLINEAR = 4.0
"""The same where they are not, over that."""
SPENT = 20.0
"""Seconds, as they are counted, that stages may take together; more where ``solver.time_limit`` gives more."""


class ElementMarches:
    """Marches of one problem on elements.

    Args:
        problem: in time.
        note: told the stage's number and the time that it has reached, after every step; False ends everything.

    Attributes:
        journal: marches that are read instead of made.
        made: stages whose estimate is known, in order.
        ended: why there is no further one: "tolerance", "grown", "collapse", or "" where ``note`` ended them.
        collapsed: what was computed of a march whose steps became too small.
    """

    def __init__(self, problem: Case, note: Callable[[int, float], bool] = lambda stage, t: True) -> None:
        self.problem = problem
        self._note = note
        self._count = 0
        self.journal = MarchJournal()
        self.made: list[ElementMarch] = []
        self.ended = ""
        self.collapsed: ElementMarch | None = None
        self.tolerance = problem.settings.solver.tolerance or TOLERANCE
        self.instants = np.union1d([problem.clock.start], output_times(problem)).tolist() if problem.clock else []

    @property
    def most(self) -> int:
        """Number of stages that may be made."""
        return len(DEGREES[self.problem.domain.dimension])

    def after(self, journal: MarchJournal, count: int) -> None:
        """Go on with a journal that holds so many marches of another kind."""
        self.journal, self._count = journal, count

    def run(self, told: Callable[[], None] = lambda: None) -> ElementMarch | None:
        """Return the best stage with an estimate; None where none has one since ``note`` ended them.

        Args:
            told: called after every stage whose estimate is known.

        Raises:
            Collapse: the first stage, or its yardstick, comes to an end before the time does.
            InputError: the problem cannot be marched.
        """
        problem, rising = self.problem, DEGREES[self.problem.domain.dimension]
        level = 0
        spent = 0.0
        slow = 0
        gain = math.inf
        allowed = max(SPENT, self.problem.settings.solver.time_limit or 0.0)
        try:
            stage = self._march(problem, rising[0])
            while stage is not None:
                following = self._march(problem, rising[level + 1])
                if following is None:
                    return self._best
                gap, shares = gap_of(stage, following, self.instants)
                self.made.append(replace(stage, estimate=gap, following=following))
                told()
                if gap.relative <= self.tolerance:
                    self.ended = "tolerance"
                    return self._best
                before = self.made[-2] if len(self.made) > 1 else None
                if before is not None:
                    rise = stage.mixed.highest.degree - before.mixed.highest.degree
                    gain = (before.relative / gap.relative) ** (1 / rise) if rise else gain
                    slow = slow + 1 if gap.relative > STAGNANT * before.relative else 0
                if slow >= PATIENCE:
                    break
                spent += self._counted(problem, following.marched.steps, (rising[level + 1],))
                ahead = [
                    (changed, at)
                    for changed, at in self._ahead(problem, level, gain, shares)
                    if spent + self._counted(changed, following.marched.steps, rising[at : at + 2]) <= allowed
                ]
                if not ahead:
                    break
                changed, at = ahead[0]
                stage = following if changed is problem else self._march(changed, rising[at])
                problem, level = changed, at
            else:
                return self._best
        except Collapse:
            if self._best is None:
                raise
            self.ended = "collapse"
            return self._best
        self.ended = "grown"
        return self._best

    def _ahead(self, problem: Case, level: int, gain: float, shares: Array) -> list[tuple[Case, int]]:
        """Return the problems and levels of degrees that may follow, the best first.

        Args:
            problem: of the last stage.
            level: of its degree.
            gain: factor by which the estimate fell per degree.
            shares: each cell's share of the error.
        """
        mesh, rising = problem.domain.with_cells(), DEGREES[problem.domain.dimension]
        higher = [(problem, level + 1)] if level + 2 < len(rising) else []
        if not divisible(mesh) or (problem.periodic and mesh.dimension > 1):  # pairs of sides would no longer match
            return higher
        if higher and gain >= SMOOTH:
            return higher
        bisected = [(replace(problem, domain=refined(mesh, shares)), level)]
        return bisected + higher if concentrated(mesh, shares) or not higher else higher

    @property
    def _best(self) -> ElementMarch | None:
        return min(self.made, key=lambda stage: stage.relative) if self.made else None

    def _march(self, problem: Case, degree: int) -> ElementMarch | None:
        """Return a march, None where ``note`` ended it."""
        mesh = problem.domain.with_cells()
        size = expected_functions(problem, degree)
        if size > LARGEST[mesh.dimension]:
            raise InputError(
                f"elements of degree {degree} have about {size:,.0f} functions, over {LARGEST[mesh.dimension]:,} in "
                f"{mesh.dimension} dimensions; take a coarser mesh"
            )
        number, self._count = self._count, self._count + 1
        equations = ElementEquations(weakened(problem), degree)
        points = CellPoints(mesh, rule_degree(degree, mesh))
        constants = tuple(motion.components[0] for motion in equations.opened)

        def made(marched: Marched) -> ElementMarch:
            return ElementMarch(problem, marched, points, mixed=equations.mixed, constants=constants)

        steps = Stepping(self._step_tolerance(number), lambda t: self._note(number, t))
        try:
            marched = self.journal.marched(number, self.instants[-1], lambda: march_elements(equations, steps))
        except Collapse as collapse:
            if collapse.course is not None:
                self.collapsed = made(Marched(collapse.course, 0, False))
            collapse.place = equations.place(collapse.state)
            raise
        return made(marched) if marched.course.end >= self.instants[-1] else None

    def _step_tolerance(self, number: int) -> float:
        least = max(TIGHT, LOOSE * self.tolerance)
        wanted = float(np.clip(BELOW * self.made[-1].relative, least, FIRST)) if self.made else max(least, FIRST)
        return max(TIGHT, wanted * (TIGHTER if number % 2 else 1.0))

    def _counted(self, problem: Problem, steps: int, degrees: tuple[int, ...]) -> float:
        """Return the seconds of marches, as they are counted."""
        nonlinear = 1.0 if self._linear else NONLINEAR
        d = problem.domain.dimension
        return nonlinear * SECONDS[d] * steps * sum(expected_functions(problem, degree) for degree in degrees)

    @property
    def _linear(self) -> bool:
        return all(all(part.constant) for part in integrals_in_time(weakened(self.problem)))
