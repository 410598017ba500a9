"""Langevin sampling of the weights: first training, then a walk whose stationary law is exp(−J/T).

The walk is taken on θ = c + Wz, through the trained weights c, in the directions that J sees at T (see ``directions``):
z ← z − ηs + √(2ηT) ξ with s = Wᵀ∇J, the step θ ← θ − ηP∇J + √(2ηTP) ξ with P = WWᵀ. W = vₖ/√λₖ makes all directions alike, and
without preconditioning it is vₖ/√λ₁; steps are stable up to η = 2 in both.

On all points every step is accepted or rejected after Metropolis and Hastings (MALA: Roberts & Tweedie 1996), which makes the law
exact whatever η, and η is the one with which 0.574 of the steps are accepted (Roberts & Rosenthal 1998). On mini-batches (Welling
& Teh 2011) nothing can be rejected: η stays far below the limit, and the heat ½ηq that the batches bring themselves, whose s has
the variance q per direction, is taken from what is added. With ``temperature = "noise"`` nothing is added: the walk is plain
mini-batch descent in these directions, at the temperature T = ησ²/(2b) of its batches, σ²/b = Var v·∇J per direction.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from vpinn.optimization.directions import PILOT, mean_of, seen, upward
from vpinn.optimization.method import Adam, Closure, Method, NonFiniteError, State, number
from vpinn.optimization.walk import KEPT, empty_walk, recorded
from vpinn.placement import HOST, wide

COOL = 1e-6
"""Default temperature, for a J in its own unit (see ``dimensionless``)."""
ACCEPTED = 0.574
"""Share of accepted steps of the best η."""
LONGEST = 1.0
"""η at most, half the limit."""
DRAWN = 0.1
"""η at most where nothing is rejected, a twentieth of the limit: it heats by 5 %."""
OWN = 0.2
"""Share of the heat that mini-batches may bring."""
CURVED = 8
"""Mini-batches that the curvature is the mean of."""


@dataclass(frozen=True)
class Langevin(Method):
    """Adam for half of the run, a quarter of it to forget the start and to find η, and a quarter that is sampled.

    Attributes:
        temperature: T > 0, in units of J; None: ``COOL``; "noise": that of the mini-batches.
        length: steps of the run, ≥ 2.
        seed: of the noise.
        preconditioned: whether all directions are made alike.
    """

    temperature: float | Literal["noise"] | None
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
        none = torch.tensor(0, device=HOST)
        return {**Adam().initial(theta), "samples": samples, "taken": none, "generator": generator.get_state()}

    def step(
        self, theta: Tensor, state: State, closure: Closure, learning_rate: float, same: bool
    ) -> tuple[Tensor, State, float]:
        """Take one step."""
        count, sampled = int(state["count"]), self.length - self.length // 4
        if count < self.length // 2:
            new, moved, value = Adam().step(theta, state, closure, learning_rate, same)
            return new, {**state, **moved}, value
        generator = torch.Generator()
        generator.set_state(state["generator"])
        if "basis" not in state:
            kept = {key: entry for key, entry in state.items() if key not in ("mean", "square")}
            state = {**kept, **self._prepared(theta, state, closure, learning_rate, generator)}
        if same:
            new, state, value, share = _corrected(theta, state, closure, generator)
            virial = float(state["place"] @ state["slope"])
            if count < sampled:
                step = float(state["rate"]) * math.exp(2.0 * (share - ACCEPTED) / math.sqrt(count - self.length // 2 + 1))
                state["rate"] = number(min(LONGEST, step))
        else:
            new, state, value, virial = _uncorrected(theta, state, closure, generator)
            share = 1.0
        state |= {"count": torch.tensor(count + 1, device=HOST), "generator": generator.get_state()}
        if count >= sampled:
            state = recorded(state, new, count + 1 - sampled, self.length - sampled, virial, value, share)
        return new, state, value

    def _prepared(self, theta: Tensor, state: State, closure: Closure, rate: float, generator: torch.Generator) -> State:
        """Return what the walk needs: center, W, T, η, the heat that is added, and empty sums."""
        fresh, alike = closure.fresh, self.preconditioned
        evaluate = closure.evaluate if fresh is None else mean_of([fresh() for _ in range(CURVED)])
        values, vectors = upward(evaluate, theta, self.seed)
        pilots = [evaluate] if fresh is None else [fresh() for _ in range(PILOT)]
        slopes = torch.stack([wide(pilot(theta)[1]) for pilot in pilots]) @ vectors
        variance = slopes.var(0) if fresh is not None else torch.zeros_like(values)
        promised = (slopes.mean(0).square() - variance / len(slopes)).clamp(min=0.0) / (2.0 * values)
        if isinstance(self.temperature, str):
            rate, alike = min(rate, DRAWN / float(values[0])), False
            heat = 0.5 * rate * float(variance.mean())
        else:
            heat = self.temperature or COOL
        count = seen(evaluate, theta, values, vectors, heat, generator) if heat > 0.0 else 1
        values, vectors, variance = values[:count], vectors[:, :count], variance[:count]
        scales = values if alike else values[:1].expand(count)
        own = float((variance / scales).mean())
        step = min(LONGEST, 1.4 * count ** (-1.0 / 3.0))
        if isinstance(self.temperature, str):
            step, heat = rate * float(values[0]), 0.5 * rate * float(variance.mean())
        elif fresh is not None:
            step = min(DRAWN, 2.0 * OWN * heat / own) if own > 0.0 else DRAWN
        numbers = {"temperature": heat, "rate": step, "added": max(0.0, heat - 0.5 * step * own)}
        numbers["left"] = float(promised[count:].sum())
        basis = (vectors / scales.sqrt()).to(theta)
        place = torch.zeros(count, dtype=torch.float64, device=HOST)
        walk = {name: number(value) for name, value in numbers.items()} | empty_walk(count)
        return {"center": theta, "basis": basis, "place": place, **walk}


def _at(state: State, place: Tensor) -> Tensor:
    """Return θ = c + Wz in the weights' own precision."""
    return state["center"] + state["basis"] @ place.to(state["center"])


