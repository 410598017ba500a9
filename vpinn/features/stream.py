"""Least squares on drawn points: batches of rows are factorised one after the other until new batches are fitted as well.

With p columns and n rows drawn independently, the residual on these rows is smaller than on all points by a factor of about
√(1 − p/n), and on new rows larger by √(1 + p/n). A few points per column therefore suffice, however many points there are, if no
feature is confined to few points (Cohen, Davenport & Leviatan 2013, arXiv 1111.4422). New batches show whether that holds; if it
does not, four times as many are drawn. Batches are redrawn from their seed whenever they are needed, so none is stored.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from vpinn.features.least_squares import PILOT_ROWS, Fit, Points, Step, all_points, fit, step
from vpinn.objective import Objective, Part
from vpinn.objective.linearisation import residual_norm
from vpinn.sampling import Sampler
from vpinn.trial import Enriched, Features

WORSE = 2.0
"""Largest accepted ratio of the mean squares on new and on fitted points; (1 + p/n)/(1 − p/n) = 1.2 is usual."""
MORE = 4
"""Factor of the number of batches after a ratio above ``WORSE``."""


@dataclass(frozen=True)
class Stream:
    """Source of the points for least squares.

    Attributes:
        samplers: objective → one sampler per measure; () for all points.
        seed: seed of the draws.
    """

    samplers: Callable[[Objective], Sequence[Sampler]]
    seed: int

    def step(
        self, objective: Objective, network: Features, theta: torch.Tensor, at: tuple[Enriched, torch.Tensor] | None = None
    ) -> Step:
        """Return the step on the first number of points that is tried; for the arguments see ``least_squares.step``."""
        samplers, count = self._first(objective, network)
        points = self._batches(objective, samplers, count, 0)() if count else None
        return step(objective, network, theta, points, at)

    def fit(
        self, objective: Objective, network: Features, theta: torch.Tensor, first: Step | None = None, linear: bool = False
    ) -> Fit:
        """Return the best combination of features; its residual is that on batches to which it was not fitted.

        Args:
            objective: objective of a weak or strong form.
            network: network of the features.
            theta: parameters to start from [network.size].
            first: result of ``step``, where it has been computed.
            linear: whether the problem is linear.
        """
        samplers, count = self._first(objective, network)
        size = sum(sampler.size for sampler in samplers)
        while 0 < count * size < objective.size:
            found = fit(objective, network, theta, self._batches(objective, samplers, count, 0), first, linear)
            fresh = residual_norm(objective, network, found.theta, self._batches(objective, samplers, count, 1)())
            if fresh**2 <= WORSE * found.residual**2:
                return dataclasses.replace(found, residual=fresh, points=count * size)
            count, first = MORE * count, None
        return fit(objective, network, theta, first=first, linear=linear)

    def _first(self, objective: Objective, network: Features) -> tuple[Sequence[Sampler], int]:
        """Return the samplers and the first number of batches that is tried; 0 where all points cost no more."""
        samplers, columns = self.samplers(objective), network.linear
        size = sum(sampler.size for sampler in samplers)
        count = math.ceil(PILOT_ROWS * columns / size) if size else 0
        return samplers, count if count * size < objective.size else 0

    def residual(self, objective: Objective, network: Features, theta: torch.Tensor, fitted: Features) -> float:
        """Return the residual of given fields on the first number of points that is tried for the network ``fitted``."""
        samplers, count = self._first(objective, fitted)
        return residual_norm(objective, network, theta, self._batches(objective, samplers, count, 0)() if count else None)

    def few(self, objective: Objective, width: int) -> Points:
        """Return the points on which recipes with ``width`` features per component are compared."""
        samplers = self.samplers(objective)
        size = sum(sampler.size for sampler in samplers)
        count = math.ceil(PILOT_ROWS * width * objective.outputs / size) if size else 0
        return self._batches(objective, samplers, count, 0) if 0 < count * size < objective.size else all_points

    def _batches(self, objective: Objective, samplers: Sequence[Sampler], count: int, turn: int) -> Points:
        """Return a function that draws ``count`` batches anew from the seed; another ``turn`` gives independent ones."""

        def drawn() -> Iterator[Part]:
            generator = np.random.default_rng((self.seed, turn))
            for _ in range(count):
                for measure, sampler in zip(objective.batched, samplers, strict=True):
                    index, scale = sampler.draw(generator)
                    yield measure, measure.batch(index, scale / count, generator)

        return drawn
