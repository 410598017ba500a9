"""Settings of a problem file → the plan of a run; the place where names become methods."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Final

from vpinn.domain import Mesh
from vpinn.errors import InputError
from vpinn.objective import Objective, is_sum_of_squares
from vpinn.optimization.broyden import Broyden
from vpinn.optimization.gauss_newton import GaussNewton
from vpinn.optimization.growth import TOLERANCE, LeastSquares
from vpinn.optimization.langevin import Langevin
from vpinn.optimization.lbfgs import Lbfgs
from vpinn.optimization.loop import Plan
from vpinn.optimization.method import Adam, Method, Sgd
from vpinn.optimization.schedule import Schedule
from vpinn.optimization.spring import Spring
from vpinn.problem import Problem, Settings
from vpinn.sampling import Choice, Sampler, make_sampler

METHODS: Final[Mapping[str, Callable[[Settings], Method | LeastSquares]]] = {
    "least-squares": lambda settings: LeastSquares(
        settings.solver.features,
        settings.solver.tolerance or TOLERANCE,
        settings.solver.seed,
        lambda objective: _samplers(settings, objective, True)[0],
    ),
    "adam": lambda settings: Adam(),
    "sgd": lambda settings: Sgd(settings.solver.momentum),
    "lbfgs": lambda settings: Lbfgs(),
    "langevin": lambda settings: Langevin(
        settings.solver.temperature,
        settings.solver.steps or Langevin.steps,
        settings.solver.seed,
        settings.solver.precondition,
    ),
    "broyden": lambda settings: Broyden(),
    "gauss-newton": lambda settings: GaussNewton(),
    "spring": lambda settings: Spring(),
}
"""Names of a problem file → methods."""


def candidates(problem: Problem) -> tuple[str, ...]:
    """Return the methods to try in order; the first that fits the problem is taken.

    ``method = "auto"`` is least squares on meshes, and for strong forms in up to five dimensions, in float64; else L-BFGS
    where every step sees all points, and Adam where it sees a mini-batch.
    """
    solver = problem.settings.solver
    if solver.method != "auto":
        return (solver.method,)
    if problem.settings.batch.size != "full":
        return ("adam",)
    direct = isinstance(problem.domain, Mesh) or (problem.formulation == "strong" and problem.domain.dimension <= 5)
    return ("least-squares", "lbfgs") if direct and solver.precision == "float64" else ("lbfgs",)


def make_plan(name: str, settings: Settings, objective: Objective) -> Plan:
    """Return the plan of a run.

    Args:
        name: method, one of ``METHODS``.
        settings: of the problem.
        objective: what is minimised.

    Raises:
        InputError: the settings do not fit the method or the objective.
    """
    solver, method = settings.solver, METHODS[name](settings)
    samplers, batches = _samplers(settings, objective, method.curved)
    if method.full and samplers:
        raise InputError(
            f'solver.method = "{name}" needs all points in every step; use "adam" with mini-batches, or batch.size = "full"'
        )
    if method.double and solver.precision != "float64":
        raise InputError(f'solver.method = "{name}" needs precision = "float64"; its columns are nearly dependent')
    if method.curved and samplers and objective.estimator in ("two-batch", "u-statistic"):
        raise InputError(
            f'solver.method = "{name}" squares one batch, whose noise has to vanish at the solution, but {objective.why}; '
            'use "adam", a strong form, or batch.estimator = "control-variate" or "plain"'
        )
    if isinstance(method, LeastSquares):
        return Plan(method, Schedule(1.0, 0, len(method.widths)), samplers, tolerance=solver.tolerance)
    if method.drawn and objective.test_space is None and not is_sum_of_squares(objective):
        raise InputError(
            f'solver.method = "{name}" needs squares, as strong and weak forms have; use "adam" or "gauss-newton" for an energy'
        )
    if method.drawn and not samplers:
        raise InputError(f'solver.method = "{name}" works on mini-batches; set batch.size, say to 64, or use "gauss-newton"')
    size = objective.measures[0].network.size
    if method.most is not None and size > method.most:
        raise InputError(
            f'solver.method = "{name}" keeps matrices of {size:,}² numbers; use "lbfgs", or at most {method.most:,} weights'
        )
    steps = solver.steps or method.steps
    if method.learning_rate is None:
        schedule, clip = Schedule(1.0, 0, steps), None
    else:
        rate = solver.learning_rate or method.learning_rate
        schedule, clip = Schedule(rate, solver.warmup, steps, solver.schedule or method.course, solver.decay), solver.clip
    every = solver.checkpoint
    return Plan(method, schedule, samplers, batches, clip, solver.tolerance, solver.time_limit, checkpoint_every=every)


def _samplers(settings: Settings, objective: Objective, one: bool) -> tuple[tuple[Sampler, ...], int]:
    """Return one sampler per measure and the independent batches of a step, but for ``one``; () for all points.

    The boundary gets its share of each batch, but at least 16 points, and a whole facet's, or all.
    """
    batch, size = settings.batch, settings.batch.size
    domain = objective.batched[0].points.size
    if size == "full" or size == domain:
        return (), 1
    if size > domain:
        raise InputError(f'batch.size is {size}, but there are {domain} quadrature points; give 1 to {domain}, or "full"')
    batches = 2 if objective.estimator in ("two-batch", "control-variate") and not one else 1
    shares = [-(-size // batches)]
    for measure in objective.batched[1:]:
        share = math.ceil(shares[0] * measure.points.size / domain)
        shares.append(min(measure.points.size, max(16, len(measure.points.rule_weights), share)))
    if objective.estimator == "u-statistic" and (batch.sampler not in ("uniform", "importance") or not batch.replacement):
        raise InputError(
            'batch.estimator = "u-statistic" needs independent draws: use sampler "uniform" or "importance", or "two-batch"'
        )
    if size < 2 and objective.estimator != "plain":
        raise InputError(f'batch.estimator = "{objective.estimator}" needs a batch.size of at least 2, got {size}')
    kind = settings.quadrature.rule
    if kind == "stochastic-gauss" and batch.sampler != "cells":
        raise InputError(f'quadrature.rule = "{kind}" needs batch.sampler = "cells": the weights of a cell balance only together')
    choice = Choice(batch.sampler, batch.allocation, batch.strata, batch.strata_count, batch.replacement)
    return tuple(
        make_sampler(batch.sampler, m.points, share, choice) for m, share in zip(objective.batched, shares, strict=True)
    ), batches
