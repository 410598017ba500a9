"""Marches on elements in stages. A march two degrees higher, on the same mesh and with smaller steps, estimates each error.

If few cells have most of the error, the next stage bisects them. Otherwise the march of higher degree becomes the next stage.
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
from vpinn.march.staged import PATIENCE, SPENT, STAGNANT, StagedMarches
from vpinn.objective import weakened
from vpinn.problem import Case, Problem

Array = NDArray[np.float64]
DEGREES = {1: (3, 5, 7, 9, 11), 2: (2, 4, 6, 8, 10), 3: (2, 3, 4, 5)}
"""Dimension → degrees of the stages; the last one only serves to estimate the error of the one before."""
LOOSE, TIGHT, FIRST = 0.02, 1e-11, 1e-5
"""Relative tolerance of time steps: ratio to the tolerance of the solution, lower bound, and value in the first stage."""
BELOW = 1e-3
"""Ratio of the tolerance of time steps to the last error estimate."""
TIGHTER = 0.3
"""Factor on that tolerance in every second march, so that the difference of two marches includes the errors in time."""
SMOOTH = 3.0
"""The solution counts as smooth if the error estimate falls by this factor per degree: higher degrees then gain more than
smaller cells."""
SECONDS = {1: 5e-6, 2: 1e-5, 3: 4e-5}
"""Dimension → predicted seconds per step and function for linear equations; unlike measured ones they do not vary."""
NONLINEAR = 4.0
"""Factor on these seconds for nonlinear equations."""


class ElementMarches(StagedMarches[ElementMarch]):
    """Marches of one problem on elements."""

    @property
    def most(self) -> int:
        """Largest number of stages, ≥ 1."""
        return len(DEGREES[self.problem.domain.dimension])

    def run(self, told: Callable[[], None] = lambda: None) -> ElementMarch | None:
        """Return the best stage that has an error estimate; None if ``note`` ended the marches before there was one.

        Args:
            told: called after every stage that has an error estimate.

        Raises:
            Collapse: the steps of the first stage, or of the march that estimates its error, became too small.
            InputError: the problem cannot be marched.
        """
        problem, rising = self.problem, DEGREES[self.problem.domain.dimension]
        level = 0
        spent = 0.0
        slow = 0
        gain = math.inf
        allowed = max(SPENT, problem.settings.solver.time_limit or 0.0)
        try:
            stage = self._march(problem, rising[0])
            while stage is not None:
                following = self._march(problem, rising[level + 1])
                if following is None:
                    return self.best
                gap, shares = gap_of(stage, following, self.instants)
                self.made.append(replace(stage, estimate=gap, following=following))
                told()
                if gap.relative <= self.tolerance:
                    self.ended = "tolerance"
                    return self.best
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
                return self.best
        except Collapse:
            if self.best is None:
                raise
            self.ended = "collapse"
            return self.best
        self.ended = "grown"
        return self.best

    def _ahead(self, problem: Case, level: int, gain: float, shares: Array) -> list[tuple[Case, int]]:
        """Return the problems and positions in ``DEGREES`` that the next stage may have, the best choice first.

        Args:
            problem: problem of the last stage.
            level: position of its degree in ``DEGREES``.
            gain: factor by which the error estimate fell per degree.
            shares: share of every cell in the error [n_cells].
        """
        mesh, rising = problem.domain.with_cells(), DEGREES[problem.domain.dimension]
        higher = [(problem, level + 1)] if level + 2 < len(rising) else []
        if not divisible(mesh) or (problem.periodic and mesh.dimension > 1):  # pairs of sides would no longer match
            return higher
        if higher and gain >= SMOOTH:
            return higher
        bisected = [(replace(problem, domain=refined(mesh, shares)), level)]
        return bisected + higher if concentrated(mesh, shares) or not higher else higher

    def _march(self, problem: Case, degree: int) -> ElementMarch | None:
        """Return a march; None if ``note`` ended it."""
        mesh = problem.domain.with_cells()
        size = expected_functions(problem, degree)
        if size > LARGEST[mesh.dimension]:
            raise InputError(
                f"elements of degree {degree} have about {size:,.0f} functions, over {LARGEST[mesh.dimension]:,} in "
                f"{mesh.dimension} dimensions; take a coarser mesh"
            )
        number, self.count = self.count, self.count + 1
        equations = ElementEquations(weakened(problem), degree)
        points = CellPoints(mesh, rule_degree(degree, mesh))
        opened = tuple(motion.components[0] for motion in equations.opened)

        def made(marched: Marched) -> ElementMarch:
            return ElementMarch(problem, marched, points, mixed=equations.mixed, opened=opened)

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
        """Return the predicted seconds of marches of some degrees."""
        nonlinear = 1.0 if self._linear else NONLINEAR
        d = problem.domain.dimension
        return nonlinear * SECONDS[d] * steps * sum(expected_functions(problem, degree) for degree in degrees)

    @property
    def _linear(self) -> bool:
        return all(all(part.constant) for part in integrals_in_time(weakened(self.problem)))
