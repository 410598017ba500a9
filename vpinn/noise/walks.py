"""Walks of a training method along the stiff directions of a minimum, on the objective's own batches.

Beside every walk through the network goes one on the parabola there, by the same batches: what the two have in common is told by
many walks on the parabola, which cost next to nothing, and the difference by few steps through the network (a control variate).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor

from vpinn.errors import InputError
from vpinn.noise.draws import Array, Drawn, batch_of, drawer, samplers_for, step_cost
from vpinn.noise.finding import CONFIDENCE
from vpinn.noise.minimum import Minimum, student, walked_mean
from vpinn.noise.questions import OpenSamples
from vpinn.optimization import Closure, Method, NonFiniteError
from vpinn.placement import HOST, host

REPLICAS = 24
"""Walks on the parabola."""
FIRST = 64
"""Steps of a walk at first."""
SETTLING = 8
"""One over the share of a walk in which it forgets where it started."""
CHANGED = 0.1
"""Share by which noise may change over the places visited where it counts as the same."""


class Walk:
    """A walk that can be continued, from a place that a walk on the parabola has come to.

    Attributes:
        minimum: where.
        rate: step size η.
        memory: steps that squares of places remember.
        few: steps through the network: place, that on the parabola, the gradient less that of the parabola, and the gradient of
            the same batch at the minimum [n, 4k].
        many: places of the walks on the parabola [n, replicas · k]; None where points are too many to keep what they contribute.
    """

    def __init__(
        self,
        minimum: Minimum,
        method: Method,
        rate: float,
        size: Callable[[int], int],
        memory: float,
        generator: np.random.Generator,
        first: int = FIRST,
    ) -> None:
        """Begin a walk.

        Args:
            minimum: where.
            method: what takes the steps, with its own state.
            rate: its step size η > 0.
            size: step → points of its batch.
            memory: steps that squares of places remember.
            generator: of the batches.
            first: steps at first.
        """
        self.minimum, self.rate, self.memory, self._size, self._generator = minimum, rate, memory, size, generator
        self._method, self._draws = method, dict[int, Callable[[], Drawn]]()
        self._centre = torch.from_numpy(-minimum.rest / minimum.curvatures)
        self._place, self._shadow = self._centre, self._centre
        self._states = [method.initial(self._centre), method.initial(self._centre)]
        self._step = [0, 0]
        objective, kept = minimum.people.objective, minimum.kept
        points = minimum.people.batches * sum(s.size for s in samplers_for(objective, "uniform", size(first)))
        self.few = OpenSamples(
            self._through,
            step_cost(objective, points, minimum.people.batches) + (0.0 if kept is None else 2.0 * kept.cost),
            first,
        )
        self.many: OpenSamples | None = None
        if kept is not None:
            self._spread = self._centre.repeat(REPLICAS + 1, 1)  # one more, which the walk through the network begins with
            self._spread_state = method.initial(self._spread)
            self._follow(np.full(math.ceil(2.0 * memory), size(0)))
            self._place = self._shadow = self._spread[-1]
            self._states = [{name: part[-1] for name, part in self._spread_state.items()} for _ in range(2)]
            self.many = OpenSamples(self._beside, REPLICAS * kept.cost, first)

    @property
    def samples(self) -> tuple[OpenSamples, ...]:
        """What the walk is seen by."""
        return (self.few,) if self.many is None else (self.few, self.many)

    def offs(self) -> tuple[Array, Array | None, Array | None]:
        """Return distances from their means, once they have settled: places, those on the parabola [n, k], and of the many walks.

        The mean place is that of the parabola plus the mean difference, which hardly has noise.
        """
        k, centre = len(self.minimum.curvatures), host(self._centre)
        settled = self.few.values[len(self.few.values) // SETTLING :]
        x, y = settled[:, :k], settled[:, k : 2 * k]
        if self.many is None:
            return x - x.mean(0), None, None
        far = self.many.values[len(self.many.values) // SETTLING :].reshape(-1, REPLICAS, k)
        return x - centre - (x - y).mean(0), y - centre, far - centre

    def mean(self, function: Callable[[Array], Array], last: float = 1.0) -> tuple[Array, Array]:
        """Return the mean of a function of the distances from their mean, and its standard error.

        Args:
            function: distances [n, …, k] → values [n, …] or several of them in a last axis.
            last: share of the steps that are looked at, the last ones.
        """
        x, y, far = (None if part is None else part[len(part) - round(last * len(part)) :] for part in self.offs())
        assert x is not None
        values = function(x)
        if y is None or far is None:
            return walked_mean(values, self.memory)
        beside, known = function(y), function(far).mean(0)  # [replicas, …]
        spread = beside.var(0)
        shared = ((values - values.mean(0)) * (beside - beside.mean(0))).mean(0)
        weight = np.clip(np.divide(shared, spread, out=np.zeros_like(shared), where=spread > 0.0), 0.0, 1.0)
        rest, wrong = walked_mean(values - weight * beside, self.memory)
        common, unsure = weight * known.mean(0), weight * student(REPLICAS) * known.std(0, ddof=1) / math.sqrt(REPLICAS)
        return rest + common, np.hypot(wrong, unsure)

    def changed(self) -> str:
        """Return by how much the noise at the places visited differs from that at the minimum; "" where it hardly does."""
        if self.many is None:
            return ""
        k, rest = len(self.minimum.curvatures), self.minimum.rest
        settled = self.few.values[len(self.few.values) // SETTLING :]
        there, here = ((settled[:, j * k : (j + 1) * k] - rest) ** 2 for j in (2, 3))
        ratio, error = (float(v) for v in walked_mean(((there - here) / here.mean(0)).mean(1), self.memory))
        if abs(ratio) <= max(CHANGED, CONFIDENCE * error):
            return ""
        told = f"{1.0 + ratio:.2f} ± {error:.1g} of that at the minimum"
        return f"it takes the same noise everywhere, and at the places visited its variance is {told}"

    def _draw(self, size: int) -> Callable[[], Drawn]:
        if size not in self._draws:
            self._draws[size] = drawer(samplers_for(self.minimum.people.objective, "uniform", size), self._generator)
        return self._draws[size]

    def _through(self, count: int) -> Array:
        """Walk on through the network.

        Raises:
            InputError: the walk diverged.
        """
        people, kept, k = self.minimum.people, self.minimum.kept, len(self.minimum.curvatures)
        basis, curvatures = torch.from_numpy(self.minimum.vectors.copy()), torch.from_numpy(self.minimum.curvatures.copy())
        seen = np.empty((count, 4 * k))
        try:
            for row in seen:
                draw = self._draw(self._size(self._step[0]))
                drawn = [draw() for _ in range(people.batches)]
                batches = [batch_of(people.objective, one) for one in drawn]
                gradient = basis.T @ people.objective.sampled(people.theta + basis @ self._place, *batches)[1]
                here = torch.full((k,), math.nan, dtype=torch.float64, device=HOST)
                if kept is not None:
                    here = torch.from_numpy(kept.estimates(*([one] for one in drawn))[1][0])
                less = gradient - curvatures * self._place
                self._place, self._states[0] = self._moved(self._place, self._states[0], gradient)
                self._shadow, self._states[1] = self._moved(self._shadow, self._states[1], curvatures * self._shadow + here)
                row[:] = host(torch.cat([self._place, self._shadow, less, here]))
                self._step[0] += 1
            if not np.isfinite(seen[:, :k]).all():
                raise NonFiniteError("parameters")
        except NonFiniteError as error:
            raise InputError(
                "steps near the minimum diverged, so that its steady state cannot be measured; train longer"
            ) from error
        return seen

    def _beside(self, count: int) -> Array:
        """Walk on along the parabola."""
        sizes = np.array([self._size(self._step[1] + step) for step in range(count)])
        self._step[1] += count
        return self._follow(sizes)[:, :REPLICAS].reshape(count, -1)

    def _follow(self, sizes: Array) -> Array:
        """Return places on the parabola after steps by batches of some sizes [n, replicas and one, k]."""
        kept, shape = self.minimum.kept, (REPLICAS + 1, len(self.minimum.curvatures))
        assert kept is not None
        noise = np.empty((len(sizes), *shape))
        for size in np.unique(sizes).tolist():
            steps = sizes == size
            noise[steps] = kept.repeat(self._draw(size), shape[0] * int(steps.sum())).gradients.reshape(-1, *shape)
        seen, curvatures = np.empty(noise.shape), torch.from_numpy(self.minimum.curvatures.copy())
        for row, part in zip(seen, torch.from_numpy(noise), strict=True):
            self._spread, self._spread_state = self._moved(self._spread, self._spread_state, curvatures * self._spread + part)
            row[:] = host(self._spread)
        return seen

    def _moved(self, place: Tensor, state: dict[str, Tensor], gradient: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        if not torch.isfinite(gradient).all() and self.minimum.kept is not None:
            raise NonFiniteError("gradient")
        if not torch.isfinite(gradient).all():
            return place, state
        moved, state, _ = self._method.step(place, state, Closure(partial(_told, gradient)), self.rate, False)
        return moved, state


def _told(gradient: Tensor, place: Tensor) -> tuple[float, Tensor]:
    return 0.0, gradient
