"""Turn the settings of a problem file into the batches of a run: how their size changes, and samplers of every size.

Start with `make_batching`; `samplers_of` makes the samplers of one size.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache

from vpinn.domain import BoundaryPart
from vpinn.errors import InputError
from vpinn.features.direct import Direct
from vpinn.objective import Objective, has_residual
from vpinn.objective.resolution import SUMMED
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
"""Fewest points of an automatic batch; a step on fewer costs no less."""
LARGEST = 16_384
"""Most points of a growing batch where the problem file says nothing; the memory of a step is proportional to its batch."""
NOISY, JUDGED = 3.0, 1.0
"""Thresholds of the norm test: for steps along gradients, and for steps that the next batch judges."""
PROBE = 1024
"""Fewest points of the batch from which the curvature at the start is measured."""

POLICIES: tuple[type[Policy], ...] = (Fixed, NoiseScale, Geometric, Logarithmic)
"""Policies whose constructors take bounds of the size and nothing else."""

Samplers = tuple[Sampler, ...]


def make_batching(settings: Settings, objective: Objective, method: Method | Direct) -> tuple[Batching | None, Samplers]:
    """Return how batches change over the run, None where they do not, and the samplers of the first batch.

    Where the size of the first batch is to be measured, the samplers are those of the smallest batch.

    Args:
        settings: settings of the problem.
        objective: what is minimised.
        method: method that takes the steps.

    Raises:
        InputError: the settings do not fit the points, the method or each other.
    """
    batch = settings.batch
    size = settings.batch.size
    points = objective.batched[0].points.size
    growth = batch.growth or (NoiseScale.name if size == "auto" else Fixed.name)
    if isinstance(size, int) and size > points:
        raise InputError(f'batch.size is {size}, but there are {points} quadrature points; give 1 to {points}, or "full"')
    if size in ("full", points):
        if growth != Fixed.name or batch.finish:
            raise InputError(f"batch.size is {size}: every step uses all points already; leave out batch.growth and batch.finish")
        if batch.drawn_by:
            raise InputError(
                f"batch.{batch.drawn_by} says how mini-batches are drawn, but batch.size is {size}, which means all points; "
                f"give a smaller batch.size, or leave out batch.{batch.drawn_by}"
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
    """Return the number of independent batches of a step: 2 where a squared residual is estimated by their product, else 1.

    Methods that use curvature take one batch.
    """
    return 2 if objective.estimator in ("two-batch", "control-variate") and not method.curved else 1


def fixed_samplers(settings: Settings, objective: Objective) -> Samplers:
    """Return the samplers of single batches of the size in the settings, () for all points.

    Raises:
        InputError: see ``samplers_of``.
    """
    size = settings.batch.size
    whole = not isinstance(size, int) or size == objective.batched[0].points.size
    return () if whole else samplers_of(settings, objective, int(size), 1)


def samplers_of(settings: Settings, objective: Objective, size: int, count: int, strata_of: int | None = None) -> Samplers:
    """Return one sampler per measure for batches of ``size`` points of the domain.

    The boundary gets points in proportion to its data set. It gets no fewer than 16, than the points of one facet, and than one
    per tag (two where variances by tag are reported or learned), but no more than it has; if it gets all, each is used once.
    Neyman's rule splits the points between the measures anew once it knows their noise.

    Args:
        settings: settings of the problem.
        objective: what is minimised.
        size: points of the domain per step, of all independent batches together.
        count: independent batches of a step, 1 or 2.
        strata_of: size of the batch that fixes the number of strata of adaptive samplers, so that states learned with one size
            hold for others; None for ``size``.

    Raises:
        InputError: the sampler cannot draw so many points, or does not fit the quadrature rule or the estimator.
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
        raise InputError(f'quadrature.rule = "{kind}" is accurate only with all points of a cell; set batch.sampler = "cells"')
    if kind == "stochastic-gauss" and batch.per_cell is not None:
        raise InputError(f'quadrature.rule = "{kind}" is accurate only with all points of a cell; leave out batch.per_cell')
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
    """Return the number of strata whose variances an adaptive sampler learns, None for other samplers."""
    if isinstance(sampler, Quantiles):
        return sampler.strata
    if isinstance(sampler, Importance) or (isinstance(sampler, Stratified) and sampler.pilot_size):
        return len(sampler.edges) - 1
    return None


def _fewest(settings: Settings, objective: Objective, count: int) -> int:
    """Return the size of the smallest automatic batch: ``FEWEST`` points, doubled until the sampler can draw them.

    Raises:
        InputError: the sampler can draw no size.
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
    """Check that batch settings fit the points and the method.

    Raises:
        InputError: they do not.
    """
    batch, points = settings.batch, objective.batched[0].points.size
    if batch.largest is not None and batch.largest > points:
        raise InputError(f"batch.largest is {batch.largest}, but there are {points} quadrature points; give at most {points}")
    noisy = batch.size == "auto" or growth == NoiseScale.name or (growth == NormTest.name and not method.judged)
    if (method.curved or method.blind) and noisy:
        raise InputError(
            f"the batch size would follow the noise of gradients, but {method.name} does not step along gradients; "
            "give a number as batch.size, and another batch.growth"
        )
    if batch.directions is not None and (isinstance(method, Direct) or method.curved or method.blind):
        raise InputError(
            f'batch.directions is for steps along gradients, which solver.method = "{method.name}" does not take; use "adam", or '
            "leave it out"
        )
    if isinstance(method, Direct):
        if growth != Fixed.name or batch.finish:
            raise InputError(f"{method.name} uses every batch once; leave out batch.growth and batch.finish")
    elif method.drawn and batch.finish:
        raise InputError(f"{method.name} needs a mini-batch in every step; leave out batch.finish")
    if objective.size > SUMMED and (batch.finish or batch.largest == points):
        raise InputError(
            f"a step would use all {objective.size:,} points, which is more than {SUMMED:,}; leave out batch.finish, lower "
            "batch.largest, or coarsen the quadrature"
        )
