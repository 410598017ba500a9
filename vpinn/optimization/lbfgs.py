"""L-BFGS: quasi-Newton directions from the last steps.

Source: Nocedal & Wright, Numerical Optimization (2006), algorithm 7.4.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vpinn.optimization.method import State
from vpinn.optimization.quasi_newton import QuasiNewton
from vpinn.placement import host, wide

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Lbfgs(QuasiNewton):
    """Limited-memory BFGS.

    Attributes:
        memory: number of last steps, with their changes of the gradient, from which directions are computed, ≥ 1.
    """

    memory: int = 50
    name = "lbfgs"

    def identity(self, theta: Tensor) -> State:
        """Return an empty memory."""
        empty = theta.new_zeros(0, len(theta))
        return {"steps": empty, "changes": empty}

    def learned(self, state: State, moved: Tensor, change: Tensor, square: float) -> State:
        """Return the memory with one more pair."""
        new = {"steps": moved, "changes": change}
        return {name: torch.cat([state[name], row[None]])[-self.memory :] for name, row in new.items()}

    def inverse_hessian(self, state: State, gradient: Tensor) -> Tensor:
        """Return H·gradient by the two-loop recursion, [size]."""
        q: Vector = host(wide(gradient)).copy()
        pairs = list(zip(host(wide(state["steps"])), host(wide(state["changes"])), strict=True))
        weights = [1.0 / (s @ y) for s, y in pairs]
        alphas = []
        for (s, y), rho in zip(reversed(pairs), reversed(weights), strict=True):
            alphas.append(rho * (s @ q))
            q -= alphas[-1] * y
        if pairs:
            s, y = pairs[-1]
            q *= (s @ y) / (y @ y)
        for (s, y), rho, alpha in zip(pairs, weights, reversed(alphas), strict=True):
            q += (alpha - rho * (y @ q)) * s
        return torch.from_numpy(q).to(gradient)
