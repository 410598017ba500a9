"""Choose the functions of space for a march: orthonormal features for linear problems on boxes, else finite elements."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from vpinn.domain import Box
from vpinn.errors import InputError
from vpinn.features.orthonormal.form import integrals_in_time
from vpinn.march.element_stages import ElementMarches
from vpinn.march.feature_stages import FeatureMarches
from vpinn.march.integrate import Collapse
from vpinn.march.journal import MarchJournal
from vpinn.march.stage import MarchStage
from vpinn.objective import highest_order, weakened
from vpinn.problem import Case, stated_in


def make_marches(problem: Case, note: Callable[[int, float], bool] = lambda stage, t: True) -> Marches:
    """Return the marches of a problem in time.

    Args:
        problem: the problem in time.
        note: called after every time step with the number of the stage and the time reached; if it returns False, all ends.
    """
    if on_elements(problem):
        return ElementMarches(problem, note)
    features = FeatureMarches(problem, note)
    if problem.settings.solver.features is not None or highest_order(weakened(problem)) > 1:
        return features
    return BestMarches(features, ElementMarches(problem, note))


class BestMarches:
    """Marches on features, followed by marches on elements if features miss the tolerance. The better of both is returned.

    Args:
        features: marches that are computed first.
        elements: marches that are computed if the features miss the tolerance.

    Attributes:
        made: stages of both that have an error estimate, in order.
        instants: start of the problem and the instants that are written, rising.
        tolerance: tolerance of the relative error estimate, dimensionless.
        journal: marches of an earlier run, those on features first, which are read instead of computed again.
    """

    def __init__(self, features: FeatureMarches, elements: ElementMarches) -> None:
        self._features, self._elements = features, elements
        self.instants = features.instants
        self.tolerance = features.tolerance
        self.journal = MarchJournal()

    @property
    def made(self) -> list[MarchStage]:
        """Stages of both, in order."""
        return [*self._features.made, *self._elements.made]

    @property
    def most(self) -> int:
        """Largest number of stages of both."""
        return self._features.most + self._elements.most

    @property
    def ended(self) -> str:
        """Reason why no stage follows; see `StagedMarches`."""
        return self._elements.ended or self._features.ended

    @property
    def collapsed(self) -> MarchStage | None:
        """The part of a march that was computed before its steps became too small; None if none collapsed."""
        return self._features.collapsed or self._elements.collapsed

    def run(self, told: Callable[[], None] = lambda: None) -> MarchStage | None:
        """Return the best stage with an estimate; see `FeatureMarches.run`."""
        self._features.journal = self.journal
        best: MarchStage | None = self._features.run(told)
        if best is None or self._features.ended == "tolerance" or not self._features.ended:
            return best
        self._elements.journal, self._elements.count = self.journal, self._features.count
        with contextlib.suppress(Collapse, InputError):
            other = self._elements.run(told)
            if other is not None and other.relative < best.relative:
                return other
        return best


Marches = FeatureMarches | ElementMarches | BestMarches


def on_elements(problem: Case) -> bool:
    """Return whether a problem in time is marched on elements.

    Features are used in three cases: linear problems on boxes, where few functions suffice and modes are exact in time; forms
    with second derivatives, which continuous elements lack; and if ``solver.features`` gives their number.
    """
    clock, stated = problem.time, stated_in(problem.formulation)
    if problem.periodic or any(clock.order(unknown.function, stated) == 0 for unknown in problem.unknowns):
        return True
    if problem.settings.solver.features is not None:
        return False
    weak = weakened(problem)
    if highest_order(weak) > 1:
        return False
    return not isinstance(problem.domain.shape, Box) or not all(all(part.constant) for part in integrals_in_time(weak))
