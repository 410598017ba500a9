"""A minimum of J with its stiff directions (`Minimum`), and means over trajectories with standard errors (`walked_mean`)."""

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
"""Smallest curvature of a stiff direction, relative to the largest; in softer ones a trajectory takes too long to settle."""
MOST = 6
"""Largest number of stiff directions."""
BENT, NUDGE = 200, 1e-5
"""Number of batches whose curvatures are sampled, and half step of the differences for them relative to the norm of θ."""
BLOCKS = 24
"""Largest number of parts (batch means) of a trajectory from which the standard error of its mean is estimated."""


@dataclass(frozen=True)
class Minimum:
    """Parameters near a minimum, with the k stiff directions there (eigenvectors of the Hessian with large eigenvalues).

    Attributes:
        people: Statistics over all points, along the stiff directions.
        curvatures: Eigenvalues λᵢ > 0 [k], falling.
        kept: Contributions of all points along the directions; None if there are too many points.
        quadratic: Second-order part of the variances of two-batch estimates along the directions [measures, measures, k], see
            ``Contributions.products``; None for estimates from one batch.
    """

    people: Population
    curvatures: Array
    kept: Contributions | None = None
    quadratic: Array | None = None

    @classmethod
    def at(cls, objective: Objective, theta: Tensor, generator: np.random.Generator) -> Minimum:
        """Compute the stiff directions at θ [size], and the statistics of all points along them.

        Raises:
            InputError: No direction with positive curvature was found.
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
        """Eigenvectors of the stiff directions, as columns [size, k]."""
        return self.people.directions

    @cached_property
    def rest(self) -> Array:
        """Components of ∇J along the eigenvectors [k], which would be zero at the exact minimum."""
        return np.asarray(self.people.gradient @ self.vectors)

    def stable(self, size: int, generator: np.random.Generator) -> float:
        """Return the largest stable step size for batches of ``size`` points, along the stiffest direction.

        See ``rates.warmup_limit``. If there are too many points to store their contributions, it is that of full gradients.
        """
        lam = float(self.curvatures[0])
        objective = self.people.objective
        theta = self.people.theta
        step, top = NUDGE * float(theta.norm()), self.vectors[:, :1]
        places = [theta + sign * step * torch.from_numpy(top[:, 0].copy()) for sign in (1, -1)]
        found = [Contributions.at(objective, place, top) for place in places]
        if found[0] is None or found[1] is None:
            return rates.stability(lam)
        seed, made = int(generator.integers(2**31)), samplers_for(objective, "uniform", size)
        ahead, behind = (one.repeat(drawer(made, np.random.default_rng(seed)), BENT).gradients for one in (found[0], found[1]))
        return float(rates.warmup_limit(1.0, lam, float(((ahead - behind) / (2.0 * step)).var())))

    def noise(self, size: int) -> Array:
        """Return the variances [k], along the eigenvectors, of gradients from batches of ``size`` points of the domain."""
        shares = np.array([1.0 / s.size for s in samplers_for(self.people.objective, "uniform", size)])
        linear = float(shares @ self.people.traces) / self.people.batches / self.people.trace * self.people.spread
        return linear if self.quadratic is None else linear + np.einsum("j,k,jkp->p", shares, shares, self.quadratic)


def walked_mean(values: Array, memory: float) -> tuple[Array, Array]:
    """Return the means of correlated values along a trajectory, and their standard errors by the method of batch means.

    The trajectory is cut into parts, and the standard error is computed from the means of the parts. It is enlarged by a factor
    √((1 + r)/(1 − r)) if the means of neighbouring parts have a correlation r > 0, and by Student's t since the parts are few.

    Args:
        values: Values at every step [steps, …].
        memory: Correlation time in steps, ≥ 1; parts have at least twice this length unless that gives fewer than four parts.
    """
    count = int(np.clip(len(values) / (2.0 * memory), 4, BLOCKS))
    parts = np.stack([part.mean(0) for part in np.array_split(values, count)])
    off = parts - parts.mean(0)
    square = (off**2).mean(0)
    lag = np.clip((off[1:] * off[:-1]).mean(0) / np.where(square > 0.0, square, 1.0), 0.0, 0.9)
    return values.mean(0), student(count) * np.sqrt(square / (count - 1) * (1.0 + lag) / (1.0 - lag))


def student(count: int) -> float:
    """Return the factor by which to enlarge a standard error that is estimated from ``count`` ≥ 2 parts.

    With it, ``CONFIDENCE`` standard errors have the confidence level that they have for a normal distribution.
    """
    return float(stdtrit(count - 1, ndtr(CONFIDENCE))) / CONFIDENCE


def remembered(relaxation: float) -> float:
    """Return the correlation time (1 + q²)/(1 − q²) of x² in steps x ← qx + noise, q = 1 − ``relaxation``, 0 < relaxation < 2."""
    square = (1.0 - relaxation) ** 2
    return (1.0 + square) / (1.0 - square)
