"""Settings of a problem file → the plan of a run; the place where names become methods."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Final

from vpinn.errors import InputError
from vpinn.objective import Objective
from vpinn.optimization.lbfgs import Lbfgs
from vpinn.optimization.loop import Plan
from vpinn.optimization.method import Adam, Method, Sgd
from vpinn.optimization.schedule import Schedule
from vpinn.problem import Settings
from vpinn.sampling import Sampler, make_sampler

METHODS: Final[Mapping[str, Callable[[Settings], Method]]] = {
    "adam": lambda settings: Adam(),
    "sgd": lambda settings: Sgd(settings.solver.momentum),
    "lbfgs": lambda settings: Lbfgs(),
}
"""Names of a problem file → methods."""


def make_plan(settings: Settings, objective: Objective) -> Plan:
    """Return the plan of a run.

    ``method = "auto"`` is L-BFGS where every step sees all points and Adam where it sees a mini-batch.

    Raises:
        InputError: the settings do not fit the objective.
    """
    solver = settings.solver
    samplers = _samplers(settings, objective)
    name = solver.method if solver.method != "auto" else "adam" if samplers else "lbfgs"
    if name == "lbfgs" and samplers:
        raise InputError(
            'solver.method = "lbfgs" compares gradients of consecutive steps, which mini-batches make noise; '
            'use "adam" or batch.size = "full"'
        )
    rate = 1.0 if name == "lbfgs" else solver.learning_rate
    warmup = 0 if name == "lbfgs" else solver.warmup
    course = "constant" if name == "lbfgs" else solver.schedule
    schedule = Schedule(rate, warmup, solver.steps, course, solver.decay)
    clip = None if name == "lbfgs" else solver.clip
    return Plan(
        METHODS[name](settings), schedule, samplers, clip, solver.tolerance, solver.time_limit, checkpoint_every=solver.checkpoint
    )


def _samplers(settings: Settings, objective: Objective) -> tuple[Sampler, ...]:
    """Return one sampler per measure; the boundary gets its share of the batch, but at least 16 points or all."""
    size = settings.batch.size
    if size == "full":
        return ()
    domain = objective.measures[0].points.size
    if size > domain:
        raise InputError(f'batch.size is {size}, but there are {domain} quadrature points; give 1 to {domain}, or "full"')
    shares = [min(m.points.size, max(16, math.ceil(size * m.points.size / domain))) for m in objective.measures]
    shares[0] = size
    return tuple(
        make_sampler(settings.batch.sampler, m.points, share) for m, share in zip(objective.measures, shares, strict=True)
    )
