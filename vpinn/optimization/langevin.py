"""Langevin sampling of the weights: first training, then a walk whose stationary law is exp(−J/T)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from vpinn.optimization.method import Adam, Closure, Method, State

KEPT = 64
"""Samples that are kept, evenly over the walk's second half."""


@dataclass(frozen=True)
class Langevin(Method):
    """Adam for half of the run, then θ ← θ − ηPg + √(2ηTP) ξ (Welling & Teh 2011; P as in Li et al. 2016, arXiv 1512.07666).

    P is the inverse root of Adam's mean squares, kept as it is once the walk begins, so that no term for its change is
    needed; or 1. Mini-batches add their own noise, T' = η tr Σ/(2bP) on top of T.

    Attributes:
        temperature: T > 0, in units of J.
        length: steps of the run, ≥ 2.
        seed: of the noise.
        preconditioned: whether P is Adam's.
    """

    temperature: float
    length: int
    seed: int
    preconditioned: bool = True
    name: ClassVar[str] = "langevin"
    steps: ClassVar[int] = 8000

    def stability(self, squares: Tensor) -> tuple[float, Tensor]:
        """Return those of Adam, which takes the first steps."""
        return Adam().stability(squares)

    def initial(self, theta: Tensor) -> State:
        """Return the state before the first step: Adam's, no samples, and the generator of the noise."""
        samples = theta.new_zeros((KEPT, len(theta)))
        generator = torch.Generator().manual_seed(self.seed)
        return {**Adam().initial(theta), "samples": samples, "taken": torch.tensor(0), "generator": generator.get_state()}

    def step(
        self, theta: Tensor, state: State, closure: Closure, learning_rate: float, same: bool
    ) -> tuple[Tensor, State, float]:
        """Take one step."""
        count = int(state["count"])
        if count < self.length // 2:
            new, moved, value = Adam().step(theta, state, closure, learning_rate, same)
            return new, {**state, **moved}, value
        value, gradient = closure(theta)
        generator = torch.Generator()
        generator.set_state(state["generator"])
        noise = torch.randn(len(theta), generator=generator, dtype=theta.dtype)
        stretch = torch.ones_like(theta)
        if self.preconditioned:
            stretch = 1.0 / (state["square"].sqrt() + 1e-3 * state["square"].max().sqrt() + Adam().epsilon)
        new = theta - learning_rate * stretch * gradient + (2.0 * learning_rate * self.temperature * stretch).sqrt() * noise
        state = {**state, "count": torch.tensor(count + 1), "generator": generator.get_state()}
        first = self.length - self.length // 4
        due = math.floor((count + 1 - first) * KEPT / max(1, self.length - first))
        if count + 1 > first and due > int(state["taken"]):
            samples = state["samples"].clone()
            samples[int(state["taken"]) % KEPT] = new
            state |= {"samples": samples, "taken": state["taken"] + 1}
        return new, state, value


def samples_of(state: State) -> Tensor | None:
    """Return the weights sampled so far [n, size] from the state of a run, None where there are fewer than two."""
    if "samples" not in state or int(state["taken"]) < 2:
        return None
    return state["samples"][: int(state["taken"])]
