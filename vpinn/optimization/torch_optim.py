"""Optimisers of ``torch.optim`` as methods, by names such as "torch.optim.NAdam".

An optimiser object holds its state; here it is made anew for every step from the tensors of the state before, so that steps can
be undone and runs resumed like those of all methods. Source of each: its page in the documentation of torch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from vpinn.optimization.method import Closure, Method, State
from vpinn.problem.numerics import TORCH

PREFIX: Final = "torch.optim."
ALLOWED: Final = tuple(name.removeprefix(PREFIX) for name in TORCH)
"""Optimisers that step along one gradient, whose state is tensors."""
RATES: Final = {"Adadelta": 1.0, "Adagrad": 1e-2, "ASGD": 1e-2, "RMSprop": 1e-3, "Rprop": 1e-3}
"""Name → default step size, where it is not 5e-3."""


def torch_method(name: str) -> Callable[[object], TorchOptimizer]:
    """Return the function that makes the method of an optimiser, whatever the settings."""
    return lambda settings: TorchOptimizer(name)


@dataclass(frozen=True)
class TorchOptimizer(Method):
    """An optimiser of ``torch.optim`` with its default settings.

    Attributes:
        optimizer: one of `ALLOWED`.
    """

    optimizer: str = "NAdam"
    course = "cosine"
    steps = 4000

    @property
    def name(self) -> str:  # type: ignore[override]
        """Name in problem files."""
        return PREFIX + self.optimizer

    @property
    def learning_rate(self) -> float:  # type: ignore[override]
        """Default step size."""
        return RATES.get(self.optimizer, 5e-3)

    def initial(self, theta: Tensor) -> State:
        """Return an empty state; the optimiser fills it with its first step."""
        return {}

    def step(
        self, theta: Tensor, state: State, closure: Closure, learning_rate: float, same: bool
    ) -> tuple[Tensor, State, float]:
        """Take one step."""
        value, gradient = closure(theta)
        parameter = theta.detach().clone().requires_grad_()
        optimizer = getattr(torch.optim, self.optimizer)([parameter], lr=learning_rate)
        if state:
            held = {name: tensor.clone() for name, tensor in state.items()}
            optimizer.state[parameter] = held
        parameter.grad = gradient.clone()
        optimizer.step()
        entries, device = optimizer.state[parameter], parameter.device
        kept = {name: torch.as_tensor(entry, device=device).detach().clone() for name, entry in entries.items()}
        return parameter.detach(), kept, value
