"""A place near a minimum with its stiff directions, and how well walks know their means."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from scipy.special import ndtr, stdtrit
from torch import Tensor

from vpinn.errors import InputError
from vpinn.noise import rates
from vpinn.noise.contributions import Contributions
from vpinn.noise.draws import Array, drawer, samplers_for
from vpinn.noise.finding import CONFIDENCE
from vpinn.noise.population import Population, population
from vpinn.objective import Objective
from vpinn.optimization.spectrum import difference_product, leading

STIFF = 0.1
"""Directions are looked at whose curvature is at least this share of the largest: slower ones would not settle in time."""
MOST = 6
"""Directions looked at."""
BENT, NUDGE = 200, 1e-5
"""Batches whose curvatures are looked at, and the length of the difference for them relative to the parameters'."""
BLOCKS = 24
"""Parts of a walk at most that are told apart to see how well it knows its means."""


@dataclass(frozen=True)
class Minimum:
    """A place near a minimum, and the stiff directions there.

    Attributes:
        people: all points' gradients along the directions.
        curvatures: λᵢ > 0 [k], falling.
        kept: what points contribute along the directions; None where there are too many.
        quadratic: what two batches add to the variances along the directions [measures, measures, k]; None if nothing.
    """

    people: Population
    curvatures: Array
    kept: Contributions | None = None
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
        contributions = Contributions.at(objective, theta, people.directions)
        added = None if contributions is None else contributions.products(generator)
        return cls(people, found.values[keep], contributions, None if added is None else added[..., :-1])

    @property
    def vectors(self) -> Array:
        """Eigenvectors [size, k]."""
        return self.people.directions

    @cached_property
    def rest(self) -> Array:
        """The gradient along the eigenvectors [k], zero at the minimum itself."""
        return np.asarray(self.people.gradient @ self.vectors)

    def stable(self, size: int, generator: np.random.Generator) -> float:
        """Return the largest step size for which batches of ``size`` points do not drive each other apart along the stiffest.

        See ``rates.warmup_limit``; that of gradient descent where points are too many to keep what they contribute.
        """
        lam, objective, theta = float(self.curvatures[0]), self.people.objective, self.people.theta
        step, top = NUDGE * float(theta.norm()), self.vectors[:, :1]
        places = [theta + sign * step * torch.from_numpy(top[:, 0].copy()) for sign in (1, -1)]
        found = [Contributions.at(objective, place, top) for place in places]
        if found[0] is None or found[1] is None:
            return rates.stability(lam)
        seed, made = int(generator.integers(2**31)), samplers_for(objective, "uniform", size)
        ahead, behind = (one.repeat(drawer(made, np.random.default_rng(seed)), BENT).gradients for one in (found[0], found[1]))
        return float(rates.warmup_limit(1.0, lam, float(((ahead - behind) / (2.0 * step)).var())))

    def noise(self, size: int) -> Array:
        """Return the variances [k] along the eigenvectors of gradients by ``size`` points of the domain."""
        shares = np.array([1.0 / s.size for s in samplers_for(self.people.objective, "uniform", size)])
        linear = float(shares @ self.people.traces) / self.people.batches / self.people.trace * self.people.spread
        return linear if self.quadratic is None else linear + np.einsum("j,k,jkp->p", shares, shares, self.quadratic)


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
    return values.mean(0), student(count) * np.sqrt(square / (count - 1) * (1.0 + lag) / (1.0 - lag))


def student(count: int) -> float:
    """Return by how much an error told by ``count`` ≥ 2 parts is enlarged, so that three of it have the confidence of many."""
    return float(stdtrit(count - 1, ndtr(CONFIDENCE))) / CONFIDENCE


def remembered(relaxation: float) -> float:
    """Return the steps (1 + q²)/(1 − q²) that squares of x ← qx + noise remember, q = 1 − ``relaxation``, 0 < relaxation < 2."""
    square = (1.0 - relaxation) ** 2
    return (1.0 + square) / (1.0 - square)