def _slope(state: State, gradient: Tensor) -> Tensor:
    """Return s = Wᵀ∇J [r]."""
    return wide(gradient @ state["basis"])


def _corrected(theta: Tensor, state: State, closure: Closure, generator: torch.Generator) -> tuple[Tensor, State, float, float]:
    """Return θ after a step on all points, the state, J before, and the probability that the step was accepted with."""
    if "slope" not in state:
        value, gradient = closure.evaluate(theta)
        state = {**state, "level": number(value), "slope": _slope(state, gradient)}
    place, slope, value = state["place"], state["slope"], float(state["level"])
    rate, heat = float(state["rate"]), float(state["temperature"])
    kick = torch.randn(len(place), generator=generator, dtype=torch.float64, device=HOST)
    chance = float(torch.rand((), generator=generator, dtype=torch.float64, device=HOST))
    moved = place - rate * slope + math.sqrt(2.0 * rate * heat) * kick
    new = _at(state, moved)
    try:
        there, _ = closure(new)
    except NonFiniteError:  # where J is not defined the law has no weight
        return theta, {**state}, value, 0.0
    assert closure.gradient is not None
    ahead = _slope(state, closure.gradient)
    back = place - moved + rate * ahead
    gain = (value - there) / heat + 0.5 * float(kick @ kick) - float(back @ back) / (4.0 * rate * heat)
    share = math.exp(min(0.0, gain))
    if chance >= share:
        return theta, {**state}, value, share
    return new, {**state, "place": moved, "level": number(there), "slope": ahead}, value, share


def _uncorrected(theta: Tensor, state: State, closure: Closure, generator: torch.Generator) -> tuple[Tensor, State, float, float]:
    """Return θ after a step on a mini-batch, the state, J of the batch before, and z·s there."""
    value, _ = closure(theta)
    assert closure.gradient is not None
    place, slope, rate = state["place"], _slope(state, closure.gradient), float(state["rate"])
    kick = torch.randn(len(place), generator=generator, dtype=torch.float64, device=HOST)
    moved = place - rate * slope + math.sqrt(2.0 * rate * float(state["added"])) * kick
    state = {key: entry for key, entry in state.items() if key not in ("slope", "level")}
    return _at(state, moved), {**state, "place": moved}, value, float(place @ slope)
