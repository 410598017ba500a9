"""Samplers as training will draw them, compared at the size that is recommended, with what adaptive ones learn from pilots.

They are made by the factory of training from the lines that a problem file would have: size, sampler, allocation, strata. What
counts is E‖ĝ − ∇J‖² of a step at equal points: a sampler that draws points for pilots has so many fewer for its steps. It has to
be less at all places of a run that are looked at: what is learned pays late in a run more often than early.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from torch import Tensor

from vpinn.errors import InputError
from vpinn.noise.contributions import Contributions
from vpinn.noise.draws import drawer, mean_and_error, repeat
from vpinn.objective import Objective
from vpinn.optimization.batches import PILOT_EVERY, pilots
from vpinn.optimization.batching import samplers_of
from vpinn.optimization.split import PAIRS, batches_of
from vpinn.placement import host, wide
from vpinn.problem import Settings
from vpinn.problem.numerics import Batch
from vpinn.sampling import Adaptive, Sampler, State, movable

Keys: TypeAlias = Mapping[str, str | int]
"""Lines of ``[batch]``."""
CHOICES: tuple[Keys, ...] = (
    {"sampler": "uniform"},
    {"sampler": "stratified"},
    {"sampler": "antithetic"},
    {"sampler": "sobol"},
    {"sampler": "cells"},
    {"sampler": "stratified", "allocation": "neyman"},
    {"sampler": "stratified", "allocation": "equal-variance"},
    {"sampler": "importance"},
)
"""What is compared, the simplest first: what learns from pilots comes last."""
PILOTS, GROUPS = 8, 4
"""Pilots before draws, and how often they are learned from anew: the averages over pilots forget nine tenths in six."""
DRAWS, DRAWN = (64, 600), 2_000_000
"""Fewest and most steps per candidate, and points drawn for all of them up to which they are more than the fewest, by default."""
BEYOND = 2.0
"""Standard errors of a difference up to which two variances count as equal."""
ALIKE = 0.25
"""Part by which a variance may be above the lowest one where it is not so beyond errors."""
MOST_BYTES = 300e6
"""Memory for what points contribute; beyond it, batches go through the network."""


@dataclass(frozen=True)
class Candidate:
    """One way of drawing batches.

    Attributes:
        keys: of ``[batch]`` with their values.
        samplers: one per measure.
        variance: E‖ĝ − ∇J‖² of a step at every place, times the points of a step with its share of the pilots over those without.
        error: its standard error at every place.
    """

    keys: Keys
    samplers: tuple[Sampler, ...]
    variance: tuple[float, ...]
    error: tuple[float, ...]

    @property
    def name(self) -> str:
        """What is said of it: the values of its keys."""
        return " ".join(map(str, self.keys.values()))

    def better(self, other: Candidate) -> bool:
        """Return whether the variance is less at every place, by more than ``BEYOND`` standard errors of the difference."""
        pairs = zip(self.variance, self.error, other.variance, other.error, strict=True)
        return all(theirs - own > BEYOND * math.hypot(error, errors) for own, error, theirs, errors in pairs)


def compared(  # noqa: PLR0913 (budgets of a measurement)
    settings: Settings,
    objective: Objective,
    places: Sequence[Tensor],
    size: int,
    seed: int,
    draws: int | None = None,
    per_cell: int | None = None,
    drawn: int = DRAWN,
) -> list[Candidate]:
    """Return the candidates that can draw batches of a size, the simplest first; the file's own strata are among them.

    Args:
        settings: of the problem file.
        objective: what is minimised.
        places: parameters where they are compared [size] each.
        size: points of the domain per step, ``batch.size`` of the file.
        seed: of all draws.
        draws: steps per candidate and place, ≥ 2·``GROUPS``; None for as many as take ``drawn`` points in all, whatever the
            machine.
        per_cell: points of a drawn cell that are worth a candidate of their own, ≥ 1; None for none.
        drawn: points drawn for all candidates.
    """
    if objective.controlled:
        objective = replace(objective, measures=objective.batched, controlled=(), estimator="two-batch")
    own = settings.batch
    choices = list(CHOICES)
    if per_cell is not None:
        choices.insert(CHOICES.index({"sampler": "cells"}), {"sampler": "cells", "per_cell": per_cell})
    if own.sampler == "stratified" and own.strata != "blocks":
        choices.append({"sampler": "stratified", "strata": own.strata, "allocation": own.allocation})
    count, made = batches_of(objective), {}
    for number, keys in enumerate(choices):
        with contextlib.suppress(InputError):
            made[number] = samplers_by(keys, settings, objective, size)
    draws = draws or int(np.clip(drawn // (len(made) * len(places) * size), *DRAWS))
    measured: dict[int, list[tuple[float, float]]] = {number: [] for number in made}
    for place, theta in enumerate(places):
        kept, gradient = Contributions.at(objective, theta, most=MOST_BYTES), host(wide(objective.gradient(theta)[1]))
        for number, samplers in made.items():
            generator, squares = np.random.default_rng((seed, place, number)), np.empty((GROUPS, draws // GROUPS))
            for group in squares:
                draw = drawer(samplers, generator, _learned(objective, samplers, theta, generator))
                seen = repeat(objective, draw, theta, len(group)) if kept is None else kept.repeat(draw, len(group))
                group[:] = ((seen.gradients - gradient) ** 2).sum(1)
            value, error = mean_and_error(squares.ravel())
            between = float(squares.mean(1).std(ddof=1)) / math.sqrt(GROUPS)
            paid = 1.0 + _pilot_points(samplers, count) / (count * sum(sampler.size for sampler in samplers))
            measured[number].append((paid * value, paid * max(error, between)))
    return [
        Candidate(choices[number], samplers, *(tuple(column) for column in zip(*measured[number], strict=True)))
        for number, samplers in made.items()
    ]


def samplers_by(keys: Keys, settings: Settings, objective: Objective, size: int) -> tuple[Sampler, ...]:
    """Return the samplers of a problem file with some lines of ``[batch]``, one per measure.

    Raises:
        InputError: they cannot draw so many of its points.
    """
    batch = Batch.model_validate({"size": size, **keys})
    return samplers_of(settings.model_copy(update={"batch": batch}), objective, size, batches_of(objective))


def simplest(found: Sequence[Candidate]) -> Candidate:
    """Return the first candidate that no other one is better than, and whose mean log variance is as low as any, or ``ALIKE``.

    A variance that is told badly may be no worse beyond its error, however high it is.
    """
    left = [c for c in found if not any(other.better(c) for other in found)]
    levels = [float(np.mean(np.log(np.maximum(c.variance, np.finfo(float).tiny)))) for c in left]
    return next(c for c, level in zip(left, levels, strict=True) if level <= min(levels) + math.log1p(ALIKE))


def _learned(
    objective: Objective, made: Sequence[Sampler], theta: Tensor, generator: np.random.Generator
) -> tuple[State, ...]:
    """Return what the samplers know after pilots as training has them."""
    states: tuple[State, ...] = ()
    for _ in range(PILOTS if any(isinstance(sampler, Adaptive) and sampler.pilot_size for sampler in made) else 0):
        states = pilots(objective, made, generator, theta, states)
    return states


def _pilot_points(made: Sequence[Sampler], count: int) -> float:
    """Return the points per step that pilots and the split between measures take."""
    learned = sum(sampler.pilot_size for sampler in made if isinstance(sampler, Adaptive))
    moved = len(movable(made))
    again = PAIRS * (1 + moved) * count * sum(sampler.size for sampler in made) if moved else 0
    return (learned + again) / PILOT_EVERY
