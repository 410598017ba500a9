"""Evolution strategy CMA-ES: minimise J from its values alone, for objectives whose gradient is zero, missing or misleading.

The covariance matrix adaptation of the package cma is used (Hansen 2016, arXiv 1604.00772). For many weights it is the
separable form (Ros & Hansen 2008), whose memory and time grow with the number of weights instead of its square.
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
"""Number of weights P up to which the whole covariance matrix is learned, which takes about 10·P² evaluations of J to pay off."""
SPREAD = 0.3
"""Initial standard deviation, relative to the root mean square of the initial weights: candidates differ clearly from these
weights, but stay in their range.
"""


@dataclass(frozen=True)
class Evolution(Method):
    """CMA-ES: θ is the mean of the population, and one step is one generation, all candidates of which use the same points.

    The state holds the values of J of all generations so far. The random numbers follow from the seed, so that repeating the
    generations with these values, without evaluating J, restores the search to the last bit; runs are resumed and rolled back so.

    Attributes:
        seed: seed of the candidates.
        population: number of candidates per generation, ≥ 4; None: 4 + 3 ln P for P weights.
        spread: standard deviation > 0 of the first candidates, in the unit of the weights; None: ``SPREAD`` of their size.
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
        """Return the state of a search without any generation: the mean θ and an empty table of values."""
        count = self.population or 4 + int(3 * math.log(len(theta)))
        return {"start": theta, "told": torch.empty(0, count, dtype=torch.float64, device=HOST)}

    def step(
        self, theta: Tensor, state: State, closure: Closure, learning_rate: float, same: bool
    ) -> tuple[Tensor, State, float]:
        """Evaluate one generation and return the new mean; candidates without a finite J rank last, by their distance from θ.

        Raises:
            NonFiniteError: J is finite neither at θ nor at any candidate.
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
        """Return the search that has seen the values in a state: the live one if it is that, else one that replays them."""
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
