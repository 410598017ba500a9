"""Settings of a problem file → the batches of a run: samplers of every size that a policy may ask for."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache

from vpinn.domain import BoundaryPart
from vpinn.errors import InputError
from vpinn.features.direct import Direct
from vpinn.objective import Objective, has_residual
from vpinn.objective.statement import SUMMED
from vpinn.optimization.batches import Batching
from vpinn.optimization.method import Method, Sgd
from vpinn.optimization.schedule import SCALINGS
from vpinn.problem import Settings
from vpinn.sampling import (
    LOOK_EVERY,
    Choice,
    Fixed,
    Geometric,
    Importance,
    Logarithmic,
    NoiseScale,
    NormTest,
    Policy,
    Quantiles,
    Sampler,
    Stratified,
    Uniform,
    least_points,
    make_sampler,
)

FEWEST = 32
"""Points of an automatic batch at least: below, a step costs no less."""
LARGEST = 16_384
"""Points of a batch at most where nothing is said: memory is that of the batch."""
NOISY, JUDGED = 3.0, 1.0
"""Thresholds of the norm test for steps along gradients, and for steps that the next batch judges."""
PROBE = 1024
"""Points, at least, of the batch that shows the curvature at the start."""

POLICIES: tuple[type[Policy], ...] = (Fixed, NoiseScale, Geometric, Logarithmic)
"""Policies that take nothing but sizes."""

Samplers = tuple[Sampler, ...]


def make_batching(settings: Settings, objective: Objective, method: Method | Direct) -> tuple[Batching | None, Samplers]:
    """Return how batches change, None where they do not, and the samplers of the first one (least one where it is measured).

    Args:
        settings: of the problem.
        objective: what is minimised.
        method: what takes the steps.

    Raises:
        InputError: the settings do not fit the points, the method or each other.
    """
    batch, size, points = settings.batch, settings.batch.size, objective.batched[0].points.size
    growth = batch.growth or (NoiseScale.name if size == "auto" else Fixed.name)
    if isinstance(size, int) and size > points:
        raise InputError(f'batch.size is {size}, but there are {points} quadrature points; give 1 to {points}, or "full"')
    if size in ("full", points):
        if growth != Fixed.name or batch.finish:
            raise InputError(f"batch.size is {size}: steps see all points from the first one on; leave out growth and finish")
        if batch.drawn_by:
            raise InputError(
                f"batch.{batch.drawn_by} says how mini-batches are drawn, but batch.size is {size}, all points; "
                "give fewer, or leave it out"
            )
        return None, ()
    _check(settings, objective, method, growth)
    start, count = size if isinstance(size, int) else None, independent(objective, method)
    least = start if start is not None and growth != NoiseScale.name else _fewest(settings, objective, count)
    made = lru_cache(maxsize=8)(lambda wanted: samplers_of(settings, objective, wanted, count, least))
    if isinstance(method, Direct) or (start is not None and growth == Fixed.name and not batch.finish):
        return None, made(start or least)
    most = points if method.judged and objective.size <= SUMMED else LARGEST
    largest = batch.largest or min(points, most, objective.measures[0].network.size if method.drawn else points)
    largest = max(largest, start or least)
    threshold, every = (JUDGED, 1) if method.judged else (NOISY, LOOK_EVERY)
    policy: Policy = NormTest(points, least, largest, batch.threshold or threshold, every)
    if growth != policy.name:
        policy = next(kind for kind in POLICIES if kind.name == growth)(points, least, largest)
    if growth == Logarithmic.name:
        policy = Logarithmic(points, least, largest, batch.barrier is not None)
    scaling = SCALINGS[settings.solver.scaling or ("none" if growth == Logarithmic.name else method.scaling)]
    stretch = 1.0 / (1.0 - method.momentum) if isinstance(method, Sgd) else 1.0
    barrier = None if batch.barrier is None else batch.barrier / objective.unit
    return Batching(policy, start, made, batch.finish, scaling, barrier, stretch), made(start or least)


def independent(objective: Objective, method: Method | Direct) -> int:
    """Return the independent batches of a step: two where a squared residual is their product; curvature takes one."""
    return 2 if objective.estimator in ("two-batch", "control-variate") and not method.curved else 1


def fixed_samplers(settings: Settings, objective: Objective) -> Samplers:
    """Return the samplers of single batches of the size that the settings give, () for all points.

    Raises:
        InputError: see ``samplers_of``.
    """
    size = settings.batch.size
    whole = not isinstance(size, int) or size == objective.batched[0].points.size
    return () if whole else samplers_of(settings, objective, int(size), 1)


def samplers_of(settings: Settings, objective: Objective, size: int, count: int, strata_of: int | None = None) -> Samplers:
    """Return one sampler per measure for batches of ``size`` points of the domain.

    The boundary gets its share of each batch, but at least 16 points, a whole facet's, and one of every tag (two where variances
    by tag are told or learned), or all: each of them once. Neyman's rule splits the points of all measures anew once it knows
    their noise.

    Args:
        settings: of the problem.
        objective: what is minimised.
        size: points per step, of all independent batches.
        count: independent batches of a step, 1 or 2.
        strata_of: size of the batch that says how many strata adaptive samplers have, so that what they learned of them
            holds for other sizes, too; None for ``size``.

    Raises:
        InputError: the sampler cannot draw that many, or does not fit rule or estimator.
    """
    batch, domain = settings.batch, objective.batched[0].points.size
    choice = Choice(batch.sampler, batch.allocation, batch.strata, batch.strata_count, batch.replacement, batch.per_cell)
    shares = [-(-size // count)]
    for measure in objective.batched[1:]:
        share = math.ceil(shares[0] * measure.points.size / domain)
        least = max(16, len(measure.points.rule_weights), least_points(measure.points, choice))
        shares.append(min(measure.points.size, max(least, share)))
    if size < 2 and objective.estimator != "plain":
        raise InputError(f'batch.estimator = "{objective.estimator}" needs a batch.size of at least 2, got {size}')
    kind = settings.quadrature.rule
    if kind == "stochastic-gauss" and batch.sampler != "cells":
        raise InputError(f'quadrature.rule = "{kind}" needs batch.sampler = "cells": the weights of a cell balance only together')
    if kind == "stochastic-gauss" and batch.per_cell is not None:
        raise InputError(f'quadrature.rule = "{kind}" has weights that balance in whole cells only; leave out per_cell')
    if batch.sampler == "stratified" and batch.strata == "residual" and not has_residual(objective.batched):
        raise InputError('batch.strata = "residual" needs a weak or a strong form; use "gradient" with an energy')
    choices = [choice] * len(shares)
    if strata_of not in (None, size):
        choices = [replace(choice, count=_strata(s) or choice.count) for s in samplers_of(settings, objective, strata_of, count)]
    made = tuple(
        Uniform(share, share, replacement=False)
        if measure.region is BoundaryPart and share == measure.points.size and objective.estimator != "u-statistic"
        else make_sampler(batch.sampler, measure.points, share, chosen)
        for measure, share, chosen in zip(objective.batched, shares, choices, strict=True)
    )
    if objective.estimator == "u-statistic" and not all(sampler.independent for sampler in made):
        raise InputError(
            'batch.estimator = "u-statistic" needs independent draws: use sampler "uniform" or "importance", or "two-batch"'
        )
    return made


def _strata(sampler: Sampler) -> int | None:
    """Return the number of strata that an adaptive sampler learns about, None for others."""
    if isinstance(sampler, Quantiles):
        return sampler.strata
    if isinstance(sampler, Importance) or (isinstance(sampler, Stratified) and sampler.pilot_size):
        return len(sampler.edges) - 1
    return None


def _fewest(settings: Settings, objective: Objective, count: int) -> int:
    """Return the smallest automatic batch: ``FEWEST`` points, doubled until the sampler can draw them.

    Raises:
        InputError: it can draw no number of them.
    """
    points, size = objective.batched[0].points.size, FEWEST * count
    while size < points:
        try:
            samplers_of(settings, objective, size, count)
        except InputError:
            size *= 2
        else:
            return size
    samplers_of(settings, objective, points, count)
    return points


def _check(settings: Settings, objective: Objective, method: Method | Direct, growth: str) -> None:
    batch, points = settings.batch, objective.batched[0].points.size
    if batch.largest is not None and batch.largest > points:
        raise InputError(f"batch.largest is {batch.largest}, but there are {points} quadrature points; give at most {points}")
    noisy = batch.size == "auto" or growth == NoiseScale.name or (growth == NormTest.name and not method.judged)
    if (method.curved or method.blind) and noisy:
        raise InputError(f"the noise of gradients says nothing of {method.name}; give a number as batch.size, and another growth")
    if isinstance(method, Direct):
        if growth != Fixed.name or batch.finish:
            raise InputError(f"{method.name} takes every batch once; leave out batch.growth and batch.finish")
    elif method.drawn and batch.finish:
        raise InputError(f"{method.name} works on mini-batches to its end; leave out batch.finish")
    if objective.size > SUMMED and (batch.finish or batch.largest == points):
        raise InputError(
            f"a step would see all {objective.size:,} points, which is more than {SUMMED:,}; leave out batch.finish, give "
            "batch.largest, or coarsen the quadrature"
        )
