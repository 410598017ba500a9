"""Problems with known posteriors, to test how much of them the intervals of Langevin sampling cover.

The source f of Lu = f has white noise of density σ. Then u has independent sine coefficients of variance 2ᵈσ²/symbol², for any f,
and its mean is the solution for the noise-free f. The loss J = ½∫((Lu − f)/σ)² is the negative logarithm of that posterior, so
the temperature is T = 1. All other settings are defaults.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vpinn.domain import rectangle
from vpinn.output import fields_at
from vpinn.problem import Problem, make_problem
from vpinn.solution import Solution

Array = NDArray[np.float64]
MODES = 60
"""Sine modes of the known posterior along each axis."""
PLACES = 300
"""Points that the intervals are looked at."""


@dataclass(frozen=True)
class Posterior:
    """The problem Lu = f with white noise on f, and its posterior.

    Attributes:
        dimension: 1 or 2; the domain is (0, 1)ᵈ with u = 0 all around.
        noise: σ > 0.
        reaction: c ≥ 0 of L = −Δ + c.
        layers: hidden layers of the network.
        cells: of the mesh along each axis.
    """

    dimension: int
    noise: float
    reaction: float = 0.0
    layers: tuple[int, ...] = (30,)
    cells: int = 16

    def problem(self, seed: int = 0, **solver: Any) -> Problem:
        """Return the problem with settings for Langevin sampling at T = 1."""
        truth = "sin(pi*x)" if self.dimension == 1 else "sin(pi*x)*sin(pi*y)"
        return make_problem(
            {"shape": "interval", "cells": self.cells} if self.dimension == 1 else rectangle(cells=self.cells),
            unknowns={"u": "scalar"},
            expressions={"w": truth, "f": f"-div(grad(w)) + {self.reaction}*w"},
            strong=[f"(-div(grad(u)) + {self.reaction}*u - f)/{self.noise}"],
            boundary=[{"on": "all", "value": 0}],
            network={"layers": list(self.layers)},
            solver={"method": "langevin", "temperature": 1, "seed": seed, **solver},
        )

    def law(self, x: Array) -> tuple[Array, Array]:
        """Return mean and standard deviation [n] of u at points [n, d]."""
        d = self.dimension
        k = np.pi * np.stack(np.meshgrid(*[np.arange(1, MODES)] * d, indexing="ij")).reshape(d, -1)
        modes = np.prod([np.sin(np.outer(x[:, i], k[i])) for i in range(d)], axis=0)
        symbol = (k**2).sum(0) + self.reaction
        return np.prod(np.sin(np.pi * x), axis=1), np.sqrt(modes**2 @ (2.0**d * self.noise**2 / symbol**2))

    def covered(self, solution: Solution) -> tuple[float, float, float]:
        """Compare sampled means and standard deviations with the known ones, at random points.

        Returns:
            mean share of the known posterior in the sampled mean ± 1.96 deviations; mean ratio of sampled to known deviations;
            root mean square difference of the means, in known deviations.
        """
        x = np.random.default_rng(1).uniform(0.02, 0.98, size=(PLACES, self.dimension))
        values = fields_at(solution, x).values
        middle, deviation = self.law(x)
        off, half = (values["u_mean"] - middle) / deviation, 1.96 * values["u_std"] / deviation
        inside = [0.5 * (math.erf((o + h) / 2**0.5) - math.erf((o - h) / 2**0.5)) for o, h in zip(off, half, strict=True)]
        return float(np.mean(inside)), float((half / 1.96).mean()), float(np.sqrt((off**2).mean()))


POSTERIORS = {
    "a rod": Posterior(1, 0.3),
    "a fin": Posterior(1, 0.3, 25.0),
    "a plate": Posterior(2, 0.3, cells=2),
}
