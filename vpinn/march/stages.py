"""Which space a problem in time is marched on: features where it is linear on a box, else elements."""

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
        problem: in time.
        note: told a stage's number and the time that it has reached, after every step; False ends everything.
    """
    if on_elements(problem):
        return ElementMarches(problem, note)
    features = FeatureMarches(problem, note)
    if problem.settings.solver.features is not None or highest_order(weakened(problem)) > 1:
        return features
    return BestMarches(features, ElementMarches(problem, note))


class BestMarches:
    """Marches on features, and on elements where features miss the tolerance: the better of both is the answer.

    Args:
        features: tried first.
        elements: tried then.

    Attributes:
        made: stages of both whose estimate is known, in order.
        instants: of the problem, and those that are written.
        tolerance: of the error estimate.
        journal: marches of both, in order, that are read instead of made.
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
        """Number of stages that may be made."""
        return self._features.most + self._elements.most

    @property
    def ended(self) -> str:
        """Why there is no further stage."""
        return self._elements.ended or self._features.ended

    @property
    def collapsed(self) -> MarchStage | None:
        """What was computed of a march whose steps became too small."""
        return self._features.collapsed or self._elements.collapsed

    def run(self, told: Callable[[], None] = lambda: None) -> MarchStage | None:
        """Return the best stage with an estimate; see `FeatureMarches.run`."""
        self._features.journal = self.journal
        best: MarchStage | None = self._features.run(told)
        if best is None or self._features.ended == "tolerance" or not self._features.ended:
            return best
        self._elements.after(self.journal, self._features.count)
        with contextlib.suppress(Collapse, InputError):
            other = self._elements.run(told)
            if other is not None and other.relative < best.relative:
                return other
        return best


Marches = FeatureMarches | ElementMarches | BestMarches


def on_elements(problem: Case) -> bool:
    """Return whether a problem in time is marched on elements.

    Features take linear problems on boxes, where modes are exact in time and few functions do, second derivatives, which
    continuous elements lack, and what asks for a number of them.
    """
    clock, stated = problem.clock, stated_in(problem.formulation)
    assert clock is not None
    if problem.periodic or any(clock.order(unknown.function, stated) == 0 for unknown in problem.unknowns):
        return True
    if problem.settings.solver.features is not None:
        return False
    weak = weakened(problem)
    if highest_order(weak) > 1:
        return False
    return not isinstance(problem.domain.shape, Box) or not all(all(part.constant) for part in integrals_in_time(weak))
