"""Trajectories ("walks") of a training method in the stiff directions of a minimum, with mini-batches of the objective.

A trajectory through the network is expensive. Beside it runs one on the quadratic model (parabola) of J at the minimum, with the
same batches, as a control variate: its mean is estimated from many trajectories on the parabola, which cost next to nothing, and
the mean of the difference from few steps through the network. Start from `Walk` and `Walk.mean`.
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
"""Number of trajectories on the parabola."""
FIRST = 64
"""Initial number of steps of a trajectory."""
SETTLING = 8
"""Inverse of the share of a trajectory, at its beginning, that is discarded because it depends on the start."""
CHANGED = 0.1
"""Relative difference up to which the noise at the places visited counts as equal to that at the minimum."""


class Walk:
    """A trajectory near a minimum that can be continued, in coordinates along the k stiff directions.

    It starts from a settled place of a trajectory on the parabola, or at the minimum if there are no stored contributions.

    Attributes:
        minimum: The minimum.
        rate: Step size η.
        memory: Correlation time of squared coordinates, in steps.
        few: Samples of n steps through the network [n, 4k]: place, place on the parabola, batch gradient minus gradient of the
            parabola, and gradient of the same batch at the minimum.
        many: Places on the trajectories on the parabola [n, replicas·k]; None if there are too many points to store their
            contributions.
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
        """Begin a trajectory.

        Args:
            minimum: The minimum.
            method: Training method that takes the steps.
            rate: Its step size η > 0.
            size: Function from the number of a step to the points of its batch.
            memory: Correlation time of squared coordinates, in steps ≥ 1.
            generator: Generator of the batches.
            first: Initial number of steps.
        """
        self.minimum = minimum
        self.rate = rate
        self.memory = memory
        self._size = size
        self._generator = generator
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
            self._spread = self._centre.repeat(REPLICAS + 1, 1)  # one more, as start of the trajectory through the network
            self._spread_state = method.initial(self._spread)
            self._follow(np.full(math.ceil(2.0 * memory), size(0)))
            self._place = self._shadow = self._spread[-1]
            self._states = [{name: part[-1] for name, part in self._spread_state.items()} for _ in range(2)]
            self.many = OpenSamples(self._beside, REPLICAS * kept.cost, first)

    @property
    def samples(self) -> tuple[OpenSamples, ...]:
        """All samples of the trajectory, for a `Question`."""
        return (self.few,) if self.many is None else (self.few, self.many)

    def offs(self) -> tuple[Array, Array | None, Array | None]:
        """Return distances from the mean place, after the settling steps.

        The mean place is that of the parabola plus the mean difference, which has little noise.

        Returns:
            Distances of the trajectory through the network [n, k], of the one on the parabola with the same batches [n, k], and
            of the many trajectories on the parabola [N, replicas, k]; the last two are None without stored contributions.
        """
        k, centre = len(self.minimum.curvatures), host(self._centre)
        settled = self.few.values[len(self.few.values) // SETTLING :]
        x, y = settled[:, :k], settled[:, k : 2 * k]
        if self.many is None:
            return x - x.mean(0), None, None
        far = self.many.values[len(self.many.values) // SETTLING :].reshape(-1, REPLICAS, k)
        return x - centre - (x - y).mean(0), y - centre, far - centre

    def mean(self, function: Callable[[Array], Array], last: float = 1.0) -> tuple[Array, Array]:
        """Return the mean, along the trajectory, of a function of the distance from the mean place, and its standard error.

        Args:
            function: Function from distances [n, …, k] to values [n, …], or several values in one more axis.
            last: Share of the steps, at the end, over which the mean is taken, 0 to 1.
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
        """Return a text on how much the noise at the places visited differs from that at the minimum; "" if hardly."""
        if self.many is None:
            return ""
        k, rest = len(self.minimum.curvatures), self.minimum.rest
        settled = self.few.values[len(self.few.values) // SETTLING :]
        there, here = ((settled[:, j * k : (j + 1) * k] - rest) ** 2 for j in (2, 3))
        ratio, error = (float(v) for v in walked_mean(((there - here) / here.mean(0)).mean(1), self.memory))
        if abs(ratio) <= max(CHANGED, CONFIDENCE * error):
            return ""
        told = f"{1.0 + ratio:.2f} ± {error:.1g} of that at the minimum"
        return f"theory assumes the same noise everywhere; its variance at the places visited is {told}"

    def _draw(self, size: int) -> Callable[[], Drawn]:
        if size not in self._draws:
            self._draws[size] = drawer(samplers_for(self.minimum.people.objective, "uniform", size), self._generator)
        return self._draws[size]

    def _through(self, count: int) -> Array:
        """Continue the trajectory through the network by some steps, and return their samples, see ``few``.

        Raises:
            InputError: The trajectory diverged.
        """
        people = self.minimum.people
        kept = self.minimum.kept
        k = len(self.minimum.curvatures)
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
        """Continue the trajectories on the parabola by some steps, and return their samples, see ``many``."""
        sizes = np.array([self._size(self._step[1] + step) for step in range(count)])
        self._step[1] += count
        return self._follow(sizes)[:, :REPLICAS].reshape(count, -1)

    def _follow(self, sizes: Array) -> Array:
        """Take n steps on the parabola with batches of given sizes [n], and return the places [n, replicas + 1, k]."""
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
