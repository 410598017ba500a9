"""How long a run may take, for ``vpinn check``: counted from sizes, since a check solves nothing."""

from __future__ import annotations

from vpinn.features import PILOT, Elements, LeastSquares, counted_seconds
from vpinn.solving.element_stages import counted, degrees
from vpinn.solving.elements import make_rival
from vpinn.solving.least_squares import RECIPES
from vpinn.solving.preparation import Setup

STEP = 4e-9
"""Seconds of a gradient per point and weight, on one core."""


def expectation(setup: Setup) -> tuple[str, str]:
    """Return in words why a steady problem is solved by a method, or another instead, and what its run may take.

    Direct methods stop by their error estimate, so that the number of stages is not known before: the time is that of the first
    ones. For training it is that of one gradient per step.
    """
    method, problem = setup.plan.method, setup.problem
    objective, reason = setup.objective, setup.reason
    if isinstance(method, LeastSquares):
        trials = 1 + len(setup.others)
        look = RECIPES * trials * counted_seconds(objective, PILOT * setup.trial.network.outputs)
        rival = None if method.alone else make_rival(problem, method)
        beside = "" if rival is None else f", two stages of elements {_about(rival.seconds)}"
        reason += "" if rival is None else "; or elements, where choosing random features would take longer"
        return reason, f"a look at features {_about(look)}{beside}; further stages until the tolerance is met"
    if isinstance(method, Elements):
        first = sum(counted(problem, degree) for degree in degrees(problem)[:2])
        return reason, f"two stages {_about(first)}; further ones as needed"
    points = setup.plan.batch_size or objective.size
    return reason, f"{_about(STEP * setup.plan.schedule.steps * points * setup.trial.network.size)} for all steps"


def _about(seconds: float) -> str:
    if seconds < 1.0:
        return "less than a second"
    return f"about {seconds:.0f} s" if seconds < 100.0 else f"about {seconds / 60.0:.0f} min"
