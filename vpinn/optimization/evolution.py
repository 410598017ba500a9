"""Evolution: a population that needs values of J only, for objectives whose gradient is zero, missing or misleading.

Covariance matrix adaptation (Hansen 2016, arXiv 1604.00772) as the package cma has it; for many weights its separable form
(Ros & Hansen 2008), whose memory and time grow with the weights and not with their square.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vpinn.optimization.method import Closure, Method, NonFiniteError, State
from vpinn.placement import HOST, host, wide

FULL = 200
"""Weights up to which the whole covariance matrix is learned: it takes some 10·P² evaluations to pay."""
SPREAD = 0.3
"""First standard deviation over the root mean square of the initial weights: wide enough to change them, not to forget them."""


@dataclass(frozen=True)
class Evolution(Method):
    """CMA-ES; θ is the mean of the population, a step is one generation, all of whose candidates see the same points.

    The state is what the search was told: the random numbers follow from the seed, so that going through the generations
    again, without evaluating J, leads to the same place to the last bit. That is how runs are resumed and rolled back.

    Attributes:
        seed: of the candidates.
        population: candidates λ ≥ 4 per generation; None for 4 + 3 ln P of P weights.
        spread: standard deviation σ₀ > 0 of the first candidates in units of the weights; None for a third of their size.
    """

    seed: int
    population: int | None = None
    spread: float | None = None
    name = "evolution"
    blind = True
    learning_rate = None
    remedy = "lower solver.spread, or try another solver.seed"
    _live: list[tuple[Tensor, Any]] = field(default_factory=list, init=False, compare=False, repr=False)

    def initial(self, theta: Tensor) -> State:
        """Return a search that was told nothing yet."""
        count = self.population or 4 + int(3 * math.log(len(theta)))
        return {"start": theta, "told": torch.empty(0, count, dtype=torch.float64, device=HOST)}

    def step(
        self, theta: Tensor, state: State, closure: Closure, learning_rate: float, same: bool
    ) -> tuple[Tensor, State, float]:
        """Evaluate one generation; candidates without a finite J count as the worst, the farther from θ the worse.

        Raises:
            NonFiniteError: J is not finite at θ, nor at any candidate.
        """
        search = self._search(state)
        asked = search.ask()
        places = torch.cat([theta[None], torch.from_numpy(np.stack(asked)).to(theta)])
        found = closure.compare(places)
        finite = torch.isfinite(found)
        if not finite.any():
            raise NonFiniteError("loss")
        worst = found[finite].max()
        found = torch.where(finite, found, worst + (1.0 + worst.abs()) * (1.0 + wide((places - theta).norm(dim=1))))
        search.tell(asked, found[1:].tolist())
        state = {**state, "told": torch.cat([state["told"], found[None, 1:]])}
        self._live.append((state["told"], search))
        return torch.from_numpy(search.mean.copy()).to(theta), state, float(found[0])

    def _search(self, state: State) -> Any:
        """Return the search after what the state was told: the one at hand if it is that, else one that is told it again."""
        told, start = state["told"], host(wide(state["start"]))
        live = self._live.pop() if self._live else None
        if live is not None and live[0] is told:
            return live[1]
        import cma  # takes a second to load

        generator = np.random.default_rng(self.seed)
        spread = self.spread or SPREAD * max(float(np.sqrt((start**2).mean())), 1e-3)
        options = {
            "popsize": told.shape[1],
            "CMA_diagonal": len(start) > FULL,
            "randn": lambda *shape: generator.standard_normal(shape),
            "seed": math.nan,
            "verbose": -9,
        }
        search = cma.CMAEvolutionStrategy(start, spread, options)
        for values in told.tolist():
            search.tell(search.ask(), values)
        return search
