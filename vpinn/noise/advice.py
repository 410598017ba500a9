"""Comparison of ways to draw mini-batches, from which the report recommends a sampler. Start from `compared` and `simplest`.

Candidates are settings of [batch], and their samplers are made as training makes them. Adaptive samplers first learn from pilot
batches, as in training. A candidate is judged by E‖ĝ − ∇J‖² of a step at equal cost in points: pilot points count as points of
steps. It is better than another only if its value is lower at all places of the pilot run where both are measured, because an
adaptive sampler may gain late in a run and lose early.
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
from vpinn.problem.batch import Batch
from vpinn.sampling import Adaptive, Sampler, State, movable

Keys: TypeAlias = Mapping[str, str | int]
"""Settings of [batch]: key → value."""
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
"""The candidates, the simplest first; those that learn from pilots come last."""
PILOTS, GROUPS = 8, 4
"""Number of pilot batches before drawing, and number of times that a sampler learns anew.

A sampler's average over pilots has forgotten nine tenths of its start after six of them.
"""
DRAWS, DRAWN = (64, 600), 2_000_000
"""Smallest and largest number of batches per candidate, and default budget of drawn points from which the number is computed."""
BEYOND = 2.0
"""Standard errors of the difference of two variances up to which they count as equal."""
ALIKE = 0.25
"""Share by which the variance of a recommended candidate may exceed the lowest one, dimensionless."""
MOST_BYTES = 300e6
"""Memory for stored contributions of points; if they need more, batches are evaluated through the network."""


@dataclass(frozen=True)
class Candidate:
    """A way to draw mini-batches, with its measured variance.

    Attributes:
        keys: Its settings of [batch].
        samplers: Its samplers, one per measure.
        variance: E‖ĝ − ∇J‖² at every place, multiplied by the ratio of all points per step (with pilots) to those drawn for it.
        error: Standard error of the variance at every place.
    """

    keys: Keys
    samplers: tuple[Sampler, ...]
    variance: tuple[float, ...]
    error: tuple[float, ...]

    @property
    def name(self) -> str:
        """Name in texts: the values of its settings."""
        return " ".join(map(str, self.keys.values()))

    def better(self, other: Candidate) -> bool:
        """Return whether its variance is lower at every place, by more than ``BEYOND`` standard errors of the difference."""
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
    """Measure all candidates that can draw batches of a size, and return them, the simplest first.

    Strata that the problem file asks for are one more candidate.

    Args:
        settings: Settings of the problem file.
        objective: Objective whose gradient is estimated.
        places: Parameters at which the variance is measured, [size] each.
        size: Points of the domain per step, as ``batch.size``.
        seed: Seed of all draws.
        draws: Batches per candidate and place, ≥ 2·``GROUPS``; None for as many as ``drawn`` points suffice for.
        per_cell: Number of points per drawn cell ≥ 1 of one more candidate; None for no such candidate.
        drawn: Number of points to draw for all candidates together.
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
    """Return the samplers, one per measure, that training would use with these settings of [batch].

    Raises:
        InputError: They cannot draw batches of this size from the problem's points.
    """
    batch = Batch.model_validate({"size": size, **keys})
    return samplers_of(settings.model_copy(update={"batch": batch}), objective, size, batches_of(objective))


def simplest(found: Sequence[Candidate]) -> Candidate:
    """Return the first candidate that no other is better than, and whose variance is at most `ALIKE` above the lowest one.

    Variances are averaged over places in logarithms. The second condition is needed for candidates with large standard errors:
    no other may be significantly better, however high their variance is.
    """
    left = [c for c in found if not any(other.better(c) for other in found)]
    levels = [float(np.mean(np.log(np.maximum(c.variance, np.finfo(float).tiny)))) for c in left]
    return next(c for c, level in zip(left, levels, strict=True) if level <= min(levels) + math.log1p(ALIKE))


def _learned(objective: Objective, made: Sequence[Sampler], theta: Tensor, generator: np.random.Generator) -> tuple[State, ...]:
    """Return the states of the samplers after `PILOTS` pilot batches as in training; empty if no sampler learns."""
    states: tuple[State, ...] = ()
    for _ in range(PILOTS if any(isinstance(sampler, Adaptive) and sampler.pilot_size for sampler in made) else 0):
        states = pilots(objective, made, generator, theta, states)
    return states


def _pilot_points(made: Sequence[Sampler], count: int) -> float:
    """Return the points per training step that are spent on pilots and on the split of points between measures."""
    learned = sum(sampler.pilot_size for sampler in made if isinstance(sampler, Adaptive))
    moved = len(movable(made))
    again = PAIRS * (1 + moved) * count * sum(sampler.size for sampler in made) if moved else 0
    return (learned + again) / PILOT_EVERY
