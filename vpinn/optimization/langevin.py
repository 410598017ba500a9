"""Langevin sampling of the weights: training, then a Markov chain whose stationary distribution is proportional to exp(−J/T).

The chain runs on θ = c + Wz with the trained weights c, in the directions W in which J determines the weights at temperature T
(see ``directions``). With s = Wᵀ∇J its step is z ← z − ηs + √(2ηT) ξ, which for the weights is θ ← θ − ηP∇J + √(2ηTP) ξ,
P = WWᵀ. The columns of W are vₖ/√λₖ, so that J has the same curvature along all of them, or vₖ/√λ₁ without preconditioning. In
both cases steps are stable for η < 2.

With all points, each step is accepted or rejected by the Metropolis–Hastings rule (MALA: Roberts & Tweedie 1996), so that the
distribution is exact for any η; η is adapted until 0.574 of the steps are accepted (Roberts & Rosenthal 1998). Steps on
mini-batches (Welling & Teh 2011) cannot be rejected. There η stays far below the limit, and since the noise of the batches
itself adds the temperature ½ηq, with the variance q of s per direction, correspondingly less noise is drawn. With
``temperature = "noise"`` none is drawn: the chain is mini-batch descent in these directions, at the temperature T = ησ²/(2b) of
its batches, with σ²/b = Var v·∇J per direction.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from vpinn.optimization.directions import PILOT, mean_of, seen, upward
from vpinn.optimization.lbfgs import Lbfgs
from vpinn.optimization.method import Adam, Closure, Method, NonFiniteError, State, number
from vpinn.optimization.walk import KEPT, empty_walk, recorded
from vpinn.placement import HOST, wide

COOL = 1e-6
"""Default temperature, in the objective's own unit (see ``dimensionless``)."""
ACCEPTED = 0.574
"""Share of accepted steps at which η is best (Roberts & Rosenthal 1998)."""
LONGEST = 1.0
"""Largest η, half the limit of stability."""
DRAWN = 0.1
"""Largest η where no step is rejected, a twentieth of the limit: its error raises the temperature by 5 %."""
OWN = 0.2
"""Largest share of the temperature that the noise of mini-batches may contribute."""
CURVED = 8
"""Number of mini-batches over which the curvature is averaged."""


@dataclass(frozen=True)
class Langevin(Method):
    """Langevin sampling: half of the run trains, a quarter lets the chain equilibrate and adapts η, a quarter is sampled.

    Attributes:
        temperature: T > 0, in units of J; None: ``COOL``; "noise": the temperature of the mini-batches.
        length: steps of the run, ≥ 2.
        seed: seed of the noise.
        preconditioned: whether J gets the same curvature along all directions.
        trainer: method of the first half.
    """

    temperature: float | Literal["noise"] | None
    length: int
    seed: int
    preconditioned: bool = True
    name: ClassVar[str] = "langevin"
    steps: ClassVar[int] = 8000
    trainer: ClassVar[Method] = Adam()

    def stability(self, squares: Tensor) -> tuple[float, Tensor]:
        """Return the limit of the first half of the steps."""
        return self.trainer.stability(squares)

    def initial(self, theta: Tensor) -> State:
        """Return the state before the first step: that of the trainer, no samples, and the generator of the noise."""
        samples = theta.new_zeros((KEPT, len(theta)))
        generator = torch.Generator().manual_seed(self.seed)
        none = torch.tensor(0, device=HOST)
        own = {"count": none, "samples": samples, "taken": none, "generator": generator.get_state()}
        return {**own, **self.trainer.initial(theta)}

    def restarted(self, theta: Tensor, state: State) -> State:
        """Return the state for other parameters after the same number of steps."""
        return {**self.initial(theta), "count": state["count"]}

    def searches(self, state: State) -> bool:
        """Return whether the next step still trains."""
        return "basis" not in state

    def step(
        self, theta: Tensor, state: State, closure: Closure, learning_rate: float, same: bool
    ) -> tuple[Tensor, State, float]:
        """Take one step of training in the first half of the run, one of the chain afterwards."""
        count, sampled = int(state["count"]), self.length - self.length // 4
        if count < self.length // 2:
            new, moved, value = self.trainer.step(theta, state, closure, learning_rate, same)
            return new, {**state, **moved, "count": torch.tensor(count + 1, device=HOST)}, value
        generator = torch.Generator()
        generator.set_state(state["generator"])
        if "basis" not in state:
            kept = {key: entry for key, entry in state.items() if key == "count" or key not in self.trainer.initial(theta)}
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
        """Return the state that the chain starts from: center c, directions W, T, η, drawn part of the temperature, zero sums."""
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
        values = values[:count]
        vectors = vectors[:, :count]
        variance = variance[:count]
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


@dataclass(frozen=True)
class LangevinOnAll(Langevin):
    """Langevin sampling with all points in every step: trained by L-BFGS, which ends closer to the minimum than Adam."""

    learning_rate = None
    descends = True
    trainer: ClassVar[Method] = Lbfgs()


def _at(state: State, place: Tensor) -> Tensor:
    """Return θ = c + Wz in the weights' own precision."""
    return state["center"] + state["basis"] @ place.to(state["center"])


def _slope(state: State, gradient: Tensor) -> Tensor:
    """Return s = Wᵀ∇J [r]."""
    return wide(gradient @ state["basis"])


def _corrected(theta: Tensor, state: State, closure: Closure, generator: torch.Generator) -> tuple[Tensor, State, float, float]:
    """Take one Metropolis–Hastings step on all points.

    Returns:
        New parameters [size], new state, J before the step, and the probability with which the step was accepted.
    """
    if "slope" not in state:
        value, gradient = closure.evaluate(theta)
        state = {**state, "level": number(value), "slope": _slope(state, gradient)}
    place = state["place"]
    slope = state["slope"]
    value = float(state["level"])
    rate, heat = float(state["rate"]), float(state["temperature"])
    kick = torch.randn(len(place), generator=generator, dtype=torch.float64, device=HOST)
    chance = float(torch.rand((), generator=generator, dtype=torch.float64, device=HOST))
    moved = place - rate * slope + math.sqrt(2.0 * rate * heat) * kick
    new = _at(state, moved)
    try:
        there, _ = closure(new)
    except NonFiniteError:  # the distribution is zero where J is not defined
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
    """Take one step on a mini-batch, which is always accepted.

    Returns:
        New parameters [size], new state, J of the batch before the step, and z·s there.
    """
    value, _ = closure(theta)
    assert closure.gradient is not None
    place = state["place"]
    slope = _slope(state, closure.gradient)
    rate = float(state["rate"])
    kick = torch.randn(len(place), generator=generator, dtype=torch.float64, device=HOST)
    moved = place - rate * slope + math.sqrt(2.0 * rate * float(state["added"])) * kick
    state = {key: entry for key, entry in state.items() if key not in ("slope", "level")}
    return _at(state, moved), {**state, "place": moved}, value, float(place @ slope)
