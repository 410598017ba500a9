"""How long a run may take, for ``vpinn check``: counted from sizes for direct methods, measured on one step for training."""

from __future__ import annotations

import time

from vpinn.features import PILOT, Elements, LeastSquares, counted_seconds
from vpinn.solving.element_stages import counted, degrees
from vpinn.solving.elements import make_rival
from vpinn.solving.least_squares import RECIPES
from vpinn.solving.preparation import Setup

MEASURED = 2_000_000
"""Largest number of points of which one step is taken to measure its time."""


def expected_time(setup: Setup) -> str:
    """Return in words what a run of a steady problem may take; "" where it cannot be told.

    A step of training is measured, unless it has very many points. Direct methods stop by their error estimate, so that the
    number of stages is not known before: the time of the first ones is told.
    """
    method, problem = setup.plan.method, setup.problem
    objective = setup.objective
    if isinstance(method, LeastSquares):
        trials = 1 + len(setup.others)
        look = RECIPES * trials * counted_seconds(objective, PILOT * setup.trial.network.outputs)
        rival = None if method.alone else make_rival(problem, method)
        beside = "" if rival is None else f", two stages of elements {_about(rival.seconds)}"
        return f"a look at features {_about(look)}{beside}; further stages until the tolerance is met"
    if isinstance(method, Elements):
        return f"two stages {_about(sum(counted(problem, degree) for degree in degrees(problem)[:2]))}; further ones as needed"
    if objective.size > MEASURED:
        return ""
    theta = setup.start().theta
    objective.gradient(theta)  # compiles and caches
    began = time.process_time()
    objective.gradient(theta)
    share = min(1.0, (setup.plan.batch_size or objective.size) / objective.size)
    return f"{_about(setup.plan.schedule.steps * share * (time.process_time() - began))} at most, by one gradient"


def _about(seconds: float) -> str:
    if seconds < 1.0:
        return "less than a second"
    return f"about {seconds:.0f} s" if seconds < 100.0 else f"about {seconds / 60.0:.0f} min"
