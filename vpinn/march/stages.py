"""Which space a problem in time is marched on: features where it is linear on a box, else elements."""

from __future__ import annotations

from collections.abc import Callable

from vpinn.domain import Box
from vpinn.features.orthonormal.form import integrals_in_time
from vpinn.march.element_stages import ElementMarches
from vpinn.march.feature_stages import FeatureMarches
from vpinn.objective import highest_order, weakened
from vpinn.problem import Problem, stated_in

Marches = FeatureMarches | ElementMarches


def make_marches(problem: Problem, note: Callable[[int, float], bool] = lambda stage, t: True) -> Marches:
    """Return the marches of a problem in time.

    Args:
        problem: in time.
        note: told a stage's number and the time that it has reached, after every step; False ends everything.
    """
    return ElementMarches(problem, note) if on_elements(problem) else FeatureMarches(problem, note)


def on_elements(problem: Problem) -> bool:
    """Return whether a problem in time is marched on elements.

    Features take linear problems on boxes, where modes are exact in time and few functions do, second derivatives, which continuous
    elements lack, and what asks for a number of them.
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
