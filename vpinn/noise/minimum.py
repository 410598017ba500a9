"""A place near a minimum, its stiff directions, and walks of a training method along them, on the objective's own batches."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from scipy.special import ndtr, stdtrit
from torch import Tensor

from vpinn.errors import InputError
from vpinn.noise.contributions import Contributions
from vpinn.noise.draws import Array, Sampled, drawer, estimate, samplers_for
from vpinn.noise.finding import CONFIDENCE
from vpinn.noise.population import Population, population
from vpinn.objective import Objective
from vpinn.optimization import Closure, Method, NonFiniteError
from vpinn.optimization.spectrum import difference_product, leading

STIFF = 0.1
"""Directions are looked at whose curvature is at least this share of the largest: slower ones would not settle in time."""
MOST = 6
"""Directions looked at."""
BLOCKS = 24
"""Parts of a walk at most that are told apart to see how well it knows its means."""


@dataclass(frozen=True)
class Minimum:
    """A place near a minimum, and the stiff directions there.

    Attributes:
        people: all points' gradients along the directions.
        curvatures: λᵢ > 0 [k], falling.
        quadratic: what two batches add to the variances along the directions [measures, measures, k]; None if nothing.
    """

    people: Population
    curvatures: Array
    quadratic: Array | None = None

    @classmethod
    def at(cls, objective: Objective, theta: Tensor, generator: np.random.Generator) -> Minimum:
        """Look around θ [size].

        Raises:
            InputError: no direction has positive curvature.
        """
        count, product = min(MOST, len(theta)), difference_product(objective.gradient, theta)
        found = leading(product, len(theta), count, generator, min(len(theta), 3 * count + 4))
        keep = (found.values >= STIFF * np.abs(found.values).max()) & (found.residuals <= 1e-2 * found.values)
        if not keep.any():
            raise InputError("no direction of positive curvature was found where training ended; train longer (solver.steps)")
        people = population(objective, theta, generator, found.vectors[:, keep])
        contributions = None if people.batches == 1 else Contributions.at(objective, theta, people.directions)
        added = None if contributions is None else contributions.products(generator)
        return cls(people, found.values[keep], None if added is None else added[..., :-1])

    @property
    def vectors(self) -> Array:
        """Eigenvectors [size, k]."""
        return self.people.directions

    def noise(self, size: int) -> Array:
        """Return the variances [k] along the eigenvectors of gradients by ``size`` points of the domain."""
        shares = np.array([1.0 / s.size for s in samplers_for(self.people.objective, "uniform", size)])
        linear = float(shares @ self.people.traces) / self.people.batches / self.people.trace * self.people.spread
        return linear if self.quadratic is None else linear + np.einsum("j,k,jkp->p", shares, shares, self.quadratic)

    def walk(self, method: Method, rate: float, sizes: Array, generator: np.random.Generator) -> Array:
        """Return places [steps, k] of a method whose steps stay in the span of the stiffest directions.

        Args:
            method: what takes the steps, with its own state.
            rate: its step size η > 0.
            sizes: points of the batch of every step [steps].
            generator: of the batches.

        Raises:
            InputError: the walk diverged.
        """
        basis, objective = torch.from_numpy(self.vectors.copy()), self.people.objective
        place = torch.zeros(basis.shape[1], dtype=torch.float64)
        state, draws, path = method.initial(place), {}, np.empty((len(sizes), len(place)))
        try:
            for k, size in enumerate(sizes.tolist()):
                if size not in draws:
                    draws[size] = drawer(samplers_for(objective, "uniform", int(size)), generator)
                closure = Closure(partial(self._along, basis, estimate(objective, draws[size])))
                place, state, _ = method.step(place, state, closure, rate, False)
                path[k] = place.numpy()
            if not np.isfinite(path).all():
                raise NonFiniteError("parameters")
        except NonFiniteError as error:
            raise InputError(
                "steps near the minimum diverged, so that its steady state cannot be measured; train longer"
            ) from error
        return path

    def _along(self, basis: Tensor, batch: Sampled, place: Tensor) -> tuple[float, Tensor]:
        value, gradient = batch(self.people.theta + basis @ place)
        return value, basis.T @ gradient


def walked_mean(values: Array, memory: float) -> tuple[Array, Array]:
    """Return means over a walk [steps, …] and their standard errors, by the means of parts of it (batch means).

    Few parts know their spread badly: the error is enlarged until three of it have the confidence that three have of many parts
    (Student's t). Autocorrelation of neighbouring parts' means, where it is positive, enlarges it by √((1 + r)/(1 − r)).

    Args:
        values: what is averaged.
        memory: steps that the walk remembers, ≥ 1; parts are twice as long or longer, as far as there are four of them.
    """
    count = int(np.clip(len(values) / (2.0 * memory), 4, BLOCKS))
    parts = np.stack([part.mean(0) for part in np.array_split(values, count)])
    off = parts - parts.mean(0)
    square = (off**2).mean(0)
    lag = np.clip((off[1:] * off[:-1]).mean(0) / np.where(square > 0.0, square, 1.0), 0.0, 0.9)
    student = float(stdtrit(count - 1, ndtr(CONFIDENCE))) / CONFIDENCE
    return values.mean(0), student * np.sqrt(square / (count - 1) * (1.0 + lag) / (1.0 - lag))


def remembered(relaxation: float) -> float:
    """Return the steps (1 + q²)/(1 − q²) that squares of x ← qx + noise remember, q = 1 − ``relaxation``, 0 < relaxation < 2."""
    square = (1.0 - relaxation) ** 2
    return (1.0 + square) / (1.0 - square)
